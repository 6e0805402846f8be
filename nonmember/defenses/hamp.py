"""HAMP: train on labels of high entropy, and answer with the scores of random inputs.

Paper: Chen and Pattabiraman, Overconfidence is a Dangerous Thing: Mitigating Membership Inference
Attacks by Enforcing Less Confident Prediction, NDSS 2024. Changes the loss,

    KL(soft label ‖ softmax) − hamp_alpha · mean entropy of the softmax,

where the soft label has p on the true class, the rest spread evenly, and entropy
hamp_gamma · log(classes); and the released predictor: the k-th largest logit of a query becomes
the k-th largest logit that the model gives to a random input, so that only the order of the
classes is the query's own. `hamp_gamma = hamp_alpha = 0` is cross-entropy; with
`hamp_release: false` the model is released as it is.

Where we differ: the random answers are `hamp_random` of them, made once after the training and
chosen by a hash of the query (the paper draws an input a query). Random images are uniform bytes;
a random record has each feature uniform between the training set's least and largest value, whole
where the training set's are whole. Published code averages the KL over classes too, so its alpha
weighs `classes` times as much: `hamp_published_scale` does likewise (and wants a larger
learning rate).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field
from scipy.optimize import brentq
from torch import Tensor

from nonmember.defenses import _query
from nonmember.defenses._base import Batch, Defense
from nonmember.defenses._inference import answers, own_stream
from nonmember.kinds import Kind
from nonmember.settings import Settings

if TYPE_CHECKING:
    from nonmember.defenses._run import Run


def label_entropy(p: float, classes: int) -> float:
    """Entropy, nats, of p on one class and (1 − p)/(classes − 1) on each other."""
    rest = 1 - p
    spread = rest * math.log(rest / (classes - 1)) if rest > 0 else 0.0
    return -spread - (p * math.log(p) if p > 0 else 0.0)


def top_probability(gamma: float, classes: int) -> float:
    """The p, at least 1/classes, whose label has the entropy gamma · log(classes)."""
    wanted = gamma * math.log(classes)
    if gamma == 0:
        return 1.0
    if gamma == 1:
        return 1 / classes
    return float(brentq(lambda p: label_entropy(p, classes) - wanted, 1 / classes, 1.0))


class HAMP(Defense):
    """High-entropy labels, an entropy regulariser and low-confidence answers."""

    paper = (
        "Chen and Pattabiraman 2024, Overconfidence is a Dangerous Thing: Mitigating Membership "
        "Inference Attacks by Enforcing Less Confident Prediction, NDSS, "
        "https://arxiv.org/abs/2307.01610"
    )
    changes = "loss, released predictor"
    limits = "The released scores say nothing about confidence; attacks on weights see none of it."
    neutral: ClassVar = {"hamp_gamma": 0.0, "hamp_alpha": 0.0, "hamp_release": False}
    try_first = (
        "hamp_gamma and hamp_alpha of the paper for data like yours: Purchase100 0.8 and 0.01, "
        "Texas100 0.6 and 0.01, CIFAR-100 0.5 and 0.005. Untuned."
    )

    class Options(Settings):
        """Settings of HAMP."""

        hamp_gamma: float = Field(
            0.8, ge=0, lt=1, description="entropy of a label, share of log C (Purchase100 0.8, "
            "Texas100 0.6, CIFAR-100 0.5)",
        )  # fmt: skip
        hamp_alpha: float = Field(
            0.01,
            ge=0,
            description="weight of the entropy of the answers (Texas100 0.01, CIFAR-100 0.005)",
        )
        hamp_published_scale: bool = Field(
            False,
            description="average the KL divergence over classes too, as the published code does",
        )
        hamp_release: bool = Field(
            True,
            description="answer with the scores of random inputs, in the order of the real ones",
        )
        hamp_random: int = Field(1000, ge=1, description="random inputs to answer with")

    options: Options

    def check_kind(self, kind: Kind) -> list[str]:
        """Random inputs must look like inputs."""
        if kind.numeric or not self.options.hamp_release:
            return []
        return [
            f"defense.hamp_release: needs random inputs, which {kind.word} do not have; set it to "
            "false"
        ]

    def loss(self, batch: Batch) -> Tensor:
        """The scalar to minimise. Reads logits and labels."""
        o = self.options
        classes = batch.logits.shape[1]
        p = top_probability(o.hamp_gamma, classes)
        # p on the label and the rest even is label smoothing by another name.
        smoothing = min((1 - p) * classes / (classes - 1), 1.0)
        loss = F.cross_entropy(batch.logits, batch.labels, label_smoothing=smoothing)
        loss = loss - label_entropy(p, classes)
        if o.hamp_published_scale:
            loss = loss / classes
        if o.hamp_alpha == 0:
            return loss
        log_q = F.log_softmax(batch.logits, dim=1)
        return loss + o.hamp_alpha * (log_q.exp() * log_q).sum(dim=1).mean()

    def extras(self, run: Run) -> dict[str, Tensor]:
        """(hamp_random, classes) logits of random inputs, each row decreasing."""
        if not self.options.hamp_release:
            return {}
        raw = random_inputs(run.inputs, run.kind, self.options.hamp_random, own_stream(run, 5))
        logits = answers(run, run.model, raw)
        return {"scores": logits.sort(dim=1, descending=True).values}

    def release(self, logits: Tensor, extras: Mapping[str, Tensor]) -> Tensor:
        """(n, classes) logits -> random scores in the order of the logits."""
        if not self.options.hamp_release:
            return logits
        bank = extras["scores"].to(logits.device, logits.dtype)
        pick = (_query.uniform(logits, 2) * len(bank)).long()
        order = logits.sort(dim=1, descending=True, stable=True).indices
        return torch.empty_like(logits).scatter_(1, order, bank[pick])


def random_inputs(like: Tensor, kind: Kind, count: int, stream: torch.Generator) -> Tensor:
    """(count, …) raw inputs drawn uniformly over the range of each feature of `like`; random
    bytes for byte images."""
    u = torch.rand((count, *like.shape[1:]), generator=stream).to(like.device)
    if kind.divisor(like) > 1:
        return (u * 256).to(like.dtype)
    dtype, like = like.dtype, like.float()
    low, high = like.amin(dim=0), like.amax(dim=0)
    whole = (like == like.round()).all(dim=0)
    drawn = low + u * (high - low)
    return torch.where(whole, (low + u * (high - low + 1)).floor().minimum(high), drawn).to(dtype)
