"""The identity of a training: its settings, rows, data, seed, and what the code behind it does."""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from importlib.metadata import version

from nonmember import fingerprint
from nonmember.task import Task
from nonmember.training.build import build_defense

# What a training imports and none of whose lines can change a weight.
PLUMBING = (
    "nonmember", "nonmember.files", "nonmember.registry", "nonmember.settings",
    "nonmember.datasets", "nonmember.datasets._base",
)  # fmt: skip


def of_task(task: Task) -> str:
    """The identity of a task: 32 hex digits over settings, rows, data, seed, code and torch."""
    digest = hashlib.sha256(json.dumps(task.recipe(), sort_keys=True).encode())
    for rows in (task.train_rows, task.inference_rows):
        digest.update(rows.astype("<i8").tobytes() + b"/")
    for values in (task.canaries.rows, task.canaries.labels):
        digest.update(values.astype("<i8").tobytes() + b"/")
    for name, needed in sorted(build_defense(task).requires(task).items()):
        digest.update(f"{name}={of_task(needed)}".encode())
    digest.update(_code(task.defense["name"], task.model["name"]).encode())
    digest.update(_libraries().encode())
    return digest.hexdigest()[:32]


@lru_cache
def _libraries() -> str:
    """The versions of those that do the arithmetic: they decide the last digits."""
    return ", ".join(f"{name} {version(name)}" for name in ("torch", "torchvision", "opacus"))


@lru_cache
def _code(defense: str, model: str) -> str:
    modules = [
        "nonmember.training.train",
        f"nonmember.defenses.{defense}",
        f"nonmember.architectures.{model}",
    ]
    return fingerprint.of_code(modules, without=PLUMBING)
