"""Sharp minima: the opposite of SAM, minimise L(w) − lam·(L(w + e) − L(w)).

Paper: Kim, Agrawal, Royset and Khanna, On Memorization and Privacy Risks of Sharpness Aware
Minimization, Eq. 4: sharper minima memorise less. e = rho·∇L/‖∇L‖₂ to first order, as in SAM.
Changes the step: its direction is (1 + lam)·∇L(w) − lam·∇L(w + e), one more forward and backward
pass. `sharp_lam = 0` or `sharp_rho = 0` is plain training.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from nonmember.defenses._sharpness import _TwoGradients
from nonmember.settings import Settings


class SharpMinima(_TwoGradients):
    """Steps along (1 + lam)·∇L(w) − lam·∇L(w + e)."""

    paper = (
        "Kim et al. 2023, On Memorization and Privacy Risks of Sharpness Aware Minimization, "
        "Eq. 4, https://arxiv.org/abs/2310.00488"
    )
    changes = "step"
    limits = "Training breaks down when sharp_lam or sharp_rho is large."
    neutral: ClassVar = {"sharp_lam": 0.0}
    try_first = (
        "sharp_lam 1.5 with sharp_rho 0.01; less of either where training breaks down. Untuned."
    )

    class Options(Settings):
        """Settings of sharp minima."""

        sharp_lam: float = Field(
            1.5, ge=0, description="weight of the sharpness (the paper tries 0.01 0.5 1 1.5 2 3)"
        )
        sharp_rho: float = Field(
            0.01, ge=0, description="radius of the ball, l2 (the paper tries 0.001 to 3)"
        )

    def mix(self) -> tuple[float, float, float]:
        """The sharpness is subtracted."""
        o = self.options
        return o.sharp_rho, 1 + o.sharp_lam, -o.sharp_lam
