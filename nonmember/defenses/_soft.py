"""The soft label that CRL and RelaxLoss share: p_y on the label, the rest spread evenly."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from nonmember.defenses._base import Batch


def true_class_probability(batch: Batch, upper: float, stop_gradient: bool) -> Tensor:
    """(batch,) softmax of the raw logits at the label, at most `upper`."""
    p_y = F.softmax(batch.logits, dim=1).gather(1, batch.labels[:, None])[:, 0]
    p_y = p_y.clamp(max=upper)
    return p_y.detach() if stop_gradient else p_y


def soft_cross_entropy(logits: Tensor, labels: Tensor, p_y: Tensor) -> Tensor:
    """(batch,) cross-entropy against p_y on the label and (1 − p_y)/(C − 1) elsewhere (CRL,
    Eq. 7–8; RelaxLoss, Algorithm 1).

    Gradient flows through `p_y` too, unless the caller detached it.
    """
    log_p = F.log_softmax(logits, dim=1)  # (batch, classes)
    own = log_p.gather(1, labels[:, None])[:, 0]
    others = log_p.sum(dim=1) - own
    return -(p_y * own + (1 - p_y) / (logits.shape[1] - 1) * others)
