"""The table of `make repro`: both arms in words and numbers, and none that are not of this run."""

from __future__ import annotations

import copy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import runs
from project import ROOT
from runs import ARMS, UNSUPPORTED, attack_numbers, attackers, behaviour, number

from nonmember import files
from nonmember.commands import show
from nonmember.metrics.report import AuditReport, OneRunBound
from nonmember.notices import Notice

Printed = Callable[..., str]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    runs.settle(folder)
    return folder


@pytest.fixture
def printed(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Printed:
    """printed(**changes of the defended report) -> what show prints."""

    def run(**changes: Any) -> str:
        monkeypatch.chdir(place)
        write(place, **changes)
        show.main(origin=False)
        return capsys.readouterr().out

    return run


def write(place: Path, **changes: Any) -> None:
    """Both arms' reports, with the stamps of the folder."""
    for arm in ARMS:
        own = changes if arm == "defended" else {}
        report = runs.report(arm, **{"stamp": runs.stamp(place, arm), **own})
        report.write(place / f"metrics/{arm}/report.json")


def rows(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines()]


def begins(text: str, words: str) -> bool:
    """Whether a line begins so, whatever columns follow."""
    return any(row.startswith(words) for row in rows(text))


def test_the_stamp_stands_on_top(printed: Printed, place: Path) -> None:
    top = " ".join(printed().split("\n\n")[0].split())
    stamp = runs.stamp(place, "defended")
    assert top == f"{stamp.line()} {stamp.changed()}"


def test_both_arms_and_their_accuracies(printed: Printed) -> None:
    text = printed()
    assert begins(text, "model train test")
    assert begins(text, "undefended 100.0 80.0")
    assert begins(text, "defended (crl) 100.0 75.0")


def test_one_line_an_attack_arm_and_kind_of_shadows(printed: Printed) -> None:
    text = printed()
    assert begins(text, "attack model AUC advantage adv. by class TPR at 1 %")
    assert begins(text, "loss undefended 77.7 (76.7 – 78.7) 25.0 20.0 3.4")
    assert begins(text, "nn undefended 70.0 (69.0 – 71.0) 25.0 31.0 –")
    assert begins(text, "defended, adaptive 61.1 (60.1 – 62.1) 25.0 20.0 3.4")
    assert begins(text, "defended, non-adaptive 55.5 (54.5 – 56.5) 25.0 20.0 3.4")


def test_partial_knowledge_has_words_of_its_own(printed: Printed) -> None:
    text = printed(attackers=attackers(partial={"loss": attack_numbers(0.6)}))
    assert begins(text, "defended, half of it known 60.0 (59.0 – 61.0) 25.0 20.0 3.4")
    assert "Strongest attack on defended (crl): loss, AUC 60.0" in text


def test_a_dash_is_explained_once(printed: Printed) -> None:
    missing = {"tpr_at_1_fpr": UNSUPPORTED}
    twice = {"loss": attack_numbers(0.6, **missing), "nn": attack_numbers(0.6, **missing)}
    text = printed(attackers=attackers(adaptive=twice))
    assert text.count("TPR at 1 % –: an FPR of 1 % needs 1000 non-members, there are 400.") == 1


def test_lines_are_no_wider_than_100_and_tables_no_wider_than_120(printed: Printed) -> None:
    """The widest cells there are, and settings without end."""
    wide = attack_numbers(1.0, class_advantage=number(-0.999), tpr_at_1_fpr=number(1.0))
    names = {"modified_entropy": wide, "loss": wide, "nn": wide}
    text = printed(attackers=attackers(adaptive=names, non_adaptive=names, partial=names))
    assert "100.0 (99.0 – 101.0)" in text
    assert max(map(len, text.splitlines())) <= 120
    assert max(len(line) for line in text.splitlines() if "   " not in line) <= 100


def test_the_end_says_it_in_words(printed: Printed) -> None:
    end = " ".join(printed().split("\n\n")[-1].split())
    assert "Strongest attack on undefended: loss, AUC 77.7 (76.7 – 78.7)." in end
    assert "Strongest attack on defended (crl): adaptive nn, AUC 61.1 (60.1 – 62.1)." in end
    assert (
        "Epsilon of defended (crl) at delta 1e-05: at least 0.10 if records count as independent."
    ) in end
    assert "crl costs 5.0 points of test accuracy (80.0 → 75.0 %)." in end
    assert "500 members, 400 non-members, no duplicates." in end
    assert end.endswith("Pictures: metrics/plots/")


@pytest.mark.parametrize(
    ("test", "words"),
    [
        (0.9, "crl gains 10.0 points of test accuracy (80.0 → 90.0 %)"),
        (0.8, "crl leaves the test accuracy at 80.0 %"),
    ],
)
def test_accuracy_may_rise_or_stay(printed: Printed, test: float, words: str) -> None:
    assert words in printed(model=behaviour(test))


def test_duplicates_and_a_stronger_non_adaptive_attack_are_not_hidden(printed: Printed) -> None:
    adaptive = {"loss": attack_numbers(0.6)}
    both = attackers(adaptive=adaptive, non_adaptive={"loss": attack_numbers(0.66)})
    text = printed(duplicates=7, attackers=both)
    assert "7 non-members are exact copies of a member" in text
    assert "on defended (crl): non-adaptive loss, AUC 66.0 (65.0 – 67.0)" in text


def test_a_notice_is_said_once_under_the_tables(printed: Printed) -> None:
    near = Notice(name="near_copies", says="9 near-copies")
    text = printed(notices=[near, near, Notice(name="copies", says="2 copies", accepted=True)])
    assert text.count("notice: 9 near-copies (near_copies)\n") == 1
    assert "notice: 2 copies (copies, accepted)\n" in text


def test_origin_is_what_a_run_is_of(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything trained: data, sizes, seed and settings, and no report is read."""
    monkeypatch.chdir(place)
    for arm in ARMS:
        (place / f"metrics/{arm}/report.json").unlink(missing_ok=True)
    show.main(origin=True)
    said = " ".join(capsys.readouterr().out.split())
    assert said.startswith("data tiny (")
    assert "120 records, 4 classes · 60 members, 60 non-members · seed 0" in said
    assert "; defense.alpha_rce 0.5;" in said


def test_origin_without_a_run_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"nothing was run here; run `dvc repro`"):
        show.main(origin=True)


def refused(place: Path) -> str:
    """The message with which the defended arm's numbers are refused."""
    with pytest.raises((ValueError, FileNotFoundError)) as error:
        show.current(place, "defended")
    assert "run `dvc repro`" in str(error.value)
    return str(error.value)


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A run to spoil; its numbers are shown as they are."""
    runs.settle(tmp_path)
    write(tmp_path)
    assert show.current(tmp_path, "defended").defense == "crl"
    return tmp_path


def test_a_missing_report_is_refused(own: Path) -> None:
    (own / "metrics/defended/report.json").unlink()
    assert "metrics/defended/report.json is missing" in refused(own)


def test_numbers_of_other_data_are_refused(own: Path) -> None:
    path = own / "data/prepared/dataset.json"
    data = files.read_json(path)
    files.write_json(path, {**data, "sha256": "f" * 64})
    assert f"(sha256 was {data['sha256'][:8]}, is ffffffff)" in refused(own)


@pytest.mark.parametrize(
    ("section", "change", "said"),
    [
        ("seed", 1, "(seed was 0, is 1)"),
        ("defense", {"alpha_rce": 0.6}, "(defense.alpha_rce was 0.5, is 0.6)"),
        ("train", {"momentum": 0.5}, "(train.momentum was the default, is 0.5)"),
        ("train", {"lr": {0: 0.1, 3: 0.01}}, "(train.lr was 0.05, is {0: 0.1, 3: 0.01})"),
        ("shadows", {"count": 4}, "(shadows.count was the default, is 4)"),
        ("attacks", {"names": ["loss", "entropy", "lira"]},
         "(attacks.names was [loss, entropy, grad_x_l2], is [loss, entropy, lira])"),
    ],
)  # fmt: skip
def test_numbers_of_other_settings_are_refused(
    own: Path, section: str, change: Any, said: str
) -> None:
    assert said in refused(changed(own, section, change))


@pytest.mark.parametrize(
    ("section", "change"),
    [
        ("defense", {"relax_alpha": 0.7}),
        ("compute", {"workers": 7}),
        ("records", {"publish": True}),
        ("train", {"momentum": 0.9}),  # the default
    ],
)
def test_what_changes_no_number_is_no_reason(own: Path, section: str, change: Any) -> None:
    show.current(changed(own, section, change), "defended")


def changed(place: Path, section: str, change: Any) -> Path:
    params = copy.deepcopy(runs.PARAMS)
    old = params.get(section, {})
    params[section] = {**old, **change} if isinstance(change, dict) else change
    runs.write_params(place, params)
    return place


def test_a_schedule_of_rates_is_the_same_after_it_was_written(own: Path) -> None:
    """JSON has no whole numbers as keys."""
    lr = {"lr": {0: 0.1, 3: 0.01}}
    params = {**runs.PARAMS, "train": {**runs.PARAMS["train"], **lr}}
    runs.settle(own, params)
    write(own)
    show.current(own, "defended")


@pytest.mark.parametrize("model", ["another", None])
def test_numbers_of_another_model_are_refused(own: Path, model: str | None) -> None:
    """A run that broke off after training: the model is new or gone, the numbers are old."""
    path = own / "models/defended/target.json"
    path.unlink() if model is None else files.write_json(path, {"fingerprint": model})
    assert f"model was defended, is {(model or 'missing')[:8]}" in refused(own)


def test_all_differences_are_in_one_message(own: Path) -> None:
    files.write_json(own / "models/defended/target.json", {"fingerprint": "new"})
    text = refused(changed(own, "defense", {"alpha_rce": 0.6}))
    assert "(defense.alpha_rce was 0.5, is 0.6; model was defended, is new)" in text


def test_a_report_of_another_schema_is_refused(own: Path) -> None:
    path = own / "metrics/defended/report.json"
    files.write_json(path, {**files.read_json(path), "schema_version": 2})
    assert "report.json: an audit report of schema 1 is needed, found 2" in refused(own)


@pytest.mark.parametrize("damage", [{"model": None}, {"more": 1}])
def test_a_report_that_is_not_whole_is_refused(own: Path, damage: dict[str, Any]) -> None:
    path = own / "metrics/defended/report.json"
    files.write_json(path, {**files.read_json(path), **damage})
    with pytest.raises(ValueError, match=r"report\.json: no whole audit report"):
        AuditReport.read(path)


def test_params_that_no_run_could_have_are_said(own: Path) -> None:
    """After a failed run the numbers of before are not shown as if they were its own."""
    with pytest.raises(ValueError, match=r"train\.epochs: must be at least 1, found 0"):
        show.current(changed(own, "train", {"epochs": 0}), "defended")


def test_it_starts_fast() -> None:
    """Nothing heavy is imported."""
    heavy = "{'torch', 'matplotlib', 'scipy', 'sklearn'}"
    code = f"import sys, nonmember.commands.show; print(*{heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "", "")


def test_the_bounds_on_epsilon_stand_beside_what_training_states(printed: Printed) -> None:
    one_run = OneRunBound(
        epsilon=0.05, attack="loss", kind="both", guesses=20, correct=15, coins=100,
        confidence=0.95, delta=1e-5,
    )  # fmt: skip
    end = " ".join(printed(epsilon_one_run=one_run, defense_facts={"epsilon": 8.0}).split())
    assert "independent, 0.05 without that; at most 8.00 by its training." in end
