from __future__ import annotations

import math

import pytest
import tiny
import torch
from pydantic import ValidationError

from nonmember.compute import ComputeOptions
from nonmember.defenses import Batch, Distillation
from nonmember.training import fleet
from nonmember.training.build import build_defense, build_model
from nonmember.training.store import Store
from nonmember.training.train import train

LABELS = torch.tensor([0, 2, 1])


def logits(seed: int) -> torch.Tensor:
    return torch.randn(3, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("heat", [1.0, 2.0, 50.0])
def test_the_loss_is_eq_17(alpha, heat):
    student, teacher = logits(0), logits(1)
    total = 0.0
    for i, y in enumerate(LABELS.tolist()):
        s = (student[i] / heat).softmax(0).tolist()
        t = (teacher[i] / heat).softmax(0).tolist()
        divergence = sum(a * math.log(a / b) for a, b in zip(t, s, strict=True))
        total += alpha * heat**2 * divergence - (1 - alpha) * math.log(student[i].softmax(0)[y])
    loss = Distillation(distill_alpha=alpha, distill_temperature=heat).loss(
        Batch(student, LABELS), teacher
    )
    assert loss.item() == pytest.approx(total / 3, rel=1e-9)


def test_without_a_teacher_it_says_so():
    with pytest.raises(ValueError, match="needs the teacher's logits"):
        Distillation().loss(Batch(logits(0), LABELS))


def test_the_teacher_is_the_undefended_model_and_is_trained_once(tmp_path):
    data = tiny.save(tmp_path / "data")
    store = Store(tmp_path / "work" / "models")
    options = ComputeOptions(devices="cpu", workers=1, backend="sequential")
    hot = {"name": "distillation", "distill_temperature": 5.0}
    tasks = [tiny.task(data, {"name": "distillation"}), tiny.task(data, hot), tiny.task(data)]
    fleet.train_all(tasks, data.folder, store, options)
    assert len(list(store.folder.glob("*.safetensors"))) == 3
    assert len((store.folder.parent / "times.csv").read_text().splitlines()) == 3


def test_a_student_of_the_teacher_alone_comes_to_its_answers(tmp_path):
    """With alpha 1 no label is used; relabelled data gives the same student."""
    data = tiny.save(tmp_path)
    task = tiny.task(data, {"name": "distillation", "distill_alpha": 1.0}, epochs=60, lr=0.05)
    teacher = train(tiny.task(data, epochs=5), data)
    student = train(task, data, {"teacher": teacher})
    data.labels[:] = (data.labels + 1) % data.classes
    again = train(task, data, {"teacher": teacher})
    assert all(torch.equal(student.weights[k], again.weights[k]) for k in student.weights)
    x = data.normalise(data.take(task.train_rows)[0])
    answers = []
    for result in (teacher, student):
        model = build_model(task, data.shape, data.classes)
        model.load_state_dict(result.weights)
        answers.append(model.eval()(x).softmax(dim=1))
    assert (answers[0] - answers[1]).abs().mean() < 0.05


def test_the_teacher_sees_the_augmented_batch(tmp_path):
    """Answers given once for all rows would be those of other images."""
    data = tiny.save(tmp_path, (1, 8, 8), n=96)
    task = tiny.task(data, {"name": "distillation"}, augment="crop_flip")
    defense, asked = build_defense(task), []
    teacher = train(tiny.task(data), data)
    real = Distillation._ask

    def spy(self: Distillation, batch: Batch) -> torch.Tensor:
        found = real(self, batch)
        expected = batch.run.memory["teacher"](batch.inputs)
        asked.append(torch.equal(found, expected) and not batch.run.memory["teacher"].training)
        assert not found.requires_grad
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(defense), "_ask", spy)
        train(task, data, {"teacher": teacher})
    assert asked
    assert all(asked)


@pytest.mark.parametrize(
    "bad", [{"distill_alpha": -0.1}, {"distill_alpha": 1.1}, {"distill_temperature": 0.0}]
)
def test_bad_options_are_refused_by_name(bad):
    with pytest.raises(ValidationError, match=next(iter(bad))):
        Distillation(**bad)
