"""Labels become 0 … classes − 1; what stands for none, or for one class twice, is not let pass."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

import numpy as np
from pydantic import Field

from nonmember.notices import Notice, found
from nonmember.settings import Settings

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
CODE = re.compile(r"[+-]?0\d", re.ASCII)
EXACT = 2**53  # above it a float is no longer every whole number
NO_LABEL = {
    "", "-", "--", ".", "?", "#n/a", "empty", "missing", "n.a", "n/a", "na", "nan", "nil",
    "no label", "none", "not available", "null", "undefined", "unk", "unknown", "unlabeled",
    "unlabelled", "unspecified",
}  # fmt: skip
CODES_OF_NONE = {9, 77, 88, 97, 98, 99, 255, 777, 888, 998, 999, 9999, 65535, 99999, 2**31 - 1}

Place = Callable[[int], str]


class LabelOptions(Settings):
    unlabelled: list[str | int] = Field(
        default_factory=list,
        description="labels that stand for none, such as [-1, NA]: those samples are left out",
    )
    fold_labels: bool = Field(
        False, description="labels that differ in spelling alone, such as x, X and x., are one"
    )


@dataclass(frozen=True)
class Labels:
    """codes: (kept,) int64 in 0 … classes − 1; names: of the classes, sorted; kept: (n,) bool."""

    codes: np.ndarray
    names: list[str]
    kept: np.ndarray
    skipped: list[str] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)


def row(index: int) -> str:
    return f"row {index} (counted from 0)"


def read_labels(
    values: np.ndarray,
    options: LabelOptions,
    accept: Collection[str] = (),
    place: Place = row,
    numbers: bool = True,
) -> Labels:
    """Labels from (n,) whole numbers, booleans or text, with names in sorted order.

    Text that is all whole numbers is sorted as numbers, unless `numbers` is false. place: what a
    row is called. Raises ValueError for fractional labels, a single class, more classes than half
    the samples, stand-ins for "no label" and, without `fold_labels`, one class in two spellings.
    """
    texts, codes = _texts(values, place)
    kept = _kept(texts, codes, options)
    texts, codes = _used(texts, codes[kept])
    notices = _missing(texts, codes, accept, np.flatnonzero(kept), place)
    alike = _alike(texts, numbers)
    if alike and options.fold_labels:
        texts, codes = _folded(texts, codes, numbers)
    elif alike:
        notices.append(found("spellings", _named(alike, texts, codes), accept))
    texts, codes = _in_order(texts, codes, numbers, np.flatnonzero(kept), place)
    _check_count(texts, len(codes))
    out = len(kept) - int(kept.sum())
    said = [f"skipped samples: {out} without a label (dataset.unlabelled)"] if out else []
    return Labels(codes.astype(np.int64), texts, kept, said, notices)


def _texts(values: np.ndarray, place: Place) -> tuple[list[str], np.ndarray]:
    """The distinct labels as text, stripped, and (n,) which each is."""
    if values.dtype.kind == "f":
        wrong = ~np.isnan(values) & ~((values == np.round(values)) & (np.abs(values) < EXACT))
        _require_whole(wrong, values, place)
    elif values.dtype.kind not in "biuUS":
        raise ValueError(
            f"labels must be whole numbers or text, not {values.dtype}; only classification is "
            "audited"
        )
    if values.dtype.kind in "US":
        values = np.char.strip(values.astype(np.str_))
    distinct, codes = np.unique(values, return_inverse=True)
    if values.dtype.kind == "f":
        return ["nan" if np.isnan(v) else str(int(v)) for v in distinct], codes
    return [str(value) for value in distinct.tolist()], codes


def _require_whole(wrong: np.ndarray, values: np.ndarray, place: Place) -> None:
    if wrong.any():
        first = int(wrong.argmax())
        raise ValueError(
            f"labels must be whole numbers or text, {place(first)} is {values[first]}; only "
            "classification is audited, no regression"
        )


def _number(text: str) -> float | None:
    """Its value, if a float holds it exactly."""
    value = float(text) if NUMBER.fullmatch(text) else None
    return value if value is not None and abs(value) < EXACT else None


def _kept(texts: list[str], codes: np.ndarray, options: LabelOptions) -> np.ndarray:
    """(n,) bool: not one of `unlabelled`, of which each must occur."""
    out: set[int] = set()
    for wanted in map(str, options.unlabelled):
        same = [
            i
            for i, text in enumerate(texts)
            if text == wanted.strip()
            or (_number(wanted) is not None) & (_number(text) == _number(wanted))
        ]
        if not same:
            raise ValueError(f"dataset.unlabelled: no sample has the label '{wanted}'")
        out.update(same)
    return ~np.isin(codes, sorted(out))


def _used(texts: list[str], codes: np.ndarray) -> tuple[list[str], np.ndarray]:
    """Those that are left, numbered anew."""
    used, codes = np.unique(codes, return_inverse=True)
    return [texts[i] for i in used], codes


def _missing(
    texts: list[str], codes: np.ndarray, accept: Collection[str], rows: np.ndarray, place: Place
) -> list[Notice]:
    """Refuses what stands for no label; says so of -1 beside 0 and 1, which may be a scale."""
    clear, doubtful = _stand_ins(texts)
    notices = []
    for labels, accepts in ((clear, accept), (doubtful, ["missing_labels"])):
        if labels:
            counts = np.bincount(codes, minlength=len(texts))
            which = ", ".join(f"'{t}' ({counts[texts.index(t)]} samples)" for t in labels)
            first = place(int(rows[np.isin(codes, [texts.index(t) for t in labels]).argmax()]))
            verb = "seems to stand" if labels is clear else "may stand"
            says = f"labels: {which} {verb} for no label, first in {first}"
            notices.append(found("missing_labels", says, accepts))
    return notices


def _stand_ins(texts: list[str]) -> tuple[list[str], list[str]]:
    """Labels that stand for none, and those that may."""
    words = [t for t in texts if _fold(t).strip("<>[](){}'\"").strip() in NO_LABEL]
    values = {t: v for t in texts if t not in words and (v := _number(t)) is not None}
    others = len(texts) - len(words) - len(values)
    if others:
        lone = [t for t, v in values.items() if v <= 0 or v in CODES_OF_NONE]
        return words + (lone if others >= 2 and len(values) == 1 else []), []
    run = _run(sorted(values.values()))
    if {-1.0, -2.0} <= set(values.values()):  # a scale around 0
        run |= {-v for v in _run(sorted(-v for v in values.values()))}
    apart = [t for t, v in values.items() if v not in run and (v < 0 or v in CODES_OF_NONE)]
    if len(run) < 2 or len(run) + len(apart) < len(values):
        return words, []
    if len(apart) == 1 and values[apart[0]] == -1 and run <= {0.0, 1.0}:
        return words, apart
    return words + apart, []


def _run(values: list[float]) -> set[float]:
    """0, 1, 2 … or 1, 2, 3 …, as far as it goes."""
    run: set[float] = set()
    for value in values:
        if value in (0, 1) or value - 1 in run:
            run.add(value)
    return run


def _fold(text: str) -> str:
    """What is left when case, form, spaces and a last dot do not count."""
    plain = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    plain = "".join(c for c in plain if unicodedata.category(c) not in ("Cf", "Cc") or c == "\t")
    plain = re.sub(r"(?<=\w)[\s_-]+(?=\w)", " ", plain)
    return plain.strip(" \t.,;:'\"`_")


def _key(text: str) -> object:
    value = _number(unicodedata.normalize("NFKC", text))
    return _fold(text) if value is None else value


def _alike(texts: list[str], numbers: bool) -> list[list[str]]:
    """Labels that look like one class, as lists of two or more.

    1 and 1.0 are one number where all labels are numbers, and no look-alikes.
    """
    plain = numbers and all(_number(t) is not None for t in texts)
    alike: dict[object, list[str]] = {}
    for text in texts:
        alike.setdefault(_key(text), []).append(text)
    return [
        same
        for same in alike.values()
        if len(same) > 1 and not (plain and not any(CODE.match(t) for t in same))
    ]


def _named(alike: list[list[str]], texts: list[str], codes: np.ndarray) -> str:
    counts = dict(zip(texts, np.bincount(codes, minlength=len(texts)).tolist(), strict=True))
    sets = [" and ".join(f"{t!r} ({counts[t]})" for t in same) for same in alike[:5]]
    more = f" and {len(alike) - 5} more" if len(alike) > 5 else ""
    return f"labels: {'; '.join(sets)}{more} look like one class in several spellings"


def _folded(texts: list[str], codes: np.ndarray, numbers: bool) -> tuple[list[str], np.ndarray]:
    """One label for those that look alike: the commonest of them."""
    counts = np.bincount(codes, minlength=len(texts))
    chosen = {t: t for t in texts}
    for same in _alike(texts, numbers):
        chosen |= dict.fromkeys(same, max(same, key=lambda t: counts[texts.index(t)]))
    names = list(dict.fromkeys(chosen.values()))
    return names, np.array([names.index(chosen[t]) for t in texts])[codes]


def _in_order(
    texts: list[str], codes: np.ndarray, numbers: bool, rows: np.ndarray, place: Place
) -> tuple[list[str], np.ndarray]:
    """Sorted as numbers if all are and no two codes become one, else as text."""
    values = [_number(t) for t in texts] if numbers else [None]
    merged = len(set(values)) < len(values) and any(CODE.match(t) for t in texts)
    if not texts or None in values or merged:
        order = np.argsort(np.array(texts)) if texts else np.empty(0, np.int64)
        return [texts[i] for i in order], np.argsort(order)[codes]
    found_values = np.array(values, np.float64)
    wrong = found_values != np.round(found_values)
    if wrong.any():
        _require_whole(wrong[codes], found_values[codes], lambda i: place(int(rows[i])))
    whole, back = np.unique(found_values, return_inverse=True)
    return [str(int(value)) for value in whole], back[codes]


def _check_count(names: list[str], n: int) -> None:
    if len(names) < 2:
        raise ValueError(f"labels: two classes or more are needed, found {names}")
    if 2 * len(names) > n:
        raise ValueError(
            f"labels: {len(names)} classes in {n} rows; is this an id or a measurement? Only "
            "classification is audited"
        )
