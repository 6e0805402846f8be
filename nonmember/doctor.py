"""Can the audit be believed: controls with a known answer, for every attack and for the trainer.

Each check trains small models on a little `shoppers` data, or takes what a run left, and says in
one line what it found. The controls:

null model      members and non-members exchanged at random among samples the model never saw: no
                attack may notice the exchange, and intervals exclude 0.5 as rarely as they promise
positive control  random labels, memorised: every attack must find the members, which also shows a
                score that points the wrong way
hidden scores   a defense that changes the answers alone leaves the memory: where attacks on scores
                fail and those on labels or gradients succeed, the number that looks safe is not
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from scipy import stats
from torch import nn

from nonmember import audit
from nonmember.attacks import attacks
from nonmember.compute import ComputeOptions, one_thread
from nonmember.data import prepared, splits
from nonmember.data.canaries import Canaries
from nonmember.data.splits import Rows, SplitOptions
from nonmember.datasets import datasets
from nonmember.defenses import Defense, defenses
from nonmember.evidence import Evidence
from nonmember.extraction import signals
from nonmember.extraction.extract import Model, Wanted, extract_signals
from nonmember.metrics import measure, rates
from nonmember.metrics.rates import Scored
from nonmember.metrics.report import AttackNumbers, AuditReport, Number, Ranking, auc_of
from nonmember.queries import queries
from nonmember.task import Task, make_task
from nonmember.training.store import Store
from nonmember.training.train import train, train_with_required

RECIPE: dict[str, Any] = {
    "seed": 0,
    "model": {"name": "mlp", "widths": [128], "activation": "relu"},
    "train": {"lr": 0.1, "epochs": 30, "batch_size": 32, "weight_decay": 0.0},
}
SIZE = 400  # samples a set
SHADOWS = 4
EXCHANGES = 200
SMALL: dict[str, Any] = {"noise_levels": 3, "noise_copies": 20}
SCORES = ("confidence", "loss", "entropy", "modified_entropy")
HARD = ("correctness", "grad_x_l2", "grad_w_l2")  # labels alone, or the model itself


@dataclasses.dataclass(frozen=True)
class Finding:
    """What one check found: its name, whether all is well, and a line for people.

    note: it only says something; there is no right answer.
    """

    check: str
    well: bool
    words: str
    note: bool = False

    @property
    def mark(self) -> str:
        """Four letters in front of its line."""
        return "note" if self.note else "ok  " if self.well else "FAIL"


class Lab:
    """Small models and their signals in a folder of their own.

    random_labels: a model can then only memorise them, since there is nothing else to learn.
    """

    def __init__(self, folder: Path, random_labels: bool) -> None:
        self.folder = folder
        arrays = datasets.get("shoppers")(n=4 * SIZE).load(Path())
        if random_labels:
            labels = np.random.default_rng(1).permutation(arrays.labels)
            arrays = dataclasses.replace(arrays, labels=labels)
        prepared.save(arrays, "shoppers", folder / "data")
        self.data = prepared.load(folder / "data")
        labels, scheme = self.data.labels, SplitOptions.model_validate({"scheme": "crl"})
        self.rows = [splits.target_rows(labels, scheme, 0)]
        self.rows += [splits.shadow_rows(labels, scheme, 0, i) for i in range(SHADOWS)]
        self.store = Store(folder / "models")
        self.tasks = [self.task(model) for model in range(1 + SHADOWS)]
        self.weights = self.train(self.tasks, "none")

    def task(self, model: int, defense: Mapping[str, Any] | None = None) -> Task:
        """The task of model 0, the target, or 1 + i, shadow i."""
        recipe = {**RECIPE, "defense": defense or {"name": "none"}}
        return make_task(recipe, self.rows[model], self.data, "doctor", model)

    def train(self, tasks: Sequence[Task], label: str) -> list[Path]:
        """Train the tasks here; where their weights are."""
        for number, task in enumerate(tasks):
            self.store.put(f"{label}-{number}", task, train_with_required(task, self.data))
        return [self.store.weights_path(f"{label}-{number}") for number in range(len(tasks))]

    def attacks(self, names: Sequence[str] = ()) -> dict[str, dict[str, Any]]:
        """Those of `names` (default: all) that can be made on a table, with fewer queries."""
        chosen = {}
        for name, cls in attacks:
            if names and name not in names:
                continue
            small = {key: value for key, value in SMALL.items() if key in cls.Options.model_fields}
            asked = cls(**small).queries()
            if not any(queries.get(q)(**o).check(self.data.outline) for q, o in asked.items()):
                chosen[name] = small
        return chosen

    def scores(self, evidence: Evidence, names: Sequence[str] = ()) -> dict[str, np.ndarray]:
        """Each attack's scores of the target, (n,), after learning from the shadows."""
        chosen = self.attacks(names)
        return dict(audit.score(evidence, evidence, chosen, seed=0).target.scores)

    def extract(
        self,
        label: str,
        tasks: Sequence[Task],
        weights: Sequence[Path],
        rows: Sequence[Rows],
        names: Sequence[str] = (),
    ) -> Evidence:
        """The signals that the attacks need; `rows` tell who is to be called a member."""
        chosen = [attacks.get(name)(**options) for name, options in self.attacks(names).items()]
        needs = {signal for attack in chosen for signal in attack.needs}
        asked = {name: options for attack in chosen for name, options in attack.queries().items()}
        wanted = Wanted(sorted(needs | {"feature_norm", "logits"}), asked, 0)
        folder = self.folder / "signals" / label
        options = ComputeOptions(devices="cpu", workers=1, backend="sequential")
        models = [Model(*each) for each in zip(tasks, rows, weights, strict=True)]
        extract_signals(models, self.folder / "data", folder, wanted, options, Canaries.none())
        return Evidence(folder)


def examine(folder: Path | None = None) -> Iterator[Finding]:
    """All checks, one after the other. folder: of a run, whose results are looked at too."""
    with TemporaryDirectory() as place, one_thread():
        lab = Lab(Path(place) / "memorised", random_labels=True)
        memorised = lab.extract("known", lab.tasks, lab.weights, lab.rows)
        yield from positive_control(lab, memorised)
        halves = np.array_split(np.random.default_rng(2).permutation(lab.rows[0].test), 2)
        strangers = Rows(np.sort(halves[0]), np.sort(halves[1]), np.empty(0, np.int64))
        null = lab.extract("null", lab.tasks, lab.weights, [strangers, *lab.rows[1:]])
        yield from null_model(lab, null)
        yield eval_mode(lab)
        yield same_training(lab)
        yield ties(memorised)
        yield duplicates(lab.data.inputs, lab.rows[0], "the controls")
        lab = Lab(Path(place) / "learned", random_labels=False)
        for name, cls in defenses:
            if cls.release is not Defense.release:
                yield hidden(name, lab)
    if folder is not None:
        yield from of_run(folder)


def positive_control(lab: Lab, known: Evidence) -> Iterator[Finding]:
    """Every attack finds the members of a model that has memorised random labels."""
    member = known.target.member
    assert member is not None
    for name, scores in lab.scores(known).items():
        value, low, high = rates.auc(scores, member)
        well = low is not None and low > 0.5
        wrong = "; its scores point the wrong way" if high is not None and high < 0.5 else ""
        yield Finding(f"positive control, {name}", well, f"AUC {value:.3f}{wrong}")


def null_model(lab: Lab, null: Evidence) -> Iterator[Finding]:
    """No attack sees who is called a member among samples that the model never saw."""
    rng = np.random.default_rng(3)
    member = np.asarray(null.target.member)
    allowed = int(stats.binom.ppf(0.9999, EXCHANGES, 0.05))
    options = lab.attacks()
    for name, scores in lab.scores(null).items():
        attack = attacks.get(name)(**options[name])
        attack.fit(null.shadows, 0)
        exchanged = dataclasses.replace(null.target, member=rng.permutation(member))
        if not np.array_equal(attack.score(exchanged), scores):
            yield Finding(f"null model, {name}", False, "its scores depend on who is a member")
            continue
        intervals = [rates.auc(scores, rng.permutation(member)) for _ in range(EXCHANGES)]
        missed = sum(not low <= 0.5 <= high for _, low, high in intervals)  # type: ignore[operator]
        words = f"{missed} of {EXCHANGES} intervals exclude 0.5, {allowed} may"
        yield Finding(f"null model, {name}", missed <= allowed, words)


def eval_mode(lab: Lab) -> Finding:
    """Signals of a net with dropout and batch norm, left in training mode, are those in eval."""
    torch.manual_seed(0)
    width = lab.data.shape[0]
    net = nn.Sequential(
        nn.Linear(width, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.5), nn.Linear(32, 100)
    )
    inputs, labels = lab.data.take(lab.rows[0].train[:64])
    names = ("logits", "grad_x_l2")

    def seen() -> dict[str, np.ndarray]:
        return signals.compute(net, inputs, labels, names, normalise=lab.data.normalise)

    net.train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    trained = seen()
    net.eval()
    same = all(np.array_equal(trained[name], value) for name, value in seen().items())
    same &= all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    words = "a net left in training mode is scored in eval mode, its statistics untouched"
    return Finding("eval mode", same, words if same else f"not so: {words}")


def same_training(lab: Lab) -> Finding:
    """With one seed and the same rows the target and a shadow become the same weights."""
    target = lab.task(0)
    shadow = dataclasses.replace(
        lab.task(1), seed=target.seed, train_rows=target.train_rows,
        inference_rows=target.inference_rows,
    )  # fmt: skip
    ours, theirs = (train(task, lab.data).weights for task in (target, shadow))
    same = all(torch.equal(ours[name], theirs[name]) for name in ours)
    words = "the same weights" if same else "weights differ for one seed and the same rows"
    return Finding("target and shadow training", same, words)


def ties(known: Evidence) -> Finding:
    """Equal scores: no number depends on the order of the samples."""
    view = known.target
    assert view.member is not None
    coarse = np.round(attacks.get("loss")().score(view))
    rng = np.random.default_rng(4)

    def numbers(order: np.ndarray) -> AttackNumbers:
        assert view.member is not None
        scored = Scored(coarse[order], view.member[order], view.labels[order])
        return measure.attack_numbers(scored, scored, known.classes, 1)

    first = numbers(np.arange(len(view)))
    orders = [np.argsort(~view.member), np.argsort(view.member), rng.permutation(len(view))]
    same = all(numbers(order) == first for order in orders)
    words = f"{len(np.unique(coarse))} different scores of {len(coarse)} samples, in 3 orders"
    return Finding("ties", same, words)


def duplicates(inputs: np.ndarray, rows: Rows, whose: str) -> Finding:
    """Evaluated members and non-members share no sample."""
    count = splits.count_duplicates(inputs, rows.train, rows.test)
    words = f"{count} non-members of {whose} are exact copies of a member"
    return Finding("duplicates", count == 0, words)


def hidden(name: str, lab: Lab) -> Finding:
    """A defense of the released answers alone: found out by the attacks it does not reach.

    That it hides only its scores is a limit of the defense, not a fault: the check fails if the
    attacks on labels and gradients are fooled too, since the weights remember everything.
    """
    rows = lab.rows[0]
    outside = np.setdiff1d(np.arange(len(lab.data.labels)), np.concatenate([rows.train, rows.test]))
    cls = defenses.get(name)
    options = {"name": name, **cls.Options().model_dump()}
    task = dataclasses.replace(lab.task(0, options), inference_rows=outside[: len(rows.train)])
    tasks, weights = [task, *lab.tasks[1:]], [*lab.train([task], name), *lab.weights[1:]]
    evidence = lab.extract(name, tasks, weights, lab.rows, SCORES + HARD)
    member = np.asarray(evidence.target.member)
    scored = lab.scores(evidence, SCORES + HARD).items()
    ranked = {attack: measure.ranking(scores, member, 1) for attack, scores in scored}
    words = hiding(ranked)
    return Finding(f"hidden scores, {name}", (_best(ranked, HARD)[1].low or 0.0) > 0.5, words)


def hiding(ranked: Mapping[str, Ranking]) -> str:
    """Whether attacks on scores do clearly worse than those on labels or on the model itself."""
    (soft, of_scores), (hard, of_others) = _best(ranked, SCORES), _best(ranked, HARD)
    words = f"{soft} {of_scores.value:.3f}, {hard} {of_others.value:.3f}"
    if (of_scores.high or 1.0) < (of_others.low or 0.0):
        return f"hides its scores only: AUC {words}"
    return f"scores tell as much as labels and gradients: AUC {words}"


def _best(ranked: Mapping[str, Ranking], names: Sequence[str]) -> tuple[str, Number]:
    """Of the attacks called `names` the one with the highest AUC, and that AUC."""
    there = [name for name in names if name in ranked]
    name = max(there, key=lambda n: auc_of(ranked[n]))
    return name, ranked[name].auc


def of_run(folder: Path) -> Iterator[Finding]:
    """What a run left in `folder`: duplicates, and whether its defense hides its scores only."""
    if (folder / "data/split/target.npz").is_file():
        [rows] = splits.load_rows(folder / "data/split/target.npz")
        inputs = prepared.load(folder / "data/prepared").inputs
        yield duplicates(inputs, rows, "your run")
    results = folder / "metrics/defended/report.json"
    if results.is_file():
        numbers = AuditReport.read(results).primary.attacks
        if set(numbers) & set(SCORES) and set(numbers) & set(HARD):
            yield Finding("your defense", True, hiding(numbers), note=True)


def run(folder: Path | None, say: Callable[[str], object] = print) -> bool:
    """All checks, each said as it is done; whether all is well."""
    findings = []
    for finding in examine(folder):
        say(f"{finding.mark} {finding.check}: {finding.words}")
        findings.append(finding)
    bad = [finding.check for finding in findings if not finding.well]
    say(f"{len(findings)} checks, " + (f"{len(bad)} failed: {', '.join(bad)}" if bad else "all ok"))
    return not bad
