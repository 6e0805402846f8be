"""Adversarial regularisation: fool an attacker that trains beside the classifier.

Paper: Nasr, Shokri and Houmansadr, Machine Learning with Membership Privacy using Adversarial
Regularization, CCS 2018, Algorithm 1. Changes the loss and adds an attacker net (their 1024-512-64
on the prediction, 512-64 on the label, 256-64-1 jointly; Gaussian weights of 0.01), trained on
members against the reference set, as they too call it. `advreg_alpha = 0` is plain
cross-entropy.

`advreg_objective: paper` has the attacker h maximise mean log h(members) + mean log(1 − h(others))
and the classifier minimise CE + alpha · mean log h. `published`, their code: squared error for the
attacker, CE + alpha · (mean h − 1/2) for the classifier. Their code also shows the attacker logits
(`advreg_input: logits`); the text says predictions. One round is `advreg_attack_steps` steps of
the attacker, each on half a batch of members and as many others, then `advreg_classifier_steps`
of the classifier; for a share `advreg_warmup` of the epochs the classifier first minimises CE
alone while the attacker trains (published code: one epoch). The attacker sees the classifier in
evaluation mode. Published code takes 5 to 13 attacker steps a classifier step; the attacker is
larger than many a classifier, so the default is one in sixteen. RelaxLoss tries alpha .8–1.8.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from nonmember import optimizers
from nonmember.defenses._base import Batch, Defense
from nonmember.defenses._inference import draw
from nonmember.optimizers import PartOptions
from nonmember.settings import Settings

if TYPE_CHECKING:
    from nonmember.defenses._run import Run


class _Attacker(nn.Module):
    """(batch, classes) predictions and (batch,) labels -> (batch,) log-odds of membership."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classes = classes
        self.prediction = _dense(classes, 1024, 512, 64)
        self.label = _dense(classes, 512, 64)  # of a one-hot label
        self.both = nn.Sequential(_dense(128, 256, 64), nn.Linear(64, 1))
        self.known_labels: Tensor | None = None
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.01)
                nn.init.zeros_(module.bias)

    def forward(self, shown: Tensor, labels: Tensor) -> Tensor:
        every = self._every_label(shown.device) if self.known_labels is None else self.known_labels
        joint = torch.cat([self.prediction(shown), every.index_select(0, labels)], dim=1)
        return self.both(joint)[:, 0]

    def _every_label(self, device: torch.device) -> Tensor:
        return self.label(torch.eye(self.classes, device=device))  # (classes, 64)

    def freeze(self, device: torch.device) -> None:
        """Until `thaw`, no gradients of its own, and what it makes of a label stays the same."""
        self.requires_grad_(False)
        self.known_labels = self._every_label(device)

    def thaw(self) -> None:
        """Ready to train."""
        self.requires_grad_()
        self.known_labels = None


def _dense(*widths: int) -> nn.Sequential:
    layers = [
        layer
        for before, after in pairwise(widths)
        for layer in (nn.Linear(before, after), nn.ReLU(inplace=True))
    ]
    return nn.Sequential(*layers)


@dataclass
class Rounds:
    """How far the rounds of attacker and classifier have come."""

    steps: int = 0  # of the classifier, so far


class AdvReg(Defense):
    """The min-max training of Nasr et al.; `Batch.parts` is the attacker net."""

    needs_inference = True
    paper = (
        "Nasr, Shokri and Houmansadr 2018, Machine Learning with Membership Privacy using "
        "Adversarial Regularization, CCS, https://arxiv.org/abs/1807.05852"
    )
    changes = "loss, step"
    limits = "Protects against attackers like its own; can collapse; weak with augmentation."
    neutral: ClassVar = {"advreg_alpha": 0.0}
    try_first = (
        "advreg_alpha at its published value for data like yours (Purchase100 3, Texas100 2, "
        "CIFAR-100 6), then half of it where test accuracy falls, as it does on shoppers. "
        "Untuned."
    )

    class Options(Settings):
        """Settings of adversarial regularisation."""

        advreg_alpha: float = Field(
            3.0,
            ge=0,
            description="weight of the attacker's gain (Purchase100 3, Texas100 2, CIFAR-100 6)",
        )
        advreg_attack_steps: int = Field(1, ge=0, description="attacker steps a round")
        advreg_classifier_steps: int = Field(16, ge=1, description="classifier steps a round")
        advreg_warmup: float = Field(
            0.25, ge=0, lt=1, description="share of the epochs with plain cross-entropy first"
        )
        advreg_lr: float = Field(0.001, gt=0, description="learning rate of the attacker, Adam")
        advreg_objective: Literal["paper", "published"] = Field(
            "paper",
            description="paper: logarithm of the attacker's gain | published: as in their code",
        )
        advreg_input: Literal["probabilities", "logits"] = Field(
            "probabilities",
            description="what the attacker sees: probabilities | logits (their code)",
        )

    options: Options

    def make_parts(self, classes: int, feature_dim: int) -> nn.Module | None:
        """The attacker net."""
        return _Attacker(classes)

    def part_options(self) -> PartOptions:
        """Adam at `advreg_lr`."""
        return PartOptions(lr=self.options.advreg_lr, optimizer="adam")

    def loss(self, batch: Batch) -> Tensor:
        """The classifier's loss. Reads logits, labels, parts, and for the warm-up epoch and run."""
        o = self.options
        loss = F.cross_entropy(batch.logits, batch.labels)
        if o.advreg_alpha == 0 or self._warming_up(batch):
            return loss
        if batch.run is None and batch.parts is None:
            raise self.outside("it needs Batch.parts, the attacker net that `attack_loss` trains")
        score = _of(batch.parts)(self._shown(batch.logits), batch.labels)
        if o.advreg_objective == "paper":
            return loss + o.advreg_alpha * F.logsigmoid(score).mean()
        return loss + o.advreg_alpha * (score.sigmoid().mean() - 0.5)

    def _warming_up(self, batch: Batch) -> bool:
        """Whether the epoch belongs to the warm-up; without a run there is none."""
        epochs = batch.run.task.train.epochs if batch.run is not None else 0
        return batch.epoch <= self.options.advreg_warmup * epochs

    def attack_loss(self, members: Batch, others: Batch) -> Tensor:
        """The attacker's loss on as many members as others; no gradient reaches the classifier."""
        logits = torch.cat([members.logits, others.logits]).detach()
        labels = torch.cat([members.labels, others.labels])
        score = _of(members.parts)(self._shown(logits), labels)
        truth = torch.zeros_like(score)
        truth[: len(members.labels)] = 1
        if self.options.advreg_objective == "paper":
            return F.binary_cross_entropy_with_logits(score, truth)
        return F.mse_loss(score.sigmoid(), truth)

    def update(self, run: Run, rows: Tensor) -> tuple[Tensor, Batch]:
        """One classifier step, after the attacker's if a round begins."""
        rounds = run.state(Rounds)
        if rounds.steps % self.options.advreg_classifier_steps == 0:
            attacker = _of(run.parts)
            attacker.thaw()
            for _ in range(self.options.advreg_attack_steps):
                self._train_attacker(run, rows)
            attacker.freeze(run.device)
        rounds.steps += 1
        batch = self.batch(run, rows)
        loss = self.loss(batch)
        run.descend(loss)  # the frozen attacker has no gradient, so it stays
        return loss, batch

    def _train_attacker(self, run: Run, rows: Tensor) -> None:
        rows = rows[: (len(rows) + 1) // 2]
        others = draw(run, len(rows))
        member_inputs, member_labels = run.prepare(run.inputs[rows]), run.labels[rows]
        other_inputs, other_labels = run.take_inference(others)
        run.model.eval()
        with torch.no_grad():
            both = run.forward(
                torch.cat([member_inputs, other_inputs]), torch.cat([member_labels, other_labels])
            )
        run.model.train()
        count = len(rows)
        members = Batch(both.logits[:count], member_labels, parts=run.parts)
        loss = self.attack_loss(members, Batch(both.logits[count:], other_labels))
        optimizer = run.part_optimizer
        assert optimizer is not None  # `make_parts` always makes one
        optimizers.forget_gradients(optimizer)
        loss.backward()
        optimizers.step(optimizer)

    def _shown(self, logits: Tensor) -> Tensor:
        return logits if self.options.advreg_input == "logits" else F.softmax(logits, dim=1)


def _of(parts: nn.Module | None) -> _Attacker:
    if not isinstance(parts, _Attacker):
        raise ValueError("AdvReg needs Batch.parts, the attacker net of `make_parts`")
    return parts
