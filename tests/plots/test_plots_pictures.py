"""What holds of every picture: written, reproducible, stamped, made of its numbers."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import runs

from nonmember import plots
from nonmember.metrics.report import Attacker, Ranking
from nonmember.metrics.risk import Joint
from nonmember.plots import Arm, _style
from nonmember.views import View

LOW = 320  # pixels: a picture that says in words why there is nothing to see
ALWAYS = sorted(set(plots.names()) - {"canaries"})


def restated(arm: Arm, /, **changes: Any) -> Arm:
    """The arm with changes to its report."""
    return replace(arm, report=arm.report.model_copy(update=changes))


def with_canaries(arm: Arm) -> Arm:
    """Canaries found the more often the higher the AUC, and ordinary members as in the report."""
    rates = {key: getattr(arm.attacks["loss"], key) for key in Ranking.model_fields}
    rates["tpr_at_1_fpr"] = runs.number(0.9 * arm.auc("loss"))
    return with_planted(arm, dict.fromkeys(arm.attacks, Ranking(**rates)))


def with_planted(arm: Arm, planted: dict[str, Ranking]) -> Arm:
    kind, primary = arm.report.primary_name, arm.report.primary
    found = Attacker(attacks=primary.attacks, canaries=planted)
    return restated(arm, attackers={**arm.report.attackers, kind: found})


def with_risk(arm: Arm) -> Arm:
    """A risk that is the rank of the sample's score, in [0, 1]."""
    rank = np.argsort(np.argsort(arm.of("loss"))) / (runs.N - 1)
    joint = Joint(rank, rank, np.full(runs.N, "loss"))
    return replace(arm, scores=replace(arm.scores, joint=joint))


def height(picture: bytes | None) -> int:
    assert picture is not None
    return int.from_bytes(picture[20:24], "big")


def test_the_pictures_are_the_files_of_the_folder() -> None:
    folder = Path(plots.__file__).parent
    assert plots.names() == sorted(p.stem for p in folder.glob("[a-z]*.py"))
    assert {"attack_auc", "canaries", "risk", "roc", "training"} <= set(plots.names())


def test_a_run_without_canaries_has_every_picture_but_theirs(drawn: Path) -> None:
    found = {path.name for path in (drawn / "metrics/plots").iterdir()}
    assert found == {f"{name}.png" for name in ALWAYS}


@pytest.mark.parametrize("name", ALWAYS)
def test_every_picture_is_written_and_reproducible(drawn: Path, name: str, arms: list[Arm]) -> None:
    """A real PNG 1280 pixels wide, and the same bytes again, whatever the global settings."""
    import matplotlib as mpl

    picture = (drawn / f"metrics/plots/{name}.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert int.from_bytes(picture[16:20], "big") == 1280
    assert b"matplotlib" not in picture.lower()
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "red"}):
        assert plots.draw(name, arms) == picture


@pytest.mark.parametrize("name", plots.names())
def test_every_picture_carries_its_stamp(name: str, arms: list[Arm]) -> None:
    """Equal numbers of another run make another picture, below the old one's last line alone."""
    from matplotlib.image import imread

    full = [with_canaries(arm) for arm in arms]
    stamp = full[1].report.stamp.model_copy(update={"code": "another code"})
    pictures = [
        plots.draw(name, drawn_arms)
        for drawn_arms in (full, [full[0], restated(full[1], stamp=stamp)])
    ]
    first, second = (imread(_file(picture)) for picture in pictures)
    rows = np.flatnonzero((first != second).any(axis=(1, 2)))
    assert len(rows)
    assert rows.min() > len(first) - _style._STRIP * _style._DPI


def _file(picture: bytes | None) -> Any:
    import io

    assert picture is not None
    return io.BytesIO(picture)


@pytest.mark.parametrize("name", sorted(set(plots.names()) - {"training"}))
def test_a_picture_depends_on_its_numbers(name: str, arms: list[Arm]) -> None:
    """The arms exchanged under the same stamps: the picture must change."""
    one, other = (with_risk(with_canaries(arm)) for arm in arms)
    swapped = [
        restated(b, arm=a.name, defense=a.report.defense, stamp=a.report.stamp)
        for a, b in ((one, other), (other, one))
    ]
    assert plots.draw(name, swapped) != plots.draw(name, [one, other])


def test_canaries_are_drawn_where_an_arm_has_some(arms: list[Arm]) -> None:
    assert plots.draw("canaries", arms) is None
    one = plots.draw("canaries", [with_canaries(arms[0]), arms[1]])
    assert height(one) > LOW
    assert plots.draw("canaries", [with_canaries(arm) for arm in arms]) != one


def test_canaries_without_a_supported_rate_are_said(arms: list[Arm]) -> None:
    """A low picture in place of an empty one."""
    low = {key: runs.UNSUPPORTED for key in Ranking.model_fields if key != "auc"}
    bare = runs.attack_numbers(0.7, **low)
    planted = Ranking(**{key: getattr(bare, key) for key in Ranking.model_fields})
    found = Attacker(attacks={"loss": bare}, canaries={"loss": planted})
    arm = restated(arms[0], attackers={arms[0].report.primary_name: found})
    assert height(plots.draw("canaries", [arm])) < LOW
    assert height(plots.draw("canaries", [with_canaries(arms[0])])) > LOW


def test_risk_is_drawn_where_there_is_a_joint_risk(arms: list[Arm]) -> None:
    bare = [replace(arm, scores=replace(arm.scores, joint=None)) for arm in arms]
    assert plots.draw("risk", bare) is None
    one, both = plots.draw("risk", [arms[0], bare[1]]), plots.draw("risk", arms)
    assert height(one) > LOW
    assert one != both


def test_classes_without_support_are_said(arms: list[Arm]) -> None:
    """One sample a class."""
    labels, logits = np.arange(runs.N), np.zeros((runs.N, runs.N), np.float32)
    few = [replace(arm, view=replace(arm.view, labels=labels, logits=logits)) for arm in arms]
    assert height(plots.draw("class_auc", few)) < LOW
    assert height(plots.draw("class_auc", [arms[0], few[1]])) > LOW


def test_classes_are_drawn_by_name(arms: list[Arm]) -> None:
    nameless = [replace(arm, class_names=None) for arm in arms]
    assert plots.draw("class_auc", nameless) != plots.draw("class_auc", arms)


@pytest.mark.parametrize("name", ["loss", "boundary", "origin_boundary"])
def test_saturated_models_can_be_drawn(arms: list[Arm], name: str) -> None:
    """Losses of exactly 0 and one value for all samples."""
    sure = np.zeros((runs.N, runs.CLASSES), np.float32)
    sure[np.arange(runs.N), arms[0].view.labels] = 2000
    picture = plots.draw(name, [replace(arms[0], view=replace(arms[0].view, logits=sure))])
    assert height(picture) > LOW


def test_missing_feature_norm_and_membership_are_named(arms: list[Arm]) -> None:
    arm, view = arms[0], arms[0].view
    blind = View(view.ids, view.labels, view.logits, {}, view.member)
    with pytest.raises(ValueError, match="undefended: no signal feature_norm; run the stage"):
        plots.draw("origin_boundary", [replace(arm, view=blind)])
    unknown = View(view.ids, view.labels, view.logits, view.signals)
    with pytest.raises(ValueError, match="undefended: the view's member must be known, got None"):
        plots.draw("loss", [replace(arm, view=unknown)])


@pytest.mark.parametrize(
    ("value", "text"), [(0.5123, "0.51"), (9.7e-5, r"$9.7 \times 10^{-5}$"), (0.0, "0")]
)
def test_numbers_are_written_out(value: float, text: str) -> None:
    assert _style.number(value) == text


def test_importing_loads_no_matplotlib() -> None:
    code = "import sys, nonmember.plots; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
