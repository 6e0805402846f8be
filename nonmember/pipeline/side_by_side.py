"""Several defenses on the data of params.yaml: each a row, with the pipeline run in its own folder.

Every row has the keys that params.yaml gives its defense, and everything else alike: data, split,
seeds, attacks. Trainings share the store with `dvc repro`. A row that cannot run says why.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import yaml

from nonmember import config, files, fingerprint, yaml12
from nonmember.attacks import attacks
from nonmember.defenses import defenses
from nonmember.metrics.report import AuditReport
from nonmember.params import read_yaml
from nonmember.pipeline.attack import attack
from nonmember.pipeline.extract import extract
from nonmember.pipeline.prepare import prepare
from nonmember.pipeline.split import split
from nonmember.pipeline.train import target_task, train_shadows, train_target
from nonmember.queries import queries
from nonmember.task import Task
from nonmember.training import fingerprint as of_training
from nonmember.training.build import build_defense
from nonmember.training.store import Store


class _Quoting(yaml.SafeDumper):
    """Text in quotes: PyYAML leaves them off where it, but not DVC, would read text."""


_Quoting.add_representer(
    str, lambda dumper, text: dumper.represent_scalar(f"{yaml12.TAG}str", text, style='"')
)


@dataclass(frozen=True)
class Entry:
    """One row: a defense and the keys in which it differs from params.yaml."""

    defense: str
    changes: tuple[tuple[str, Any], ...] = ()

    def __str__(self) -> str:
        return " ".join([self.defense, *(f"{key}={value}" for key, value in self.changes)])

    def applied(self, params: Mapping[str, Any]) -> bytes:
        """params.yaml of this row."""
        changed = dict(params)
        if isinstance(changed.get("defense"), dict):  # else it is `config` that says so
            own = {**dict(self.changes), "name": self.defense}
            changed["defense"] = {**changed["defense"], **own}
        return yaml.dump(changed, Dumper=_Quoting, sort_keys=False).encode()

    @property
    def folder(self) -> str:
        """A name for its folder."""
        if not self.changes:
            return self.defense
        digest = hashlib.sha256(str(self).encode()).hexdigest()[:12]
        return f"{self.defense}-{digest}"


def entries(text: str) -> list[Entry]:
    """`crl:alpha_rce=0.6,1.0` -> its rows. ValueError naming what is unknown."""
    name, *settings = text.split(":")
    if name not in defenses.names():
        raise ValueError(f"unknown defense {name!r}, known: {', '.join(defenses.names())}")
    cls, keys, values = defenses.get(name), [], []
    for setting in settings:
        key, equals, several = setting.partition("=")
        # The base's keys apply to a defense on top of another.
        if not equals or not (key in cls.Options.model_fields or cls.base_key):
            known = ", ".join(cls.Options.model_fields) or "none"
            raise ValueError(f"{text}: must be {name}:key=value,value…, keys of {name}: {known}")
        if key in keys:
            raise ValueError(f"{text}: {key} is there twice")
        keys.append(key)
        values.append([parsed(value, text) for value in several.split(",")])
    return [Entry(name, tuple(zip(keys, chosen, strict=True))) for chosen in product(*values)]


def parsed(value: str, source: str) -> Any:
    """A value as params.yaml would have it; ValueError naming where it stands."""
    try:
        return yaml12.load(value)
    except yaml.YAMLError as error:
        raise ValueError(f"{source}: the value is no YAML ({error.args[0]})") from error


class Place:
    """A folder where the stages run for one row, beside the others' under `work/compare`."""

    def __init__(self, folder: Path, params: dict[str, Any], entry: Entry) -> None:
        self.folder, self.entry = folder, entry
        self.arm = "undefended" if entry.defense == "none" else "defended"
        folder.mkdir(parents=True, exist_ok=True)
        files.write_bytes(folder / "params.yaml", entry.applied(params))

    def share(self, name: str, source: Place) -> None:
        """Use another place's file or folder."""
        target = self.folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.is_symlink():
            target.symlink_to((source.folder / name).resolve())

    def audit(self) -> AuditReport:
        """Train, extract and attack, unless the same was done here before."""
        train_target(self.folder, self.arm)
        train_shadows(self.folder, self.arm)
        seal, done = self.folder / "done", self._identity()
        if not (seal.is_file() and seal.read_text() == done):
            extract(self.folder, self.arm)
            attack(self.folder, self.arm)
            files.write_bytes(seal, done.encode())
        return AuditReport.read(self.folder / f"metrics/{self.arm}/report.json")

    def _identity(self) -> str:
        parts = [f"nonmember.attacks.{name}" for name in attacks.names()]
        parts += [f"nonmember.queries.{name}" for name in queries.names()]
        steps = ["nonmember.pipeline.extract", "nonmember.pipeline.attack"]
        digest = hashlib.sha256(fingerprint.of_code([*steps, *parts]).encode())
        for path in sorted(self.folder.glob("data/config/*.json")):
            digest.update(path.read_bytes())
        for arm in dict.fromkeys(["undefended", self.arm]):  # whose shadows are asked too
            for path in sorted(self.folder.glob(f"models/{arm}/**/*.json")):
                digest.update(files.read_json(path)["fingerprint"].encode())
        return digest.hexdigest()

    def seconds(self) -> float | None:
        """What training the target took, with all it requires; None if no record is left."""
        return _seconds(target_task(self.folder, self.arm), _times())


def _times() -> dict[str, float]:
    """Fingerprint -> seconds of its training on this machine."""
    path = Store.default().folder.with_name("times.csv")
    times = {}
    for row in csv.reader(path.read_text().splitlines() if path.is_file() else []):
        with contextlib.suppress(ValueError):  # a line that a full disk cut short
            key, _, seconds = row
            times[key] = float(seconds)
    return times


def _seconds(task: Task, times: Mapping[str, float]) -> float | None:
    needed = build_defense(task).requires(task).values()
    parts = [times.get(of_training.of_task(task)), *(_seconds(other, times) for other in needed)]
    there = [part for part in parts if part is not None]
    return sum(there) if len(there) == len(parts) else None


def settings(changes: Sequence[str]) -> dict[str, Any]:
    """params.yaml with `section.key=value` changes; the data path made absolute."""
    params: dict[str, Any] = dict(read_yaml("params.yaml"))
    for change in changes:
        key, equals, value = change.partition("=")
        section, _, name = key.partition(".")
        if not equals or section not in params or isinstance(params[section], dict) != bool(name):
            raise ValueError(f"-S {change}: must be section.key=value or seed=value")
        new = parsed(value, f"-S {change}")
        if name:
            params[section][name] = new
        else:
            params[section] = new
    dataset = params.get("dataset")
    if isinstance(dataset, dict) and str(dataset.get("path", "")).startswith("~"):
        dataset["path"] = str(Path(dataset["path"]).expanduser())
    check(params, CONTROL)
    dataset = params["dataset"]
    dataset["path"] = str(Path(dataset.get("path", "data/raw")).resolve())
    return params


def check(params: Mapping[str, Any], entry: Entry) -> None:
    """What stage `config` says of a row; ParamsError with all problems."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "params.yaml"
        path.write_bytes(entry.applied(params))
        config.make(path)


CONTROL = Entry("none")


@dataclass(frozen=True)
class Outcome:
    """A row under one seed: its audit, or the message it failed with."""

    report: AuditReport | None
    failure: str = ""
    seconds: float | None = None  # of training the target, with all it requires


def audits(
    chosen: Sequence[Entry], params: dict[str, Any], seeds: int
) -> Iterator[tuple[Entry, list[Outcome]]]:
    """Each row with its outcomes, one a seed; `none` first. Stops at a seed that fails."""
    os.environ.setdefault("DVC_ROOT", str(Path.cwd()))  # one store with `dvc repro`
    without = ("seed", "compute", "records")
    same = {name: value for name, value in params.items() if name not in without}
    key = hashlib.sha256(json.dumps(same, sort_keys=True, default=str).encode()).hexdigest()[:12]
    first = params.get("seed", 0)
    settings = [{**params, "seed": seed} for seed in range(first, first + seeds)]
    folders = [Path.cwd() / "work" / "compare" / key / str(values["seed"]) for values in settings]
    controls = [control(folder, values) for folder, values in zip(folders, settings, strict=True)]
    yield CONTROL, controls
    for entry in chosen:
        if entry == CONTROL:
            continue
        outcomes: list[Outcome] = []
        for folder, values in zip(folders, settings, strict=True):
            beside = Place(folder / CONTROL.folder, values, CONTROL)
            outcomes.append(defended(Place(folder / entry.folder, values, entry), beside))
            if outcomes[-1].report is None:
                break
        yield entry, outcomes


def control(folder: Path, params: dict[str, Any]) -> Outcome:
    """The undefended arm of one seed."""
    place = Place(folder / CONTROL.folder, params, CONTROL)
    config.write(folder / CONTROL.folder)
    prepare(folder / CONTROL.folder)
    split(folder / CONTROL.folder)
    return Outcome(place.audit(), seconds=place.seconds())


def defended(place: Place, beside: Place) -> Outcome:
    """The defended arm beside its control; a failure is its last line."""
    for shared in ("data/prepared", "data/split", "data/signals/undefended", "models/undefended"):
        place.share(shared, beside)
    try:
        config.write(place.folder)
        return Outcome(place.audit(), seconds=place.seconds())
    except (ValueError, OSError, RuntimeError, MemoryError) as error:
        words = str(error).strip() or type(error).__name__
        return Outcome(None, words.splitlines()[-1].strip())
