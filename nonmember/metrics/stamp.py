"""What numbers are of: data, sizes, settings, versions, code; no clock, so equal runs are equal."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict


class Origin(BaseModel):
    """The part of a stamp that is known before anything trains.

    data, sha256: name and content of the prepared data, n records in `classes` classes, `groups`
    of records that belong together (None: each is its own). members, non_members: the target's.
    settings: active keys of params.yaml that differ from their defaults.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: str
    sha256: str
    n: int
    classes: int
    groups: int | None = None
    members: int
    non_members: int
    seed: int
    settings: dict[str, Any]

    def line(self) -> str:
        """The origin in a line, its settings left out."""
        return (
            f"data {self.data} ({self.sha256[:8]}), {self.n} records, {self.classes} classes · "
            f"{self.members} members, {self.non_members} non-members · seed {self.seed}"
        )

    def changed(self) -> str:
        """The settings that differ from the defaults, in a line."""
        shown = "; ".join(f"{key} {_short(value)}" for key, value in self.settings.items())
        return f"settings that differ from the defaults: {shown or 'none'}"


class Stamp(Origin):
    """An origin, and what made the numbers of it.

    versions: of nonmember, torch and numpy. model: the target's fingerprint, which covers its
    training's code. code: that of the attacks and metrics.
    """

    versions: dict[str, str]
    model: str
    code: str

    def line(self) -> str:
        """All but the settings, in a line: it stands under tables and in a corner of pictures."""
        versions = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        return f"{super().line()} · {versions} · model {self.model[:8]}, code {self.code[:8]}"

    def key(self) -> str:
        """Data, model and code by the first digits of their hashes: as narrow as DVC's tables."""
        return f"{self.sha256[:8]} {self.model[:8]} {self.code[:8]}"

    def short(self) -> str:
        """For the corner of a picture of both arms."""
        version = self.versions.get("nonmember", "")
        return f"{Origin.line(self)} · nonmember {version}, code {self.code[:8]}"

    def problems(self, present: Origin) -> list[str]:
        """In what the present data and settings differ from those of these numbers."""
        own, now = self.model_dump(include=set(Origin.model_fields)), present.model_dump()
        mine, theirs = own.pop("settings"), now.pop("settings")
        return [
            f"{key} was {_whole(values, key)}, is {_whole(others, key)}"
            for values, others in ((own, now), (mine, theirs))
            for key in {**values, **others}
            if values.get(key, _NOTHING) != others.get(key, _NOTHING)
        ]


_NOTHING = object()  # unlike null, which is a value


def _short(value: Any) -> str:
    """A setting; of a list of many names the first two."""
    if isinstance(value, list) and len(value) > 3:
        return f"{_text(value[0])}, {_text(value[1])}, … ({len(value)})"
    return _text(value)


def _whole(values: Mapping[str, Any], key: str) -> str:
    """A value in full, or that it is the default; of a sha256 the first digits."""
    if key not in values:
        return "the default"
    return values[key][:8] if key == "sha256" else _text(values[key])


def _text(value: Any) -> str:
    """As params.yaml would have it, without quotes."""
    return json.dumps(value, ensure_ascii=False).replace('"', "")
