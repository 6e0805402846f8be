"""From rows to a training step: whole rows, no batch of one, and crops like their slow twin."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from nonmember.data.batches import batches, crop_flip, pick


@pytest.mark.parametrize(
    ("n", "size", "sizes"),
    [(9, 4, [4, 5]), (10, 4, [4, 4, 2]), (8, 4, [4, 4]), (1, 4, [1]), (3, 1, [1, 2]), (5, 8, [5])],
)
def test_a_last_batch_of_one_joins_its_neighbour(n: int, size: int, sizes: list[int]) -> None:
    order = torch.randperm(n)
    pieces = batches(order, size)
    assert [len(piece) for piece in pieces] == sizes
    assert torch.equal(torch.cat(pieces), order)


def slow_crop_flip(images: torch.Tensor, generator: torch.Generator, pad: int) -> torch.Tensor:
    """Sample by sample, from the same draws."""
    n, _, height, width = images.shape
    corner = torch.randint(0, 2 * pad + 1, (2, n, 1), generator=generator)[:, :, 0].tolist()
    flipped = torch.randint(0, 2, (n, 1), generator=generator)[:, 0].tolist()
    out = []
    for image, top, left, flip in zip(images, *corner, flipped, strict=True):
        big = F.pad(image, (pad, pad, pad, pad))[:, top : top + height, left : left + width]
        out.append(big.flip(2) if flip else big)
    return torch.stack(out)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("pad", [1, 4])
def test_crop_flip_is_its_slow_twin_on_images_that_are_not_square(
    dtype: torch.dtype, pad: int
) -> None:
    images = torch.randint(1, 255, (40, 3, 7, 5)).to(dtype)
    one = crop_flip(images, torch.Generator().manual_seed(5), pad)
    two = slow_crop_flip(images, torch.Generator().manual_seed(5), pad)
    assert one.dtype == dtype
    assert torch.equal(one, two)


def test_crop_flip_draws_for_each_sample_and_reaches_every_place() -> None:
    image = torch.arange(1, 36).reshape(1, 1, 7, 5).float().expand(4000, 1, 7, 5)
    seen = crop_flip(image, torch.Generator().manual_seed(0), pad=1).unique(dim=0)
    assert len(seen) == 3 * 3 * 2  # top × left × flip


@pytest.mark.parametrize("shape", [(9, 4), (9, 7), (9, 2, 5, 3)])
def test_picked_rows_are_the_rows(shape: tuple[int, ...]) -> None:
    inputs = torch.randn(shape)
    rows = torch.tensor([3, 0, 3, 8])
    assert torch.equal(pick(inputs, rows), torch.stack([inputs[row] for row in rows]))


def test_picked_images_keep_their_channels_last() -> None:
    images = torch.randn(9, 2, 5, 3).contiguous(memory_format=torch.channels_last)
    picked = pick(images, torch.tensor([1, 2]))
    assert picked.is_contiguous(memory_format=torch.channels_last)
    assert not picked.is_contiguous()


def test_a_crop_beyond_the_border_is_black() -> None:
    """A single corner: padded by 1, seen in the 3 × 3 places of a crop, black around it."""
    image = torch.full((1, 1, 1, 1), 7).expand(2000, 1, 1, 1)
    seen = crop_flip(image, torch.Generator().manual_seed(0), pad=1).flatten()
    assert set(seen.tolist()) == {0, 7}
    assert (seen == 7).double().mean() == pytest.approx(1 / 9, abs=0.03)
