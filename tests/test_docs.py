"""docs/defenses.md says what the code says."""

from project import ROOT

from docs import generate
from nonmember.defenses import defenses


def test_the_page_is_current() -> None:
    """After a change of a defense: python -m docs.generate."""
    assert (ROOT / "docs" / "defenses.md").read_text(encoding="utf-8") == generate.page()


def test_every_defense_says_where_it_comes_from_and_what_it_changes() -> None:
    """The columns a user chooses by."""
    for name, cls in defenses:
        assert name == "none" or (cls.paper and cls.changes), name
