"""params.yaml as a whole: checked together, then cut into one small file a consumer.

Only *active* settings reach those files, so changing a key of a defense that is not in use changes
none of them, and no later stage runs.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from nonmember import files
from nonmember.architectures import architectures
from nonmember.attacks import attacks
from nonmember.compute import ComputeOptions
from nonmember.data.splits import SplitOptions
from nonmember.datasets import Outline, datasets
from nonmember.defenses import defenses
from nonmember.params import (
    AttackerOptions,
    MetricOptions,
    ParamsError,
    RecordOptions,
    ShadowOptions,
    check_fixed,
    check_parts,
    choose,
    read_yaml,
    shown,
    unknown_key,
)
from nonmember.queries import queries
from nonmember.registry import Registry
from nonmember.settings import Settings
from nonmember.task import TrainOptions

T = TypeVar("T")
SECTIONS = (
    "seed", "compute", "dataset", "split", "model", "train", "defense", "shadows", "attacks",
    "metrics", "records",
)  # fmt: skip


def make(path: str | Path = "params.yaml") -> dict[str, Any]:
    """Check the file and return file name -> content for `data/config/`.

    Raises ParamsError with every problem that can be found without training.
    """
    values = read_yaml(path)
    problems = [unknown_key("", key, SECTIONS) for key in values if key not in SECTIONS]
    check = _Checker(values, problems)
    content = check.content()
    if problems:
        raise ParamsError(problems)
    return content


def write(place: Path) -> None:
    """params.yaml of a folder -> its data/config/*.json; ParamsError as `make`."""
    for name, content in make(place / "params.yaml").items():
        files.write_json(place / f"data/config/{name}.json", content)


class _Checker:
    """One pass over the sections, collecting problems."""

    def __init__(self, values: dict[str, Any], problems: list[str]) -> None:
        self.values = values
        self.problems = problems

    def content(self) -> dict[str, Any]:
        seed = self._seed()
        fixed = {
            name: check_fixed(name, self.values.get(name), schema, self.problems)
            for name, schema in (
                ("compute", ComputeOptions),
                ("split", SplitOptions),
                ("train", TrainOptions),
                ("shadows", ShadowOptions),
                ("metrics", MetricOptions),
                ("records", RecordOptions),
            )
        }
        dataset = self._part("dataset", datasets, ("name", "path"))
        model = self._part("model", architectures)
        defense = self._part("defense", defenses)
        chosen = self._attacks()
        attacker = self._attacker()
        self._possible(chosen, fixed["shadows"])
        asked = self._queries(chosen)
        outline = self._outline(dataset) if dataset else None
        self._together(dataset, model, defense, asked, fixed, outline)
        if outline and fixed["split"]:
            self._halves(outline.n, attacker, fixed["split"])
        if self.problems:
            return {}
        dump = {name: part.model_dump(mode="json") for name, part in fixed.items()}
        recipe = {"seed": seed, "model": model, "train": dump["train"]}
        settings = _Changed(seed, fixed, {"dataset": dataset, "model": model}, chosen, attacker)
        needs = sorted({signal for name in chosen for signal in attacks.get(name).needs})
        return {
            "dataset": dataset,
            "split": {"seed": seed, **dump["split"]},
            "undefended": {**recipe, "defense": {"name": "none"}},
            "defended": {**recipe, "defense": defense},
            "stamp_undefended": settings.of({"name": "none"}),
            "stamp_defended": settings.of(defense),
            "shadows": dump["shadows"],
            "signals": {
                "names": sorted({*needs, "logits", "feature_norm"}),
                "queries": dict(sorted(asked.items())),
                "seed": seed,
            },
            "attacks": {"seed": seed, **attacker, "attacks": chosen, "metrics": dump["metrics"]},
        }

    def _seed(self) -> int:
        seed = self.values.get("seed", 0)
        if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**31:
            self.problems.append(
                f"seed: must be a whole number from 0 to 2^31 - 1, found {shown(seed)}"
            )
            return 0
        return seed

    def _part(
        self, section: str, registry: Any, fixed: tuple[str, ...] = ("name",)
    ) -> dict[str, Any]:
        """A section with a `name` -> the active settings, with the name."""
        values = self.values.get(section)
        checked = check_parts(section, values, registry, self.problems, fixed)
        if not isinstance(values, dict):
            return {}
        name = choose(f"{section}.name", values.get("name"), registry, self.problems)
        if name is None or name not in checked:
            return {}
        active = {"name": name, **checked[name].model_dump(mode="json")}
        base_key = getattr(registry.get(name), "base_key", "")
        base = active.get(base_key)
        if isinstance(base, str) and base in checked:
            active[base_key] = {"name": base, **checked[base].model_dump(mode="json")}
        if "path" in fixed:
            path = values.get("path", "data/raw")
            if not isinstance(path, str):
                self.problems.append(f"{section}.path: must be text, found {shown(path)}")
                return {}
            active["path"] = path
        return active

    def _attacks(self) -> dict[str, dict[str, Any]]:
        """The active attacks, in the order of params.yaml, each with its settings."""
        values = self.values.get("attacks")
        others = ("names", *AttackerOptions.model_fields)
        checked = check_parts("attacks", values, attacks, self.problems, others)
        if not isinstance(values, dict):
            return {}
        names = values.get("names")
        if not isinstance(names, list) or not names:
            known = ", ".join(attacks.names())
            self.problems.append(
                f"attacks.names: must be a list of some of {known}, found {shown(names)}"
            )
            return {}
        chosen = {}
        for name in names:
            if choose("attacks.names", name, attacks, self.problems) and name in checked:
                chosen[name] = checked[name].model_dump(mode="json")
        doubles = sorted({str(name) for name in names if names.count(name) > 1})
        self.problems.extend(f"attacks.names: '{name}' is there twice" for name in doubles)
        return chosen

    def _attacker(self) -> dict[str, Any]:
        """What the attacker knows: the keys of `attacks` that belong to no attack."""
        values = self.values.get("attacks")
        own = {k: v for k, v in (values if isinstance(values, dict) else {}).items()
               if k in AttackerOptions.model_fields}  # fmt: skip
        options = check_fixed("attacks", own, AttackerOptions, self.problems)
        return {} if options is None else dict(options.model_dump(mode="json"))

    def _possible(self, chosen: dict[str, Any], shadows: ShadowOptions | None) -> None:
        """What each chosen attack says of its own settings and of the number of shadows."""
        for name, options in chosen.items():
            attack = attacks.get(name)(**options)
            if shadows is None:
                continue
            self.problems.extend(attack.check(shadows.assignment))
            least = attack.min_shadows
            if shadows.assignment == "random_half" and least > 1:
                least *= 2  # each sample is in half of them
            if shadows.count < least:
                self.problems.append(
                    f"shadows.count: attack {name} needs at least {least}, found {shadows.count}"
                )

    def _queries(self, chosen: dict[str, Any]) -> dict[str, dict[str, Any]]:
        """What the chosen attacks ask: query -> its options, in which they must agree."""
        asked: dict[str, dict[str, Any]] = {}
        by: dict[str, str] = {}
        for name, options in chosen.items():
            for query, wanted in attacks.get(name)(**options).queries().items():
                before = asked.setdefault(query, wanted)
                first = by.setdefault(query, name)
                self.problems.extend(
                    f"attacks.{key}: {first} and {name} ask the query {query} with different "
                    f"values, {shown(before[key])} and {shown(value)}"
                    for key, value in wanted.items()
                    if value != before[key]
                )
        return asked

    def _together(
        self,
        dataset: dict[str, Any],
        model: dict[str, Any],
        defense: dict[str, Any],
        asked: dict[str, dict[str, Any]],
        fixed: dict[str, Any],
        outline: Outline | None,
    ) -> None:
        """What only shows when sections meet, and when the data is looked at."""
        split, train, shadows = fixed["split"], fixed["train"], fixed["shadows"]
        if outline and split:
            self._try(lambda: split.canary_count(split.members(split.set_size(outline.n))))
        if split and shadows and shadows.assignment == "random_half":
            if split.inference_share > 0:
                self.problems.append(
                    "split.inference_share: must be 0 with shadows.assignment random_half, or "
                    f"shadows train on more than the target does, found {split.inference_share}"
                )
            if shadows.count % 2:
                self.problems.append(
                    "shadows.count: must be even with shadows.assignment random_half, so that "
                    f"half of them saw each sample, found {shadows.count}"
                )
        if outline and model:
            self._try(lambda: _build(architectures, model).check(outline.shape))
        if outline and train and train.augment == "crop_flip" and len(outline.shape) != 3:
            self.problems.append(
                f"train.augment: crop_flip needs images, '{dataset['name']}' is a table; use none"
            )
        if outline and defense:
            self.problems.extend(_build(defenses, defense).check(outline.classes))
        if outline and split and train and defense:
            with contextlib.suppress(ValueError):  # a split that is too large is said elsewhere
                members = split.members(split.set_size(outline.n))
                self.problems.extend(_build(defenses, defense).check_training(train, members))
        if outline:
            for query, options in asked.items():
                self.problems.extend(queries.get(query)(**options).check(outline.shape))
        needs_inference = defense and defenses.get(defense["name"]).needs_inference
        if needs_inference and split and not split.has_inference:
            self.problems.append(
                f"defense.name: {defense['name']} needs an inference set; set split.scheme to past "
                "or relaxloss, or split.inference_share above 0"
            )

    def _halves(self, n: int, attacker: dict[str, Any], split: SplitOptions) -> None:
        """Partial knowledge halves the members twice, and bounding epsilon once."""
        try:
            members = split.members(split.set_size(n))
            left = members - split.canary_count(members)
        except ValueError:
            return  # said before
        least = 4 if attacker.get("knowledge") == "partial" else 2
        if left < least:
            self.problems.append(
                f"split.size: the audit needs at least {least} members and non-members without a "
                f"wrong label, found {left}"
            )

    def _outline(self, dataset: dict[str, Any]) -> Outline | None:
        """The size of the data; None, with `problems` extended, if it cannot be read."""
        source, path = _build(datasets, dataset), Path(dataset["path"])
        found = source.check(path)
        self.problems.extend(found)
        return None if found else self._try(lambda: source.outline(path))

    def _try(self, check: Callable[[], T]) -> T | None:
        try:
            return check()
        except (OSError, ValueError) as error:
            self.problems.append(str(error))
            return None


@dataclass(frozen=True)
class _Changed:
    """The active settings that differ from their defaults, for the stamp of an arm."""

    seed: int
    fixed: dict[str, Settings]
    parts: dict[str, dict[str, Any]]
    attacks: dict[str, dict[str, Any]]
    attacker: dict[str, Any]

    def of(self, defense: dict[str, Any]) -> dict[str, Any]:
        """`seed` and `settings`: key of params.yaml -> value, of those that change a number."""
        found: dict[str, Any] = {}
        kinds: dict[str, Registry[Any]] = {
            "dataset": datasets,
            "model": architectures,
            "defense": defenses,
        }
        for section, active in {**self.parts, "defense": defense}.items():
            found[f"{section}.name"] = active["name"]
            found |= _differing_part(section, active, kinds[section])
        for section, options in self.fixed.items():
            if section not in ("compute", "records"):
                found |= _differing(section, options.model_dump(mode="json"), type(options)())
        found["attacks.names"] = list(self.attacks)
        for name, values in self.attacks.items():
            found |= _differing("attacks", values, attacks.get(name).Options())
        found |= _differing("attacks", self.attacker, AttackerOptions())
        return {"seed": self.seed, "settings": found}


def _differing_part(section: str, active: dict[str, Any], kind: Registry[Any]) -> dict[str, Any]:
    """Of a part and of the one that it builds on, whose keys stand beside its own."""
    cls = kind.get(active["name"])
    base_key = getattr(cls, "base_key", "")
    base = active.get(base_key)
    if not isinstance(base, dict):
        return _differing(section, active, cls.Options())
    own = _differing(section, {**active, base_key: base["name"]}, cls.Options())
    return own | _differing_part(section, base, kind)


def _differing(section: str, values: dict[str, Any], schema: Settings) -> dict[str, Any]:
    defaults = schema.model_dump(mode="json")
    return {
        f"{section}.{key}": value
        for key, value in values.items()
        if key in defaults and value != defaults[key]
    }


def _build(registry: Registry[T], active: dict[str, Any]) -> T:
    """The part that a section's active settings name."""
    options = {key: value for key, value in active.items() if key not in ("name", "path")}
    part: Callable[..., T] = registry.get(active["name"])
    return part(**options)
