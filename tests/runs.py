"""A run made up in milliseconds: what the stages leave behind, and reports with numbers at will."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from project import TINY

from nonmember import config, files
from nonmember.data import prepared
from nonmember.datasets import Arrays
from nonmember.kinds import TABLE
from nonmember.metrics.report import (
    Attacker,
    AttackerName,
    AttackNumbers,
    AuditReport,
    Behaviour,
    EpsilonBound,
    Number,
)
from nonmember.metrics.stamp import Stamp
from nonmember.pipeline.attack import attack, make_stamp

ARMS = ("undefended", "defended")
N, CLASSES = 120, 4
NAMES = ("ant", "bee", "cat", "dog")
ATTACKS = ["loss", "entropy", "grad_x_l2"]
PARAMS: dict[str, Any] = {
    **TINY,
    "attacks": {"names": ATTACKS},
    "metrics": {"min_false_positives": 3},
}
UNSUPPORTED = Number(value=None, why="an FPR of 1 % needs 1000 non-members, there are 400")


def settle(folder: Path, params: Mapping[str, Any] = PARAMS) -> None:
    """All that a stamp is of: params.yaml, data/config, the data, the split's sizes, the models."""
    write_params(folder, params)
    config.write(folder)
    inputs = np.random.default_rng(0).normal(size=(N, 5)).astype(np.float32)
    labels = np.arange(N) % CLASSES
    arrays = Arrays(inputs, labels, list(NAMES), [0.0], [1.0], "drawn", kind=TABLE)
    prepared.save(arrays, "tiny", folder / "data/prepared")
    split = {"train": 60, "test": 60, "inference": 0, "canaries": 0, "duplicates": 0}
    files.write_json(folder / "data/split/report.json", split)
    curve = [{"epoch": e, "loss": 1 / e, "accuracy": 1 - 1 / e, "lr": 0.1} for e in (1, 2, 3)]
    for arm in ARMS:
        model = {"fingerprint": f"{arm} model", "facts": {}, "curve": curve}
        files.write_json(folder / f"models/{arm}/target.json", model)


def write_params(folder: Path, params: Mapping[str, Any]) -> None:
    (folder / "params.yaml").write_text(yaml.safe_dump(dict(params), sort_keys=False))


def stamp(folder: Path, arm: str) -> Stamp:
    """That of what `settle` left in the folder."""
    return make_stamp(folder, arm, f"{arm} model", ["loss"])


STAMP = Stamp(
    data="tiny", sha256="0123456789abcdef", n=120, classes=4, members=500, non_members=400, seed=0,
    settings={}, versions={"nonmember": "1.0"}, model="m", code="c",
)  # fmt: skip


def number(value: float) -> Number:
    """With an interval of one percent point to both sides."""
    return Number(value=value, low=value - 0.01, high=value + 0.01)


def attack_numbers(auc: float, **changes: Number) -> AttackNumbers:
    """Advantage 25 %, by class 20 %, TPR at 1 % FPR 3.4 %."""
    values = {
        "auc": number(auc), "advantage": number(0.25), "class_advantage": number(0.2),
        "balanced_accuracy": number(0.625), "tpr_at_1_fpr": number(0.034),
        "tpr_at_01_fpr": number(0.012), "tpr_at_001_fpr": UNSUPPORTED, **changes,
    }  # fmt: skip
    return AttackNumbers(**values, members=500, non_members=400)


def behaviour(test_acc: float, **changes: float) -> Behaviour:
    """A model that has memorised its members."""
    values: dict[str, Any] = {
        "train_acc": 1.0, "test_acc": test_acc, "gap": 1 - test_acc, "balanced_test_acc": 0.789,
        "train_loss_mean": 0.01, "train_loss_var": 0.02, "test_loss_mean": 0.9,
        "test_loss_var": 1.5, "train_brier": 0.01, "test_brier": 0.271, "train_ece": 0.001,
        "test_ece": 0.042, "members": 500, "non_members": 400, **changes,
    }  # fmt: skip
    return Behaviour(**values)


def attackers(**found: Mapping[str, AttackNumbers]) -> dict[AttackerName, Attacker]:
    """Attacker -> its attacks' numbers."""
    return {kind: Attacker(attacks=dict(numbers)) for kind, numbers in found.items()}  # type: ignore[misc]


def report(arm: str, **changes: Any) -> AuditReport:
    """Undefended: 80 % test accuracy, `loss` at 77.7 %; defended: 75 %, adaptive `nn` at 61.1 %."""
    bound = EpsilonBound(
        epsilon=0.1, attack="loss", direction="accuse", threshold=0.5, confidence=0.95, delta=1e-5
    )
    nn = attack_numbers(0.7, tpr_at_1_fpr=UNSUPPORTED, class_advantage=number(0.31))
    undefended = attackers(adaptive={"loss": attack_numbers(0.777), "nn": nn})
    defended = attackers(
        adaptive={"loss": attack_numbers(0.6), "nn": attack_numbers(0.611)},
        non_adaptive={"loss": attack_numbers(0.6), "nn": attack_numbers(0.555)},
    )
    values: dict[str, Any] = {
        "stamp": STAMP, "arm": arm, "defense": "none" if arm == "undefended" else "crl",
        "model": behaviour(0.8 if arm == "undefended" else 0.75), "defense_facts": {},
        "attackers": undefended if arm == "undefended" else defended, "reference_leak": None,
        "duplicates": 0, "epsilon": bound, "epsilon_canaries": None, "classes": {},
        "reliability": [], **changes,
    }  # fmt: skip
    return AuditReport(**values)


def signals(seed: int, gap: float) -> dict[str, np.ndarray]:
    """A target and a shadow whose logit of the true class is `gap` higher for members."""
    rng = np.random.default_rng(seed)
    labels = np.arange(N) % CLASSES
    membership = np.stack([np.arange(N) // CLASSES % 2, (np.arange(N) // CLASSES + 1) % 2])
    logits = rng.normal(size=(2, N, CLASSES))
    logits[:, np.arange(N), labels] += gap * membership
    return {
        "sample_ids": np.arange(N),
        "labels": labels,
        "membership": membership.astype(np.int8),
        "logits": logits.astype(np.float32),
        "feature_norm": rng.uniform(1, 5, (2, N)).astype(np.float32),
        "grad_x_l2": np.exp(rng.normal(size=(2, N)) - gap * membership).astype(np.float32),
    }


def fill(folder: Path, params: Mapping[str, Any] = PARAMS) -> None:
    """A run up to its last stage: made-up signals, attacked in earnest."""
    settle(folder, params)
    for seed, (arm, gap) in enumerate(zip(ARMS, (3.0, 0.5), strict=True)):
        for name, array in signals(seed, gap).items():
            files.write_array(folder / f"data/signals/{arm}/{name}.npy", array)
    for arm in ARMS:
        attack(folder, arm)
