"""PAST: after training, tune with an l1 penalty on the weights that make members stand out.

Paper: Hu, Zhang and Wei, Defending Membership Inference Attacks via Privacy-aware Sparsity Tuning,
Eq. 3–4. Changes the phases: the trained model of `past_base` (the fleet trains and stores it, so
tuning never retrains it) is tuned for `past_epochs` with

    CE + past_lambda · Σ_i γ_i^past_alpha · |θ_i|
    γ_i = |M| · |∂G/∂θ_i| / Σ_{j in M} |∂G/∂θ_j|

where M are the parameters of θ_i's own layer and G = |mean loss of members − mean loss of the
reference set|. `past_lambda = 0` tunes with cross-entropy alone; `past_alpha = 0` and
`past_weights: uniform` are plain l1 (`past_norm: 2`: the sum of squares).

Where the paper is silent: G is estimated on the member batch of the step and as many draws from
the reference set, both in training mode (batch norm's statistics stay the members'); γ is computed
every `past_refresh` steps (1 nearly triples the cost of a step; the text speaks of one extra
backward pass an epoch); a layer whose gradient is zero is not penalised; the penalty's gradient at
θ = 0 is 0. The tuning loss is plain cross-entropy whatever the base. At γ^alpha ≫ 1 the penalty's
step can jump over zero and diverge: `past_step: proximal` stops there instead, `gradient` is the
paper's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import torch
import torch.nn.functional as F
from pydantic import Field, field_validator
from torch import Tensor, nn

from nonmember.defenses import defenses
from nonmember.defenses._base import Batch, Defense
from nonmember.defenses._inference import answers, draw, forward_inference
from nonmember.settings import Settings

if TYPE_CHECKING:
    from nonmember.defenses._run import Run
    from nonmember.kinds import Kind
    from nonmember.task import Task, TrainOptions


def layers(model: nn.Module) -> list[list[nn.Parameter]]:
    """The trained parameters, grouped by the module that owns them (weight and bias together)."""
    groups = [
        [p for p in module.parameters(recurse=False) if p.requires_grad]
        for module in model.modules()
    ]
    return [group for group in groups if group]


def sensitivity(gradients: Sequence[Tensor]) -> list[Tensor]:
    """∂G/∂θ of one layer's parameters -> γ, of the same shapes, with mean 1 (Eq. 3)."""
    sizes = [g.abs() for g in gradients]
    total = torch.stack([size.sum() for size in sizes]).sum()
    scale = torch.where(total > 0, sum(size.numel() for size in sizes) / total, 0.0)
    return [size.mul_(scale) for size in sizes]


@dataclass
class Tuning:
    """How far the tuning has come."""

    layers: list[list[nn.Parameter]]
    gap_before: float  # nats
    steps: int = 0  # taken so far
    strength: list[list[Tensor]] = field(default_factory=list)  # a number a weight, by layer


class PAST(Defense):
    """Tuning with the penalty of PAST, on top of any defense."""

    needs_inference = True
    base_key = "past_base"
    paper = (
        "Hu, Zhang and Wei 2024, Defending Membership Inference Attacks via Privacy-aware "
        "Sparsity Tuning, https://arxiv.org/abs/2410.06814"
    )
    changes = "phases, loss"
    limits = "Tuned against the loss gap; label-only and white-box attacks were not studied."
    try_first = (
        "past_lambda 0.0004, from a sweep on shoppers, then by factors of 3 both ways (the "
        "paper: CIFAR-10 0.001, CIFAR-100 0.0001, others 0.00001)."
    )

    class Options(Settings):
        """Settings of PAST."""

        past_base: str | dict[str, Any] = Field(
            "none", description="defense of the first phase, with its own keys"
        )
        past_lambda: float = Field(1e-5, ge=0, description="weight of the penalty (CIFAR-10 0.001)")
        past_alpha: float = Field(
            2.5, ge=0, description="power of γ, a weight's share of the loss gap; 0: plain l1"
        )
        past_epochs: int = Field(20, ge=1, description="epochs of tuning (CIFAR-10 50)")
        past_lr: float = Field(0.01, gt=0, description="first learning rate of tuning, cosine to 0")
        past_refresh: int = Field(
            4,
            ge=1,
            description="steps between two computations of γ; 2 comes out alike and costs more",
        )
        past_weights: Literal["adaptive", "uniform"] = Field(
            "adaptive", description="adaptive: by γ | uniform: γ = 1"
        )
        past_norm: Literal[1, 2] = Field(1, description="power of |θ| in the penalty")
        past_step: Literal["gradient", "proximal"] = Field(
            "gradient",
            description="gradient | proximal: the penalty never takes a weight across zero",
        )

        @field_validator("past_base")
        @classmethod
        def _known(cls, base: str | dict[str, Any]) -> str | dict[str, Any]:
            if _recipe(base).get("name") == "past":
                raise ValueError("must be another defense than past")
            _build(base)
            return base

    options: Options

    def __init__(self, options: Settings | None = None, **values: Any) -> None:
        super().__init__(options, **values)
        self.base = _build(self.options.past_base)

    def check(self, classes: int) -> list[str]:
        """What the base says."""
        return self.base.check(classes)

    def settle(self, classes: int) -> PAST.Options:
        """The options with those of the base settled."""
        if isinstance(self.options.past_base, str):
            return self.options
        base = self.base.settle(classes).model_dump(mode="json")
        return self.options.model_copy(
            update={"past_base": {"name": self.options.past_base["name"], **base}}
        )

    def check_kind(self, kind: Kind) -> list[str]:
        """What the base says."""
        return self.base.check_kind(kind)

    def check_training(self, options: TrainOptions, members: int) -> list[str]:
        """What the base says."""
        return self.base.check_training(options, members)

    def adapt(self, model: nn.Module) -> nn.Module:
        """As the base does."""
        return self.base.adapt(model)

    def requires(self, task: Task) -> dict[str, Task]:
        """The base's finished model: under `past_base: none` the undefended one."""
        base = _recipe(self.options.past_base)
        return {"base": replace(task, name=f"{task.name}: before tuning", defense=base)}

    def start(self, run: Run, required: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Go on from the base's weights."""
        run.model.load_state_dict(required["base"])
        run.remember(Tuning(layers(run.model), loss_gap(run)))

    def fit(self, run: Run) -> None:
        """The tuning phase."""
        changes = {
            "lr": self.options.past_lr,
            "schedule": "cosine",
            "epochs": self.options.past_epochs,
        }
        run.phase(run.options.model_copy(update=changes))

    def update(self, run: Run, rows: Tensor) -> tuple[Tensor, Batch]:
        """One step on CE plus the penalty; the loss returned is the CE."""
        o = self.options
        batch = self.batch(run, rows)
        loss = self.loss(batch)
        run.backward(loss)
        tuning = run.state(Tuning)
        if o.past_lambda > 0:
            if tuning.steps % o.past_refresh == 0:
                tuning.strength = self._strength(run, batch)
            self._penalise(run)
        else:
            run.step()
        tuning.steps += 1
        return loss, batch

    def _strength(self, run: Run, batch: Batch) -> list[list[Tensor]]:
        """past_lambda · γ^past_alpha of every parameter, by layer."""
        o = self.options
        groups = run.state(Tuning).layers
        if o.past_weights == "uniform" or o.past_alpha == 0:
            return [[torch.full_like(p, o.past_lambda) for p in group] for group in groups]
        other = forward_inference(run, draw(run, len(batch.labels)))
        theirs = torch.autograd.grad(
            F.cross_entropy(other.logits, other.labels), [p for group in groups for p in group]
        )
        rest = iter(theirs)
        # ∂G is ±(member gradient − inference gradient); γ does not see the sign.
        gaps = [[_gradient(p) - next(rest) for p in group] for group in groups]
        shift = math.log(o.past_lambda)
        # lambda · γ^alpha by way of logarithms: a third of the time of pow, and 0 stays 0.
        return [
            [g.log_().mul_(o.past_alpha).add_(shift).exp_() for g in sensitivity(gap)]
            for gap in gaps
        ]

    def _penalise(self, run: Run) -> None:
        """The optimiser's step with the penalty's gradient, or its proximal step after it."""
        proximal = self.options.past_step == "proximal"
        lr = run.optimizer.param_groups[0]["lr"]
        tuning = run.state(Tuning)
        pairs = [
            pair
            for group, strength in zip(tuning.layers, tuning.strength, strict=True)
            for pair in zip(group, strength, strict=True)
        ]
        if not proximal:
            for p, s in pairs:
                direction = p.detach().sign() if self.options.past_norm == 1 else 2 * p.detach()
                p.grad = torch.addcmul(_gradient(p), s, direction)
        run.step()
        if proximal:
            with torch.no_grad():
                for p, s in pairs:
                    p.copy_(shrink(p, lr * s, self.options.past_norm))

    def extras(self, run: Run) -> dict[str, Tensor]:
        """As the base, of the tuned model."""
        return self.base.extras(run)

    def release(self, logits: Tensor, extras: Mapping[str, Tensor]) -> Tensor:
        """As the base does."""
        return self.base.release(logits, extras)

    def facts(self, run: Run) -> dict[str, float]:
        """The loss gap before and after tuning, nats, in evaluation mode."""
        before = run.state(Tuning).gap_before
        return {"loss_gap_before": before, "loss_gap_after": loss_gap(run)}


def shrink(theta: Tensor, amount: Tensor, norm: int) -> Tensor:
    """argmin_x (x − theta)²/2 + amount·|x| (norm 1) or amount·x² (norm 2), element by element."""
    if norm == 2:
        return theta / (1 + 2 * amount)
    return theta.sign() * (theta.abs() - amount).clamp(min=0)


def loss_gap(run: Run) -> float:
    """|mean loss of the members − mean loss of the reference set|, in evaluation mode."""
    members = F.cross_entropy(answers(run, run.model, run.inputs), run.labels)
    others = F.cross_entropy(answers(run, run.model, run.inference_inputs), run.inference_labels)
    return float((members - others).abs())


def _gradient(parameter: nn.Parameter) -> Tensor:
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad


def _recipe(base: str | dict[str, Any]) -> dict[str, Any]:
    return {"name": base} if isinstance(base, str) else base


def _build(base: str | dict[str, Any]) -> Defense:
    recipe = dict(_recipe(base))
    cls = defenses.get(str(recipe.pop("name", None)))
    return cls(cls.Options(**recipe))
