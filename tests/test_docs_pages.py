"""README.md and docs/ agree with the files they come from, and lead somewhere."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from pages import PAGES, anchors, blocks
from project import ROOT

from docs import results
from nonmember import config
from nonmember.attacks import attacks
from nonmember.defenses import defenses
from nonmember.params import ParamsError

README = (ROOT / "README.md").read_text(encoding="utf-8")
LINKS = [
    (page, link)
    for page in PAGES
    for link in re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8"))
    if not link.startswith("http")
]


def test_the_readme_is_a_front_page() -> None:
    assert len(README.splitlines()) <= 160


def test_the_readme_shows_the_committed_numbers() -> None:
    """After a change of docs/results/shoppers.csv: docs.results.front() gives the table."""
    assert results.front() in README


def test_the_readme_counts_what_is_there() -> None:
    """`none` is no defense."""
    [(protect, attack)] = re.findall(r"(\d+) defenses.*?(\d+)\s+membership", README, re.S)
    assert int(protect) == len(defenses.names()) - 1
    assert int(attack) == len(attacks.names())


def test_the_results_are_current() -> None:
    """After a change of docs/results: python -m docs.results."""
    assert (ROOT / "docs" / "results.md").read_text(encoding="utf-8") == results.page()


def test_a_table_is_taken_as_compare_writes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not supported is empty, what costs a multiple is a number; there and back."""
    text = "| defense | AUC worst | time |\n| --- | --- | --- |\n| crl a=1 | – | 1.2× |\n"
    stamp = "data tiny, seed 0"
    (tmp_path / "results").mkdir()
    gap = {"value": -0.0371, "low": -0.06, "high": 0.012}
    tests = json.dumps({"tests": {"crl a=1": {"test_acc": gap, "worst_auc": gap}}})
    (tmp_path / "compare.json").write_text(tests, encoding="utf-8")
    (tmp_path / "compare.md").write_text(f"{text}\n{stamp}\n", encoding="utf-8")
    monkeypatch.setattr(results, "HERE", tmp_path)
    results.take(str(tmp_path / "compare.md"), "mine")
    assert (tmp_path / "results/mine.txt").read_text(encoding="utf-8").strip() == stamp
    [row] = results.read("mine")
    assert row == {"defense": "crl a=1", "AUC worst": "", "time": "1.2"}
    assert results.table([row]) == text.strip().replace("| --- | --- |\n", "| --: | --: |\n")
    assert results.paired("mine").splitlines()[-1].startswith("| crl a=1 | −3.7 (−6.0 to +1.2) |")


@pytest.mark.parametrize(("page", "link"), LINKS, ids=[f"{p.name} {link}" for p, link in LINKS])
def test_the_link_leads_somewhere(page: Path, link: str) -> None:
    """To a file of the repository and, after a #, to a heading."""
    name, _, anchor = link.partition("#")
    target = page.parent / name if name else page
    assert target.exists()
    assert not anchor or anchor in anchors(target)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_nothing_is_left_to_fill_in(page: Path) -> None:
    assert "@@" not in page.read_text(encoding="utf-8")


def test_the_message_shown_is_that_of_config(tmp_path: Path) -> None:
    """The three mistakes of docs/own-data.md, made in the shipped file."""
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    for right, wrong in (
        (r"scheme: past\b", "scheme: pastt"),
        (r"epochs: 40\b", "epochs: forty"),
        (r"alpha_rcl: 0\.27\b", "alpha_rcll: 0.27"),
    ):
        text, count = re.subn(rf"^(  ){right}", rf"\g<1>{wrong}", text, flags=re.M)
        assert count == 1, right
    (tmp_path / "params.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ParamsError) as error:
        config.make(tmp_path / "params.yaml")
    assert f"error: {error.value}\n" in [block.text for block in blocks("")]
