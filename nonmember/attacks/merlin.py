"""Merlin: a member lies near a minimum of the loss, so that noise mostly raises its loss.

Paper: Jayaraman et al. 2021, Algorithm 2, https://arxiv.org/abs/2005.10881
Score: share of the noisy copies whose loss is larger than the sample's own.
Differs: the level of noise is chosen on the shadows (paper: standard deviation 0.01), binary
features flip (paper: Gaussian noise there too), and the score is not cut at a threshold here.
Needs noise_levels · noise_copies + 1 queries a sample, shared with boundary_noise, and shadows. See
nonmember/queries/noise.py for the noise.
"""

from nonmember.attacks._noise import _NoiseAttack


class Merlin(_NoiseAttack):
    half = 1
