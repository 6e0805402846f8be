"""What the architectures for images share: the check of the input shape and the initialisation."""

from __future__ import annotations

from torch import nn


def check_image(name: str, shape: tuple[int, ...], pixels: int = 1) -> None:
    """Raise ValueError unless `shape` is (channels, height, width), both sides ≥ `pixels`."""
    if len(shape) != 3:
        raise ValueError(
            f"model.name: {name} needs images (channels, height, width), got inputs of shape "
            f"{shape}: use model.name: mlp"
        )
    if min(shape[1:]) < pixels:
        raise ValueError(
            f"model.name: {name} needs images of at least {pixels}×{pixels} pixels, got inputs of "
            f"shape {shape}: set dataset.resize to {pixels} or more, or use another model.name"
        )


def initialise(model: nn.Module) -> nn.Module:
    """Draw the convolutions anew (He et al. 2015, fan out, ReLU); other layers keep theirs."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return model
