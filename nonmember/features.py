"""The feature of a model: the input of its last linear layer, read without changing the model.

CRL (paper Eq. 5) calls it q; attacks on the feature use its norm.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn


def last_linear(model: nn.Module) -> nn.Linear:
    """The linear layer that `model` registered last: the one that makes the logits.

    Raises ValueError naming the model's class if it has none.
    """
    layers = [module for module in model.modules() if isinstance(module, nn.Linear)]
    if not layers:
        raise ValueError(
            f"{type(model).__name__} has no nn.Linear, so it has no feature (the input of the "
            "last linear layer): end the model in an nn.Linear"
        )
    return layers[-1]


class FeatureReader:
    """Calls a model and returns its feature too.

    `FeatureReader(model)(x)` returns the logits (batch, classes) and the feature (batch, …),
    both in the graph: a loss of the feature trains what comes before the last linear layer. No
    hook is left on the model between calls. Raises ValueError if the model has no linear layer
    and RuntimeError if its last one was not called.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.layer = last_linear(model)

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Run the model on x, (batch, …)."""
        kept: list[Tensor] = []

        def keep(_: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
            # A copy: what the model later does in place to its own tensor must not reach us.
            kept[:] = [inputs[0].clone()]
            return (kept[0], *inputs[1:])

        handle = self.layer.register_forward_pre_hook(keep)
        try:
            logits = self.model(x)
        finally:
            handle.remove()
        if not kept:
            raise RuntimeError(
                f"{type(self.model).__name__} did not call its last nn.Linear: register the layer "
                "that makes the logits last"
            )
        return logits, kept[0]
