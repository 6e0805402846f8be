"""The audit as text: both arms, every attack; `make repro` prints it at the end.

Run:    nonmember show
Reads:  metrics/{undefended,defended}/attacks.json, metrics/{summary,tradeoff}.json
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

WIDTH = 100
KINDS = {
    "adaptive": "adaptive",
    "non_adaptive": "non-adaptive",
    "partial": "half of it known",
}
_ROW = "{:<17} {:<22} {:>6}  {:>13}  {:>9}  {:>9}  {:>13}"


def read(name: str) -> Any:
    path = Path("metrics") / name
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; run `dvc repro`")
    return json.loads(path.read_text())


def percent(value: float | str) -> str:
    """0.7369 -> '73.7'; what is no number ('not supported') stays."""
    return value if isinstance(value, str) else f"{100 * value:.1f}"


def interval(numbers: Mapping[str, Any], key: str) -> str:
    return f"{percent(numbers[f'{key}_low'])} – {percent(numbers[f'{key}_high'])}"


def higher(numbers: Mapping[str, Any]) -> str:
    """The advantage with one threshold a class, if it beats the global one."""
    one, many = numbers["advantage"], numbers["class_advantage"]
    return percent(many) if not isinstance(many, str) and many > one else ""


def cells(numbers: Mapping[str, Any]) -> list[str]:
    return [
        percent(numbers["auc"]),
        interval(numbers, "auc"),
        percent(numbers["advantage"]),
        higher(numbers),
        percent(numbers["tpr_at_1_fpr"]),
    ]


def models(audits: Mapping[str, Any], labels: Mapping[str, str]) -> Iterator[str]:
    row = "{:<41} {:>6}  {:>13}  {:>9}"
    yield row.format("model", "train", "test accuracy", "gap")
    for arm, audit in audits.items():
        values = [percent(audit["model"][key]) for key in ("train_acc", "test_acc", "gap")]
        yield row.format(labels[arm], *values)


def first_kind(audit: Mapping[str, Any]) -> Mapping[str, Any]:
    """The numbers of the attacker who knows most."""
    found: Mapping[str, Any] = next(audit[kind] for kind in KINDS if kind in audit)
    return found


def table(audits: Mapping[str, Any]) -> Iterator[str]:
    """One line an attack, arm and kind of shadows: attacks together, for comparing the arms."""
    yield _ROW.format("", "", "", "", "advantage", "with class", "TPR")
    yield _ROW.format("attack", "model", "AUC", "95 % interval", "", "thresh.", "at 1 % FPR")
    for attack in first_kind(audits["undefended"]):
        first = attack
        for arm, audit in audits.items():
            for kind, words in KINDS.items():
                if attack in audit.get(kind, {}):
                    name = arm if arm == "undefended" else f"{arm}, {words}"
                    yield _ROW.format(first, name, *cells(audit[kind][attack]))
                    first = ""


def strongest(audit: Mapping[str, Any], headline: Mapping[str, Any], label: str) -> str:
    name, kind = headline["worst_auc_attack"], headline["worst_auc_kind"]
    numbers = audit[kind][name]
    how = f"{KINDS[kind]} {name}" if len(audit.keys() & KINDS.keys()) > 1 else name
    return f"{label}: {how}, AUC {percent(numbers['auc'])} % ({interval(numbers, 'auc')})"


def cost(summary: Mapping[str, Any], defense: str) -> str:
    before, after = (summary[arm]["test_acc"] for arm in ("undefended", "defended"))
    points = f"{100 * abs(after - before):.1f} points of test accuracy"
    way = f"({percent(before)} → {percent(after)} %)"
    if after == before:
        return f"{defense} leaves the test accuracy at {percent(after)} %."
    return f"{defense} {'costs' if after < before else 'gains'} {points} {way}."


def data(audit: Mapping[str, Any]) -> str:
    model, copies = audit["model"], audit["duplicates"]
    said = f"{copies} non-members are exact copies of a member" if copies else "no duplicates"
    return f"{model['members']} members, {model['non_members']} non-members, {said}."


def closing(
    audits: Mapping[str, Any],
    summary: Mapping[str, Any],
    labels: Mapping[str, str],
    defense: str,
) -> str:
    """In words: each arm's strongest attack, what the defense costs, the data, the pictures."""
    worst = "; ".join(strongest(audits[arm], summary[arm], labels[arm]) for arm in audits)
    return " ".join(
        [
            f"Strongest attack: {worst}.",
            cost(summary, defense),
            data(audits["defended"]),
            "Pictures: metrics/plots/",
        ]
    )


def main() -> None:
    audits = {arm: read(f"{arm}/attacks.json") for arm in ("undefended", "defended")}
    defense = read("tradeoff.json")[0]["defense"]
    labels = {"undefended": "undefended", "defended": f"defended ({defense})"}
    lines = ["All rates in %.", *models(audits, labels), "", *table(audits), ""]
    print(*(line.rstrip() for line in lines), sep="\n")
    words = closing(audits, read("summary.json"), labels, defense)
    print(textwrap.fill(words, WIDTH, break_on_hyphens=False))
