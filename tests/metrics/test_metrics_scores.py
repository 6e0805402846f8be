"""Scores come back as they were written, whatever the attacks; only one file knows the keys."""

from __future__ import annotations

import re
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nonmember
from nonmember import files
from nonmember.metrics import scores
from nonmember.metrics.risk import Joint
from nonmember.metrics.scores import Part, ScoreSet

# Attacks are called by the names of Python files; dots and slashes would still come back.
NAMES = st.one_of(
    st.from_regex(r"[a-z_][a-z0-9_]{0,11}", fullmatch=True), st.text("ab._/", min_size=1)
)


def part(names: list[str], n: int, seed: int = 0) -> Part:
    rng = np.random.default_rng(seed)
    return Part(
        ids=rng.permutation(n),
        member=rng.random(n) < 0.5,
        labels=rng.integers(3, size=n),
        scores={name: rng.normal(size=n) for name in names},
    )


def whole(names: list[str]) -> ScoreSet:
    """With all there can be."""
    rng = np.random.default_rng(3)
    joint = Joint(rng.random(6), rng.random(6), rng.choice(names, size=6))
    return ScoreSet(part(names, 6), part(names, 9, 1), part(names, 4, 2), joint)


def same(one: ScoreSet, other: ScoreSet) -> None:
    """Every array, its dtype, and the order of the attacks."""
    assert one.attacks == other.attacks
    for name in ("target", "shadows", "canaries"):
        a, b = getattr(one, name), getattr(other, name)
        assert (a is None) == (b is None)
        if a is not None:
            assert list(a.scores) == list(b.scores)
            for field in ("ids", "member", "labels"):
                np.testing.assert_array_equal(getattr(a, field), getattr(b, field), strict=True)
            for attack, values in a.scores.items():
                np.testing.assert_array_equal(values, b.scores[attack], strict=True)
    assert (one.joint is None) == (other.joint is None)
    for values, others in zip(one.joint or (), other.joint or (), strict=True):
        np.testing.assert_array_equal(values, others, strict=True)


@settings(deadline=None, max_examples=40)
@given(st.lists(NAMES, min_size=1, max_size=4, unique=True))
def test_what_was_written_is_read(names: list[str]) -> None:
    kept = {"adaptive": whole(names), "non_adaptive": ScoreSet(part(names[:1], 5))}
    with TemporaryDirectory() as folder:
        path = Path(folder) / "defended.npz"
        scores.write(path, kept)
        found = scores.read(path)
    assert list(found) == ["adaptive", "non_adaptive"]
    for kind, expected in kept.items():
        same(found[kind], expected)


@pytest.mark.parametrize("without", ["shadows", "canaries", "joint"])
def test_what_is_not_there_stays_away(tmp_path: Path, without: str) -> None:
    kept = {"shadows": None, "canaries": None, "joint": None}
    full = whole(["loss"])
    parts = {name: getattr(full, name) for name in kept if name != without}
    expected = ScoreSet(full.target, **parts)
    scores.write(tmp_path / "a.npz", {"partial": expected})
    same(scores.read(tmp_path / "a.npz")["partial"], expected)


def test_attacks_are_in_the_order_they_were_made_in(tmp_path: Path) -> None:
    names = ["rmia", "loss", "combined", "entropy"]
    scores.write(tmp_path / "a.npz", {"adaptive": whole(names)})
    assert scores.read(tmp_path / "a.npz")["adaptive"].attacks == names


def test_scored_has_the_truth_beside_each_attack() -> None:
    one = part(["loss", "lira"], 8)
    for name, scored in one.scored().items():
        assert scored.scores is one.scores[name]
        assert scored.member is one.member
        assert scored.labels is one.labels


@pytest.mark.parametrize(
    "arrays",
    [
        {"loss.target": np.zeros(3)},  # of an earlier version
        {"adaptive/target/score/loss": np.zeros(3)},  # no truth
        {"adaptive/joint/risk": np.zeros(3)},
        {f"adaptive/shadows/{name}": np.zeros(3) for name in ("ids", "member", "labels")},
    ],
)
def test_a_file_of_other_arrays_is_named(tmp_path: Path, arrays: dict[str, np.ndarray]) -> None:
    files.write_arrays(tmp_path / "defended.npz", arrays)
    with pytest.raises(ValueError, match=r"defended\.npz: not the scores of an arm .*dvc repro"):
        scores.read(tmp_path / "defended.npz")


def test_a_cut_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "defended.npz"
    scores.write(path, {"adaptive": whole(["loss"])})
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"defended\.npz: no whole \.npz"):
        scores.read(path)


def test_no_other_file_builds_or_parses_a_key() -> None:
    keys = re.compile(
        r"""\{kind\}[./]|["'}]\.(target|shadows|canaries)\b|"""
        r"""/(target|shadows|canaries)/(ids|member|labels|score)|/joint/|["']score/"""
    )
    own = Path(scores.__file__)
    assert keys.search(own.read_text(encoding="utf-8"))
    for path in Path(nonmember.__file__).parent.rglob("*.py"):
        if path != own:
            assert not keys.search(path.read_text(encoding="utf-8")), path
