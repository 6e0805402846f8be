"""Weight gradient, ℓ2: a member asks for hardly any change of the weights.

Paper: Chen et al. 2022 (RelaxLoss), white-box attacks, https://arxiv.org/abs/2207.05801
Raw statistic of the target, no shadows. Score: −‖∂loss/∂w‖₂ over all weights.
"""

from nonmember.attacks._gradient import _GradientNorm


class GradWL2(_GradientNorm):
    needs = ("grad_w_l2",)
