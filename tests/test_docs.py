"""docs/defenses.md and docs/attacks.md say what the code says."""

from typing import Any

import pytest
from project import ROOT

from docs import attacks as page_of_attacks
from docs import generate
from nonmember.attacks import attacks
from nonmember.defenses import defenses


@pytest.mark.parametrize(
    ("name", "page"), [("defenses", generate.page), ("attacks", page_of_attacks.page)]
)
def test_the_page_is_current(name: str, page: Any) -> None:
    """After a change of a defense or attack: python -m docs.generate."""
    assert (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8") == page()


def test_every_attack_names_its_paper_or_is_ours() -> None:
    ours = {name for name, cls in attacks if page_of_attacks.paper(cls) == "ours"}
    assert ours == {"combined", "lira_learned"}


def test_every_defense_says_where_it_comes_from_and_what_it_changes() -> None:
    """The columns a user chooses by."""
    for name, cls in defenses:
        assert name == "none" or (cls.paper and cls.changes), name
