"""What every model family provides."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import nn

from nonmember.kinds import NUMERIC, Kind, Outline
from nonmember.settings import Settings


class Architecture:
    """One family of models. A subclass overrides `build`.

    Its settings are a class `Options`, declared as its own by `options: Options`.
    The model returns logits (batch, classes) and ends in a linear layer, whose input is the
    feature (see nonmember.features). `kinds` are the inputs it can read.
    """

    Options: ClassVar[type[Settings]] = Settings
    kinds: ClassVar[tuple[Kind, ...]] = NUMERIC
    options: Settings

    def __init__(self, options: Settings | None = None, **values: Any) -> None:
        self.options = options if options is not None else self.Options(**values)

    def check(self, data: Outline) -> None:
        """Raise ValueError if such data do not fit."""
        if data.kind not in self.kinds:
            name = type(self).__module__.rpartition(".")[2]
            wanted = " or ".join(kind.word for kind in self.kinds)
            raise ValueError(
                f"model.name: {name} needs {wanted}, the data are {data.kind.word}; use "
                f"{data.kind.network}"
            )

    def build(self, data: Outline) -> nn.Module:
        """A freshly initialised model for such data, using torch's global generator."""
        raise NotImplementedError
