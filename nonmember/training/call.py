"""`nonmember.train`: any network, arrays, any defense, one call.

No folder, no stage and no params.yaml is needed. It is the same training as that of `dvc repro`:
with one of our networks, the same rows and seed, the weights are equal.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nonmember.data.prepared import Normalise, Prepared
from nonmember.data.raw import raw_tensor
from nonmember.defenses import Defense, defenses
from nonmember.kinds import IMAGE, KINDS, TABLE, Kind, Outline
from nonmember.task import Task, TrainOptions
from nonmember.training import probe
from nonmember.training.build import Build, build_defense, build_model
from nonmember.training.train import exact, restore, train_with_required

Pair = tuple[Any, Any]  # inputs and labels, arrays or tensors
Model = nn.Module | Callable[[], nn.Module] | str | Mapping[str, Any]
OWN = "own"  # the name of a network that is not ours
CHUNK = 1024  # inputs of one forward pass


@dataclass(frozen=True)
class Result:
    """A trained model, ready for use.

    module: in eval mode, reads inputs normalised as they were in training. facts: what the defense
    says of its training, such as epsilon. curve: one entry an epoch, as the batches went by.
    """

    module: nn.Module
    facts: dict[str, float]
    curve: list[dict[str, float]]
    data: Prepared
    defense: Defense
    extras: Mapping[str, Tensor]

    def released(self, raw: Any) -> np.ndarray:
        """Raw inputs (k, …), of the dtype and shape of the training data -> (k, classes) float32.

        What a user may see: logits, or the log-probabilities that the defense releases instead.
        """
        inputs = raw_tensor(raw, self.data.inputs.dtype, self.data.shape)
        place = next(self.module.parameters()).device
        with torch.inference_mode(), exact():
            logits = [
                self.module(self.data.normalise(part.to(place))).float().cpu()
                for part in inputs.split(CHUNK)
            ]
        return self.defense.release(torch.cat(logits), self.extras).numpy()


def train(
    model: Model,
    data: Pair,
    defense: str | Mapping[str, Any] | Defense = "none",
    *,
    inference: Pair | None = None,
    classes: int | None = None,
    kind: str | None = None,
    mean: Sequence[float] = (0.0,),
    std: Sequence[float] = (1.0,),
    seed: int = 0,
    device: str = "cpu",
    **options: Any,
) -> Result:
    """Train `model` on `data` with a defense.

    model: a function that makes a fresh module; or a module, which is copied and starts from its
        weights (so they must not come from training on these data); or one of ours by name, alone
        or in `{"name": …, its keys}`. It maps a batch to logits (batch, classes).
    data: inputs (n, …), uint8 (images, divided by 255), float32 or token ids, and labels (n,).
    defense: its name, `{"name": …, its keys}`, or an instance.
    inference: the reference set, in the form of `data`, for defenses that need one.
    classes: where the labels do not hold them all. kind: one of nonmember.kinds; image for three
        dimensions, otherwise table. mean, std: one number, or one a channel or feature.
    options: those of the section `train` of params.yaml: epochs, lr, batch_size, …

    Sub-models (SELENA) are other trainings: of a module, copies whose layers are initialised anew
    by `reset_parameters`; a module with weights that lack it must come as a function.
    Raises ValueError naming what is impossible; nothing is trained then. The model given is left
    as it is.
    """
    known = _prepared(data, inference, classes, kind, mean, std)
    recipe = _recipe(defense)
    members = len(data[1])
    task = Task(
        name=f"{recipe['name']} model",
        model=_model_recipe(model),
        defense=recipe,
        train=TrainOptions(**options),
        seed=seed,
        data=known.sha256,
        train_rows=np.arange(members),
        inference_rows=np.arange(members, len(known.labels)),
    )
    built = build_defense(task)
    if built.needs_inference and inference is None:
        raise ValueError(
            f"{recipe['name']} needs a reference set of non-members: pass inference=(x, y)"
        )
    build = build_model if task.model["name"] != OWN else _own(model, seed)
    probe.before_training(task, known, build)
    trained = train_with_required(task, known, device, build)
    module = restore(task, trained, known, device, build)
    probe.require_steady(module, known, task.name, device)
    return Result(module, trained.facts, trained.curve, known, built, trained.extras)


def _recipe(defense: str | Mapping[str, Any] | Defense) -> dict[str, Any]:
    if isinstance(defense, Defense):
        name = type(defense).__module__.rpartition(".")[2]
        if name not in defenses.names() or defenses.get(name) is not type(defense):
            raise ValueError(
                f"defense: {type(defense).__name__} must lie in nonmember/defenses, one file each"
            )
        return {"name": name, **defense.options.model_dump(mode="json")}
    return {"name": defense} if isinstance(defense, str) else dict(defense)


def _model_recipe(model: Model) -> dict[str, Any]:
    if isinstance(model, str):
        return {"name": model}
    return dict(model) if isinstance(model, Mapping) else {"name": OWN}


def _own(model: Any, seed: int) -> Build:
    """What makes somebody's network: afresh, or the copy of a module."""

    def build(task: Task, outline: Outline) -> nn.Module:
        if isinstance(model, nn.Module):
            made = copy.deepcopy(model)
            if task.seed != seed:
                _reset(made)
        else:
            made = model()
        if not isinstance(made, nn.Module):
            raise TypeError(f"model must make a torch.nn.Module, found {type(made).__name__}")
        return build_defense(task).adapt(made)

    return build


def _reset(model: nn.Module) -> None:
    """Initialise every layer anew."""
    for name, layer in model.named_modules():
        reset = getattr(layer, "reset_parameters", None)
        if callable(reset):
            reset()
        elif next(layer.parameters(recurse=False), None) is not None:
            raise ValueError(
                f"model: {name or 'it'} ({type(layer).__name__}) holds weights and has no "
                "reset_parameters, so the sub-models of this defense cannot start afresh: pass a "
                "function that makes the module"
            )


def _prepared(
    data: Pair,
    inference: Pair | None,
    classes: int | None,
    kind: str | None,
    mean: Sequence[float],
    std: Sequence[float],
) -> Prepared:
    """The data as the trainer takes them, members first, the reference set after them."""
    pairs = [data] if inference is None else [data, inference]
    parts = [_arrays(pair, name) for pair, name in zip(pairs, ("data", "inference"), strict=False)]
    shapes = {(part.shape[1:], str(part.dtype)) for part, _ in parts}
    if len(shapes) > 1:
        raise ValueError(f"inference must hold inputs like those of data, found {sorted(shapes)}")
    inputs, labels = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    what = _kind(inputs, kind)
    count = classes or int(labels.max()) + 1
    if labels.min() < 0 or labels.max() >= count or count < 2:
        raise ValueError(
            f"labels must be 0 to {max(count, 2) - 1}, and two classes at least, found "
            f"{labels.min()} to {labels.max()}"
        )
    return Prepared(
        folder=Path("memory"),
        name="arrays",
        classes=count,
        shape=inputs.shape[1:],
        normalise=Normalise(tuple(mean), tuple(std), what),
        sha256=hashlib.sha256(inputs.tobytes() + labels.tobytes()).hexdigest(),
        inputs=inputs,
        labels=labels,
        vocabulary=None if what.numeric else int(inputs.max()) + 1,
    )


def _arrays(pair: Pair, name: str) -> tuple[np.ndarray, np.ndarray]:
    inputs, labels = (
        part.detach().cpu().numpy() if isinstance(part, Tensor) else np.asarray(part)
        for part in pair
    )
    if inputs.dtype == np.float64:
        inputs = inputs.astype(np.float32)
    if len(inputs) != len(labels) or labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise ValueError(
            f"{name}: must be inputs (n, …) and whole labels (n,), found {inputs.shape} and "
            f"{labels.shape} {labels.dtype}"
        )
    if inputs.dtype.kind == "f" and not np.isfinite(inputs).all():
        raise ValueError(f"{name}: inputs must be finite")
    return inputs, labels.astype(np.int64)


def _kind(inputs: np.ndarray, name: str | None) -> Kind:
    if name is None:
        return IMAGE if inputs.ndim == 4 else TABLE
    if name not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, found {name}")
    return KINDS[name]
