"""PyYAML under the rules DVC applies: YAML 1.2 scalars, and a duplicate key is an error.

Plain PyYAML is YAML 1.1: it reads `1e-3` as text, `no` as False, `010` as 8, `12:30` as 750, and
lets the last of two equal keys win silently. DVC reads params.yaml with another library; a test
holds this loader against it.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from typing import Any

import yaml

TAG = "tag:yaml.org,2002:"
PATTERNS = (  # tag, pattern, first characters
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?(?:0b[01_]+|0o[0-7_]+|0x[0-9a-fA-F_]+|[0-9_]+)", "-+0123456789"),
    (
        "float",
        r"[-+]?[0-9][0-9_]*(?:\.[0-9_]*(?:[eE][-+]?[0-9]+)?|[eE][-+]?[0-9]+)"
        r"|[-+]?\.[0-9_]+(?:[eE][-+][0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        "-+.0123456789",
    ),
)
KEPT = ("null", "timestamp", "merge", "value")  # the same in both versions


class Loader(yaml.SafeLoader):
    """SafeLoader that resolves plain scalars as YAML 1.2 does and refuses duplicate keys."""

    yaml_implicit_resolvers = {  # noqa: RUF012 (PyYAML's way of setting it)
        first: [pair for pair in pairs if pair[0].removeprefix(TAG) in KEPT]
        for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Check the keys as they are written, before a merge (`<<`) adds others."""
        seen: set[Hashable] = set()
        for key_node, _ in node.value:
            if key_node.tag == f"{TAG}merge":
                continue
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                continue  # PyYAML refuses it
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f'found duplicate key "{key}"', key_node.start_mark
                )
            seen.add(key)
        super().flatten_mapping(node)


def _integer(loader: Loader, node: yaml.ScalarNode) -> int:
    text = loader.construct_scalar(node).replace("_", "").lower()
    sign, digits = (-1 if text.startswith("-") else 1), text.lstrip("+-")
    base = {"0b": 2, "0o": 8, "0x": 16}.get(digits[:2], 10)
    return sign * int(digits if base == 10 else digits[2:], base)


def _number(loader: Loader, node: yaml.ScalarNode) -> float:
    text = loader.construct_scalar(node).replace("_", "").lower()
    return float(text.replace(".inf", "inf").replace(".nan", "nan"))


for _tag, _pattern, _first in PATTERNS:
    Loader.add_implicit_resolver(TAG + _tag, re.compile(f"^(?:{_pattern})$"), list(_first))
Loader.add_constructor(TAG + "int", _integer)
Loader.add_constructor(TAG + "float", _number)


def load(text: str) -> Any:
    """The value of a YAML document; yaml.YAMLError or ValueError where it breaks a rule."""
    return yaml.load(text, Loader)
