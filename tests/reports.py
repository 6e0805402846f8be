"""A whole audit report of made-up numbers, for tests of what reads one."""

from __future__ import annotations

from typing import Any

from nonmember.metrics.report import (
    Attacker,
    AttackNumbers,
    AuditReport,
    Behaviour,
    ClassNumbers,
    EpsilonBound,
    Leak,
    Number,
    OneRunBound,
    Ranking,
    RiskBin,
)
from nonmember.metrics.stamp import Origin, Stamp

ORIGIN: dict[str, Any] = {
    "data": "digits",
    "sha256": "0123456789abcdef" * 4,
    "n": 1797,
    "classes": 10,
    "groups": None,
    "members": 200,
    "non_members": 199,
    "seed": 7,
    "settings": {"model.widths": [32], "train.lr": 0.05, "defense.name": "crl"},
}
NONE = Number(value=None, why="too few non-members")


def origin(**changes: Any) -> Origin:
    return Origin(**{**ORIGIN, **changes})


def stamp(**changes: Any) -> Stamp:
    made = {
        "versions": {"nonmember": "1.2.3", "torch": "2.9.0", "numpy": "2.1.0"},
        "model": "fedcba9876543210",
        "code": "abcdef0123456789",
    }
    return Stamp(**{**ORIGIN, **made, **changes})


def number(value: float | None) -> Number:
    """A number with an interval around it, or one that is not supported."""
    return NONE if value is None else Number(value=value, low=value - 0.02, high=value + 0.03)


def ranking(auc: float = 0.6) -> Ranking:
    return Ranking(
        auc=number(auc), tpr_at_1_fpr=number(0.04), tpr_at_01_fpr=NONE, tpr_at_001_fpr=NONE
    )


def numbers(**changes: Any) -> AttackNumbers:
    """An attack's numbers; a change is a `Number`, or a value (None: not supported)."""
    made = {
        **{name: getattr(ranking(), name) for name in Ranking.model_fields},
        "balanced_accuracy": number(0.55),
        "advantage": number(0.1),
        "class_advantage": number(0.12),
        "members": 200,
        "non_members": 199,
    }
    changes = {
        key: number(value) if value is None or isinstance(value, float) else value
        for key, value in changes.items()
    }
    return AttackNumbers(**{**made, **changes})


def behaviour(**changes: Any) -> Behaviour:
    made = {
        "train_acc": 0.99,
        "test_acc": 0.9,
        "gap": 0.09,
        "balanced_test_acc": 0.89,
        "train_loss_mean": 0.05,
        "train_loss_var": 0.01,
        "test_loss_mean": 0.4,
        "test_loss_var": 1.1,
        "train_brier": 0.02,
        "test_brier": 0.15,
        "train_ece": 0.01,
        "test_ece": 0.06,
        "members": 200,
        "non_members": 199,
    }
    return Behaviour(**{**made, **changes})


def report(**changes: Any) -> AuditReport:
    """The defended arm's: two attacks of two attackers, canaries, a reference set, both bounds."""
    found = {"loss": numbers(auc=0.7), "lira": numbers(auc=0.8, advantage=0.3)}
    less = {"loss": numbers(auc=0.65), "lira": numbers(auc=0.66, class_advantage=None)}
    planted = {name: ranking(0.75) for name in found}
    bound = EpsilonBound(
        epsilon=1.5,
        attack="lira",
        direction="accuse",
        threshold=0.25,
        confidence=0.95,
        delta=1e-5,
    )
    worst = ClassNumbers(label=3, auc=number(0.9), members=20, non_members=21)
    made: dict[str, Any] = {
        "stamp": stamp(),
        "arm": "defended",
        "defense": "crl",
        "model": behaviour(),
        "defense_facts": {"epsilon": 8.0, "delta": 1e-5},
        "attackers": {
            "adaptive": Attacker(attacks=found, canaries=planted),
            "non_adaptive": Attacker(attacks=less, canaries=planted),
        },
        "reference_leak": Leak(auc=number(0.51), acc=0.9, samples=200),
        "duplicates": 2,
        "epsilon": bound,
        "epsilon_canaries": bound.model_copy(update={"threshold": None, "direction": "clear"}),
        "epsilon_one_run": OneRunBound(
            epsilon=1.2,
            attack="lira",
            kind="members",
            guesses=20,
            correct=18,
            coins=40,
            confidence=0.95,
            delta=1e-5,
        ),
        "classes": {"loss": [worst], "lira": []},
        "reliability": [
            RiskBin(low=0.9, high=1.0, risk=0.94, share=number(0.9), members=18, non_members=2)
        ],
    }
    return AuditReport(**{**made, **changes})
