"""The 162 crops: against a loop that pads and cuts one image at a time, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
import tiny
import torch
from queries_toys import linear, make

from nonmember.data.batches import crop_flip
from nonmember.kinds import IMAGE
from nonmember.queries import Samples, queries


@pytest.mark.parametrize("form", ["bytes", "images"])
def test_equals_a_loop_over_162_crops(form: str) -> None:
    samples = make(form)
    answer, images = linear(samples), samples.inputs.numpy()
    n, channels, height, width = images.shape
    right, asked = np.zeros(n), 0
    for flip in (False, True):
        for down in range(-4, 5):
            for across in range(-4, 5):
                asked += 1
                for k in range(n):
                    canvas = np.zeros((channels, height, width), images.dtype)
                    for y in range(height):
                        for x in range(width):
                            if 0 <= y + down < height and 0 <= x + across < width:
                                canvas[:, y, x] = images[k, :, y + down, x + across]
                    canvas = canvas[:, :, ::-1] if flip else canvas
                    logits = answer(torch.from_numpy(canvas.copy())[None])[0]
                    right[k] += logits.argmax() == samples.labels[k]
    assert asked == 162
    found = queries.get("shifts")().ask(answer, samples, 0)
    np.testing.assert_allclose(found[:, 0], right / 162, rtol=1e-6)


def test_asks_what_the_training_draws() -> None:
    """Every crop that crop_flip makes of an image is among the queries, and the other way round."""
    image = torch.arange(1, 37, dtype=torch.uint8).reshape(1, 1, 6, 6)
    asked: set[bytes] = set()

    def answer(raw: torch.Tensor) -> np.ndarray:
        asked.update(bytes(one.contiguous().numpy()) for one in raw)
        return np.zeros((len(raw), 2))

    zero = np.zeros(1, np.int64)
    queries.get("shifts")().ask(answer, Samples(image, zero, zero, IMAGE, (1.0,)), 0)
    drawn = crop_flip(image.repeat(4000, 1, 1, 1), torch.Generator().manual_seed(0))
    assert {bytes(one.contiguous().numpy()) for one in drawn} == asked
    assert len(asked) == 162


def test_a_corner_is_seen_in_as_many_crops_as_it_stays_inside() -> None:
    """Only the top left pixel is lit; "right" means seeing it anywhere.

    It stays inside for shifts by 0 … 4 down and right, 5 · 5 of the 9 · 9, in both flips.
    """
    image = torch.zeros(1, 1, 10, 10, dtype=torch.uint8)
    image[0, 0, 0, 0] = 255
    samples = Samples(image, np.ones(1, np.int64), np.zeros(1, np.int64), IMAGE, (1.0,))

    def answer(raw: torch.Tensor) -> np.ndarray:
        lit = (raw.flatten(1).amax(1) > 0).numpy()
        return np.stack([~lit, lit], axis=1).astype(np.float32)

    assert queries.get("shifts")().ask(answer, samples, 0)[0, 0] == np.float32(25 / 81)


def test_tables_are_refused() -> None:
    assert queries.get("shifts")().check(tiny.outline((3, 32, 32))) == []
    [line] = queries.get("shifts")().check(tiny.outline((600,)))
    assert line.startswith("attacks.augmentation_kind: shifts needs images, the data are tables")
