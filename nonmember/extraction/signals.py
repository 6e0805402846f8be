"""What an attacker can see of a model on samples, computed in batches.

The gradient norms are those of paper RelaxLoss (https://openreview.net/forum?id=FEDfGWVZYIn):
of the cross-entropy's gradient, in eval mode, w.r.t. the normalised input or all parameters.
One forward and one backward pass of the summed loss give every sample's input gradient and, in
each layer, what its weight gradients are made of. Norms of those follow layer by layer without
storing them (ghost norms: Goodfellow 2015, https://arxiv.org/abs/1510.01799; convolutions: Bu
et al. 2022, https://arxiv.org/abs/2205.10683). Each equals a loop over single samples.
"""

from __future__ import annotations

import functools
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, Node, get_gradient_edge, saved_tensors_hooks

from nonmember.features import FeatureReader

SIGNALS: Mapping[str, str] = {
    "logits": "the model's output, (samples, classes)",
    "feature_norm": "ℓ2 norm of the last linear layer's input",
    "grad_x_l1": "ℓ1 norm of the loss gradient w.r.t. the normalised input",
    "grad_x_l2": "ℓ2 norm of the same",
    "grad_w_l1": "ℓ1 norm of the loss gradient w.r.t. all parameters",
    "grad_w_l2": "ℓ2 norm of the same",
}

_PASS_BYTES = 256 * 2**20  # what a batch may keep for its backward pass
_CHUNK_FLOATS = 2**20  # unfolded inputs at a time: larger chunks leave the cache and are slower
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.GroupNorm, nn.LayerNorm)
_CONVS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_RULES: dict[Any, Any] = {
    kind.forward: kind for kind in (nn.Linear, nn.Embedding, *_CONVS, *_NORMS)
}
_Layer = Any  # a module of one of these kinds, which have no attributes in common


def compute(
    model: nn.Module,
    inputs: Tensor,
    labels: Tensor,
    names: Collection[str],
    *,
    normalise: Callable[[Tensor], Tensor],
    device: torch.device | str = "cpu",
    batch_size: int | None = None,
) -> dict[str, np.ndarray]:
    """The named signals of every sample: (samples, classes) for logits, else (samples,), float32.

    inputs: (samples, …) raw, as stored; `normalise` maps a batch of them to what the model
        reads. labels: (samples,) int64. names: keys of SIGNALS.
    batch_size: the default fits the passes into about 256 MB.

    The model is moved to `device` and runs in eval mode; modes and gradients are left as they
    were. Nothing is augmented. Raises ValueError for an unknown name, for lengths that differ or
    are 0, and for batch-norm without running statistics (its outputs mix samples).
    """
    _check(model, inputs, labels, names)
    model.to(device)
    with _evaluating(model):
        first = normalise(inputs[:1].to(device))
        _check_gradients(first, names)
        plan = _plan(model, first)
        size = batch_size or plan.batch_size
        parts = [
            _batch(model, plan, normalise(x.to(device)).detach(), y.to(device), names)
            for x, y in zip(inputs.split(size), labels.split(size), strict=True)
        ]
    return {name: torch.cat([part[name] for part in parts]).numpy() for name in names}


def _check(model: nn.Module, inputs: Tensor, labels: Tensor, names: Collection[str]) -> None:
    if unknown := sorted(set(names) - set(SIGNALS)):
        raise ValueError(f"unknown signal {unknown[0]!r}, known: {', '.join(SIGNALS)}")
    if len(inputs) != len(labels) or len(inputs) == 0:
        raise ValueError(
            f"inputs and labels must have one row a sample, at least one, got {len(inputs)} "
            f"inputs and {len(labels)} labels"
        )
    for name, module in model.named_modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.running_mean is None:
            raise ValueError(
                f"{name}: batch-norm with track_running_stats=False makes a sample's output depend "
                "on the others in its batch: track the statistics or use nn.GroupNorm"
            )


def _check_gradients(x: Tensor, names: Collection[str]) -> None:
    wrong = [name for name in sorted(names) if name.startswith("grad_x")]
    if wrong and not x.is_floating_point():
        raise ValueError(
            f"{wrong[0]} is the gradient at the input, which {x.dtype} inputs do not have; use "
            f"{wrong[0].replace('_x_', '_w_')}"
        )


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Eval mode, and a graph through every parameter (frozen ones count too)."""
    modes = [(module, module.training) for module in model.modules()]
    flags = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    try:
        model.eval().requires_grad_()
        yield
    finally:
        for module, mode in modes:
            module.training = mode
        for parameter, flag in flags:
            parameter.requires_grad_(flag)


def _batch(
    model: nn.Module, plan: _Plan, x: Tensor, labels: Tensor, names: Collection[str]
) -> dict[str, Tensor]:
    """The signals of one batch, on the CPU: one forward pass and at most one backward."""
    of_x, of_w = (any(name.startswith(kind) for name in names) for kind in ("grad_x", "grad_w"))
    out: dict[str, Tensor] = {}
    with torch.set_grad_enabled(of_x or of_w), _recording(plan.ruled if of_w else ()) as uses:
        x.requires_grad_(of_x)
        if "feature_norm" in names:
            logits, feature = FeatureReader(model)(x)
            out["feature_norm"] = feature.flatten(1).norm(dim=1)
        else:
            logits = model(x)
    out["logits"] = logits
    if of_x or of_w:
        delta, scale = _loss_gradient(logits.detach(), labels)
        targets: list[Any] = [*([x] if of_x else []), *(use.edge for use in uses)]
        with torch.enable_grad():  # a sum: handed delta, autograd imports sympy, .3 s a worker
            along = (logits * delta).sum()
        grads = list(torch.autograd.grad(along, targets)) if targets else []
        if of_x:
            out |= _named("grad_x", _sums(grads.pop(0).flatten(1)), scale)
        if of_w:
            sums = _rest_norms(model, plan, x.detach(), delta)
            for call in _by_module(uses, grads):
                sums = sums + _module_norms(*call, l1="grad_w_l1" in names)
            out |= _named("grad_w", sums, scale)
    return {name: out[name].detach().float().cpu() for name in names}


def _named(kind: str, sums: Tensor, scale: Tensor) -> dict[str, Tensor]:
    """`_sums` of the scaled gradient, (2, batch), as the two signals of its kind."""
    return {f"{kind}_l1": sums[0] * scale, f"{kind}_l2": sums[1].sqrt() * scale}


def _loss_gradient(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Gradient of each sample's cross-entropy w.r.t. its logits, as (direction, length).

    (batch, classes), −1 at the true class and shares of 1 elsewhere, and (batch,) float64, the
    probability of the other classes: p − 1 rounds to 0 for confident members and ties them. The
    length is applied to the norms, so that small gradients do not underflow on the way down; they
    do at the end, in float32, where the logits are some 100 apart.
    """
    others = logits.double().softmax(1).scatter(1, labels[:, None], 0.0)
    length = others.sum(1, keepdim=True).clamp_min(torch.finfo(others.dtype).tiny)
    return (others / length).scatter(1, labels[:, None], -1.0).to(logits.dtype), length[:, 0]


@dataclass(frozen=True)
class _Use:
    """One call of a module: what went in, where its output's gradient arrives, its rows."""

    module: nn.Module
    input: Tensor
    edge: GradientEdge
    rows: int


@contextmanager
def _recording(modules: Collection[nn.Module]) -> Iterator[list[_Use]]:
    """Lists the calls of `modules` inside the block.

    The edge is taken before anything can change the output in place, as ReLU often does.
    """
    uses: list[_Use] = []

    def record(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if inputs and output.requires_grad:
            edge = get_gradient_edge(output)
            uses.append(_Use(module, inputs[0].detach(), edge, len(output)))

    handles = [module.register_forward_hook(record, prepend=True) for module in modules]
    try:
        yield uses
    finally:
        for handle in handles:
            handle.remove()


def _by_module(
    uses: list[_Use], grads: list[Tensor]
) -> Iterator[tuple[nn.Module, list[Tensor], list[Tensor]]]:
    """Groups the calls: (module, inputs of each call, output gradients of each call)."""
    groups: dict[nn.Module, list[int]] = defaultdict(list)
    for i, use in enumerate(uses):
        groups[use.module].append(i)
    for module, calls in groups.items():
        yield module, [uses[i].input for i in calls], [grads[i] for i in calls]


@dataclass(frozen=True)
class _Plan:
    """How to get a model's weight gradients: `ruled` modules by rule, `rest` by vmap."""

    ruled: list[nn.Module]
    rest: dict[str, nn.Parameter]
    sample_bytes: int

    @property
    def batch_size(self) -> int:
        return min(max(_PASS_BYTES // (2 * self.sample_bytes + 1), 1), 2048)


def _plan(model: nn.Module, x: Tensor) -> _Plan:
    """Try one sample, repeated 2 and 3 times, and see where the parameters enter the graph.

    A module is ruled if its calls account for every use of its parameters and have one row a
    sample. All else (weights used outside their module or in two modules, layers that fold other
    dimensions into the batch, modules without a rule) goes to vmap. A parameter that is not in
    the graph has no gradient.
    """
    calls: list[Counter[nn.Module]] = []
    entries: Counter[nn.Parameter] = Counter()
    sizes: list[int] = []
    modules = [module for module in model.modules() if _has_rule(module)]
    for rows in (2, 3):
        with torch.enable_grad(), _recording(modules) as uses, _counting_bytes() as saved:
            logits = model(x.repeat_interleave(rows, 0))
        good = [use.module for use in uses if len(use.input) == use.rows == rows]
        calls.append(Counter(good))
        entries = _entries(logits.grad_fn)
        sizes.append(sum(saved))
    ruled = [
        module
        for module, count in calls[0].items()
        if count == calls[1][module]
        and all(entries[parameter] == count for parameter in module.parameters())
    ]
    done = {parameter for module in ruled for parameter in module.parameters()}
    rest = {n: p for n, p in model.named_parameters() if entries[p] and p not in done}
    return _Plan(ruled, rest, sizes[1] - sizes[0])


def _has_rule(module: _Layer) -> bool:
    """Whether `module` runs one of the forwards we know (a subclass may override it)."""
    kind = _RULES.get(getattr(module.forward, "__func__", None))
    if kind is nn.Embedding and (module.max_norm is not None or module.scale_grad_by_freq):
        return False  # a sample's gradient would depend on its batch
    same_conv = kind not in _CONVS or type(module)._conv_forward is kind._conv_forward
    return kind is not None and same_conv and bool(module._parameters.get("weight") is not None)


@contextmanager
def _counting_bytes() -> Iterator[list[int]]:
    """Collects the sizes of what the forward pass in the block keeps for the backward pass."""
    sizes: list[int] = []

    def pack(tensor: Tensor) -> Tensor:
        sizes.append(tensor.numel() * tensor.element_size())
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        yield sizes


def _entries(root: Node | None) -> Counter[nn.Parameter]:
    """How many times each parameter enters the graph below `root`."""
    counts: Counter[nn.Parameter] = Counter()
    seen: set[Node] = set()
    todo = [root] if root is not None else []
    while todo:
        for node, _ in todo.pop().next_functions:
            if node is not None and hasattr(node, "variable"):
                counts[node.variable] += 1
            elif node is not None and node not in seen:
                seen.add(node)
                todo.append(node)
    return counts


def _rest_norms(model: nn.Module, plan: _Plan, x: Tensor, delta: Tensor) -> Tensor:
    """Norms of the parameters without a rule, from one gradient a sample by vmap: (2, batch)."""
    if not plan.rest:
        return torch.zeros(2, len(x), dtype=torch.float64, device=x.device)
    weights = {name: parameter.detach() for name, parameter in plan.rest.items()}

    def gradient(sample: Tensor, direction: Tensor) -> dict[str, Tensor]:
        def logits(values: dict[str, Tensor]) -> Tensor:
            return torch.func.functional_call(model, values, (sample[None],))[0]

        return torch.func.vjp(logits, weights)[1](direction)[0]

    floats = sum(weight.numel() for weight in weights.values())
    size = max(_PASS_BYTES // (2 * plan.sample_bytes + 12 * floats), 1)
    parts = zip(x.split(size), delta.split(size), strict=True)
    gradients = (torch.func.vmap(gradient)(*part).values() for part in parts)
    return torch.cat([_added(map(_sums, values)) for values in gradients], 1)


def _module_norms(
    module: _Layer, inputs: list[Tensor], deltas: list[Tensor], *, l1: bool
) -> Tensor:
    """One module's sums over a sample's gradient: (2, batch) of absolute values and squares.

    inputs, deltas: the module's input and its output's gradient, (batch, …), one pair a call;
    the gradient of a layer that is called twice is the sum of both.
    """
    if isinstance(module, _NORMS):
        return _norm_layer(module, inputs, deltas)
    if isinstance(module, nn.Embedding):
        return _embedding_layer(module, inputs, deltas)
    size = max(_CHUNK_FLOATS // _floats(module, deltas, l1), 1)
    starts = range(0, len(inputs[0]), size)
    cut = [([t[i : i + size] for t in inputs], [t[i : i + size] for t in deltas]) for i in starts]
    return torch.cat([_product_layer(module, *part, l1) for part in cut], 1)


def _floats(module: _Layer, deltas: list[Tensor], l1: bool) -> int:
    """How many numbers of a sample count towards a chunk: unfolded input, or the gradient."""
    positions = sum(delta[0].numel() for delta in deltas) // len(module.weight)
    width, height = module.weight[0].numel(), len(module.weight) // getattr(module, "groups", 1)
    made = positions > 1 and not _by_products(positions, width, height, l1)
    return max(positions * width, module.weight.numel() // 4 if made else 0)


def _norm_layer(module: _Layer, inputs: list[Tensor], deltas: list[Tensor]) -> Tensor:
    """Batch-, group- and layer-norm: weight gradient Σ delta·(normalised input), bias Σ delta."""
    total = _over_rows if isinstance(module, nn.LayerNorm) else _over_positions
    pairs = zip(inputs, deltas, strict=True)
    sums = _sums(_added(total(module, delta * _normalised(module, a)) for a, delta in pairs))
    if module.bias is not None:
        sums = sums + _sums(_added(total(module, delta) for delta in deltas))
    return sums


def _embedding_layer(module: nn.Embedding, inputs: list[Tensor], deltas: list[Tensor]) -> Tensor:
    """Embeddings, where the gradient of a row is Σ delta over the places that name it."""
    ids = torch.cat([t.flatten(1) for t in inputs], 1)  # (batch, places)
    delta = torch.cat([t.flatten(1, -2) for t in deltas], 1)  # (batch, places, width)
    if module.padding_idx is not None:
        delta = delta * (ids != module.padding_idx).unsqueeze(2)
    first = torch.arange(len(ids), device=ids.device) * module.num_embeddings
    rows, place = torch.unique(ids.long() + first[:, None], return_inverse=True)
    total = delta.new_zeros(len(rows), delta.shape[2])
    total.index_add_(0, place.flatten(), delta.flatten(0, 1))
    sums = torch.zeros(2, len(ids), dtype=torch.float64, device=ids.device)
    return sums.index_add_(1, rows // module.num_embeddings, _sums(total))


def _normalised(module: _Layer, x: Tensor) -> Tensor:
    """What a normalisation layer multiplies by its weight."""
    if isinstance(module, nn.LayerNorm):
        return F.layer_norm(x, module.normalized_shape, eps=module.eps)
    if isinstance(module, nn.GroupNorm):
        return F.group_norm(x, module.num_groups, eps=module.eps)
    return F.batch_norm(x, module.running_mean, module.running_var, eps=module.eps)


def _over_positions(module: _Layer, values: Tensor) -> Tensor:
    """(batch, channels, …) -> (batch, channels)."""
    return values.reshape(*values.shape[:2], -1).sum(2)


def _over_rows(module: _Layer, values: Tensor) -> Tensor:
    """(batch, …, *normalised shape) -> (batch, *normalised shape)."""
    return values.reshape(len(values), -1, *module.weight.shape).sum(1)


def _product_layer(module: _Layer, inputs: list[Tensor], deltas: list[Tensor], l1: bool) -> Tensor:
    """Linear and convolution layers, where the weight gradient is Σ delta·inputᵀ over positions."""
    a = _joined([_unfolded(module, t) for t in inputs])  # (batch·groups, positions, in)
    delta = _joined([_positions(module, t) for t in deltas])  # (batch·groups, positions, out)
    sums = _product_sums(a, delta, l1)
    if module.bias is not None:
        sums = sums + _sums(delta.sum(1))
    return sums.view(2, len(inputs[0]), -1).sum(2)  # over groups


def _product_sums(a: Tensor, delta: Tensor, l1: bool) -> Tensor:
    """`_sums` of Σ delta·aᵀ over positions, the cheapest exact way: (2, batch)."""
    positions, width, height = a.shape[1], a.shape[2], delta.shape[2]
    if positions == 1:  # the norm of an outer product is the product of the norms
        return _sums(a) * _sums(delta)
    if _by_products(positions, width, height, l1):
        square = (torch.bmm(a, a.mT) * torch.bmm(delta, delta.mT)).sum((1, 2)).double()
        return torch.stack([torch.full_like(square, torch.nan), square.clamp_min(0)])
    return _sums(torch.bmm(delta.mT, a), l1)


def _by_products(positions: int, width: int, height: int, l1: bool) -> bool:
    """Whether the products of positions, which give ℓ2 only, cost less than the gradient."""
    return not l1 and positions * (width + height) < width * height


def _positions(module: _Layer, values: Tensor) -> Tensor:
    """(batch, channels, *places) or linear (batch, …, channels) -> (batch·groups, positions, …)."""
    if isinstance(module, nn.Linear):
        return values.reshape(len(values), -1, values.shape[-1])
    rows = values.movedim(1, -1).reshape(
        len(values), -1, module.groups, values.shape[1] // module.groups
    )
    return rows.transpose(1, 2).flatten(0, 1)


def _unfolded(module: _Layer, x: Tensor) -> Tensor:
    """A layer's input as (batch·groups, positions, what one output position reads)."""
    if isinstance(module, nn.Linear):
        return _positions(module, x)
    mode = "constant" if module.padding_mode == "zeros" else module.padding_mode
    x = F.pad(x, module._reversed_padding_repeated_twice, mode=mode).movedim(1, -1)
    dims = x.dim() - 2
    for dim in range(dims):  # views: (batch, *places, channels, *kernel)
        span = module.dilation[dim] * (module.kernel_size[dim] - 1) + 1
        x = x.unfold(dim + 1, span, module.stride[dim])[..., :: module.dilation[dim]]
    x = x.unflatten(dims + 1, (module.groups, -1))  # (batch, *places, groups, channels, *kernel)
    x = x.movedim(dims + 1, 1).movedim(dims + 2, -1)  # channels last: copies run along them
    return x.reshape(len(x) * module.groups, math.prod(x.shape[2 : 2 + dims]), -1)


def _joined(parts: list[Tensor]) -> Tensor:
    """Calls of one module side by side, as more positions; one call as it is, uncopied."""
    return parts[0] if len(parts) == 1 else torch.cat(parts, 1)


def _added(values: Iterable[Tensor]) -> Tensor:
    return functools.reduce(torch.add, values)


def _sums(gradient: Tensor, l1: bool = True) -> Tensor:
    """Sums of absolute values (NaN without `l1`) and squares over all but the batch: (2, batch)."""
    gradient = gradient.reshape(len(gradient), -1) if gradient.dim() == 1 else gradient
    # Row norms, then their sum: one float32 norm of ten million numbers is off by 3e-4.
    square = torch.linalg.vector_norm(gradient, dim=-1, keepdim=True).square().flatten(1).sum(1)
    absolute = gradient.abs().flatten(1).sum(1) if l1 else torch.full_like(square, torch.nan)
    return torch.stack([absolute, square]).double()
