"""Texts from a file to numbers: all stages on token ids, for every defense that allows them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import yaml

from nonmember import config, files
from nonmember.data import prepared
from nonmember.defenses import defenses
from nonmember.evidence import Evidence
from nonmember.kinds import TOKENS
from nonmember.metrics.report import AuditReport, auc_of
from nonmember.pipeline.attack import attack
from nonmember.pipeline.extract import extract
from nonmember.pipeline.prepare import prepare
from nonmember.pipeline.split import split
from nonmember.pipeline.train import train_shadows, train_target
from nonmember.training.train import train_with_required

ATTACKS = ["loss", "grad_w_l1", "grad_w_l2", "lira", "rmia", "combined", "quantile", "nn"]
PARAMS: dict[str, Any] = {
    "seed": 0,
    "compute": {"devices": "cpu", "workers": 1, "backend": "sequential"},
    "dataset": {"name": "npz", "path": "texts.npz", "tokens": True, "vocabulary": 50},
    "split": {"scheme": "past"},
    "model": {"name": "embedding_bag", "embedding": 8, "widths": [16]},
    "train": {"epochs": 30, "batch_size": 16, "lr": 0.3, "weight_decay": 0.0},
    "defense": {"name": "hamp", "hamp_release": False},
    "shadows": {"count": 3},
    "attacks": {"names": ATTACKS, "nn_epochs": 2},
    "metrics": {"min_false_positives": 1},
}
# What it takes for a defense to do without inputs that are numbers.
WITHOUT: dict[str, dict[str, Any]] = {
    "hamp": {"hamp_release": False},
    "mixup_mmd": {"mixup_alpha": 0.0},
}
OTHERS = {"early_stopping": {"stop_epoch": 1}}


def test_every_stage_on_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Members of a net that has memorised its texts are found."""
    monkeypatch.chdir(tmp_path)
    texts = tiny.tokens(600)
    np.savez(tmp_path / "texts.npz", x=texts.inputs.astype(np.int64), y=texts.labels)
    files.write_bytes(tmp_path / "params.yaml", yaml.safe_dump(PARAMS).encode())
    config.write(tmp_path)
    prepare(tmp_path)
    split(tmp_path)
    for arm in ("undefended", "defended"):
        train_target(tmp_path, arm)
        train_shadows(tmp_path, arm)
        extract(tmp_path, arm)
    for arm in ("undefended", "defended"):
        attack(tmp_path, arm)
    assert prepared.load(tmp_path / "data/prepared").outline == (600, 3, (9,), TOKENS, 50, 1)
    evidence = Evidence(tmp_path / "data/signals/undefended")
    signals = evidence.target.signals
    assert {"feature_norm", "grad_w_l1", "grad_w_l2"} <= set(signals)
    report = AuditReport.read(tmp_path / "metrics/undefended/report.json")
    assert set(report.primary.attacks) == set(ATTACKS)
    assert auc_of(report.primary.attacks["loss"]) > 0.6


@pytest.mark.parametrize("name", defenses.names())
def test_every_defense_trains_on_token_ids_or_says_why_not(tmp_path: Path, name: str) -> None:
    prepared.save(tiny.tokens(), "tiny", tmp_path)
    data, net = prepared.load(tmp_path), {"name": "embedding_bag", "embedding": 4, "widths": [6]}
    if name in WITHOUT:
        plain = tiny.task(data, {"name": name}, net=net)
        with pytest.raises(ValueError, match=rf"defense\.{next(iter(WITHOUT[name]))}: .*token ids"):
            train_with_required(plain, data)
    task = tiny.task(data, {"name": name, **(WITHOUT | OTHERS).get(name, {})}, net=net)
    weights = train_with_required(task, data).weights
    assert all(np.isfinite(value.numpy()).all() for value in weights.values())
