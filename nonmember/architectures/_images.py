"""What the architectures for images share: the check of the size and the initialisation."""

from __future__ import annotations

from typing import ClassVar

from torch import nn

from nonmember.architectures._base import Architecture
from nonmember.kinds import IMAGE, Outline


class _ForImages(Architecture):
    """Reads (channels, height, width), both sides at least `pixels` long."""

    kinds = (IMAGE,)
    pixels: ClassVar[int] = 1

    def check(self, data: Outline) -> None:
        """Raise ValueError unless inputs are images that are large enough."""
        super().check(data)
        if min(data.shape[1:]) < self.pixels:
            name = type(self).__module__.rpartition(".")[2]
            raise ValueError(
                f"model.name: {name} needs images of at least {self.pixels}×{self.pixels} pixels, "
                f"got inputs of shape {data.shape}: set dataset.resize to {self.pixels} or more, "
                "or use another model.name"
            )


def initialise(model: nn.Module) -> nn.Module:
    """Draw the convolutions anew (He et al. 2015, fan out, ReLU); other layers keep theirs."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return model
