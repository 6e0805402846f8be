"""A trained model as its users get it: the defense's release is in every answer."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nonmember import files
from nonmember.data import prepared
from nonmember.data.raw import raw_tensor
from nonmember.data.splits import load_rows
from nonmember.extraction import signals
from nonmember.queries import Query, Samples
from nonmember.task import Task, make_task
from nonmember.training import store
from nonmember.training.build import build_defense
from nonmember.training.train import exact, restore

LAYER_BYTES = 4 * 2**20  # of a batch's largest layer: more leaves a core's cache and is slower


class Released:
    """The model of a finished training, with the data it is asked about."""

    def __init__(self, task: Task, weights: Path, data: Path, device: str) -> None:
        self.data, self._device = prepared.load(data), torch.device(device)
        store.require_data(weights, self.data)
        trained = store.load(weights)
        self.model = restore(task, trained, self.data, device)
        self._defense, self._extras = build_defense(task), trained.extras

    @classmethod
    def of_run(
        cls, arm: str = "defended", folder: Path | str = ".", device: str = "cpu"
    ) -> Released:
        """The target that `dvc repro` trained in the repository at `folder`.

        `answer` then takes raw inputs as in data/prepared and gives the logits that the defense
        releases. FileNotFoundError if nothing was trained there, ValueError if it was trained on
        other data than are prepared there now.
        """
        place = Path(folder).resolve()
        if not (place / f"models/{arm}/target.safetensors").is_file():
            raise FileNotFoundError(
                f"no model {arm} in {place}: arms are undefended and defended, `dvc repro` trains "
                "them"
            )
        [rows] = load_rows(place / "data/split/target.npz")
        recipe = files.read_json(place / f"data/config/{arm}.json")
        data = place / "data/prepared"
        task = make_task(recipe, rows, prepared.load(data), arm, 0)
        return cls(task, place / f"models/{arm}/target.safetensors", data, device)

    def look(
        self, rows: np.ndarray, labels: np.ndarray, names: Sequence[str]
    ) -> dict[str, np.ndarray]:
        """Signals of some rows of the data: (n, classes) for logits, else (n,), float32.

        names: keys of signals.SIGNALS; the logits are there whether asked for or not.
        labels: (n,) int64, as the attacker knows them: a canary's is wrong.
        """
        inputs, _ = self.data.take(rows)
        normalise, truth = self.data.normalise, torch.from_numpy(labels)
        with exact():
            seen = signals.compute(
                self.model, inputs, truth, {"logits", *names}, normalise=normalise,
                device=self._device,
            )  # fmt: skip
        return {**seen, "logits": self._release(torch.from_numpy(seen["logits"]))}

    def ask(self, query: Query, rows: np.ndarray, labels: np.ndarray, seed: int) -> np.ndarray:
        """(n, width) float32: what a query says of some rows of the data with these labels."""
        inputs, _ = self.data.take(rows)
        kind, std = self.data.kind, self.data.normalise.std
        return query.ask(self.answer, Samples(inputs, labels, rows, kind, std), seed)

    def answer(self, raw: Tensor | np.ndarray) -> np.ndarray:
        """Raw inputs (k, …), as the data set holds them -> released logits (k, classes), an array.

        float32. TypeError or ValueError for raw inputs of another dtype or shape. The classes are
        in the order of `class_names` in data/prepared/dataset.json.
        """
        inputs = raw_tensor(raw, self.data.inputs.dtype, self.data.shape)
        with torch.inference_mode(), exact():
            parts = [self._forward(part) for part in inputs.split(self.batch_size)]
        return self._release(torch.cat(parts))

    def _forward(self, raw: Tensor) -> Tensor:
        return self.model(self.data.normalise(raw.to(self._device))).cpu()

    def _release(self, logits: Tensor) -> np.ndarray:
        return self._defense.release(logits.float(), self._extras).numpy()

    @cached_property
    def batch_size(self) -> int:
        """Inputs whose largest layer takes LAYER_BYTES; an accelerator takes 64 times as many."""
        sizes = []

        def note(module: nn.Module, inputs: Any, output: Any) -> None:
            if isinstance(output, Tensor):
                sizes.append(output.numel() * output.element_size())

        handles = [m.register_forward_hook(note) for m in self.model.modules()]
        try:
            self._forward(self.data.take(np.array([0]))[0])
        finally:
            for handle in handles:
                handle.remove()
        return max(LAYER_BYTES * (1 if self._device.type == "cpu" else 64) // max(sizes), 1)
