from __future__ import annotations

import pytest
import tiny
import torch
from pydantic import ValidationError
from test_defenses_sam import assert_one_step

from nonmember.defenses import SharpReg
from nonmember.training.train import train

TINY = {"sharpreg_rho": 0.1}


@pytest.mark.parametrize("gamma", [0.0, 0.6])
def test_a_step_descends_on_all_three_terms(tmp_path, gamma):
    defense = {"name": "sharpreg", "sharpreg_rho": 0.2, "sharpreg_lam": 1.5}
    defense["sharpreg_gamma"] = gamma
    assert_one_step(tmp_path, defense, 0.2, 1 - gamma + 1.5, -1.5)


def test_gamma_alone_scales_the_gradient(tmp_path):
    defense = {"name": "sharpreg", "sharpreg_lam": 0.0, "sharpreg_gamma": 0.3}
    assert_one_step(tmp_path, defense, 0.2, 0.7, 0.0)


def test_it_reduces_to_two_settings(tmp_path):
    """lam / (1 − gamma) at a learning rate (1 − gamma) times as large is the same training."""
    data = tiny.save(tmp_path)
    three = {"name": "sharpreg", "sharpreg_lam": 0.75, "sharpreg_gamma": 0.5, "sharpreg_rho": 0.1}
    two = {**three, "sharpreg_lam": 1.5, "sharpreg_gamma": 0.0}
    one = train(tiny.task(data, three, lr=0.1), data).weights
    other = train(tiny.task(data, two, lr=0.05), data).weights
    for key in one:
        torch.testing.assert_close(one[key], other[key], rtol=1e-3, atol=1e-5)


def test_without_gamma_it_is_sharp_minima(tmp_path):
    data = tiny.save(tmp_path)
    one = {"name": "sharpreg", "sharpreg_lam": 1.0, "sharpreg_rho": 0.1, "sharpreg_gamma": 0.0}
    other = {"name": "sharp_minima", "sharp_lam": 1.0, "sharp_rho": 0.1}
    a, b = (train(tiny.task(data, d), data).weights for d in (one, other))
    assert all(torch.equal(a[key], b[key]) for key in a)


def test_bad_options_are_refused_by_name():
    with pytest.raises(ValidationError, match="sharpreg_gamma"):
        SharpReg(sharpreg_gamma=1.0)
