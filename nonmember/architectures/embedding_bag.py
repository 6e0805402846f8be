"""Embedding bag: the mean of the embeddings of a text's words, then hidden layers, then the logits.

The plain baseline for text (Iyyer et al. 2015, deep averaging network,
https://aclanthology.org/P15-1162): the order of the words does not count, padding neither.
"""

from __future__ import annotations

from itertools import pairwise

from pydantic import Field
from torch import Tensor, nn

from nonmember.architectures._base import Architecture
from nonmember.architectures.mlp import ACTIVATIONS, MLP
from nonmember.kinds import TOKENS, Outline


class EmbeddingBag(Architecture):
    """Token ids (length,), padded with 0; the feature is the last hidden layer, activated."""

    kinds = (TOKENS,)

    class Options(MLP.Options):
        embedding: int = Field(32, ge=1, le=2**16, description="numbers a token is turned into")

    options: Options

    def build(self, data: Outline) -> nn.Module:
        """See Architecture.build."""
        self.check(data)
        assert data.vocabulary is not None
        activation = ACTIVATIONS[self.options.activation]
        sizes = [self.options.embedding, *self.options.widths]
        layers: list[nn.Module] = [_Mean(data.vocabulary, sizes[0])]
        for before, after in pairwise(sizes):
            layers += [nn.Linear(before, after), activation()]
        return nn.Sequential(*layers, nn.Linear(sizes[-1], data.classes))


class _Mean(nn.Module):
    """(batch, length) ids -> (batch, width), the mean over what is no padding; 0 of nothing."""

    def __init__(self, vocabulary: int, width: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width, padding_idx=0)

    def forward(self, ids: Tensor) -> Tensor:
        """Padding is masked, whatever noise a defense adds to its embedding."""
        real = (ids != 0).unsqueeze(2)
        return (self.embedding(ids) * real).sum(dim=1) / real.sum(dim=1).clamp(min=1)
