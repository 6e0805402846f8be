"""The models of one arm: which task makes the target, which one makes shadow i."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from nonmember.canaries import Canaries
from nonmember.prepared import Prepared
from nonmember.splits import Rows
from nonmember.training import Task, TrainOptions


def child_seed(seed: int, model: int) -> int:
    """The seed of model 0 (the target) or 1 + i (shadow i), whatever the number of shadows."""
    return int(np.random.SeedSequence([seed, model]).generate_state(1)[0])


def make_task(
    recipe: Mapping[str, Any],
    rows: Rows,
    data: Prepared,
    arm: str,
    model: int,
    canaries: Canaries | None = None,
) -> Task:
    """recipe: `data/config/<arm>.json`. model: 0 is the target, 1 + i is shadow i."""
    return Task(
        name=f"{arm} target" if model == 0 else f"{arm} shadow {model - 1}",
        model=recipe["model"],
        defense=recipe["defense"],
        train=TrainOptions(**_number_keys(recipe["train"])),
        seed=child_seed(recipe["seed"], model),
        data=data.sha256,
        train_rows=rows.train,
        inference_rows=rows.inference,
        canaries=(canaries or Canaries.none()).within(rows.train),
    )


def _number_keys(train: Mapping[str, Any]) -> dict[str, Any]:
    """JSON turns the epochs of an `lr` mapping into text; turn them back."""
    lr = train["lr"]
    fixed = {int(epoch): rate for epoch, rate in lr.items()} if isinstance(lr, dict) else lr
    return {**train, "lr": fixed}
