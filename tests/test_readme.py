"""The README's Python runs, and what it names exists."""

from __future__ import annotations

import re

import pytest
from project import ROOT

from nonmember.defenses import defenses

TEXT = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, re.S)


def test_the_training_loop_runs() -> None:
    """As it stands, from a reader's clipboard."""
    [loop] = [block for block in BLOCKS if "crl.loss" in block]
    scope: dict[str, object] = {}
    exec(loop, scope)
    assert scope["loss"].isfinite()  # type: ignore[attr-defined]


def test_the_new_defense_runs() -> None:
    """The example of adding a defense is a valid one, apart from its place."""
    import torch

    from nonmember.defenses import Batch

    [block] = [block for block in BLOCKS if "MyDefense" in block]
    scope: dict[str, object] = {"__name__": "example"}
    exec(block, scope)
    loss = scope["MyDefense"](my_weight=1.0).loss(  # type: ignore[operator]
        Batch(torch.zeros(2, 3), torch.tensor([0, 1]))
    )
    assert loss.item() == pytest.approx(1.0986, abs=1e-4)


@pytest.mark.parametrize("path", sorted(set(re.findall(r"\]\(([^)#:]+)\)", TEXT))))
def test_links_lead_somewhere(path: str) -> None:
    """No dead link to a file of the repository."""
    assert (ROOT / path).exists()


def test_nothing_is_left_to_fill_in() -> None:
    """A half-written README is not a README."""
    assert "@@" not in TEXT


def test_the_defenses_named_are_there() -> None:
    """-S defense.name=… in the README works literally."""
    named = {n for names in re.findall(r"defense\.name=([\w,]+)", TEXT) for n in names.split(",")}
    assert named - {"my_defense"} <= set(defenses.names())
