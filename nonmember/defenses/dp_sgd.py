"""DP-SGD: clip every sample's gradient and add noise; a formal bound on what a member changes.

Paper: Abadi et al., Deep Learning with Differential Privacy, CCS 2016, Algorithm 1, as Opacus
implements it. Changes the step, and the model: batch norm, which mixes samples, becomes group norm.
Either the noise multiplier `dp_noise` is given or a target `dp_epsilon`, from which it follows;
epsilon at `dp_delta` goes with the model's facts. `dp_noise = 0` with a huge `dp_clip` and
`dp_sampling: shuffle` is plain training.

`dp_sampling: poisson` puts each member into a step with the probability batch size / members, as
the accountants assume; epsilon covers adding or removing one member. `shuffle` cuts a permutation
into batches; the number recorded is then called `epsilon_if_poisson`. `dp_clipping: ghost` finds
the norms of linear layers without making every sample's gradient, and clips in a second backward
pass: the same step as `per_sample`, 17 times as fast on a 600-256-128 net. Needs the package
opacus and `precision: fp32`. RelaxLoss uses clip .5 (CIFAR), 1 or 5 and noise multipliers from
1e-4 to .5, which give no useful epsilon.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from nonmember.defenses._base import Batch, Defense
from nonmember.defenses._inference import own_stream
from nonmember.settings import Settings

if TYPE_CHECKING:
    from opacus.grad_sample import GradSampleModule
    from opacus.optimizers import DPOptimizer

    from nonmember.defenses._run import Run
    from nonmember.task import TrainOptions


@dataclass(frozen=True)
class _Plan:
    """steps of the whole training, each with a share `rate` of the members; noise multiplier."""

    steps: int
    rate: float
    noise: float


@dataclass(frozen=True)
class Private:
    """A run's plan, its epsilon, and the model and optimiser as Opacus wraps them."""

    plan: _Plan
    epsilon: float
    module: GradSampleModule
    optimizer: DPOptimizer


class _Copy(nn.Module):
    """Hands on a copy: what adds to it in place (residual nets) must not touch a hooked output."""

    def forward(self, x: Tensor) -> Tensor:
        return x.clone()


def group_norms(module: nn.Module) -> nn.Module:
    """The module with each batch norm replaced by a group norm of at most 32 groups, and no layer
    that works in place."""
    if isinstance(module, _BatchNorm):
        groups = math.gcd(32, module.num_features)
        norm = nn.GroupNorm(groups, module.num_features, affine=module.affine)
        return nn.Sequential(norm, _Copy())
    for name, child in module.named_children():
        setattr(module, name, group_norms(child))
    if isinstance(getattr(module, "inplace", None), bool):
        setattr(module, "inplace", False)  # noqa: B010 (its type is unknown)
    return module


class DPSGD(Defense):
    """Differentially private SGD (or Adam: whatever `train.optimizer` is)."""

    paper = (
        "Abadi, Chu, Goodfellow, McMahan, Mironov, Talwar and Zhang 2016, Deep Learning with "
        "Differential Privacy, CCS, https://arxiv.org/abs/1607.00133"
    )
    changes = "step, model"
    limits = "Group norm for batch norm; the bound holds for one training, not for tuning its keys."
    neutral: ClassVar = {"dp_noise": 0.0, "dp_clip": 1e6, "dp_sampling": "shuffle"}
    try_first = (
        "dp_noise 0.1 and dp_clip 1 for what they do to attacks; for a bound that says "
        "something, dp_noise null, dp_epsilon 8 and a larger train.batch_size. Untuned."
    )

    class Options(Settings):
        """Settings of DP-SGD; exactly one of dp_noise and dp_epsilon is a number."""

        dp_clip: float = Field(1.0, gt=0, description="largest norm of one sample's gradient")
        dp_noise: float | None = Field(
            0.1,
            ge=0,
            description="standard deviation of the noise, multiples of dp_clip; 0.1 promises "
            "nothing",
        )
        dp_epsilon: float | None = Field(
            None, gt=0, description="epsilon to end at, instead of dp_noise"
        )
        dp_delta: float = Field(1e-5, gt=0, lt=1, description="delta of (epsilon, delta)")
        dp_accountant: Literal["rdp", "prv"] = Field(
            "rdp", description="rdp | prv: tighter; slow and large below a noise of 0.3"
        )
        dp_sampling: Literal["poisson", "shuffle"] = Field(
            "poisson",
            description="poisson: as the accountants assume | shuffle: batches of a permutation",
        )
        dp_clipping: Literal["per_sample", "ghost"] = Field(
            "ghost", description="per_sample | ghost: norms without keeping every sample's gradient"
        )

        @model_validator(mode="after")
        def _one(self) -> DPSGD.Options:
            if (self.dp_noise is None) == (self.dp_epsilon is None):
                raise ValueError(
                    "defense.dp_noise: set either dp_noise or dp_epsilon and make the other null, "
                    f"found {self.dp_noise} and {self.dp_epsilon}"
                )
            return self

    options: Options

    def adapt(self, model: nn.Module) -> nn.Module:
        """Group norm for batch norm, no layers that work in place."""
        return group_norms(model)

    def plan(self, members: int, batch_size: int, epochs: int) -> _Plan:
        """Steps, sampling rate and noise multiplier of a training."""
        o = self.options
        an_epoch = math.ceil(members / batch_size)
        steps, rate = an_epoch * epochs, 1 / an_epoch
        if o.dp_noise is not None:
            return _Plan(steps, rate, o.dp_noise)
        assert o.dp_epsilon is not None
        return _Plan(steps, rate, _noise(o.dp_epsilon, o.dp_delta, rate, steps, o.dp_accountant))

    def epsilon(self, plan: _Plan) -> float:
        """Epsilon at dp_delta, of the accountant; infinite without noise.

        Raises ValueError where the accountant needs more memory than there is.
        """
        if plan.noise == 0:
            return math.inf
        from opacus.accountants import create_accountant

        accountant = create_accountant(self.options.dp_accountant)
        accountant.history = [(plan.noise, plan.rate, plan.steps)]
        try:
            return float(accountant.get_epsilon(delta=self.options.dp_delta))
        except MemoryError as error:
            raise ValueError(
                f"defense.dp_accountant: {self.options.dp_accountant} needs too much memory at "
                f"noise {plan.noise:g}; use rdp"
            ) from error

    def check_training(self, options: TrainOptions, members: int) -> list[str]:
        """`dp_delta` promises something, precision is fp32, `dp_epsilon` can be reached."""
        problems = []
        if self.options.dp_delta * members >= 1:
            problems.append(
                f"defense.dp_delta: must be below 1 / members = {1 / members:.3g}, found "
                f"{self.options.dp_delta:g}: publishing one member whole would satisfy it"
            )
        if options.precision != "fp32":
            problems.append(f"train.precision: dp_sgd needs fp32, found {options.precision}")
        try:
            self.plan(members, options.batch_size, options.epochs)
        except ValueError as error:
            problems.append(
                f"defense.dp_epsilon: {self.options.dp_epsilon} is out of reach in "
                f"{options.epochs} epochs, however much noise there is ({error}); raise it"
            )
        return problems

    def start(self, run: Run, required: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Wrap model and optimiser; ValueError naming what cannot be made private."""
        from opacus.validators import ModuleValidator

        wrong = ModuleValidator.validate(run.model, strict=False)
        if wrong:
            raise ValueError(f"model.name: dp_sgd cannot train {run.task.model['name']}: {wrong}")
        o = run.options
        plan = self.plan(len(run.labels), o.batch_size, o.epochs)
        run.remember(Private(plan, self.epsilon(plan), *self._wrap(run, plan)))

    def _wrap(self, run: Run, plan: _Plan) -> tuple[GradSampleModule, DPOptimizer]:
        from opacus.grad_sample import GradSampleModule, GradSampleModuleFastGradientClipping
        from opacus.optimizers import DPOptimizer, DPOptimizerFastGradientClipping

        clip = self.options.dp_clip
        settings = {
            "noise_multiplier": plan.noise,
            "max_grad_norm": clip,
            "expected_batch_size": len(run.labels) * plan.rate,
            "generator": own_stream(run, 6) if run.device.type == "cpu" else None,
        }
        if self.options.dp_clipping == "ghost":
            module = GradSampleModuleFastGradientClipping(run.model, max_grad_norm=clip)
            return module, DPOptimizerFastGradientClipping(run.optimizer, **settings)
        return GradSampleModule(run.model), DPOptimizer(run.optimizer, **settings)

    def rows(self, run: Run, batch_size: int) -> Iterable[Tensor]:
        """Poisson samples, which may be empty, or a cut permutation."""
        if self.options.dp_sampling == "shuffle":
            return run.shuffled(batch_size)
        rate = run.state(Private).plan.rate
        n = len(run.labels)
        return (
            torch.nonzero(torch.rand(n, generator=run.generator) < rate)[:, 0].to(run.device)
            for _ in range(round(1 / rate))
        )

    def update(self, run: Run, rows: Tensor) -> tuple[Tensor, Batch]:
        """One private step; noise is added even if no member was drawn."""
        optimizer = run.state(Private).optimizer
        optimizer.zero_grad(set_to_none=True)
        if len(rows) == 0:
            return self._empty_step(run, optimizer)
        batch = self.batch(run, rows)
        losses = F.cross_entropy(batch.logits, batch.labels, reduction="none")
        if self.options.dp_sampling == "shuffle":
            optimizer.expected_batch_size = len(rows)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Full backward hook is firing")
            self._backward(run, losses)
        optimizer.step()
        return losses.mean().detach(), batch

    def _backward(self, run: Run, losses: Tensor) -> None:
        if self.options.dp_clipping == "per_sample":
            losses.mean().backward()
            return
        from opacus.utils.fast_gradient_clipping_utils import DPTensorFastGradientClipping

        private = run.state(Private)
        DPTensorFastGradientClipping(private.module, private.optimizer, losses).backward()

    def _empty_step(self, run: Run, optimizer: DPOptimizer) -> tuple[Tensor, Batch]:
        for p in run.model.parameters():
            p.grad = torch.zeros_like(p)
            p.grad_sample = p.new_zeros((0, *p.shape))  # type: ignore[attr-defined]
        optimizer.step()
        none = run.labels[:0]
        return torch.zeros((), device=run.device), Batch(
            torch.zeros(0, run.classes, device=run.device), none
        )

    def facts(self, run: Run) -> dict[str, float]:
        """Noise multiplier, delta and, where there is noise, epsilon."""
        private = run.state(Private)
        facts = {"noise_multiplier": private.plan.noise, "delta": self.options.dp_delta}
        if math.isfinite(private.epsilon):
            poisson = self.options.dp_sampling == "poisson"
            facts["epsilon" if poisson else "epsilon_if_poisson"] = private.epsilon
        return facts


@lru_cache
def _noise(epsilon: float, delta: float, rate: float, steps: int, accountant: str) -> float:
    """The least noise multiplier that ends at (epsilon, delta); a search, kept for every model."""
    from opacus.accountants.utils import get_noise_multiplier

    with warnings.catch_warnings():  # of the ends of its search, which are not the answer
        warnings.filterwarnings("ignore", "Optimal order")
        return get_noise_multiplier(
            target_epsilon=epsilon, target_delta=delta, sample_rate=rate, steps=steps,
            accountant=accountant,
        )  # fmt: skip
