"""MemGuard: add noise to each prediction so that an attacker net says "unsure".

Paper: Jia et al., MemGuard: Defending against Black-Box Membership Inference Attacks via
Adversarial Examples, CCS 2019, Algorithm 1. Changes the released predictor only: the training is
plain. A surrogate attacker g = sigmoid(h) learns members against the reference set from sorted
probabilities; for each query gradient descent on the logits z + e minimises

    |h| + c2 · max(0, best other logit − own logit) + c3 · ‖softmax(z + e) − softmax(z)‖₁

with normalised steps of 0.1, until g is past 1/2 and the argmax is the old one; c3 grows tenfold
while that succeeds, and the last success is the noise r. `memguard_budget = 0` releases the model
as it is.

`memguard_form: expected` adds r with the probability min(1, budget / ‖r‖₁) (0 if r does not bring
g closer to 1/2), so that the *expected* ℓ1 distortion is within the budget; `deterministic` adds
min(1, budget / ‖r‖₁) · r, which is within it always. Both keep every argmax. The random choice is
a function of the query. The log of the noisy probabilities is released, shifted by the model's
own normaliser so that untouched queries keep their logits. Queries are worked on together, and one
whose |h| has not shrunk by 1 % in 20 steps at c3 > 1 is given up (the paper goes on to 300).
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from nonmember import optimizers
from nonmember.defenses import _query
from nonmember.defenses._base import Defense
from nonmember.defenses._inference import answers, own_stream
from nonmember.settings import Settings

if TYPE_CHECKING:
    from nonmember.defenses._run import Run

_KEEP_ARGMAX = 10.0  # c2
_FIRST_C3, _LAST_C3 = 0.1, 1e5
_STEP = 0.1
_PATIENCE = 20
_CLOSE = 1e-5  # |g − 1/2| below which no noise is needed
_HIDDEN = (256, 128, 64)


def _surrogate(classes: int) -> nn.Sequential:
    """(n, classes) decreasing probabilities -> (n, 1) log-odds of membership."""
    widths = (classes, *_HIDDEN)
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(widths[-1], 1))


class MemGuard(Defense):
    """Argmax-preserving noise within an ℓ1 budget, against a surrogate attacker."""

    needs_inference = True
    paper = (
        "Jia, Salem, Backes, Zhang and Gong 2019, MemGuard: Defending against Black-Box "
        "Membership Inference Attacks via Adversarial Examples, CCS, "
        "https://arxiv.org/abs/1909.10594"
    )
    changes = "released predictor"
    limits = "Does nothing against label-only attacks or attacks on the weights."
    neutral: ClassVar = {"memguard_budget": 0.0}
    try_first = "memguard_budget 1, then 2: no budget changes a label. Untuned."

    class Options(Settings):
        """Settings of MemGuard."""

        memguard_budget: float = Field(
            1.0, ge=0, le=2, description="l1 distortion of the probabilities; 0: no noise"
        )
        memguard_form: Literal["expected", "deterministic"] = Field(
            "expected",
            description="expected: the budget holds on average | deterministic: for every query",
        )
        memguard_steps: int = Field(
            300, ge=1, description="gradient steps at one weight of the distortion, at most"
        )
        memguard_epochs: int = Field(20, ge=1, description="epochs of the surrogate attacker")
        memguard_lr: float = Field(
            0.001, gt=0, description="learning rate of the surrogate attacker, Adam"
        )

    options: Options

    def extras(self, run: Run) -> dict[str, Tensor]:
        """The weights of a surrogate trained on the finished model."""
        logits = [answers(run, run.model, x) for x in (run.inputs, run.inference_inputs)]
        shown = F.softmax(torch.cat(logits).sort(dim=1, descending=True).values, dim=1)
        truth = torch.zeros(len(shown), device=run.device)
        truth[: len(run.labels)] = 1
        return self._fit(run, shown, truth).state_dict()

    def _fit(self, run: Run, shown: Tensor, truth: Tensor) -> nn.Module:
        net = _surrogate(run.classes).to(run.device)
        optimizer = optimizers.Adam(net.parameters(), self.options.memguard_lr, fused=True)
        stream = own_stream(run, 4)
        for _ in range(self.options.memguard_epochs):
            order = torch.randperm(len(shown), generator=stream).to(run.device)
            for rows in order.split(256):
                optimizers.forget_gradients(optimizer)
                loss = F.binary_cross_entropy_with_logits(net(shown[rows])[:, 0], truth[rows])
                loss.backward()
                optimizers.step(optimizer)
        return net

    def release(self, logits: Tensor, extras: Mapping[str, Tensor]) -> Tensor:
        """(n, classes) logits -> log-probabilities, noisy; the scale of the logits stays inside."""
        if self.options.memguard_budget == 0 or len(logits) == 0:
            return logits
        net = _surrogate(logits.shape[1]).to(logits.device)
        net.load_state_dict(dict(extras))
        net.requires_grad_(False)
        z, order = logits.float().sort(dim=1, descending=True, stable=True)
        with torch.enable_grad():
            noisy, noised = self._noise(net, z)
        released = self._spend(net, z, noisy, noised, _query.uniform(logits, 1))
        out = torch.empty_like(z).scatter_(1, order, released).to(logits.dtype)
        kept = out.argmax(dim=1) == logits.argmax(dim=1)
        return F.log_softmax(torch.where(kept[:, None], out, logits), dim=1)

    def _noise(self, net: nn.Module, z: Tensor) -> tuple[Tensor, Tensor]:
        """Noisy sorted logits, and which queries have any: the search over c3."""
        best, noised = z.clone(), torch.zeros(len(z), dtype=torch.bool, device=z.device)
        h = net(F.softmax(z, dim=1))[:, 0]
        rows = torch.nonzero((h.sigmoid() - 0.5).abs() > _CLOSE)[:, 0]
        c3 = _FIRST_C3
        while len(rows) and c3 <= _LAST_C3:
            noisy, done = self._descend(net, z[rows], h[rows].sign(), c3)
            rows, noisy = rows[done], noisy[done]
            best[rows], noised[rows] = noisy, True
            c3 *= 10
        return best, noised

    def _descend(self, net: nn.Module, z: Tensor, side: Tensor, c3: float) -> tuple[Tensor, Tensor]:
        """Gradient descent of all queries at one c3; (n, classes) result and (n,) success."""
        result, done = z.clone(), torch.zeros(len(z), dtype=torch.bool, device=z.device)
        rows = torch.arange(len(z), device=z.device)
        probabilities, x = F.softmax(z, dim=1), z
        before = torch.full((len(z),), torch.inf, device=z.device)
        for step in range(self.options.memguard_steps + 1):
            x = x.detach().requires_grad_()
            h, objective = _objective(net, x, probabilities[rows], c3)
            past = h * side[rows] <= 0
            reached = past & (x[:, 0] > x[:, 1:].max(dim=1).values)
            result[rows[reached]], done[rows[reached]] = x[reached].detach(), True
            going = ~reached
            if c3 > 1 and step % _PATIENCE == 0:
                going &= past | (h.abs() < 0.99 * before[rows])
                before[rows] = h.detach().abs()
            if not going.any():
                break
            (gradient,) = torch.autograd.grad(objective[going].sum(), x)
            rows, x, gradient = rows[going], x.detach()[going], gradient[going]
            x = x - _STEP * gradient / gradient.norm(dim=1, keepdim=True).clamp(min=1e-12)
        return result, done

    def _spend(self, net: nn.Module, z: Tensor, noisy: Tensor, noised: Tensor, u: Tensor) -> Tensor:
        """Logits after as much of the noise as the budget allows."""
        budget = self.options.memguard_budget
        log_p, log_q = F.log_softmax(z.double(), dim=1), F.log_softmax(noisy.double(), dim=1)
        distance = (log_q.exp() - log_p.exp()).abs().sum(dim=1)  # (n,)
        share = (budget / distance.clamp(min=1e-12)).clamp(max=1)
        if self.options.memguard_form == "expected":
            unsure = [(net(F.softmax(x, dim=1))[:, 0].sigmoid() - 0.5).abs() for x in (z, noisy)]
            share = ((u < share) & (unsure[1] < unsure[0])).double()
        share = torch.where(noised, share * (1 - 1e-9), 0.0)[:, None]
        mixed = torch.logaddexp((1 - share).log() + log_p, share.log() + log_q)
        return torch.where(share > 0, mixed, log_p).float()


def _objective(
    net: nn.Module, x: Tensor, probabilities: Tensor, c3: float
) -> tuple[Tensor, Tensor]:
    """h of sorted logits x, (n,), and what the descent minimises, (n,)."""
    q = F.softmax(x, dim=1)
    h = net(q)[:, 0]
    overtaken = F.relu(x[:, 1:].max(dim=1).values - x[:, 0])
    distance = (q - probabilities).abs().sum(dim=1)
    return h, h.abs() + _KEEP_ARGMAX * overtaken + c3 * distance
