"""No defense: plain cross-entropy. The control of every comparison (arm `undefended`)."""

from __future__ import annotations

from typing import ClassVar

from nonmember.defenses._base import Defense


class Undefended(Defense):
    """Minimise the mean cross-entropy of the batch and release the model as it is."""

    neutral: ClassVar = {}
    try_first = "Nothing: it is the control of every comparison."
