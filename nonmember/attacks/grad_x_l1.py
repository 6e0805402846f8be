"""Input gradient, ℓ1: the loss of a member hardly changes with its input.

Paper: Chen et al. 2022 (RelaxLoss), white-box attacks, https://arxiv.org/abs/2207.05801
Raw statistic of the target, no shadows. Score: −‖∂loss/∂x‖₁, x the normalised input.
"""

from nonmember.attacks._gradient import _GradientNorm


class GradXL1(_GradientNorm):
    needs = ("grad_x_l1",)
