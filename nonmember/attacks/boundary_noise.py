"""Boundary attack by noise: a member is still answered right when it is changed at random.

Papers: Choquette-Choo et al. 2021, section 4.3, https://arxiv.org/abs/2007.14321; flips of binary
features as in Tang et al. 2022, https://arxiv.org/abs/2110.08324
Needs only predicted labels, noise_levels · noise_copies + 1 queries a sample, and shadows, which
choose the level. Score: share of the noisy copies answered right, a stand-in for the distance to
the decision boundary. See nonmember/queries/noise.py for the noise.
"""

from nonmember.attacks._noise import _NoiseAttack


class BoundaryNoise(_NoiseAttack):
    half = 0
