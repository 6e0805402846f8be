"""Score attacks and their metrics on 60,000 samples of 100 classes, one core: seconds a part.

Run:     python -m benchmarks.attacks        (--nn: also the attack nn, on 30,000 samples)
Expect:  under 5 s in total without nn, whose cost grows with nn_epochs.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Sequence
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from nonmember import metrics
from nonmember.attacks import Attack, attacks
from nonmember.evidence import View

LEARNING = ("nn",)  # attacks that fit, timed on request


def make_view(
    samples: int, classes: int, seed: int, reference: Sequence[View] | None = None
) -> View:
    """A model that knows its members a little better than the rest."""
    labels = np.random.default_rng(0).integers(classes, size=samples)
    rng = np.random.default_rng(seed + 1)
    member = rng.random(samples) < 0.5
    logits = rng.normal(size=(samples, classes)).astype(np.float32)
    logits[np.arange(samples), labels] += 4 + 2 * member
    needs = {signal for _, attack in attacks for signal in attack.needs} - {"logits"}
    signals = {name: rng.exponential(2 - member).astype(np.float32) for name in sorted(needs)}
    return View(np.arange(samples), labels, logits, signals, member, reference)


def seconds(part: str, call: Callable[[], Any]) -> Any:
    start = time.perf_counter()
    result = call()
    print(f"{part:34s} {time.perf_counter() - start:7.3f} s", flush=True)
    return result


def run(attack: Attack, name: str, target: View, shadow: View, classes: int) -> None:
    """Score the target and one shadow, then the full report."""

    def scored(view: View) -> metrics.Scored:
        assert view.member is not None
        return metrics.Scored(attack.score(view), view.member, view.labels)

    pair = seconds(f"{name}: scores, 2 models", lambda: [scored(target), scored(shadow)])
    seconds(f"{name}: metrics", lambda: metrics.report(pair[0], pair[1], classes))


def main(samples: int, classes: int, nn: bool) -> None:
    reference = [make_view(samples, classes, seed) for seed in (3, 4, 5)]
    target, shadow = (make_view(samples, classes, seed, reference) for seed in (0, 1))
    start = time.perf_counter()
    seconds("log-softmax, 2 models", lambda: (target.log_probs, shadow.log_probs))
    seconds("log-softmax, 3 reference models", lambda: [view.log_probs for view in reference])
    for name in attacks.names():
        if name not in LEARNING:
            run(attacks.get(name)(), name, target, shadow, classes)
    print(f"{'total':34s} {time.perf_counter() - start:7.3f} s")
    if nn:
        attack = attacks.get("nn")()
        known = make_view(samples // 2, classes, 2)
        epochs = attack.options.nn_epochs
        seconds(f"nn: fit, {samples // 2} samples, {epochs} epochs", lambda: attack.fit([known]))
        run(attack, "nn", target, shadow, classes)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=60_000)
    parser.add_argument("--classes", type=int, default=100)
    parser.add_argument("--nn", action="store_true")
    arguments = parser.parse_args()
    main(arguments.samples, arguments.classes, arguments.nn)
