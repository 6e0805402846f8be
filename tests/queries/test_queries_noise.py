"""Noisy copies: how noisy, how often right, and how often worse, by hand and by formula."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from queries_toys import linear, make, pick
from scipy import stats

from nonmember.kinds import BINARY, IMAGE, TABLE
from nonmember.queries import Answer, Samples, queries
from nonmember.queries.noise import Noise, flips


def one(value: list[float], label: int = 1) -> Samples:
    """A single real-valued sample."""
    raw = torch.tensor([value], dtype=torch.float32)
    return Samples(raw, np.array([label]), np.array([17]), TABLE, (1.0,))


def half_line(raw: torch.Tensor) -> np.ndarray:
    """Two classes in one dimension: class 1 where x > 0, its loss falling with x."""
    x = raw[:, 0].numpy()
    return np.stack([-x, x], axis=1)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("level", [1, 4, 30])
def test_a_copy_of_level_i_differs_in_exactly_i_binary_features(
    dtype: torch.dtype, level: int
) -> None:
    samples = make("binary")
    samples = Samples(samples.inputs.to(dtype), samples.labels, samples.ids, BINARY, (1.0,))
    noisy = Noise(noise_levels=30).noisy(samples, 2, level, seed=0)
    assert noisy.dtype == dtype
    assert noisy.shape == (100, 30)
    assert (noisy != samples.inputs[2]).sum(1).tolist() == [level] * 100
    assert ((noisy == 0) | (noisy == 1)).all()


def test_every_choice_of_flips_is_equally_likely() -> None:
    """2 of 5 features: 10 pairs, chi-square; one more flip a row would be none of them."""
    drawn = flips(np.random.default_rng(0), 20_000, 5, 2)
    _, counts = np.unique(drawn, axis=0, return_counts=True)
    assert len(counts) == math.comb(5, 2)
    assert stats.chisquare(counts).pvalue > 0.01


@pytest.mark.parametrize("level", [1, 3])
def test_gaussian_noise_has_the_deviation_of_its_level_and_feature(level: int) -> None:
    samples = make("table")
    query = Noise(noise_copies=20_000, noise_step=0.2)
    noise = (query.noisy(samples, 0, level, seed=0) - samples.inputs[0]).numpy()
    expected = level * 0.2 * np.array(samples.std)
    np.testing.assert_allclose(noise.std(axis=0), expected, rtol=0.03)
    np.testing.assert_allclose(noise.mean(axis=0) / expected, 0, atol=0.035)
    assert stats.kstest((noise / expected).ravel()[:20_000], "norm").pvalue > 0.01


def test_noise_on_float_images_scales_by_channel() -> None:
    samples = make("images")
    query = Noise(noise_copies=2000, noise_step=0.1)
    noise = (query.noisy(samples, 0, 2, seed=0) - samples.inputs[0]).numpy()
    np.testing.assert_allclose(noise.std(axis=(0, 2, 3)), [0.1, 0.4, 0.8], rtol=0.02)


def test_noisy_byte_images_are_byte_images() -> None:
    """Grey 128 stays clear of the ends; rounding adds a variance of 1/12."""
    grey = torch.full((1, 3, 8, 6), 128, dtype=torch.uint8)
    samples = Samples(grey, np.zeros(1, np.int64), np.zeros(1, np.int64), IMAGE, (0.2,) * 3)
    noisy = Noise(noise_copies=2000, noise_step=0.01).noisy(samples, 0, 4, seed=0)
    assert noisy.dtype == torch.uint8
    expected = math.sqrt((4 * 0.01 * 255) ** 2 + 1 / 12)
    assert noisy.double().std().item() == pytest.approx(expected, rel=0.01)
    assert noisy.double().mean().item() == pytest.approx(128, abs=0.1)
    black = Samples(grey * 0, samples.labels, samples.ids, IMAGE, (1.0,))
    assert Noise(noise_step=1.0).noisy(black, 0, 10, seed=0).double().mean() < 128


def test_noise_follows_from_seed_id_and_level_alone() -> None:
    samples, query = make("table"), Noise()
    first = query.noisy(samples, 3, 2, seed=1)
    again = query.noisy(pick(samples, np.array([3])), 0, 2, seed=1)
    assert torch.equal(first, again)
    raw = samples.inputs[3]
    other = Samples(raw[None], samples.labels[3:4], samples.ids[2:3], TABLE, samples.std)
    for noisy, level in (
        (query.noisy(samples, 3, 2, seed=2), 2),
        (query.noisy(samples, 3, 1, seed=1), 1),
        (query.noisy(other, 0, 2, seed=1), 2),
    ):
        scaled = (noisy - raw) / level - (first - raw) / 2
        assert scaled.abs().mean() > 0.005


def test_shares_on_a_line_are_normal_probabilities() -> None:
    """x = 0.5, class 1 where x > 0: right with probability Φ(0.5 / deviation), worse with 1/2."""
    query = Noise(noise_levels=3, noise_copies=20_000, noise_step=0.4)
    found = query.ask(half_line, one([0.5]), 0)[0]
    expected = [stats.norm.cdf(0.5 / (0.4 * level)) for level in (1, 2, 3)]
    np.testing.assert_allclose(found[:3], expected, atol=0.01)
    np.testing.assert_allclose(found[3:], 0.5, atol=0.01)


def test_at_a_minimum_of_the_loss_every_copy_is_worse_and_at_a_maximum_none() -> None:
    def bowl(sign: int) -> Answer:
        def answer(raw: torch.Tensor) -> np.ndarray:
            x = raw[:, 0].numpy() ** 2 * sign
            return np.stack([x, -x], axis=1)

        return answer

    query = Noise(noise_levels=2, noise_copies=500)
    assert query.ask(bowl(1), one([0.0]), 0)[0, 2:].tolist() == [1, 1]
    assert query.ask(bowl(-1), one([0.0]), 0)[0, 2:].tolist() == [0, 0]


def test_a_model_that_says_the_same_to_everything_has_no_worse_copies() -> None:
    samples = make("binary")
    labels = samples.labels

    def answer(raw: torch.Tensor) -> np.ndarray:
        return np.tile([0.0, 1.0, 0.5], (len(raw), 1))

    found = queries.get("noise")().ask(answer, samples, 0)
    np.testing.assert_array_equal(found[:, :10], np.repeat((labels == 1)[:, None], 10, 1))
    assert (found[:, 10:] == 0).all()


def test_losses_that_round_to_zero_are_still_compared() -> None:
    """Gaps around 2000 nats: every loss is 0 in float64, the log-odds are not."""
    query = Noise(noise_levels=1, noise_copies=2000)
    found = query.ask(lambda raw: 1000 * half_line(raw), one([1.0]), 0)[0]
    assert found[0] == 1
    assert found[1] == pytest.approx(0.5, abs=0.05)


def test_equals_a_loop_over_copies() -> None:
    samples = make("table", n=3)
    query, answer = Noise(noise_levels=2, noise_copies=9, noise_step=0.5), linear(samples)
    found = query.ask(answer, samples, 4)
    for row, label in enumerate(samples.labels):
        own = answer(samples.inputs[row : row + 1])[0]
        own_loss = np.log(np.exp(own).sum()) - own[label]
        for level in (1, 2):
            right = worse = 0
            for copy in query.noisy(samples, row, level, seed=4):
                logits = answer(copy[None])[0]
                right += logits.argmax() == label
                worse += np.log(np.exp(logits).sum()) - logits[label] > own_loss
            assert found[row, level - 1] == pytest.approx(right / 9)
            assert found[row, 2 + level - 1] == pytest.approx(worse / 9)


@pytest.mark.parametrize(("level", "count"), [(1, 3), (10, 30), (300, 600)])
def test_a_level_of_a_wide_table_flips_a_share_of_it(level: int, count: int) -> None:
    samples = Samples(torch.zeros(1, 600), np.array([0]), np.array([7]), BINARY, (1.0,))
    copies = Noise(noise_levels=300, noise_copies=5).noisy(samples, 0, level, seed=0)
    assert copies.sum(1).tolist() == [count] * 5


def test_more_flips_than_features_flip_all() -> None:
    """A narrow table may have fewer features than there are levels."""
    raw = torch.tensor([[0.0, 1.0, 1.0]])
    samples = Samples(raw, np.array([0]), np.array([7]), BINARY, (1.0,))
    copies = Noise(noise_levels=5, noise_copies=4).noisy(samples, 0, 5, seed=0)
    assert copies.tolist() == [[1.0, 0.0, 0.0]] * 4
