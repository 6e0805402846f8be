from __future__ import annotations

import tiny
import torch
from test_defenses_sam import assert_one_step

from nonmember.training.train import train

TINY = {"sharp_rho": 0.1}


def test_a_step_descends_on_the_loss_minus_the_sharpness(tmp_path):
    defense = {"name": "sharp_minima", "sharp_lam": 1.5, "sharp_rho": 0.2}
    assert_one_step(tmp_path, defense, 0.2, 2.5, -1.5)


def test_a_ball_without_radius_is_plain_training(tmp_path):
    data = tiny.save(tmp_path)
    plain = train(tiny.task(data), data).weights
    point = train(tiny.task(data, {"name": "sharp_minima", "sharp_rho": 0.0}), data).weights
    for key in plain:
        torch.testing.assert_close(point[key], plain[key])
