"""params.yaml as a whole: checked, then cut into one small file a consumer.

What holds between sections is in rules.py.

Only *active* settings reach those files, so changing a key of a defense that is not in use changes
none of them, and no later stage runs.
"""

from __future__ import annotations

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
    AcceptOptions,
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
from nonmember.registry import Registry
from nonmember.rules import Setup, asked_queries, problems_between
from nonmember.settings import Settings
from nonmember.task import TrainOptions

T = TypeVar("T")
QUEUED = "queued runs see files that git or DVC tracks only: track the data, or give a path from /"
SECTIONS = (
    "seed", "compute", "dataset", "split", "model", "train", "defense", "shadows", "attacks",
    "metrics", "records",
)  # fmt: skip
FIXED: dict[str, type[Settings]] = {  # sections whose keys do not depend on a name
    "compute": ComputeOptions,
    "split": SplitOptions,
    "train": TrainOptions,
    "shadows": ShadowOptions,
    "metrics": MetricOptions,
    "records": RecordOptions,
}


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
        """File name -> content; {} with `problems` extended."""
        seed, fixed = self._seed(), self._fixed()
        dataset = self._dataset(fixed["split"])
        model = self._part("model", architectures)
        defense = self._part("defense", defenses)
        chosen, attacker = self._attacks(), self._attacker()
        setup = Setup(
            dataset=dataset or None,
            tokens=self._written("dataset").get("tokens") is True,
            outline=self._outline(dataset) if dataset else None,
            split=fixed["split"],
            train=fixed["train"],
            shadows=fixed["shadows"],
            attacker=attacker,
            model=_build(architectures, model) if model else None,
            defense=_build(defenses, defense) if defense else None,
            defense_name=defense.get("name"),
            attacks={name: attacks.get(name)(**options) for name, options in chosen.items()},
        )
        self.problems += problems_between(setup)
        if self.problems or setup.outline is None or attacker is None:
            return {}
        active = _Active(
            seed=seed,
            fixed=fixed,
            dataset=dataset,
            model=model,
            defense=_settled(defense, setup.outline.classes),
            attacks=chosen,
            attacker=attacker.model_dump(mode="json"),
        )
        return active.content(setup)

    def _fixed(self) -> dict[str, Any]:
        """The sections with a fixed set of keys; None for one with problems."""
        return {
            name: check_fixed(name, self.values.get(name), schema, self.problems)
            for name, schema in FIXED.items()
        }

    def _dataset(self, split: SplitOptions | None) -> dict[str, Any]:
        """The active data source, with the group that it is to read."""
        dataset = self._part("dataset", datasets, ("name", "path", "accept"))
        accept: AcceptOptions | None = check_fixed(
            "dataset",
            {k: v for k, v in self._written("dataset").items() if k == "accept"},
            AcceptOptions,
            self.problems,
        )
        if dataset:
            dataset["accept"] = [] if accept is None else accept.accept
        if dataset and split and split.group and datasets.get(dataset["name"]).group_is:
            dataset["group"] = split.group
        return dataset

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
            if path.startswith("~"):
                whole = Path(path).expanduser()
                self.problems.append(f"{section}.path: DVC knows no ~, write {whole}, found {path}")
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
            self.problems.append(
                f"attacks.names: must be a list of some of {', '.join(attacks.names())}, found "
                f"{shown(names)}"
            )
            return {}
        chosen = {}
        for name in names:
            if choose("attacks.names", name, attacks, self.problems) and name in checked:
                chosen[name] = checked[name].model_dump(mode="json")
        doubles = sorted({str(name) for name in names if names.count(name) > 1})
        self.problems.extend(f"attacks.names: '{name}' is there twice" for name in doubles)
        return chosen

    def _attacker(self) -> AttackerOptions | None:
        """What the attacker knows: the keys of `attacks` that belong to no attack."""
        written = self._written("attacks")
        own = {key: value for key, value in written.items() if key in AttackerOptions.model_fields}
        options: AttackerOptions | None = check_fixed(
            "attacks", own, AttackerOptions, self.problems
        )
        return options

    def _written(self, section: str) -> dict[str, Any]:
        """A section as it stands in the file, {} if it is none."""
        values = self.values.get(section)
        return values if isinstance(values, dict) else {}

    def _outline(self, dataset: dict[str, Any]) -> Outline | None:
        """The size of the data; None, with `problems` extended, if it cannot be read."""
        source, path = _build(datasets, dataset), Path(dataset["path"])
        problems = source.check(path)
        if problems and not path.exists() and _queued(Path.cwd()):
            problems = [f"{line}; {QUEUED}" for line in problems]
        self.problems += problems
        if problems:
            return None
        try:
            return source.outline(path)
        except (OSError, ValueError) as error:
            self.problems.append(str(error))
            return None


def _queued(place: Path) -> bool:
    """Whether DVC runs an experiment from its queue, or with --temp, in a copy of the folder."""
    parts = place.parts
    return any(parts[i : i + 3] == (".dvc", "tmp", "exps") for i in range(len(parts)))


def _settled(defense: dict[str, Any], classes: int) -> dict[str, Any]:
    """A defense's active settings with every number that depends on the classes filled in."""
    options = _build(defenses, defense).settle(classes)
    return {"name": defense["name"], **options.model_dump(mode="json")}


@dataclass(frozen=True, kw_only=True)
class _Active:
    """All active settings, without problems, and what they are written as."""

    seed: int
    fixed: dict[str, Settings]
    dataset: dict[str, Any]
    model: dict[str, Any]
    defense: dict[str, Any]
    attacks: dict[str, dict[str, Any]]
    attacker: dict[str, Any]

    def content(self, setup: Setup) -> dict[str, Any]:
        """File name of data/config -> its content."""
        dump = {name: part.model_dump(mode="json") for name, part in self.fixed.items()}
        plain = {"name": "none"}
        recipe = {"seed": self.seed, "model": self.model, "train": dump["train"]}
        needs = {signal for attack in setup.attacks.values() for signal in attack.needs}
        return {
            "dataset": self.dataset,
            "split": {"seed": self.seed, **dump["split"]},
            "undefended": {**recipe, "defense": plain},
            "defended": {**recipe, "defense": self.defense},
            "stamp_undefended": self.stamp(plain),
            "stamp_defended": self.stamp(self.defense),
            "shadows": dump["shadows"],
            "signals": {
                "names": sorted({*needs, "logits", "feature_norm"}),
                "queries": dict(sorted(asked_queries(setup.attacks).items())),
                "seed": self.seed,
            },
            "attacks": {
                "seed": self.seed,
                **self.attacker,
                "accept": self.dataset["accept"],
                "attacks": self.attacks,
                "metrics": dump["metrics"],
            },
        }

    def stamp(self, defense: dict[str, Any]) -> dict[str, Any]:
        """For an arm with this defense: the seed, and the settings that differ from their defaults
        and change a number."""
        changed: dict[str, Any] = {}
        parts: dict[str, tuple[dict[str, Any], Registry[Any]]] = {
            "dataset": (self.dataset, datasets),
            "model": (self.model, architectures),
            "defense": (defense, defenses),
        }
        for section, (active, registry) in parts.items():
            changed[f"{section}.name"] = active["name"]
            changed |= _differing_part(section, active, registry)
        for section, options in self.fixed.items():
            if section not in ("compute", "records"):
                changed |= _differing(section, options.model_dump(mode="json"), type(options)())
        changed["attacks.names"] = list(self.attacks)
        for name, values in self.attacks.items():
            changed |= _differing("attacks", values, attacks.get(name).Options())
        changed |= _differing("attacks", self.attacker, AttackerOptions())
        return {"seed": self.seed, "settings": changed}


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
