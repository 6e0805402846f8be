"""What must hold between the sections of params.yaml, one small rule each.

A rule returns lines of the form `section.key: problem`, none if all is well. Its parameters name
what it looks at, attributes of `Setup`; it is not asked where one of them is None, that is where
the section has problems of its own, which are reported anyway, or the data cannot be read.

A new rule is a function here and its name in RULES. What it looks at that Setup does not have yet
is a field more there, filled in config.py.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from nonmember.architectures import Architecture
from nonmember.attacks import Attack
from nonmember.data.splits import SplitOptions
from nonmember.datasets import Outline, datasets
from nonmember.defenses import Defense
from nonmember.params import AttackerOptions, ShadowOptions, shown
from nonmember.queries import queries
from nonmember.task import TrainOptions


@dataclass(frozen=True, kw_only=True)
class Setup:
    """The active settings of params.yaml; None stands for what has problems of its own.

    dataset: with `name`. tokens: what the file says of `dataset.tokens`, read or not. outline: of
        the data, which was looked at. defense_name: as params.yaml calls it.
    attacks: name -> attack, those without problems of their own.
    """

    dataset: Mapping[str, Any] | None
    tokens: bool | None
    outline: Outline | None
    split: SplitOptions | None
    train: TrainOptions | None
    shadows: ShadowOptions | None
    attacker: AttackerOptions | None
    model: Architecture | None
    defense: Defense | None
    defense_name: str | None
    attacks: Mapping[str, Attack]

    @property
    def members(self) -> int | None:
        """Samples that the target trains on; None also where the data is too small to split."""
        if self.split is None or self.outline is None:
            return None
        try:
            return self.split.members(self.split.set_size(self.outline.n))
        except ValueError:
            return None


def problems_between(setup: Setup) -> list[str]:
    """What all RULES that can be asked say of the setup."""
    problems: list[str] = []
    for rule in RULES:
        looked_at = {name: getattr(setup, name) for name in inspect.signature(rule).parameters}
        if all(value is not None for value in looked_at.values()):
            problems += rule(**looked_at)
    return problems


def asked_queries(attacks: Mapping[str, Attack]) -> dict[str, dict[str, Any]]:
    """What the attacks ask: query -> its options, those of the first attack that asks it."""
    asked: dict[str, dict[str, Any]] = {}
    for attack in attacks.values():
        asked = {**attack.queries(), **asked}
    return asked


def attacks_fit_the_shadows(attacks: Mapping[str, Attack], shadows: ShadowOptions) -> list[str]:
    """Some attacks need shadows that saw the target's samples, others those that did not."""
    return [line for attack in attacks.values() for line in attack.check(shadows.assignment)]


def enough_shadows(attacks: Mapping[str, Attack], shadows: ShadowOptions) -> list[str]:
    """Each attack says how many shadows it needs; under random_half each sample is in half."""
    problems = []
    for name, attack in attacks.items():
        least = attack.min_shadows
        if shadows.assignment == "random_half" and least > 1:
            least *= 2
        if shadows.count < least:
            problems.append(
                f"shadows.count: attack {name} needs at least {least}, found {shadows.count}"
            )
    return problems


def attacks_agree_on_queries(attacks: Mapping[str, Attack]) -> list[str]:
    """A query is made once, so all attacks that read it must ask the same."""
    asked = asked_queries(attacks)
    first: dict[str, str] = {}
    return [
        f"attacks.{key}: {first[query]} and {name} ask the query {query} with different values, "
        f"{shown(asked[query][key])} and {shown(value)}"
        for name, attack in attacks.items()
        for query, wanted in attack.queries().items()
        if first.setdefault(query, name) != name
        for key, value in wanted.items()
        if value != asked[query][key]
    ]


def split_fits_the_data(split: SplitOptions, outline: Outline) -> list[str]:
    """The sets and the canaries in them are as many as the data has room for."""
    return _complaint(lambda: split.canary_count(split.members(split.set_size(outline.n))))


def groups_fit_into_sets(split: SplitOptions, outline: Outline) -> list[str]:
    """Records of one group go to one set, which must hold them."""
    if split.group is None or _complaint(lambda: split.set_size(outline.n)):
        return []
    return _complaint(lambda: split.check_groups(outline.n, outline.largest_group))


def groups_are_read_by_the_source(dataset: Mapping[str, Any], split: SplitOptions) -> list[str]:
    """`split.group` is read by the data source, which must know what to do with it."""
    if split.group is None or datasets.get(dataset["name"]).group_is:
        return []
    able = ", ".join(f"{name} ({cls.group_is})" for name, cls in datasets if cls.group_is)
    return [
        f"split.group: {dataset['name']} has no groups, found {shown(split.group)}; they are read "
        f"from {able}"
    ]


def shadows_train_on_as_much_as_the_target(
    split: SplitOptions, shadows: ShadowOptions
) -> list[str]:
    """Half of the members and non-members is a whole training set, with nothing kept back."""
    if shadows.assignment != "random_half" or split.inference_share == 0:
        return []
    return [
        "split.inference_share: must be 0 with shadows.assignment random_half, or shadows train on "
        f"more than the target does, found {split.inference_share}"
    ]


def random_halves_come_in_pairs(shadows: ShadowOptions) -> list[str]:
    """A shadow and its complement."""
    if shadows.assignment != "random_half" or shadows.count % 2 == 0:
        return []
    return [
        "shadows.count: must be even with shadows.assignment random_half, so that half of them saw "
        f"each sample, found {shadows.count}"
    ]


def model_takes_the_data(model: Architecture, outline: Outline) -> list[str]:
    """Nets of convolutions need images, and large enough ones."""
    return _complaint(lambda: model.check(outline))


def crops_need_images(train: TrainOptions, outline: Outline) -> list[str]:
    """A table cannot be cropped and flipped."""
    if train.augment != "crop_flip" or outline.kind.is_image:
        return []
    return [f"train.augment: crop_flip needs images, the data are {outline.kind.word}; use none"]


def tokens_are_read_by_the_source(dataset: Mapping[str, Any], tokens: bool) -> list[str]:
    """Data that are said to be token ids come from a source that has the key."""
    if not tokens or "tokens" in dataset:
        return []
    return [
        "dataset.tokens: token ids are read from npz alone, found dataset.name "
        f"{dataset['name']}; set it to false"
    ]


def defense_takes_the_data(defense: Defense, outline: Outline) -> list[str]:
    """Some thresholds depend on how many classes there are, some steps on numbers as inputs."""
    return defense.check(outline.classes) + defense.check_kind(outline.kind)


def defense_takes_the_training(defense: Defense, train: TrainOptions, members: int) -> list[str]:
    """Some schedules depend on epochs, precision and the size of the training set."""
    return defense.check_training(train, members)


def reference_set_is_there(defense: Defense, defense_name: str, split: SplitOptions) -> list[str]:
    """Some defenses train on non-members too, the reference set."""
    if not defense.needs_inference or split.has_inference:
        return []
    return [
        f"defense.name: {defense_name} needs a reference set; set split.scheme to past or "
        "relaxloss, or split.inference_share above 0"
    ]


def queries_take_the_data(attacks: Mapping[str, Attack], outline: Outline) -> list[str]:
    """Shifts and rotations need images."""
    return [
        line
        for query, options in asked_queries(attacks).items()
        for line in queries.get(query)(**options).check(outline)
    ]


def attacks_find_their_signals(attacks: Mapping[str, Attack], outline: Outline) -> list[str]:
    """There is no gradient at inputs that are no numbers."""
    return [
        f"attacks.names: {name} needs the gradient at the input, which {outline.kind.word} do not "
        f"have; use {signal.replace('_x_', '_w_')}"
        for name, attack in attacks.items()
        for signal in sorted(set(attack.needs) & set(outline.kind.missing_signals))
    ]


def halves_are_not_empty(split: SplitOptions, members: int, attacker: AttackerOptions) -> list[str]:
    """Partial knowledge halves the members twice, and bounding epsilon once."""
    least = 4 if attacker.knowledge == "partial" else 2
    try:
        left = members - split.canary_count(members)
    except ValueError:  # said by split_fits_the_data
        return []
    if left >= least:
        return []
    return [
        f"split.size: the audit needs at least {least} members and non-members without a wrong "
        f"label, found {left}"
    ]


def _complaint(check: Callable[[], object]) -> list[str]:
    """What a check raises, as a line."""
    try:
        check()
    except ValueError as error:
        return [str(error)]
    return []


RULES: tuple[Callable[..., list[str]], ...] = (
    attacks_fit_the_shadows,
    enough_shadows,
    attacks_agree_on_queries,
    split_fits_the_data,
    groups_are_read_by_the_source,
    groups_fit_into_sets,
    shadows_train_on_as_much_as_the_target,
    random_halves_come_in_pairs,
    model_takes_the_data,
    crops_need_images,
    tokens_are_read_by_the_source,
    defense_takes_the_data,
    defense_takes_the_training,
    reference_set_is_there,
    queries_take_the_data,
    attacks_find_their_signals,
    halves_are_not_empty,
)
