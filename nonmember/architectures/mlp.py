"""Fully connected network: flatten, then hidden layers, then the logits.

RelaxLoss (https://openreview.net/forum?id=FEDfGWVZYIn) uses widths [1024, 512, 256] for
Purchase100 with 100 classes; inputs of any shape are flattened.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field
from torch import nn

from nonmember.architectures._base import Architecture
from nonmember.kinds import Outline
from nonmember.settings import Settings

ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh}


class MLP(Architecture):
    """Hidden layers of the given widths; the feature is the last hidden layer, activated."""

    class Options(Settings):
        widths: list[Annotated[int, Field(ge=1, le=2**16)]] = Field(
            [256, 128],
            description="units of each hidden layer; []: a linear model (RelaxLoss: [1024, 512, "
            "256])",
        )
        activation: Literal["relu", "tanh"] = Field("relu", description="after each hidden layer")

    options: Options

    def build(self, data: Outline) -> nn.Module:
        """See Architecture.build."""
        self.check(data)
        activation = ACTIVATIONS[self.options.activation]
        sizes = [math.prod(data.shape), *self.options.widths]
        layers: list[nn.Module] = [nn.Flatten()]
        for before, after in pairwise(sizes):
            layers += [nn.Linear(before, after), activation()]
        return nn.Sequential(*layers, nn.Linear(sizes[-1], data.classes))
