"""From rows to the inputs of a training step: picking, batches, crop and flip."""

from __future__ import annotations

import torch
from torch import Tensor


def pick(inputs: Tensor, rows: Tensor) -> Tensor:
    """`inputs[rows]`, by whole rows of memory and keeping channels_last."""
    return inputs.movedim(1, -1).index_select(0, rows).movedim(-1, 1)


def batches(order: Tensor, batch_size: int) -> list[Tensor]:
    """Consecutive pieces of `order`; a last piece of one joins its neighbour (batch norm)."""
    pieces = list(order.split(batch_size))
    if len(pieces) > 1 and len(pieces[-1]) == 1:
        pieces[-2:] = [torch.cat(pieces[-2:])]
    return pieces


def crop_flip(images: Tensor, generator: torch.Generator, pad: int = 4) -> Tensor:
    """(batch, channels, h, w) raw images, each padded by zeros, cropped and flipped on its own."""
    batch, _, height, width = images.shape
    padded = torch.nn.functional.pad(images, (pad, pad, pad, pad))
    draw = torch.randint(0, 2 * pad + 1, (2, batch, 1), generator=generator)
    flip = torch.randint(0, 2, (batch, 1), generator=generator).bool()
    ys = draw[0] + torch.arange(height)  # (batch, h)
    xs = draw[1] + torch.arange(width)
    xs = torch.where(flip, xs.flip(1), xs).to(images.device)
    rows = torch.arange(batch, device=images.device)[:, None, None]
    cropped = padded.movedim(1, -1)[rows, ys.to(images.device)[:, :, None], xs[:, None, :]]
    return cropped.movedim(-1, 1)
