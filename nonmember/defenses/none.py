"""No defense: plain cross-entropy. The control of every comparison (arm `undefended`)."""

from __future__ import annotations

from nonmember.defenses._base import Defense


class Undefended(Defense):
    """Minimise the mean cross-entropy of the batch and release the model as it is."""
