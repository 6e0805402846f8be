"""Input gradient, ℓ2: the loss of a member hardly changes with its input.

Paper: Chen et al. 2022 (RelaxLoss), white-box attacks, https://arxiv.org/abs/2207.05801
Raw statistic of the target, no shadows. Score: −‖∂loss/∂x‖₂, x the normalised input.
"""

from nonmember.attacks._gradient import _GradientNorm


class GradXL2(_GradientNorm):
    needs = ("grad_x_l2",)
