"""The table of `make repro`: both arms, in words and numbers, without heavy imports."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nonmember import files
from nonmember.audit import worst
from nonmember.commands import show

ROOT = Path(__file__).parents[2]


def numbers(auc: float, **others: Any) -> dict[str, Any]:
    return {
        "auc": auc,
        "auc_low": auc - 0.01,
        "auc_high": auc + 0.01,
        "advantage": 0.25,
        "class_advantage": 0.2,
        "tpr_at_1_fpr": 0.034,
        **others,
    }


def model(test: float) -> dict[str, Any]:
    counts = {"members": 500, "non_members": 400}
    return {"train_acc": 1.0, "test_acc": test, "gap": 1 - test, **counts}


def write(folder: Path, **changes: Any) -> None:
    """Undefended 80 % test accuracy, `loss` at 77.7 %; defended 75 %, `nn` at 61.1 %."""
    unsupported = {"tpr_at_1_fpr": "not supported", "class_advantage": 0.31}
    audits: dict[str, Any] = {
        "undefended": {
            "model": model(0.8),
            "duplicates": 0,
            "adaptive": {"loss": numbers(0.777), "nn": numbers(0.7, **unsupported)},
        },
        "defended": {
            "model": model(0.75),
            "duplicates": 0,
            "adaptive": {"loss": numbers(0.6), "nn": numbers(0.611)},
            "non_adaptive": {"loss": numbers(0.6), "nn": numbers(0.555)},
        },
    }
    audits["defended"] |= changes
    summary = {}
    for arm, audit in audits.items():
        kind, attack = worst(audit)
        found = {"worst_auc_attack": attack, "worst_auc_kind": kind}
        summary[arm] = {"test_acc": audit["model"]["test_acc"], **found}
    for arm, audit in audits.items():
        files.write_json(folder / f"metrics/{arm}/attacks.json", audit)
    files.write_json(folder / "metrics/summary.json", summary)
    files.write_json(folder / "metrics/tradeoff.json", [{"defense": "crl"}])


@pytest.fixture
def printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    def run(**changes: Any) -> str:
        monkeypatch.chdir(tmp_path)
        write(tmp_path, **changes)
        show.main()
        return capsys.readouterr().out

    return run


def rows(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines()]


def test_both_arms_and_their_accuracies(printed) -> None:
    found = rows(printed())
    assert "undefended 100.0 80.0 20.0" in found
    assert "defended (crl) 100.0 75.0 25.0" in found


def test_one_line_an_attack_arm_and_kind_of_shadows(printed) -> None:
    found = rows(printed())
    assert "loss undefended 77.7 76.7 – 78.7 25.0 3.4" in found
    assert "nn undefended 70.0 69.0 – 71.0 25.0 31.0 not supported" in found
    assert "defended, adaptive 61.1 60.1 – 62.1 25.0 3.4" in found
    assert "defended, non-adaptive 55.5 54.5 – 56.5 25.0 3.4" in found


def test_no_line_is_wider_than_100(printed) -> None:
    """The widest cells there are: 'not supported' everywhere it can stand."""
    wide = numbers(1.0, tpr_at_1_fpr="not supported", class_advantage=0.999)
    text = printed(adaptive={"loss": wide, "nn": wide})
    assert "not supported" in text
    assert max(map(len, text.splitlines())) <= 100


def test_the_end_says_it_in_words(printed) -> None:
    end = " ".join(printed().split("\n\n")[-1].split())
    assert "undefended: loss, AUC 77.7 % (76.7 – 78.7)" in end
    assert "defended (crl): adaptive nn, AUC 61.1 % (60.1 – 62.1)" in end
    assert "crl costs 5.0 points of test accuracy (80.0 → 75.0 %)" in end
    assert "500 members, 400 non-members, no duplicates" in end
    assert end.endswith("Pictures: metrics/plots/")


@pytest.mark.parametrize(
    ("test", "words"),
    [
        (0.9, "crl gains 10.0 points of test accuracy (80.0 → 90.0 %)"),
        (0.8, "crl leaves the test accuracy at 80.0 %"),
    ],
)
def test_accuracy_may_rise_or_stay(printed, test: float, words: str) -> None:
    assert words in " ".join(printed(model=model(test)).split())


def test_duplicates_and_a_stronger_non_adaptive_attack_are_not_hidden(printed) -> None:
    text = " ".join(printed(duplicates=7, non_adaptive={"loss": numbers(0.66)}).split())
    assert "7 non-members are exact copies of a member" in text
    assert "defended (crl): non-adaptive loss, AUC 66.0 % (65.0 – 67.0)" in text


def test_a_missing_file_says_what_to_run(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"attacks\.json is missing; run `dvc repro`"):
        show.main()


def test_it_starts_fast() -> None:
    """Nothing heavy is imported."""
    heavy = "{'torch', 'matplotlib', 'scipy', 'sklearn', 'numpy'}"
    code = f"import sys, nonmember.commands.show; print(*{heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "", "")
