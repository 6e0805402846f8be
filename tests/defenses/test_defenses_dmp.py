"""DMP: whom the student learns from, and the loss by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import tiny
import torch
import torch.nn.functional as F

from nonmember.data.prepared import Prepared
from nonmember.defenses import Batch
from nonmember.defenses.dmp import DMP, Taught, distil_loss, entropy
from nonmember.training import fingerprint
from nonmember.training.train import restore, train, train_with_required


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return tiny.save(tmp_path_factory.mktemp("dmp"))


def softmax(row: list[float], t: float) -> list[float]:
    total = sum(math.exp(v / t) for v in row)
    return [math.exp(v / t) / total for v in row]


@pytest.mark.parametrize("t", [1.0, 3.0])
def test_the_loss_is_kl_at_a_temperature_averaged_over_the_batch(t: float) -> None:
    rng = torch.Generator().manual_seed(0)
    student, teacher = torch.randn(2, 4, 3, generator=rng, dtype=torch.float64)
    total = 0.0
    for s, g in zip(student.tolist(), teacher.tolist(), strict=True):
        p, q = softmax(g, t), softmax(s, t)
        total += sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))
    assert distil_loss(student, teacher, t).item() == pytest.approx(t**2 * total / 4)


def test_entropy_of_the_uniform_and_of_the_certain() -> None:
    found = entropy(torch.tensor([[0.0, 0, 0], [50.0, 0, 0]]))
    assert found.tolist() == pytest.approx([math.log(3), 0], abs=1e-12)


def test_the_student_learns_the_surest_part_of_the_inference_set_and_no_member(
    table: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = tiny.task(table, {"name": "dmp", "dmp_share": 0.5})
    seen: list[Batch] = []

    class Spy(DMP):
        def loss(self, batch: Batch) -> torch.Tensor:
            seen.append(batch)
            return super().loss(batch)

    needs = {k: train_with_required(t, table) for k, t in DMP().requires(task).items()}
    monkeypatch.setattr("nonmember.training.train.build_defense", lambda _: Spy(dmp_share=0.5))
    result = train(task, table, needs)
    inputs, labels = table.take(task.inference_rows)
    teacher_task = DMP().requires(task)["teacher"]
    with torch.no_grad():
        answers = restore(teacher_task, needs["teacher"], table)(table.normalise(inputs))
    doubt = entropy(answers).numpy()
    count = round(0.5 * len(labels))
    wanted = np.sort(np.argsort(doubt, kind="stable")[:count])
    run = seen[0].run
    assert run is not None
    assert torch.equal(run.inputs, inputs[wanted])
    torch.testing.assert_close(run.state(Taught).answers, answers[wanted])
    assert result.facts == {"reference_samples": float(count)}


def test_training_is_a_loop_by_hand_over_samples_and_the_teachers_answers_to_them(
    table: Prepared,
) -> None:
    task = tiny.task(table, {"name": "dmp", "dmp_share": 1.0, "dmp_temperature": 2.0})
    needs = {k: train_with_required(t, table) for k, t in DMP().requires(task).items()}
    result = train(task, table, needs)
    order = torch.Generator().manual_seed(task.seed)
    student, _, _ = tiny.start(task, table)
    x = table.normalise(table.take(task.inference_rows)[0])
    with torch.no_grad():
        taught = F.softmax(restore(task, needs["teacher"], table)(x) / 2, dim=1)
    optimizer = torch.optim.SGD(student.parameters(), task.train.lr_at(0), task.train.momentum)
    for _ in range(task.train.epochs):
        for rows in torch.randperm(len(x), generator=order).split(task.train.batch_size):
            log_q = F.log_softmax(student(x[rows]) / 2, dim=1)
            kl = (taught[rows] * (taught[rows].log() - log_q)).sum(dim=1)
            optimizer.zero_grad()
            (2**2 * kl.mean()).backward()
            optimizer.step()
    wanted = dict(student.state_dict())
    torch.testing.assert_close(result.weights, wanted, rtol=1e-4, atol=1e-6)


def test_the_teacher_is_the_undefended_model_itself(table: Prepared) -> None:
    teacher = DMP().requires(tiny.task(table, {"name": "dmp"}))["teacher"]
    assert fingerprint.of_task(teacher) == fingerprint.of_task(tiny.task(table))
    assert teacher.name == "tiny target: teacher"


def test_the_student_starts_afresh_not_from_the_teacher(table: Prepared) -> None:
    """With a learning rate of next to nothing it stays where an undefended training starts."""
    slow = tiny.task(table, {"name": "dmp"}, lr=1e-12)
    student = train_with_required(slow, table)
    model, _, _ = tiny.start(slow, table)
    for key, value in model.state_dict().items():
        torch.testing.assert_close(student.weights[key], value)


def test_a_loop_without_a_run_is_told() -> None:
    with pytest.raises(ValueError, match="distil_loss"):
        DMP().loss(Batch(torch.zeros(2, 3), torch.tensor([0, 1])))
