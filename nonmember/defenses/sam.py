"""Sharpness-aware minimisation: minimise the worst loss near the weights.

Paper: Foret et al. 2021; Kim, Agrawal, Royset and Khanna (On Memorization and Privacy Risks of
Sharpness Aware Minimization) find that it generalises better and leaks *more*: a control, not a
defense. Changes the step: the gradient is taken at w + e, where e = rho·∇L/‖∇L‖₂ over all weights
of one batch. `sam_rho = 0` is plain training. One more forward and backward pass a step.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from nonmember.defenses._sharpness import _TwoGradients
from nonmember.settings import Settings


class SAM(_TwoGradients):
    """Steps along ∇L(w + e)."""

    paper = (
        "Foret et al. 2021, Sharpness-Aware Minimization for Efficiently Improving Generalization, "
        "ICLR, https://arxiv.org/abs/2010.01412"
    )
    changes = "step"
    limits = "Not a defense: single-query attacks do better than on plain training."
    neutral: ClassVar = {"sam_rho": 0.0}
    try_first = "sam_rho 0.1, as in the paper: a control, with nothing to tune."

    class Options(Settings):
        """Settings of SAM."""

        sam_rho: float = Field(0.1, ge=0, description="radius of the ball around the weights, l2")

    def mix(self) -> tuple[float, float, float]:
        """All of the gradient comes from the worst weights nearby."""
        return self.options.sam_rho, 0.0, 1.0
