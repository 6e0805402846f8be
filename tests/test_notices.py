"""A notice is kept whole, and what was accepted is said to be."""

from __future__ import annotations

import re

import pytest
from project import ROOT

from nonmember.notices import KNOWN, Notice, accepted, counted, found


def test_only_the_named_are_accepted_and_say_so() -> None:
    found = [Notice(name="near_copies", says="12 near-copies"), Notice(name="rare", says="3 rare")]
    known, other = accepted(found, ["near_copies"])
    assert str(known) == "12 near-copies (near_copies, accepted)"
    assert str(other) == "3 rare"
    assert not other.accepted


def test_a_notice_survives_json() -> None:
    notice = Notice(name="rare", says="3 rare", accepted=True)
    assert Notice.model_validate_json(notice.model_dump_json()) == notice


def test_what_is_refused_stops_with_its_cure_unless_it_is_accepted() -> None:
    with pytest.raises(ValueError, match=r"x counts; drop it, .*dataset\.accept: \[row_numbers\]"):
        found("row_numbers", "x counts")
    assert found("row_numbers", "x counts", ["row_numbers"]).name == "row_numbers"
    assert found("imbalance", "97 %").says == "97 %"


def test_pictures_say_how_many_there_are() -> None:
    two = [Notice(name="copies", says="3"), Notice(name="imbalance", says="97 %")]
    assert counted([]) == ""
    assert counted(two[:1]) == "1 notice"
    assert counted(accepted(two, ["copies"])) == "2 notices, 1 accepted"


def test_every_known_name_is_used_and_documented() -> None:
    """docs/methods.md holds the table, the code the names."""
    page = (ROOT / "docs/methods.md").read_text(encoding="utf-8")
    code = "".join(p.read_text(encoding="utf-8") for p in (ROOT / "nonmember").rglob("*.py"))
    for name, about in KNOWN.items():
        kind = "refused" if about.refused else "noticed"
        assert f"| `{name}` | {kind} | {about.what} | {about.cure} |" in page, name
        assert len(re.findall(rf"\b{name}\b", code)) > 1, name
