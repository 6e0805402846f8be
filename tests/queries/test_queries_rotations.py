"""Rotated and moved images: which are asked, in which order, and what is said of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tiny
import torch
from queries_toys import linear, make, pick

from nonmember import statistics
from nonmember.kinds import IMAGE
from nonmember.queries import Samples, queries


def asked(samples: Samples, **options: Any) -> list[np.ndarray]:
    """The queries of the first sample, in order."""
    seen = []

    def answer(raw: torch.Tensor) -> np.ndarray:
        seen.append(raw[0].numpy().copy())
        return linear(samples)(raw)

    queries.get("rotations")(**options).ask(answer, samples, 0)
    return seen


@pytest.mark.parametrize(("pixels", "count"), [(1, 7), (2, 11), (3, 15)])
def test_translations_are_those_of_d_steps_with_zeros_from_outside(pixels: int, count: int) -> None:
    samples = make("bytes")
    seen = asked(samples, augmentation_pixels=pixels)
    image = samples.inputs[0].numpy()
    height, width = image.shape[1:]
    assert len(seen) == count == queries.get("rotations")(augmentation_pixels=pixels).width / 2
    np.testing.assert_array_equal(seen[0], image)
    steps = [
        (i, j)
        for i in range(-pixels, pixels + 1)
        for j in range(-pixels, pixels + 1)
        if abs(i) + abs(j) == pixels
    ]
    for moved, (i, j) in zip(seen[3:], steps, strict=True):
        expected = np.zeros_like(image)
        for y in range(height):
            for x in range(width):
                if 0 <= y - i < height and 0 <= x - j < width:
                    expected[:, y, x] = image[:, y - i, x - j]
        np.testing.assert_array_equal(moved, expected)


def test_a_right_angle_is_an_exact_rotation_both_ways() -> None:
    square = torch.arange(25, dtype=torch.uint8).reshape(1, 1, 5, 5)
    samples = Samples(square, np.zeros(1, np.int64), np.zeros(1, np.int64), IMAGE, (1.0,))
    seen = asked(samples, augmentation_degrees=90.0)
    np.testing.assert_array_equal(seen[1][0], np.rot90(square[0, 0].numpy(), -1))
    np.testing.assert_array_equal(seen[2][0], np.rot90(square[0, 0].numpy(), 1))


def test_numbers_are_bits_then_losses_in_the_order_of_the_queries() -> None:
    samples = make("images", n=1)
    found = queries.get("rotations")().ask(linear(samples), samples, 0)[0]
    seen = np.stack(asked(samples))
    log_p = statistics.log_softmax(linear(samples)(torch.from_numpy(seen)))
    labels = np.repeat(samples.labels, len(seen))
    np.testing.assert_array_equal(found[:7], log_p.argmax(axis=1) == labels)
    np.testing.assert_allclose(found[7:], statistics.cross_entropy(log_p, labels), rtol=1e-6)


def test_a_loss_too_small_for_a_float32_softmax_is_kept() -> None:
    samples = pick(make("images"), np.array([0]))
    gap = 60.0

    def answer(raw: torch.Tensor) -> np.ndarray:
        logits = np.zeros((len(raw), 3), np.float32)
        logits[:, samples.labels[0]] = gap
        return logits

    losses = queries.get("rotations")().ask(answer, samples, 0)[0, 7:]
    np.testing.assert_allclose(losses, 2 * np.exp(-gap), rtol=1e-6)


def test_what_does_not_fit_is_refused() -> None:
    query = queries.get("rotations")(augmentation_pixels=8)
    assert query.check(tiny.outline((3, 9, 9))) == []
    [line] = query.check(tiny.outline((3, 9, 8)))
    assert line == (
        "attacks.augmentation_pixels: must be less than 8, the side of an image, found 8"
    )
    [line] = query.check(tiny.outline((600,)))
    assert line.startswith("attacks.augmentation_kind: rotations needs images")
