"""Epochs of a training one by one, for defenses that look at the model between them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nonmember.task import TrainOptions


def one_epoch(options: TrainOptions, epoch: int, lr: float = 0.0) -> TrainOptions:
    """Options of a phase that is epoch `epoch` (from 0) of `options`; lr above 0 replaces its."""
    changes = {"lr": lr or options.lr_at(epoch), "schedule": "constant", "epochs": 1}
    return options.model_copy(update=changes)
