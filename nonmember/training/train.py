"""train(task, prepared): one function trains target and shadows, whatever the defense.

The data is resident on the device, batches are index lists, crop and flip act per sample before
normalisation, the last epoch is kept. Same task -> same weights, bit for bit on one machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nonmember.data.prepared import Prepared
from nonmember.features import last_linear
from nonmember.task import Task
from nonmember.training.build import Build, build_defense, build_model
from nonmember.training.run import Progress, Run

Weights = dict[str, Tensor]


@dataclass
class Trained:
    """A finished training: weights and extras on the CPU, and one entry an epoch of the curve.

    curve: epoch -> `epoch`, `loss` and `accuracy` on the training batches as they went by, `lr`.
    """

    weights: Weights
    extras: Weights
    curve: list[dict[str, float]]
    facts: dict[str, float]


def seed_all(seed: int) -> torch.Generator:
    """Seed torch's global generators and return a CPU generator of its own for the data order."""
    torch.manual_seed(seed)
    return torch.Generator().manual_seed(seed)


def train(
    task: Task,
    prepared: Prepared,
    required: Mapping[str, Trained] | None = None,
    device: str = "cpu",
    progress: Progress | None = None,
    build: Build = build_model,
) -> Trained:
    """Train the task's model on the task's rows.

    required: finished trainings of `defense.requires(task)`, by the same names. build: what makes
    the model, freshly initialised and as the defense adapts it.
    Raises FloatingPointError if loss or weights stop being finite, ValueError if `prepared` is not
    the data that the task was made for or if the defense cannot be trained with these options.
    """
    defense = build_defense(task)
    problems = defense.check(prepared.classes) + defense.check_kind(prepared.kind)
    if problems := problems + defense.check_training(task.train, len(task.train_rows)):
        raise ValueError("; ".join(problems))
    place = torch.device(device)
    if task.data != prepared.sha256:
        raise ValueError(f"{task.name}: made for other data than {prepared.folder} holds now")
    with _own_rng(place), exact():
        generator = seed_all(task.seed)
        model = build(task, prepared.outline).to(place)
        feature_dim = last_linear(model).in_features
        parts = defense.make_parts(prepared.classes, feature_dim)
        inputs, true = prepared.take(task.train_rows)
        labels = torch.from_numpy(task.canaries.relabel(task.train_rows, true.numpy()))
        others = [t.to(place) for t in prepared.take(task.inference_rows)]
        run = Run(
            task=task,
            defense=defense,
            model=model,
            parts=None if parts is None else parts.to(place),
            options=task.train,
            classes=prepared.classes,
            inputs=inputs.to(place),
            labels=labels.to(place),
            inference_inputs=others[0],
            inference_labels=others[1],
            normalise=prepared.normalise,
            device=place,
            generator=generator,
            progress=progress or (lambda *_: None),
        )
        defense.start(run, {name: t.weights for name, t in (required or {}).items()})
        defense.fit(run)
        trained = Trained(
            weights=_on_cpu(run.model.state_dict()),
            extras=_on_cpu(defense.extras(run)),
            curve=run.curve,
            facts=defense.facts(run),
        )
        _require_finite(run)
        return trained


def train_with_required(
    task: Task, prepared: Prepared, device: str = "cpu", build: Build = build_model
) -> Trained:
    """`train` on this thread, after the models that the defense requires."""
    needed = build_defense(task).requires(task)
    required = {
        name: train_with_required(other, prepared, device, build) for name, other in needed.items()
    }
    return train(task, prepared, required, device, build=build)


def _require_finite(run: Run) -> None:
    """Ask the finished model: the loss of the last step says nothing of what that step did."""
    with torch.no_grad():
        logits = run.model.eval()(run.prepare(run.inputs[:64]))
    if not logits.isfinite().all():
        raise FloatingPointError(
            f"{run.task.name}: its outputs are infinite or NaN after the last epoch; lower "
            "train.lr or the defense's strength"
        )


def restore(
    task: Task,
    trained: Trained,
    prepared: Prepared,
    device: str = "cpu",
    build: Build = build_model,
) -> nn.Module:
    """The trained model in eval mode on `device`."""
    with _own_rng(torch.device("cpu")):
        model = build(task, prepared.outline)
    model.load_state_dict(trained.weights)
    return model.to(torch.device(device)).eval()


def _own_rng(place: torch.device) -> AbstractContextManager[None]:
    """Random numbers inside leave those outside as they were; no other GPU is woken for it."""
    return torch.random.fork_rng([place] if place.type == "cuda" else [])


def exact() -> AbstractContextManager[None]:
    """cuDNN as exact as it can be: fp32 is fp32, and equal inputs give equal results."""
    return torch.backends.cudnn.flags(
        enabled=torch.backends.cudnn.enabled, benchmark=False, deterministic=True, allow_tf32=False
    )


def _on_cpu(tensors: Mapping[str, Tensor]) -> Weights:
    return {name: t.detach().cpu().contiguous().clone() for name, t in tensors.items()}
