from __future__ import annotations

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from nonmember.datasets.digits import Digits


def test_images_are_sklearns_on_the_scale_0_to_255() -> None:
    data = Digits().load(Path("unused"))
    assert data.inputs.shape == (1797, 1, 8, 8)
    assert (data.inputs.min(), data.inputs.max()) == (0, 255)
    grey = load_digits().images
    assert np.array_equal(np.round(data.inputs[:, 0] / 255 * 16), grey)
    assert data.class_names == list("0123456789")


def test_normalised_pixels_have_mean_0_and_deviation_1() -> None:
    data = Digits().load(Path("unused"))
    pixels = (data.inputs * data.scale - data.mean[0]) / data.std[0]
    assert abs(pixels.mean()) < 1e-9
    assert abs(pixels.std() - 1) < 1e-9
