"""The store of finished models: one `.safetensors` and one `.json` each, named by fingerprint.

A git-ignored folder, `work/models` beside the repository's root (of the parent repository in DVC's
temporary copies). Weights appear whole or not at all, and a checksum tells a damaged file.
"""

from __future__ import annotations

import hashlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch

from nonmember import files
from nonmember.data.prepared import Prepared
from nonmember.task import Task
from nonmember.training.train import Trained

EXTRA = "released."


@dataclass(frozen=True)
class Store:
    """Finished models in a folder, one `.safetensors` and one `.json` each."""

    folder: Path

    @classmethod
    def default(cls) -> Store:
        """`work/models` of the repository that DVC was started in."""
        return cls(Path(os.environ.get("DVC_ROOT", ".")).resolve() / "work" / "models")

    def weights_path(self, key: str) -> Path:
        """Where the weights of a fingerprint are, if they are there."""
        return self.folder / f"{key}.safetensors"

    def recipe_path(self, key: str) -> Path:
        """Where what made it and its training curve are."""
        return self.folder / f"{key}.json"

    def has(self, key: str) -> bool:
        """Whether the model is there whole; a damaged file is reported and counts as absent."""
        weights, recipe = self.weights_path(key), self.recipe_path(key)
        if not (weights.exists() and recipe.exists()):
            return False
        try:
            whole = files.read_json(recipe)["sha256"] == _sha256(weights)
        except (ValueError, KeyError, TypeError):
            whole = False
        if not whole:
            print(f"{weights}: damaged, will be trained again", file=sys.stderr)
            weights.unlink(missing_ok=True)
        return whole

    def put(self, key: str, task: Task, trained: Trained) -> None:
        """Save a finished training; the weights come last and mark it finished."""
        self.keep(pack(key, task, trained))

    def keep(self, packed: Packed) -> None:
        """Save a training that was finished here or elsewhere."""
        files.write_json(self.recipe_path(packed.key), packed.recipe)
        files.write_bytes(self.weights_path(packed.key), packed.weights)

    def get(self, key: str) -> Trained:
        """A finished training by its fingerprint."""
        return load(self.weights_path(key))


@dataclass(frozen=True)
class Packed:
    """A finished training as it travels: its JSON and the bytes of its safetensors file."""

    key: str
    recipe: dict[str, Any]
    weights: bytes


def pack(key: str, task: Task, trained: Trained) -> Packed:
    """What the two files of a finished training will hold."""
    extras = {EXTRA + name: tensor for name, tensor in trained.extras.items()}
    data = safetensors.torch.save({**trained.weights, **extras})
    recipe = {
        **task.recipe(),
        "fingerprint": key,
        "members": len(task.train_rows),
        "sha256": hashlib.sha256(data).hexdigest(),
        "facts": trained.facts,
        "curve": trained.curve,
    }
    return Packed(key, recipe, data)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def require_data(weights_path: Path, data: Prepared) -> None:
    """ValueError if a model file was trained on other data than these."""
    path = weights_path.with_suffix(".json")
    trained = files.read_json(path)["data"]
    if trained != data.sha256:
        raise ValueError(
            f"{path}: trained on data {trained[:8]}, but {data.folder} holds {data.name} "
            f"{data.sha256[:8]}: a key of `dataset` has changed since stage train; run `dvc repro`"
        )


def load(weights_path: str | Path) -> Trained:
    """A model file and the JSON beside it; ValueError naming the file if it is damaged."""
    weights_path = Path(weights_path)
    meta = files.read_json(weights_path.with_suffix(".json"))
    if _sha256(weights_path) != meta["sha256"]:
        raise ValueError(f"{weights_path}: damaged, its checksum is not that of the JSON beside it")
    tensors = safetensors.torch.load_file(weights_path)
    return Trained(
        weights={n: t for n, t in tensors.items() if not n.startswith(EXTRA)},
        extras={n.removeprefix(EXTRA): t for n, t in tensors.items() if n.startswith(EXTRA)},
        curve=meta["curve"],
        facts=meta["facts"],
    )
