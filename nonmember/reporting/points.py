"""A model as a point beside others."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Point:
    """A model: its label and defense, test accuracy, the highest AUC of any attack with its
    interval, and the variance of its members' losses, nats²."""

    name: str
    family: str
    test_acc: float
    auc: float
    auc_low: float
    auc_high: float
    loss_var: float
