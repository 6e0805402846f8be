"""A notice is kept whole, and what was accepted is said to be."""

from __future__ import annotations

from nonmember.notices import Notice, accepted


def test_only_the_named_are_accepted_and_say_so() -> None:
    found = [Notice(name="near_copies", says="12 near-copies"), Notice(name="rare", says="3 rare")]
    known, other = accepted(found, ["near_copies"])
    assert str(known) == "12 near-copies (near_copies, accepted)"
    assert str(other) == "3 rare"
    assert not other.accepted


def test_a_notice_survives_json() -> None:
    notice = Notice(name="rare", says="3 rare", accepted=True)
    assert Notice.model_validate_json(notice.model_dump_json()) == notice
