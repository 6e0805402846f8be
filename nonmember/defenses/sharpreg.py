"""SharpReg: look for a sharp minimum, and do not fit it to the end.

Paper: Kim, Agrawal, Royset and Khanna, On Memorization and Privacy Risks of Sharpness Aware
Minimization, Eq. 5. Changes the step. `sharpreg_lam = sharpreg_gamma = 0` is plain training,
`sharpreg_gamma = 0` is `sharp_minima`. One more forward and backward pass a step.

The formula is lost in the text we have. Our reading is

    minimise (1 − gamma)·L(w) − lam·(L(w + e) − L(w)),   e = rho·∇L/‖∇L‖₂

It has the three terms that the paper describes (loss, sharpness, and one against over-fitting that
works like stopping early), and it reduces to two hyper-parameters, as appendix C.4.1 says: up to
the learning rate only lam / (1 − gamma) and rho matter.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from nonmember.defenses._sharpness import _TwoGradients
from nonmember.settings import Settings


class SharpReg(_TwoGradients):
    """Steps along (1 − gamma + lam)·∇L(w) − lam·∇L(w + e)."""

    paper = (
        "Kim et al. 2023, On Memorization and Privacy Risks of Sharpness Aware Minimization, "
        "Eq. 5, https://arxiv.org/abs/2310.00488"
    )
    changes = "step"
    limits = "Training breaks down when sharpreg_lam is large; Eq. 5 is our reading."
    neutral: ClassVar = {"sharpreg_lam": 0.0, "sharpreg_gamma": 0.0}
    try_first = (
        "(sharpreg_lam, sharpreg_rho, sharpreg_gamma) of the paper for data like yours: "
        "CIFAR-10 (1.5, 0.01, 0.1), CIFAR-100 (1.5, 0.01, 0.1 to 0.7), Purchase100 (2, 0.01, "
        "0.6), Texas100 (1, 0.001, 0.05). Untuned."
    )

    class Options(Settings):
        """Settings of SharpReg."""

        sharpreg_lam: float = Field(
            1.5, ge=0, description="weight of the sharpness (CIFAR 1.5, Purchase100 2, Texas100 1)"
        )
        sharpreg_rho: float = Field(
            0.01,
            ge=0,
            description="radius of the ball, l2 (CIFAR and Purchase100 0.01, Texas100 0.001)",
        )
        sharpreg_gamma: float = Field(
            0.1,
            ge=0,
            lt=1,
            description="weight against over-fitting (CIFAR 0.1 to 0.7, Purchase100 0.6, Texas100 "
            "0.05)",
        )

    def mix(self) -> tuple[float, float, float]:
        """The sharpness is subtracted, and a part of the loss."""
        o = self.options
        return o.sharpreg_rho, 1 - o.sharpreg_gamma + o.sharpreg_lam, -o.sharpreg_lam
