"""What every model family provides."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import nn

from nonmember.settings import Settings


class Architecture:
    """One family of models. A subclass overrides `build`.

    Its settings are a class `Options`, declared as its own by `options: Options`.
    The model returns logits (batch, classes) and ends in a linear layer, whose input is the
    feature (see nonmember.features).
    """

    Options: ClassVar[type[Settings]] = Settings
    options: Settings

    def __init__(self, options: Settings | None = None, **values: Any) -> None:
        self.options = options if options is not None else self.Options(**values)

    def check(self, shape: tuple[int, ...]) -> None:
        """Raise ValueError if inputs of this shape (without the batch) do not fit."""

    def build(self, shape: tuple[int, ...], classes: int) -> nn.Module:
        """A freshly initialised model for inputs of `shape`, using torch's global generator."""
        raise NotImplementedError
