"""Stochastic weight averaging: release the mean of the last epochs' weights.

Paper: Izmailov et al. 2018; Kim, Agrawal, Royset and Khanna (On Memorization and Privacy Risks of
Sharpness Aware Minimization, appendix C.4) average from epoch 150 of 200 as one of their controls.
Changes the phases: the weights at the end of every epoch after `swa_start` are averaged, and batch
norm's statistics are recomputed on the training set at the end. `swa_start = 1` is plain training.

Izmailov et al. average at a constant or cyclical learning rate, Kim et al. name none: by default
the schedule of `train` goes on, `swa_lr` sets a constant rate. The curve is that of the weights in
training, not of their mean.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field
from torch.optim.swa_utils import AveragedModel, update_bn

from nonmember.defenses._base import Defense
from nonmember.defenses._epochs import one_epoch
from nonmember.settings import Settings

if TYPE_CHECKING:
    from nonmember.defenses._run import Run


class SWA(Defense):
    """Plain training whose last epochs are averaged."""

    paper = (
        "Izmailov et al. 2018, Averaging Weights Leads to Wider Optima and Better Generalization, "
        "UAI, https://arxiv.org/abs/1803.05407"
    )
    changes = "phases"
    limits = "Not a defense: it generalises better and leaks like plain training."
    neutral: ClassVar = {"swa_start": 1.0}
    try_first = "swa_start 0.75, as in the paper: a control, with nothing to tune."

    class Options(Settings):
        """Settings of SWA."""

        swa_start: float = Field(
            0.75,
            ge=0,
            le=1,
            description="share of the epochs after which averaging starts; 1: never",
        )
        swa_lr: float = Field(
            0.0, ge=0, description="learning rate while averaging; 0: that of train goes on"
        )

    def fit(self, run: Run) -> None:
        """All epochs; then the mean becomes the model."""
        epochs = run.options.epochs
        first = round(epochs * self.options.swa_start)
        averaged = run.memory["averaged"] = AveragedModel(run.model)
        for epoch in range(epochs):
            lr = self.options.swa_lr if epoch >= first else 0.0
            run.phase(one_epoch(run.options, epoch, lr), total=epochs)
            if epoch >= first:
                averaged.update_parameters(run.model)
        if first < epochs:
            run.model.load_state_dict(averaged.module.state_dict())
            self._recompute_statistics(run)

    def _recompute_statistics(self, run: Run) -> None:
        """Batch norm's means and variances over the training set, as it is seen in training."""
        batches = run.shuffled(run.options.batch_size)
        with run.autocast():
            update_bn((run.take(rows)[0] for rows in batches), run.model)

    def facts(self, run: Run) -> dict[str, float]:
        """How many epochs were averaged."""
        return {"averaged_epochs": float(run.memory["averaged"].n_averaged)}
