"""Dropout on the input of the last linear layer.

Paper: Srivastava et al. 2014, as RelaxLoss (ICLR 2022, appendix B.5) uses it. Changes the model in
training only: names and shapes of the weights stay, and the released model is used without.
Dropout that the architecture has of its own stays too. `dropout_p = 0` is plain training.
"""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field
from torch import nn

from nonmember.defenses._base import Defense
from nonmember.features import last_linear
from nonmember.settings import Settings


def drop_input(layer: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """Forward pre-hook of a layer with a child `dropout`: what the layer gets instead."""
    return (layer.get_submodule("dropout")(inputs[0]), *inputs[1:])


class Dropout(Defense):
    """The feature is masked anew in every training step."""

    paper = (
        "Srivastava et al. 2014, Dropout, JMLR; appendix B.5 of RelaxLoss, "
        "https://arxiv.org/abs/2207.05801"
    )
    changes = "model"
    limits = "The layers below the last one still fit the members."
    neutral: ClassVar = {"dropout_p": 0.0}
    try_first = "dropout_p 0.5, then 0.7 and 0.9. Untuned."

    class Options(Settings):
        """Settings of dropout."""

        dropout_p: float = Field(
            0.5,
            ge=0,
            lt=1,
            description="share of the last layer's inputs masked (RelaxLoss tries 0.1 0.3 0.5 0.7 "
            "0.9)",
        )

    def adapt(self, model: nn.Module) -> nn.Module:
        """The same model, its last linear layer with a child `dropout` on its input."""
        if self.options.dropout_p > 0:
            layer = last_linear(model)
            layer.add_module("dropout", nn.Dropout(self.options.dropout_p))
            layer.register_forward_pre_hook(drop_input)
        return model
