"""What defenses with a reference set share: how its samples pass through the model in training."""

from __future__ import annotations

from typing import Any

import pytest
import tiny
import torch

from nonmember.data.batches import crop_flip
from nonmember.data.prepared import Prepared
from nonmember.defenses import Batch, _inference, loss_gap, mixup_mmd
from nonmember.training.run import Run
from nonmember.training.train import train_with_required

# Each with a penalty that acts and is too small to move a weight by itself.
FAINT = {
    loss_gap: {"name": "loss_gap", "gap_lambda": 1e-12},
    mixup_mmd: {"name": "mixup_mmd", "mixup_alpha": 0.0, "mmd_lambda": 1e-12, "mmd_min_gap": 0.0},
}
FEW: dict[str, Any] = {"net": {"name": "resnet20"}, "batch_size": 16, "epochs": 3, "lr": 0.01}


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return tiny.save(tmp_path_factory.mktemp("inference"), (1, 8, 8), n=96)


@pytest.fixture(params=FAINT, ids=lambda module: FAINT[module]["name"])
def spied(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> tuple[dict[str, Any], list[Any]]:
    """A defense, and for each pass of inference samples in its trainings what went in, and what
    the data, cropped and flipped by the draws at that moment, should give."""
    passes: list[Any] = []
    forward = _inference.forward_inference

    def see(run: Run, rows: torch.Tensor) -> Batch:
        draws = torch.Generator()
        draws.set_state(_inference.own_stream(run, 1).get_state())
        batch = forward(run, rows)
        raw = run.inference_inputs[rows]
        if run.options.augment == "crop_flip":
            raw = crop_flip(raw, draws)
        passes.append((batch.inputs, run.normalise(raw)))
        return batch

    monkeypatch.setattr(request.param, "forward_inference", see)
    return FAINT[request.param], passes


@pytest.mark.parametrize("augment", ["none", "crop_flip"])
def test_inference_samples_are_augmented_as_the_members_are(
    augment: str, spied: tuple[dict[str, Any], list[Any]], images: Prepared
) -> None:
    defense, passes = spied
    train_with_required(tiny.task(images, defense, augment=augment, **FEW), images)
    assert passes
    for found, wanted in passes:
        assert torch.equal(found, wanted)


def test_batch_norms_running_statistics_stay_those_of_the_members(
    spied: tuple[dict[str, Any], list[Any]], images: Prepared
) -> None:
    defense, passes = spied
    plain, result = (
        train_with_required(tiny.task(images, recipe, **FEW), images).weights
        for recipe in (None, defense)
    )
    assert passes
    torch.testing.assert_close(result, plain, rtol=1e-3, atol=1e-5)
