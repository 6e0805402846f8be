"""Write the comments of params.yaml from the settings classes; a test checks that they are current.

Run:    python -m docs.params
Reads:  params.yaml (its layout, its section comments and its values), the `Options` of every part
Writes: params.yaml, with one comment a key: `key: value # sentence`

A value that is not the default of its key says why: `# sentence; default …: REASONS[section.key]`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from pydantic.fields import FieldInfo

from nonmember import yaml12
from nonmember.architectures import architectures
from nonmember.attacks import attacks
from nonmember.compute import ComputeOptions
from nonmember.data.splits import SplitOptions
from nonmember.datasets import datasets
from nonmember.defenses import defenses
from nonmember.params import (
    AcceptOptions,
    AttackerOptions,
    MetricOptions,
    RecordOptions,
    ShadowOptions,
)
from nonmember.registry import Registry
from nonmember.settings import Settings
from nonmember.task import TrainOptions

FILE = Path(__file__).parent.parent / "params.yaml"
SECTIONS: dict[str, list[type[Settings] | Registry[Any]]] = {
    "compute": [ComputeOptions],
    "dataset": [AcceptOptions, datasets],
    "split": [SplitOptions],
    "model": [architectures],
    "train": [TrainOptions],
    "defense": [defenses],
    "shadows": [ShadowOptions],
    "attacks": [AttackerOptions, attacks],
    "metrics": [MetricOptions],
    "records": [RecordOptions],
}
# Keys that belong to no settings class.
SENTENCES = {
    "seed": "of the split, of every model and of the attacks",
    "dataset.name": " | ".join(datasets.names()),
    "dataset.path": "image_folder: the folder; csv, npz: the file; others: where archives are kept",
    "model.name": " | ".join(architectures.names()),
    "defense.name": "one file each in nonmember/defenses, listed in docs/defenses.md",
}
# Why params.yaml ships another value than a key's default.
REASONS = {
    "defense.alpha_rce": "here tuned on shoppers",
    "defense.relax_alpha": "here tuned on shoppers",
    "defense.ccl_beta": "weight decay outweighs it on shoppers",
    "defense.past_lambda": "here tuned on shoppers",
}
LINE = re.compile(r"(?P<indent> *)(?P<name>\w+): (?P<value>[^#\n]*[^#\s])(?: +#.*)?")


def fields() -> dict[str, FieldInfo]:
    """`section.key` -> its field, of all sections and parts."""
    found: dict[str, FieldInfo] = {}
    for section, sources in SECTIONS.items():
        for source in sources:
            parts = [cls.Options for _, cls in source] if isinstance(source, Registry) else [source]
            for part in parts:
                found.update({f"{section}.{key}": f for key, f in part.model_fields.items()})
    return found


def lines(text: str) -> Iterator[tuple[str, str, re.Match[str] | None]]:
    """(line, section.key, match) of each line; "" and None for one that gives no key a value."""
    section = ""
    for line in text.splitlines():
        section = line.partition(":")[0] if re.match(r"\w+:", line) else section
        match = LINE.fullmatch(line)
        if match is None:
            yield line, "", None
        else:
            place = f"{section}.{match['name']}" if match["indent"] else match["name"]
            yield line, place, match


def written(text: str) -> str:
    """The file as it should be: a new comment on each key, all else as it is."""
    known, out = fields(), []
    for line, place, match in lines(text):
        if match is None:
            out.append(line)
            continue
        said = SENTENCES.get(place) or sentence(place, yaml12.load(match["value"]), known[place])
        out.append(f"{match['indent']}{match['name']}: {match['value']} # {said}")
    return "\n".join(out) + "\n"


def sentence(place: str, value: Any, field: FieldInfo) -> str:
    """What a key means, its choices where that does not name them, why it is not the default."""
    said = field.description or ""
    choices = [str(c) for c in get_args(field.annotation) if isinstance(c, str | int)]
    if any(not re.search(rf"\b{re.escape(choice)}\b", f"{said} {value}") for choice in choices):
        said = f"{said}: {' | '.join(choices)}"
    if value == default(field):
        return said
    return f"{said}; default {json.dumps(default(field))}: {REASONS.get(place, 'no reason given')}"


def default(field: FieldInfo) -> Any:
    """The value a key has where the file leaves it out."""
    return field.get_default(call_default_factory=True)


def changed(text: str) -> set[str]:
    """The `section.key` of each value that is not its key's default."""
    known = fields()
    return {
        place
        for _, place, match in lines(text)
        if match and place in known and yaml12.load(match["value"]) != default(known[place])
    }


if __name__ == "__main__":
    FILE.write_text(written(FILE.read_text(encoding="utf-8")), encoding="utf-8")
