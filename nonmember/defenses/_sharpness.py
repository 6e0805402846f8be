"""What SAM and its opposites share: the gradient at the weights and at the worst ones nearby.

The worst weights within an ℓ2 ball of radius rho, to first order (Foret et al. 2021, Eq. 2), are
w + e with e = rho·∇L(w) / ‖∇L(w)‖₂, the norm over all parameters together. e is no function of w
for the gradient, and weight decay is no part of L.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from nonmember.defenses._base import Batch, Defense
from nonmember.defenses._inference import frozen_statistics

if TYPE_CHECKING:
    from nonmember.defenses._run import Run


class _TwoGradients(Defense):
    """Steps along here·∇L(w) + there·∇L(w + e); the loss reported is L(w)."""

    def mix(self) -> tuple[float, float, float]:
        """rho, here, there."""
        raise NotImplementedError

    def update(self, run: Run, rows: Tensor) -> tuple[Tensor, Batch]:
        """One step. The second pass sees the same augmented batch and the same dropout masks, and
        leaves batch norm's running statistics alone."""
        rho, here, there = self.mix()
        before = _random_state(run.device)
        batch = self.batch(run, rows)
        loss = self.loss(batch)
        run.backward(loss)
        weights = [p for p in run.model.parameters() if p.grad is not None]
        if there != 0 and rho > 0:
            _set_random_state(run.device, before)
            second = self._gradients_nearby(run, batch, weights, rho)
            for p, gradient in zip(weights, second, strict=True):
                _gradient(p).mul_(here).add_(gradient, alpha=there)
        elif here + there != 1:
            for p in weights:
                _gradient(p).mul_(here + there)
        run.step()
        return loss, batch

    def _gradients_nearby(
        self, run: Run, batch: Batch, weights: list[nn.Parameter], rho: float
    ) -> tuple[Tensor, ...]:
        """∇L(w + e); the weights come back as they were."""
        assert batch.inputs is not None
        here = [p.data for p in weights]
        norm = torch.stack([_gradient(p).norm() for p in weights]).norm()
        scale = rho / norm.clamp(min=1e-12)
        for p in weights:
            p.data = torch.addcmul(p.data, _gradient(p), scale)
        with frozen_statistics(run.model):
            again = run.forward(batch.inputs, batch.labels, batch.rows)
        gradients = torch.autograd.grad(self.loss(again), weights)
        for p, value in zip(weights, here, strict=True):
            p.data = value
        return gradients


def _gradient(parameter: nn.Parameter) -> Tensor:
    assert parameter.grad is not None
    return parameter.grad


def _random_state(device: torch.device) -> Tensor:
    if device.type == "cpu":
        return torch.get_rng_state()
    return torch.get_device_module(device).get_rng_state(device)


def _set_random_state(device: torch.device, state: Tensor) -> None:
    if device.type == "cpu":
        torch.set_rng_state(state)
    else:
        torch.get_device_module(device).set_rng_state(state, device)
