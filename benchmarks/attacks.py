"""Score attacks and their metrics on 60,000 samples of 100 classes, one core: seconds a part.

Run:     python -m benchmarks.attacks        (--nn: also the attack nn, on 30,000 samples)
Expect:  under 20 s in total without nn, whose cost grows with nn_epochs.

Run:     python -m benchmarks.attacks --twins
Expect:  from the log-odds on, LiRA with 50,000 samples and 64 shadows at least 50 times as fast as
         a loop over the samples; RMIA's search, 20,000 samples against a population of 5,000, at
         least 100 times as fast as all pairs and in less than 200 MiB. Under a minute. Stops if a
         score differs from the slow one.
"""

from __future__ import annotations

import argparse
import functools
import os
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from scipy.stats import norm

from nonmember.attacks import Attack, attacks
from nonmember.attacks.lira import LikelihoodRatio
from nonmember.attacks.nn import NeuralNetwork
from nonmember.attacks.rmia import share_beaten
from nonmember.metrics import rates
from nonmember.metrics.measure import attack_numbers
from nonmember.queries import queries
from nonmember.views import Models, View

LEARNING = ("nn",)  # timed on request


def make_view(
    samples: int,
    classes: int,
    seed: int,
    reference: Models | None = None,
    public: View | None = None,
) -> View:
    """A model that knows its members a little better than the rest.

    public: what the attack quantile learns from.
    """
    labels = np.random.default_rng(0).integers(classes, size=samples)
    rng = np.random.default_rng(seed + 1)
    member = rng.random(samples) < 0.5
    logits = rng.normal(size=(samples, classes)).astype(np.float32)
    logits[np.arange(samples), labels] += 4 + 2 * member
    needs = {signal for _, attack in attacks for signal in attack.needs} - {"logits", "inputs"}
    signals = {name: rng.exponential(2 - member).astype(np.float32) for name in sorted(needs)}
    for name, options in (item for _, attack in attacks for item in attack().queries().items()):
        width = queries.get(name)(**options).width
        shares = rng.random((samples, width)) + 0.1 * member[:, None]
        signals[name] = (shares / 1.1).astype(np.float32)
    inputs = rng.normal(size=(samples, 32)).astype(np.float32)
    read = None if public is None else lambda: public
    return View(np.arange(samples), labels, logits, signals, member, reference, inputs, read)


def seconds(part: str, call: Callable[[], Any]) -> Any:
    return timed(part, call)[0]


def timed(part: str, call: Callable[[], Any]) -> tuple[Any, float]:
    """The result and the seconds it took, which are printed."""
    start = time.perf_counter()
    result = call()
    took = time.perf_counter() - start
    print(f"{part:34s} {took:7.3f} s", flush=True)
    return result, took


def run(attack: Attack, name: str, target: View, shadow: View, classes: int) -> None:
    """Score the target and one shadow, then all of an attack's numbers."""

    def scored(view: View) -> rates.Scored:
        assert view.member is not None
        return rates.Scored(attack.score(view), view.member, view.labels)

    pair = seconds(f"{name}: scores, 2 models", lambda: [scored(target), scored(shadow)])
    seconds(f"{name}: metrics", lambda: attack_numbers(pair[0], pair[1], classes))


def slow_lira(value: np.ndarray, values: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Online LiRA with a variance each, one sample at a time, as the published code does it."""
    scores = np.empty(len(value))
    for i in range(len(value)):
        parts = values[inside[:, i], i], values[~inside[:, i], i]
        with_it, without = (norm.logpdf(value[i], p.mean(), p.std(ddof=1)) for p in parts)
        scores[i] = with_it - without
    return scores


def slow_share(ratio: np.ndarray, population: np.ndarray, gamma: float) -> np.ndarray:
    """All pairs, 1,000 rows of the matrix at a time to spare memory."""
    blocks = np.split(ratio, range(1000, len(ratio), 1000))
    return np.concatenate([(block[:, None] / population >= gamma).mean(axis=1) for block in blocks])


def compare(name: str, fast: Callable[[], np.ndarray], slow: Callable[[], np.ndarray]) -> None:
    """Both timed, the fast one by its best of five, and its memory on a run of its own."""
    runs = [timed(name, fast) for _ in range(5)]
    expected, longer = timed(f"{name}, slow twin", slow)
    np.testing.assert_allclose(runs[0][0], expected, rtol=1e-7, atol=1e-7)
    tracemalloc.start()
    fast()
    peak = tracemalloc.get_traced_memory()[1] / 2**20
    tracemalloc.stop()
    took = min(duration for _, duration in runs)
    print(f"{name}: {longer / took:.0f} times as fast, {peak:.1f} MiB at most", flush=True)


def twins() -> None:
    rng = np.random.default_rng(0)
    inside = rng.random((64, 50_000)) < 0.5
    values = rng.normal(size=(64, 50_000)) + inside
    value = rng.normal(size=50_000)
    lira = attacks.get("lira")(lira_mode="online", lira_variance="sample")
    assert isinstance(lira, LikelihoodRatio)
    compare(
        "lira, 50,000 x 64",
        lambda: lira.compare(value, values, inside),
        lambda: slow_lira(value, values, inside),
    )
    ratio, population = np.exp(rng.normal(size=20_000)), np.exp(rng.normal(size=5_000))
    compare(
        "rmia, 20,000 x 5,000",
        lambda: share_beaten(np.log(ratio), np.log(population), 2.0),
        lambda: slow_share(ratio, population, 2.0),
    )


def main(samples: int, classes: int, nn: bool) -> None:
    reference = Models([make_view(samples, classes, seed) for seed in (3, 4, 5)])
    others = [make_view(samples // 4, classes, seed) for seed in (6, 7)]
    target, shadow = (make_view(samples, classes, i, reference, others[i]) for i in (0, 1))
    start = time.perf_counter()
    seconds("log-softmax, 2 models", lambda: (target.log_probs, shadow.log_probs))
    seconds("log-softmax, 3 reference models", lambda: [view.log_probs for view in reference])
    for name in attacks.names():
        if name not in LEARNING:
            attack = attacks.get(name)()
            seconds(f"{name}: fit, 1 shadow", functools.partial(attack.fit, [shadow]))
            run(attack, name, target, shadow, classes)
    print(f"{'total':34s} {time.perf_counter() - start:7.3f} s")
    if nn:
        learner = NeuralNetwork()
        half = make_view(samples // 2, classes, 2)
        epochs = learner.options.nn_epochs
        seconds(f"nn: fit, {samples // 2} samples, {epochs} epochs", lambda: learner.fit([half]))
        run(learner, "nn", target, shadow, classes)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=60_000)
    parser.add_argument("--classes", type=int, default=100)
    parser.add_argument("--nn", action="store_true")
    parser.add_argument("--twins", action="store_true")
    arguments = parser.parse_args()
    if arguments.twins:
        twins()
    else:
        main(arguments.samples, arguments.classes, arguments.nn)
