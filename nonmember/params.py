"""The schema of params.yaml: every problem in one message, before anything runs.

The file is read with PyYAML under the rules DVC itself applies (YAML 1.2: `1e-3` is a number,
`no` a string, a duplicate key an error), so both see the same values.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, Field, ValidationError

from nonmember.compute import ComputeOptions
from nonmember.registry import Registry
from nonmember.settings import Settings


class ParamsError(ValueError):
    """Everything that is wrong with params.yaml, one `key: problem, found value` a line."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        lines = "\n".join(f"  {problem}" for problem in problems)
        super().__init__(f"params.yaml has {len(problems)} problem(s):\n{lines}")


class ShadowOptions(Settings):
    """The `shadows` section of params.yaml."""

    count: int = Field(3, ge=1, description="models of the attacker")


class MetricOptions(Settings):
    """The `metrics` section of params.yaml."""

    min_false_positives: int = Field(
        10, ge=1, description="a TPR at an FPR is 'not supported' if it rests on fewer"
    )


class Loader(yaml.SafeLoader):
    """PyYAML's SafeLoader with YAML 1.2's core rules for scalars, refusing duplicate keys."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """As in PyYAML; ConstructorError on a key that is there twice."""
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"duplicate key '{key}'", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        """Decimal (leading zeros allowed), 0o octal, 0x hexadecimal."""
        text = self.construct_scalar(node)
        sign, digits = (-1 if text.startswith("-") else 1), text.lstrip("+-")
        base = {"0o": 8, "0x": 16}.get(digits[:2], 10)
        return sign * int(digits if base == 10 else digits[2:], base)


def _resolve(tag: str, pattern: str, first: str) -> None:
    Loader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(f"^(?:{pattern})$"), first)


_resolve("null", "~|null|Null|NULL|", "~nN\0")
Loader.yaml_implicit_resolvers.setdefault("", []).extend(Loader.yaml_implicit_resolvers["\0"])
_resolve("bool", "true|True|TRUE|false|False|FALSE", "tTfF")
_resolve("int", "[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789")
_resolve(
    "float",
    r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)"
    r"|\.(?:nan|NaN|NAN)",
    "-+.0123456789",
)
_resolve("merge", "<<", "<")
Loader.add_constructor("tag:yaml.org,2002:int", Loader.construct_yaml_int)


def read_yaml(path: str | Path) -> dict[str, Any]:
    """The mapping in a YAML file; ParamsError if it is no mapping or breaks a rule."""
    try:
        value = yaml.load(Path(path).read_text(), Loader)  # noqa: S506 (a SafeLoader)
    except yaml.YAMLError as error:
        raise ParamsError([f"{path}: {' '.join(str(error).split())}"]) from error
    except FileNotFoundError as error:
        raise ParamsError([f"{path}: there is no such file"]) from error
    if not isinstance(value, dict):
        raise ParamsError([f"{path}: must be a mapping of sections, found {value!r}"])
    return value


def problems_of(section: str, error: ValidationError) -> list[str]:
    """pydantic's findings as `section.key: problem, found value` lines."""
    lines = []
    for item in error.errors(include_url=False):
        place = [str(part) for part in item["loc"] if isinstance(part, int) or part.isidentifier()]
        key = ".".join([section, *_drop_union_tags(place)])
        text = item["msg"].removeprefix("Value error, ")
        text = text[0].lower() + text[1:]
        lines.append(text if text.startswith(f"{section}.") else f"{key}: {text}{_found(item)}")
    return list(dict.fromkeys(lines))


def _drop_union_tags(place: list[str]) -> list[str]:
    return [part for part in place if part not in {"int", "float", "str", "constrained"}]


def _found(item: Any) -> str:
    if item["type"] == "missing" or isinstance(item["input"], (dict, BaseModel)):
        return ""
    return f", found {item['input']!r}"


def check_fixed(section: str, values: Any, schema: type[Settings], problems: list[str]) -> Any:
    """A section with a fixed set of keys -> its settings, or None with `problems` extended."""
    if values is None:
        values = {}
    if not isinstance(values, dict):
        problems.append(f"{section}: must be a mapping, found {values!r}")
        return None
    unknown = [key for key in values if key not in schema.model_fields]
    problems.extend(_unknown(section, key, list(schema.model_fields)) for key in unknown)
    try:
        return schema(**{str(k): v for k, v in values.items() if k not in unknown})
    except ValidationError as error:
        problems.extend(problems_of(section, error))
        return None


def _unknown(section: str, key: Any, known: list[str]) -> str:
    close = difflib.get_close_matches(str(key), known, n=1)
    hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(sorted(known))}"
    return f"{section}.{key}: unknown key ({hint})"


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
    if not isinstance(values, dict):
        problems.append(f"{section}: must be a mapping with a name, found {values!r}")
        return {}
    options = {name: cls.Options for name, cls in registry}
    known = {key for schema in options.values() for key in schema.model_fields} | set(fixed)
    problems.extend(_unknown(section, key, sorted(known)) for key in values if key not in known)
    checked = {}
    found: list[str] = []
    for name, schema in options.items():
        mine = {key: values[key] for key in schema.model_fields if key in values}
        try:
            checked[name] = schema(**mine)
        except ValidationError as error:
            found.extend(problems_of(section, error))
    problems.extend(dict.fromkeys(found))
    return checked


def choose(section: str, name: Any, registry: Registry[Any], problems: list[str]) -> str | None:
    """`name` if the registry has it, else None with a problem listing the known names."""
    known = registry.names()
    if name in known:
        return str(name)
    problems.append(f"{section}: unknown {registry.kind} {name!r}, known: {', '.join(known)}")
    return None


def read_compute(path: str | Path = "params.yaml") -> ComputeOptions:
    """The `compute` section alone, for the stages that train; ParamsError if it is wrong."""
    problems: list[str] = []
    options = check_fixed("compute", read_yaml(path).get("compute"), ComputeOptions, problems)
    if problems:
        raise ParamsError(problems)
    return options
