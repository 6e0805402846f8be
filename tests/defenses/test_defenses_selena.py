"""SELENA: no sub-model answers for a member it saw."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
import tiny
import torch
import torch.nn.functional as F
from pydantic import ValidationError

from nonmember.compute import ComputeOptions
from nonmember.data.prepared import Prepared
from nonmember.defenses import Batch
from nonmember.defenses.selena import SELENA, SplitAI, left_out
from nonmember.training import fleet
from nonmember.training.build import build_defense
from nonmember.training.store import Store
from nonmember.training.train import restore, train, train_with_required

TINY = {"selena_models": 3, "selena_left_out": 1}


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return tiny.save(tmp_path_factory.mktemp("selena"))


def test_each_member_is_left_out_of_exactly_l_models_and_every_model_gets_its_share() -> None:
    unseen = left_out(3, 2000, 25, 10)
    assert unseen.shape == (25, 2000)
    assert (unseen.sum(axis=0) == 10).all()
    assert unseen.mean(axis=1) == pytest.approx(0.4, abs=0.05)
    assert (unseen == left_out(3, 2000, 25, 10)).all()
    assert (unseen != left_out(4, 2000, 25, 10)).any()


def test_members_are_answered_by_sub_models_that_never_saw_them(
    table: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = tiny.task(table, {"name": "selena", "selena_models": 5, "selena_left_out": 2})
    needed = build_defense(task).requires(task)
    needs = {name: train_with_required(t, table) for name, t in needed.items()}
    seen: list[Batch] = []

    class Spy(SELENA):
        def loss(self, batch: Batch) -> torch.Tensor:
            seen.append(batch)
            return super().loss(batch)

    options = build_defense(task).options
    monkeypatch.setattr("nonmember.training.train.build_defense", lambda _: Spy(options))
    train(task, table, needs)
    inputs, _ = table.take(task.train_rows)
    expected = torch.zeros(len(inputs), table.classes)
    answered = np.zeros(len(inputs), int)
    for name, sub in needed.items():
        blind = ~np.isin(task.train_rows, sub.train_rows)
        with torch.no_grad():
            p = F.softmax(restore(sub, needs[name], table)(table.normalise(inputs)), dim=1)
        expected[blind] += p[blind] / 2
        answered += blind
    assert (answered == 2).all()
    batch = seen[0]
    assert batch.run is not None
    torch.testing.assert_close(batch.run.state(SplitAI).answers, expected)
    wanted = -(expected[batch.rows] * F.log_softmax(batch.logits, dim=1)).sum(dim=1).mean()
    torch.testing.assert_close(SELENA(options).loss(batch), wanted)


def test_sub_models_are_named_seeded_and_undefended(table: Prepared) -> None:
    task = tiny.task(table, {"name": "selena"})
    needed = build_defense(task).requires(task)
    assert len(needed) == 25
    assert needed["sub-model 7"].name == "tiny target: sub-model 7"
    assert {t.defense["name"] for t in needed.values()} == {"none"}
    assert len({t.seed for t in needed.values()} | {task.seed}) == 26
    assert all(set(t.train_rows) < set(task.train_rows) for t in needed.values())
    assert all(len(t.inference_rows) == 0 for t in needed.values())


def test_finished_sub_models_are_kept_and_not_trained_again(
    table: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = tiny.task(table, {"name": "selena", **TINY})
    store = Store(tmp_path)
    options = ComputeOptions(devices="cpu", workers=1, backend="sequential")
    needed = list(build_defense(task).requires(task).values())
    fleet.train_all(needed[:2], table.folder, store, options)
    trained = Mock(wraps=train)
    monkeypatch.setattr(fleet, "train", trained)
    fleet.train_all([task], table.folder, store, options)
    assert [call.args[0].name for call in trained.call_args_list] == [
        "tiny target: sub-model 2",
        "tiny target",
    ]


@pytest.mark.parametrize("left", [3, 4])
def test_a_member_must_be_seen_by_some_sub_model(left: int) -> None:
    with pytest.raises(ValidationError, match=r"selena_left_out: must be below selena_models \(3"):
        SELENA(selena_models=3, selena_left_out=left)


def test_a_loop_without_a_run_is_told() -> None:
    with pytest.raises(ValueError, match=r"Batch\.run"):
        SELENA().loss(Batch(torch.zeros(2, 3), torch.tensor([0, 1])))
