"""The schema of params.yaml: every problem in one message, before anything runs.

The file is read with PyYAML under the rules DVC applies (nonmember.yaml12): `1e-3` is a number,
`no` is text, a duplicate key an error, so both see the same values.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml
from pydantic import Field, ValidationError, field_validator

from nonmember import yaml12
from nonmember.compute import ComputeOptions
from nonmember.notices import KNOWN
from nonmember.registry import Registry
from nonmember.settings import Settings

S = TypeVar("S", bound=Settings)


class ParamsError(ValueError):
    """Everything that is wrong with params.yaml, one `key: problem, found value` a line."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        lines = "\n".join(f"  {problem}" for problem in problems)
        count = "a problem" if len(problems) == 1 else f"{len(problems)} problems"
        super().__init__(f"params.yaml has {count}:\n{lines}")


class ShadowOptions(Settings):
    """The `shadows` section of params.yaml."""

    count: int = Field(
        3,
        ge=1,
        description="models of the attacker; raising it trains only the new ones (CRL uses 5)",
    )
    assignment: Literal["split", "random_half"] = Field(
        "split",
        description="split: on the attacker's data | random_half: on halves of the target's",
    )


class AcceptOptions(Settings):
    """The key of the `dataset` section that belongs to no source."""

    accept: list[str] = Field(
        default_factory=list,
        description="findings that you know and accept, by name (docs/methods.md lists them)",
    )

    @field_validator("accept")
    @classmethod
    def _known(cls, names: list[str]) -> list[str]:
        unknown = [name for name in names if name not in KNOWN]
        if unknown:
            raise ValueError(
                f"no finding is called {unknown[0]}, known: {', '.join(sorted(KNOWN))}"
            )
        return names


class AttackerOptions(Settings):
    """The keys of the `attacks` section that belong to no single attack."""

    knowledge: Literal["shadow", "partial"] = Field(
        "shadow",
        description="shadow: trains models like the target | partial: knows half of its members",
    )
    partial_splits: int = Field(
        5,
        ge=1,
        description="partial: random halves; the numbers are their mean, with the standard "
        "deviation",
    )


class MetricOptions(Settings):
    """The `metrics` section of params.yaml."""

    min_false_positives: int = Field(
        10,
        ge=1,
        description='a TPR at an FPR that rests on fewer false positives says "not supported"',
    )


class RecordOptions(Settings):
    """The `records` section of params.yaml, for `nonmember records`; it changes no result."""

    publish: bool = Field(
        False,
        description="write what names members to metrics/, which git sees; else private/, ignored",
    )


RULES = {
    "bool_type": "must be true or false",
    "dict_type": "must be a mapping",
    "finite_number": "must be a finite number",
    "float_type": "must be a number",
    "int_type": "must be a whole number",
    "list_type": "must be a list",
    "string_type": "must be text",
}
WORDING = (
    ("Value error, ", ""),
    ("Input should be greater than or equal to", "must be at least"),
    ("Input should be less than or equal to", "must be at most"),
    ("Input should", "must"),
)


def read_yaml(path: str | Path) -> dict[str, Any]:
    """The mapping in a YAML file, {} if it is empty; ParamsError if it is anything else."""
    try:
        value = yaml12.load(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ParamsError([f"{path}: there is no such file"]) from error
    except (
        yaml.YAMLError,
        ValueError,
    ) as error:  # ValueError: a date such as 2026-13-45, or no UTF-8
        raise ParamsError([f"{path}: {_yaml_problem(error)}"]) from error
    if value is not None and not isinstance(value, dict):
        raise ParamsError([f"{path}: must be a mapping of sections, found {shown(value)}"])
    return value or {}


def _yaml_problem(error: Exception) -> str:
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return " ".join(str(error).split())
    mark = error.problem_mark
    return f"line {mark.line + 1}, column {mark.column + 1}: {error.problem}"


def shown(value: Any) -> str:
    """A value as one would write it in params.yaml, text in quotes."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return repr(value) if isinstance(value, (str, list, dict)) else str(value)


def problems_of(section: str, values: Mapping[str, Any], error: ValidationError) -> list[str]:
    """pydantic's findings about `values` as `section.key: problem, found value` lines.

    A key that may have several types gives one line, about the type that fits best.
    """
    items = [(_place(values, item), item) for item in error.errors(include_url=False)]
    rules: dict[tuple[str, str], list[str]] = {}
    for place, item in items:
        if not any(place == longer[: len(place)] != longer for longer, _ in items):
            key = (".".join([section, *place]), shown(item["input"]))
            rules.setdefault(key if place else ("", ""), []).append(_rule(item))
    return [
        f"{key}: {' or '.join([first, *(r.removeprefix('must be ') for r in more)])}, found {found}"
        if key
        else first  # about several keys, which it names
        for (key, found), (first, *more) in rules.items()
    ]


def _place(values: Any, item: Any) -> tuple[str, ...]:
    """Where in `values` it is: pydantic's `loc` without the names of a union's types."""
    place: tuple[str, ...] = ()
    for part in item["loc"]:
        if part == "[key]":  # follows the key, which is text here whatever it was
            return place if place[-1] == str(item["input"]) else (*place, str(item["input"]))
        inside = part in values if isinstance(values, dict) else isinstance(part, int)
        if inside:
            place, values = (*place, str(part)), values[part]
    return place


def _rule(item: Any) -> str:
    text = RULES.get(item["type"], item["msg"])
    for before, after in WORDING:
        text = text.replace(before, after)
    return f"the key {text}" if "[key]" in item["loc"] else text


def check_fixed(section: str, values: Any, schema: type[Settings], problems: list[str]) -> Any:
    """A section with a fixed set of keys -> its settings, or None with `problems` extended.

    A section that is missing or empty has the defaults.
    """
    if values is None:
        values = {}
    if not isinstance(values, dict):
        problems.append(f"{section}: must be a mapping, found {shown(values)}")
        return None
    unknown = [key for key in values if key not in schema.model_fields]
    problems.extend(unknown_key(f"{section}.", key, schema.model_fields) for key in unknown)
    known = {key: value for key, value in values.items() if key not in unknown}
    try:
        return schema(**known)
    except ValidationError as error:
        problems.extend(problems_of(section, known, error))
        return None


def unknown_key(prefix: str, key: Any, known: Collection[str], listed: Collection[str] = ()) -> str:
    """The problem with a key: the known one it looks like, or else those `listed` (or known)."""
    close = difflib.get_close_matches(str(key), known, n=1)
    hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(sorted(listed or known))}"
    return f"{prefix}{key}: unknown key ({hint})"


def check_parts(
    section: str,
    values: Any,
    registry: Registry[Any],
    problems: list[str],
    fixed: tuple[str, ...] = ("name",),
) -> dict[str, Any]:
    """A flat section whose keys belong to the parts of a registry.

    Returns part name -> its settings for every part whose keys are all right; `problems` is
    extended by unknown keys and by what each part says of its own.
    """
    if values is None:
        names = ", ".join(registry.names())
        problems.append(f"{section}: missing; it needs {fixed[0]}, known: {names}")
    elif not isinstance(values, dict):
        problems.append(f"{section}: must be a mapping with {fixed[0]}, found {shown(values)}")
    if not isinstance(values, dict):
        return {}
    options = {name: cls.Options for name, cls in registry}
    known = {key for schema in options.values() for key in schema.model_fields} | set(fixed)
    active = options.get(str(values.get("name")))
    listed = {*fixed, *active.model_fields} if active else known
    unknown = [key for key in values if key not in known]
    problems.extend(unknown_key(f"{section}.", key, known, listed) for key in unknown)
    checked = {}
    found: list[str] = []
    for name, schema in options.items():
        mine = {key: values[key] for key in schema.model_fields if key in values}
        try:
            checked[name] = schema(**mine)
        except ValidationError as error:
            found.extend(problems_of(section, mine, error))
    problems.extend(dict.fromkeys(found))
    return checked


def choose(section: str, name: Any, registry: Registry[Any], problems: list[str]) -> str | None:
    """`name` if the registry has it, else None with a problem listing the known names."""
    known = registry.names()
    if name in known:
        return str(name)
    problems.append(f"{section}: unknown {registry.kind} {shown(name)}, known: {', '.join(known)}")
    return None


def read_compute(path: str | Path = "params.yaml") -> ComputeOptions:
    """The `compute` section alone, for the stages that use it; ParamsError if it is wrong."""
    return _read_section(path, "compute", ComputeOptions)


def read_records(path: str | Path = "params.yaml") -> RecordOptions:
    """The `records` section alone; ParamsError if it is wrong."""
    return _read_section(path, "records", RecordOptions)


def _read_section(path: str | Path, section: str, schema: type[S]) -> S:
    problems: list[str] = []
    options: S = check_fixed(section, read_yaml(path).get(section), schema, problems)
    if problems:
        raise ParamsError(problems)
    return options
