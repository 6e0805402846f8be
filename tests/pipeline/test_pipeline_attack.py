"""An arm's report holds every fact an audit finds, each as the functions that measure it say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nonmember import audit, files
from nonmember.evidence import Evidence
from nonmember.metrics import measure, scores
from nonmember.metrics.report import AuditReport
from nonmember.pipeline.attack import DELTA, attack

N, CLASSES, CANARIES = 240, 3, 20
CHOSEN: dict[str, dict[str, Any]] = {"loss": {}, "entropy": {}}


def signals(folder: Path, shift: float) -> None:
    """A target with canaries and a reference set, and three shadows; members gain `shift`."""
    rng = np.random.default_rng(0)
    labels = rng.integers(CLASSES, size=N)
    member = np.stack([rng.permutation(N) % 2 for _ in range(4)]).astype(np.int8)
    member[0, -40:] = 2
    logits = rng.normal(size=(4, N, CLASSES))
    logits[:, np.arange(N), labels] += shift * (member == 1)
    arrays: dict[str, np.ndarray] = {
        "sample_ids": np.arange(N),
        "labels": labels,
        "membership": member,
        "logits": logits.astype(np.float32),
        "canary": np.arange(N) < CANARIES,
    }
    folder.mkdir(parents=True)
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", np.asarray(array))


@pytest.fixture(params=["shadows", "partial"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """What the stages before the attacks leave."""
    config = {
        "seed": 1,
        "knowledge": request.param,
        "partial_splits": 1,
        "accept": ["copies"],
        "attacks": CHOSEN,
        "metrics": {"min_false_positives": 1},
    }
    (tmp_path / "params.yaml").write_text("compute: {workers: 1, backend: sequential}\n")
    written = {
        "data/config/attacks.json": config,
        "data/config/defended.json": {"defense": {"name": "dp_sgd"}},
        "data/config/stamp_defended.json": {"seed": 1, "settings": {"defense.name": "dp_sgd"}},
        "data/prepared/dataset.json": {
            "name": "t", "sha256": "ab", "n": N, "classes": CLASSES, "class_names": ["a", "b", "c"],
            "notices": [
                {"name": name, "says": "said", "accepted": False}
                for name in ("copies", "imbalance")
            ],
        },
        "data/split/report.json": {"train": 9, "test": 8, "canaries": 4, "duplicates": 3},
        "models/defended/target.json": {
            "fingerprint": "0123456789", "facts": {"epsilon": 4.0, "delta": 0.001},
        },
    }  # fmt: skip
    for name, value in written.items():
        files.write_json(tmp_path / name, value)
    for arm, shift in (("defended", 1.0), ("undefended", 2.0)):
        signals(tmp_path / f"data/signals/{arm}", shift)
    return tmp_path


def test_a_report_holds_every_fact(place: Path) -> None:
    attack(place, "defended")
    found = AuditReport.read(place / "metrics/defended/report.json")
    kept = scores.read(place / "data/scores/defended.npz")
    evidence = Evidence(place / "data/signals/defended")
    knowledge = files.read_json(place / "data/config/attacks.json")["knowledge"]
    kinds = ["partial"] if knowledge == "partial" else ["adaptive", "non_adaptive"]
    assert list(found.attackers) == list(kept) == kinds
    assert (found.arm, found.defense, found.duplicates) == ("defended", "dp_sgd", 3)
    assert found.model == audit.behaviour(evidence.target)
    assert found.defense_facts == {"epsilon": 4.0, "delta": 0.001}
    assert found.reference_leak == audit.reference_leak(evidence)
    assert found.reference_leak is not None
    for kind, attacker in found.attackers.items():
        assert attacker.canaries == audit.canary_numbers(kept[kind], 1)
        if kind == "partial":
            assert attacker.attacks == audit.partial(evidence, CHOSEN, 1, 1, 1)[1]
        else:
            assert attacker.attacks == audit.numbers(kept[kind], CLASSES, 1)
    first = kept[kinds[0]]
    part, planted, joint = first.target, first.canaries, first.joint
    assert planted is not None
    assert joint is not None
    assert found.epsilon == measure.epsilon_bound(part.scores, part.member, 0.001, 1)
    bound = measure.epsilon_bound(planted.scores, planted.member, 0.001, 1)
    assert found.epsilon_canaries == bound
    one_run = measure.one_run_bound(part.scores, part.member, 0.001, 1)
    assert found.epsilon_one_run == one_run
    assert list(found.classes) == list(CHOSEN)
    for name, rows in found.classes.items():
        own = measure.class_numbers(part.scores[name], part.member, part.labels, CLASSES)
        assert rows == measure.worst_classes(own) != []
    assert found.reliability == measure.reliability(joint.risk, part.member) != []


def test_the_stamp_says_of_what_the_numbers_are(place: Path) -> None:
    attack(place, "defended")
    stamp = AuditReport.read(place / "metrics/defended/report.json").stamp
    assert (stamp.data, stamp.n, stamp.members, stamp.non_members) == ("t", N, 7, 6)
    assert stamp.settings == {"defense.name": "dp_sgd"}
    assert stamp.model == "0123456789"
    assert list(stamp.versions) == ["nonmember", "torch", "numpy"]


def test_without_canaries_and_a_reference_set_there_is_nothing_of_them(place: Path) -> None:
    """And without a delta of its own the training's bound has the usual one."""
    folder = place / "data/signals/defended"
    (folder / "canary.npy").unlink()
    member = np.load(folder / "membership.npy")
    np.save(folder / "membership.npy", np.where(member == 2, -1, member).astype(np.int8))
    trained = {"fingerprint": "01", "facts": {}}
    files.write_json(place / "models/defended/target.json", trained)
    attack(place, "defended")
    found = AuditReport.read(place / "metrics/defended/report.json")
    assert (found.reference_leak, found.epsilon_canaries, found.defense_facts) == (None, None, {})
    assert all(attacker.canaries is None for attacker in found.attackers.values())
    assert found.epsilon.delta == DELTA


def test_notices_of_the_data_are_kept_and_the_named_ones_accepted(place: Path) -> None:
    attack(place, "defended")
    report = AuditReport.read(place / "metrics/defended/report.json")
    assert [(n.name, n.accepted) for n in report.notices] == [
        ("copies", True), ("imbalance", False),
    ]  # fmt: skip


def test_classes_without_numbers_of_their_own_are_named(place: Path) -> None:
    """The few records that are left of class 2."""
    path = place / "data/signals/defended/labels.npy"
    labels = np.load(path)
    labels[np.flatnonzero(labels == 2)[8:]] = 0
    np.save(path, labels)
    attack(place, "defended")
    notice = AuditReport.read(place / "metrics/defended/report.json").notices[-1]
    assert notice.name == "unlisted_classes"
    assert notice.says.endswith("1 of 3 (c)")
