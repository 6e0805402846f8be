"""Synthetic shoppers: what 30,000 invented people buy, in 100 shopping styles. Not real data.

A stand-in for Purchase100 (600 yes/no purchases, 100 classes), which is built from the data of a
closed competition and may not be passed on. It costs no download and leaks like the real one: a
plain network remembers its members and is right less often about anybody else. Numbers from it
say whether the code works and how two runs compare; they are not results on Purchase100.

How a shopper is drawn: every product has a base rate, a quarter on average. A style is two
sub-styles (parents who camp, students who camp); each wants some products and spurns others,
which moves their rates 80 % of the way to 1 or to 0. A shopper belongs to one sub-style, but a
fifth of them have a taste of their own: they follow another sub-style, of any style, part of the
way, from hardly to wholly. Each product is then bought or not by a draw of its own. Nobody can
foresee those shoppers: a naive Bayes classifier is right about 90 % of the others, and a network
that knows all its members has memorised some of them.

With 5,000 members, an MLP 600-256-128-100 trained by SGD (learning rate 0.1, momentum 0.9,
batch 128, weight decay 5e-4, 40 epochs) gets about 100 % on them, 80–81 % on others and a
modified-entropy AUC of 0.80. Which numbers come out was our choice of the constants below, not a
finding.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydantic import Field

from nonmember.datasets._base import Arrays, Dataset
from nonmember.kinds import BINARY
from nonmember.settings import Settings

CLASSES, FEATURES, SUBSTYLES = 100, 600, 2
CHANGED = 0.16  # share of the products that a sub-style always wants or never wants
TASTE = 0.8  # weight of that against the base rate
MIXED = 0.22  # share of the shoppers with a taste of their own
BLOCK = 8192  # rows drawn at a time: bounds the memory, changes no value


class Shoppers(Dataset):
    """600 binary features (uint8), 100 classes of equal size; `path` is not used.

    A larger `n` keeps the first rows as they were, since rows are drawn one after another from
    generators that draw nothing else.
    """

    class Options(Settings):
        n: int = Field(
            30_000,
            ge=2 * CLASSES,
            le=10_000_000,
            description="shoppers to invent; a larger number keeps the first ones",
        )
        data_seed: int = Field(0, ge=0, description="seed of the invented data, not of the split")

    options: Options

    def load(self, path: Path) -> Arrays:
        seeds = np.random.SeedSequence(self.options.data_seed).spawn(5)
        world, of_labels, of_styles, of_purchases, of_tastes = map(np.random.default_rng, seeds)
        labels = _labels(self.options.n, of_labels)
        styles = labels * SUBSTYLES + of_styles.integers(SUBSTYLES, size=len(labels))
        return Arrays(
            inputs=_purchases(_rates(world), styles, _tastes(len(labels), of_tastes), of_purchases),
            labels=labels,
            class_names=[f"style {i}" for i in range(CLASSES)],
            source=f"synthetic shoppers, data_seed {self.options.data_seed}",
            kind=BINARY,
        )


def _labels(n: int, generator: np.random.Generator) -> np.ndarray:
    """(n,) int64: each run of 100 rows holds every class once, in random order."""
    runs = np.tile(np.arange(CLASSES), (-(-n // CLASSES), 1))
    return generator.permuted(runs, axis=1).ravel()[:n]


def _rates(generator: np.random.Generator) -> np.ndarray:
    """(styles, features) float32: how likely a shopper of a sub-style buys each product."""
    shape = (CLASSES * SUBSTYLES, FEATURES)
    base = generator.beta(1, 3, FEATURES)
    wanted = generator.random(shape) < 0.5
    own = np.where(generator.random(shape) < CHANGED, wanted, base)
    return (TASTE * own + (1 - TASTE) * base).astype(np.float32)


def _tastes(n: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Which other sub-style each shopper follows, (n,) int64, and how far, (n,) in [0, 1)."""
    draws = generator.random((n, 3))
    other = (draws[:, 0] * CLASSES * SUBSTYLES).astype(np.int64)
    share = np.where(draws[:, 1] < MIXED, draws[:, 2], 0.0)
    return other, share.astype(np.float32)


def _purchases(
    rates: np.ndarray,
    styles: np.ndarray,
    tastes: tuple[np.ndarray, np.ndarray],
    generator: np.random.Generator,
) -> np.ndarray:
    """(n, features) uint8, 1 = bought."""
    other, share = tastes
    bought = np.empty((len(styles), FEATURES), np.uint8)
    for start in range(0, len(styles), BLOCK):
        rows = slice(start, start + BLOCK)
        away = share[rows, None]
        chance = (1 - away) * rates[styles[rows]] + away * rates[other[rows]]  # (block, features)
        bought[rows] = generator.random(chance.shape, np.float32) < chance
    return bought
