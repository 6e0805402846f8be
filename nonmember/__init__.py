"""Train classifiers whose members look like non-members, and audit them with strong attacks."""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """`nonmember.train` is imported when it is asked for: torch takes seconds."""
    if name != "train":
        raise AttributeError(f"module 'nonmember' has no attribute '{name}'")
    return import_module("nonmember.training.call").train
