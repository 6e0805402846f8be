"""Several defenses on the data of params.yaml, in one table.

Run:    nonmember compare [NAME[:key=value,value…] …] [-S section.key=value …] [--seeds N]
        [--out PATH]
Reads:  params.yaml
Writes: metrics/compare.md (the table), metrics/compare.csv (with every interval),
        metrics/compare.png (attack against accuracy and against the spread of the losses) and, for
        several seeds, metrics/compare.json (paired tests against `none`)

Every defense has the keys that params.yaml gives it, and everything else alike: data, split,
seeds, attacks. `crl:alpha_rce=0.6,1.0` makes two rows, a curve in the picture; several keys
(`crl:alpha_rce=0.6,1.0:lambda_rcl=0.1`) go through all combinations. Trainings share the store
with `dvc repro`, so nothing is trained twice, and a run that was killed goes on where it was. A
defense that cannot run is a row that says why.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import hashlib
import io
import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from nonmember import config, files, yaml12
from nonmember.attacks import attacks
from nonmember.audit import headline, kinds, primary, worst
from nonmember.defenses import defenses
from nonmember.metrics.paired import across_seeds
from nonmember.params import read_yaml
from nonmember.pipeline.attack import attack
from nonmember.pipeline.extract import extract
from nonmember.pipeline.prepare import prepare
from nonmember.pipeline.split import split
from nonmember.pipeline.train import target_task, train_shadows, train_target
from nonmember.plots.tradeoff import Point, tradeoff
from nonmember.queries import queries
from nonmember.task import Task
from nonmember.training import fingerprint
from nonmember.training.build import build_defense
from nonmember.training.store import Store

SHOWN = ("nn", "entropy", "modified_entropy", "grad_x_l2")
FIELDS = (
    "defense", "seed", "train_acc", "test_acc", "gap", "train_loss_var", "attack", "kind", "auc",
    "auc_low", "auc_high", "advantage", "advantage_low", "advantage_high", "class_advantage",
    "class_advantage_low", "class_advantage_high", "tpr_at_1_fpr", "tpr_at_1_fpr_low",
    "tpr_at_1_fpr_high",
)  # fmt: skip
HEAD = (
    "defense", "train", "test", "gap", *(f"AUC {name}" for name in SHOWN), "AUC worst", "attack",
    "TPR at 1 % FPR", "adv. adaptive", "adv. non-adaptive", "P1", "time",
)  # fmt: skip


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

    def read(self, name: str) -> Any:
        """A JSON file of this place."""
        return files.read_json(self.folder / name)

    def audit(self) -> dict[str, Any]:
        """Train, extract and attack, unless the same was done here before."""
        train_target(self.folder, self.arm)
        train_shadows(self.folder, self.arm)
        seal, done = self.folder / "done", self._identity()
        if not (seal.is_file() and seal.read_text() == done):
            extract(self.folder, self.arm)
            attack(self.folder, self.arm)
            files.write_bytes(seal, done.encode())
        return dict(self.read(f"metrics/{self.arm}/attacks.json"))

    def _identity(self) -> str:
        parts = [f"nonmember.attacks.{name}" for name in attacks.names()]
        parts += [f"nonmember.queries.{name}" for name in queries.names()]
        steps = ["nonmember.pipeline.extract", "nonmember.pipeline.attack"]
        digest = hashlib.sha256(fingerprint.of_code([*steps, *parts]).encode())
        for path in sorted(self.folder.glob("data/config/*.json")):
            digest.update(path.read_bytes())
        for path in sorted(self.folder.glob(f"models/{self.arm}/**/*.json")):
            digest.update(files.read_json(path)["fingerprint"].encode())
        return digest.hexdigest()

    def seconds(self) -> float | None:
        """What training the target took, with all it requires; None if no record is left."""
        return _seconds(target_task(self.folder, self.arm), _times())


def _times() -> dict[str, float]:
    """Fingerprint -> seconds of its training on this machine."""
    path = Store.default().folder.with_name("times.csv")
    found = {}
    for row in csv.reader(path.read_text().splitlines() if path.is_file() else []):
        with contextlib.suppress(ValueError):  # a line that a full disk cut short
            key, _, seconds = row
            found[key] = float(seconds)
    return found


def _seconds(task: Task, times: Mapping[str, float]) -> float | None:
    needed = build_defense(task).requires(task).values()
    parts = [times.get(fingerprint.of_task(task)), *(_seconds(other, times) for other in needed)]
    known = [part for part in parts if part is not None]
    return sum(known) if len(known) == len(parts) else None


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
Outcome = tuple[Place, Any]  # where, and the audit or the message it failed with


def audits(
    chosen: Sequence[Entry], params: dict[str, Any], seeds: int
) -> Iterator[tuple[Entry, list[Outcome]]]:
    """Each row with its outcomes, one a seed; `none` first. Stops at a seed that fails."""
    os.environ.setdefault("DVC_ROOT", str(Path.cwd()))  # one store with `dvc repro`
    same = {name: value for name, value in params.items() if name not in ("seed", "compute")}
    key = hashlib.sha256(json.dumps(same, sort_keys=True, default=str).encode()).hexdigest()[:12]
    first = params.get("seed", 0)
    settings = [{**params, "seed": seed} for seed in range(first, first + seeds)]
    folders = [Path.cwd() / "work" / "compare" / key / str(values["seed"]) for values in settings]
    controls = [control(folder, values) for folder, values in zip(folders, settings, strict=True)]
    yield CONTROL, controls
    for entry in chosen:
        if entry == CONTROL:
            continue
        found: list[Outcome] = []
        for folder, values, (beside, _) in zip(folders, settings, controls, strict=True):
            found.append(defended(Place(folder / entry.folder, values, entry), beside))
            if isinstance(found[-1][1], str):
                break
        yield entry, found


def control(folder: Path, params: dict[str, Any]) -> Outcome:
    """The undefended arm of one seed."""
    place = Place(folder / CONTROL.folder, params, CONTROL)
    config.write(folder / CONTROL.folder)
    prepare(folder / CONTROL.folder)
    split(folder / CONTROL.folder)
    return place, place.audit()


def defended(place: Place, beside: Place) -> Outcome:
    """The defended arm beside its control; a failure is its last line."""
    for shared in ("data/prepared", "data/split", "data/signals/undefended"):
        place.share(shared, beside)
    try:
        config.write(place.folder)
        return place, place.audit()
    except (ValueError, OSError, RuntimeError, MemoryError) as error:
        return place, (str(error).strip() or type(error).__name__).splitlines()[-1].strip()


def highest(audit: Mapping[str, Any], kind: str) -> float | None:
    """The highest advantage of a kind of attacker, at a threshold for all or one a class."""
    found = audit.get(kind, {}).values()
    return max((max(n["advantage"], n["class_advantage"]) for n in found), default=None)


def found_at_1_fpr(audit: Mapping[str, Any]) -> float | None:
    """The highest TPR at 1 % FPR of any attack; None if no attack supports one."""
    rates = [n["tpr_at_1_fpr"] for kind in kinds(audit) for n in audit[kind].values()]
    return max((rate for rate in rates if not isinstance(rate, str)), default=None)


def numbers(place: Place, audit: Mapping[str, Any], base: float | None) -> list[float | None]:
    """The columns of HEAD but the names, fractions; the time as a multiple of `base` seconds."""
    model, kind, seconds = audit["model"], primary(audit), place.seconds()
    adaptive, naive = highest(audit, kind), highest(audit, "non_adaptive")
    auc = [audit[kind][name]["auc"] if name in audit[kind] else None for name in SHOWN]
    summary = headline(audit)
    found = [model["train_acc"], model["test_acc"], model["gap"], *auc]
    found += [summary["worst_auc"], found_at_1_fpr(audit), adaptive, naive, summary["p1"]]
    return [*found, seconds / base if seconds and base else None]


def row(entry: Entry, outcomes: Sequence[Outcome], base: Sequence[float | None]) -> list[str]:
    """One line of the table: means over the seeds, rates in %."""
    if isinstance(outcomes[-1][1], str):
        return [str(entry), outcomes[-1][1], *[""] * (len(HEAD) - 2)]
    table = [numbers(place, audit, b) for (place, audit), b in zip(outcomes, base, strict=True)]
    means = [None if None in column else np.mean(column) for column in zip(*table, strict=True)]
    ratio = "–" if means[-1] is None else f"{means[-1]:.1f}×"
    cells = [str(entry), *map(percent, means[:-1]), ratio]
    attacked = dict.fromkeys(worst(audit)[1] for _, audit in outcomes)
    cells.insert(HEAD.index("attack"), ", ".join(attacked))
    return cells


def gaps(outcomes: Sequence[Outcome], controls: Sequence[Outcome]) -> dict[str, Any]:
    """Test accuracy and highest AUC minus the control's over the seeds: a paired t test."""
    found = {}
    for key in ("test_acc", "worst_auc"):
        ours, theirs = (
            [headline(audit)[key] for _, audit in side] for side in (outcomes, controls)
        )
        gap = across_seeds(ours, theirs)
        values = {**gap._asdict(), "p_lower": gap.p_lower}
        found[key] = {name: float(f"{value:.6g}") for name, value in values.items()}
    return found


def point(entry: Entry, outcomes: Sequence[Outcome]) -> Point:
    """A row in the picture: means over the seeds, of the interval's ends too."""
    strongest = [audit[kind][name] for _, audit in outcomes for kind, name in [worst(audit)]]
    models = [audit["model"] for _, audit in outcomes]
    return Point(
        name=str(entry),
        family=entry.defense,
        test_acc=float(np.mean([model["test_acc"] for model in models])),
        loss_var=float(np.mean([model["train_loss_var"] for model in models])),
        **{
            key: float(np.mean([n[key] for n in strongest]))
            for key in ("auc", "auc_low", "auc_high")
        },
    )


def percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}"


def records(place: Place, audit: Any, seed: int) -> Iterator[dict[str, Any]]:
    """One line an attack of the file with every interval."""
    if isinstance(audit, str):
        return
    for kind in kinds(audit):
        for name, found in audit[kind].items():
            values = {**audit["model"], **found, "attack": name, "kind": kind}
            own = {"defense": str(place.entry), "seed": seed}
            yield {key: values.get(key, "") for key in FIELDS} | own


def main(names: list[str], changes: list[str], seeds: int, out: str) -> None:
    chosen = [entry for name in names or defenses.names() for entry in entries(name)]
    if seeds < 1:
        raise ValueError(f"--seeds: must be at least 1, found {seeds}")
    params, text, compared = settings(changes), io.StringIO(), {}
    for entry in chosen:
        if entry.changes:  # what was typed for this run; a name alone may be a row that says why
            try:
                check(params, entry)
            except ValueError as error:
                raise ValueError(f"{entry}: {error}") from error
    points: list[Point] = []
    writer = csv.DictWriter(text, FIELDS, lineterminator="\n")
    writer.writeheader()
    lines: list[Sequence[str]] = [HEAD, ["---"] * len(HEAD)]
    for entry, outcomes in audits(chosen, params, seeds):
        if entry == CONTROL:
            controls, base = outcomes, [place.seconds() for place, _ in outcomes]
        elif seeds > 1 and not isinstance(outcomes[-1][1], str):
            compared[str(entry)] = gaps(outcomes, controls)
        lines.append(row(entry, outcomes, base))
        if not isinstance(outcomes[-1][1], str):
            points.append(point(entry, outcomes))
        for seed, (place, audit) in enumerate(outcomes, params.get("seed", 0)):
            writer.writerows(records(place, audit, seed))
        table = "".join(f"| {' | '.join(line)} |\n" for line in lines)
        files.write_bytes(f"{out}.md", table.encode())
        files.write_bytes(f"{out}.csv", text.getvalue().encode())
        if compared:
            files.write_json(f"{out}.json", compared)
        print(" | ".join(lines[-1]), flush=True)
    files.write_bytes(f"{out}.png", tradeoff(points))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="*", metavar="NAME[:key=value,…]", help="default: all")
    parser.add_argument("-S", dest="changes", action="append", default=[], help="section.key=value")
    parser.add_argument("--seeds", type=int, default=1, help="how many, from params' seed on")
    parser.add_argument("--out", default="metrics/compare", help="path without suffix")
