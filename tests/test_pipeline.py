"""The whole chain through real dvc, on tiny data: what re-runs, what is kept, what is equal."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest
import yaml
from project import ROOT, TINY, Project, kill_group, ran, wait_for

from nonmember.extraction.released import Released
from nonmember.files import read_json
from nonmember.fingerprint import imported
from nonmember.metrics.report import AuditReport

ARMS = ("undefended", "defended")
PARTS = ("datasets", "architectures", "defenses", "attacks", "queries", "plots")
FOLDERS = (*PARTS, "data", "training", "extraction", "metrics", "reporting")  # named whole
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
pytestmark = pytest.mark.dvc


def test_everything_is_there_after_one_repro(finished: Project) -> None:
    """Contract between the stages: the declared outputs exist, for both arms."""
    for arm in ARMS:
        assert (finished.folder / f"models/{arm}/target.safetensors").exists()
        assert len(list((finished.folder / f"models/{arm}/shadows").glob("*.safetensors"))) == 3
        report = AuditReport.read(finished.folder / f"metrics/{arm}/report.json")
        assert list(report.primary.attacks) == TINY["attacks"]["names"]
    summary = read_json(finished.folder / "metrics/summary.json")
    assert set(summary) == set(ARMS)
    assert {"train_acc", "test_acc", "worst_auc", "worst_auc_attack", "worst_advantage", "p1",
            "members", "non_members", "stamp"} <= set(summary["defended"])  # fmt: skip
    assert not (finished.folder / "metrics/plots/canaries.png").exists()
    out = finished.nonmember("show")
    assert "settings that differ from the defaults: dataset.name digits; model.name mlp" in out
    assert "defended (crl)" in out


def test_the_target_of_a_run_answers_as_it_was_audited(finished: Project) -> None:
    """What the README says to load is what the attacks saw."""
    for arm in ARMS:
        signals = finished.folder / f"data/signals/{arm}"
        model = Released.of_run(arm, finished.folder)
        inputs, _ = model.data.take(np.load(signals / "sample_ids.npy"))
        found, seen = model.answer(inputs), np.load(signals / "logits.npy")[0]
        np.testing.assert_allclose(found, seen, rtol=1e-4, atol=1e-5)
    with pytest.raises(
        FileNotFoundError, match=r"no model crl in .*arms are undefended and defended"
    ):
        Released.of_run("crl", finished.folder)


def test_nothing_changed_nothing_runs(finished: Project) -> None:
    """A second repro has nothing to do."""
    assert finished.repro() == set()


def test_compute_reruns_nothing(finished: Project) -> None:
    """Devices and workers are no part of a result."""
    finished.set("compute.workers", 2)
    assert finished.repro() == set()
    finished.set("compute.workers", 1)


def test_inactive_key_reruns_config_only(finished: Project) -> None:
    """A key of a defense that is not in use stops at config."""
    finished.set("defense.relax_alpha", 0.7)
    assert "Strongest attack" in finished.nonmember("show")
    assert finished.repro() == {"config"}
    finished.set("defense.relax_alpha", 0.5)
    assert finished.repro() == set()


def test_defense_key_spares_the_undefended_arm_and_going_back_trains_nothing(
    finished: Project,
) -> None:
    """The control arm depends on no defense key; earlier settings come from the cache."""
    before = finished.bytes_of("metrics/**/*.json")
    stored = finished.stored()
    finished.set("defense.alpha_rce", 0.9)
    assert finished.repro() == {
        "config", "train_target@defended", "train_shadows@defended", "extract@defended",
        "attack@defended", "plot",
    }  # fmt: skip
    assert len(finished.stored() - stored) == 4
    assert finished.bytes_of("metrics/**/*.json") != before
    finished.set("defense.alpha_rce", 0.5)
    assert finished.repro() <= {"plot"}  # dvc keeps no copy of a folder of pictures
    assert len(finished.stored() - stored) == 4
    assert finished.bytes_of("metrics/**/*.json") == before


def test_raising_the_count_trains_only_the_new_shadows(finished: Project) -> None:
    """3 -> 5 trains two an arm and leaves the first three as they are; 5 -> 3 trains none."""
    first = finished.bytes_of("models/*/shadows/*")
    stored = finished.stored()
    finished.set("shadows.count", 5)
    stages = finished.repro()
    assert not {"train_target@undefended", "train_target@defended", "prepare"} & stages
    assert finished.out.count("2 to train") == 2
    assert len(finished.stored() - stored) == 4
    more = finished.bytes_of("models/*/shadows/*")
    assert len(more) == len(first) + 8
    assert {name: more[name] for name in first} == first
    finished.set("shadows.count", 3)
    finished.repro()
    assert len(finished.stored() - stored) == 4
    assert finished.bytes_of("models/*/shadows/*") == first


def test_ctrl_c_and_kill_9_then_repro_reuses_finished_models(
    finished: Project, fresh: Project
) -> None:
    """Stopped in training, the next repro goes on; the result is that of an unbroken run.

    The unbroken run used one worker in its own process, this one two: same bytes. Many shadows
    make sure that the signals arrive in the middle.
    """
    stage = "train_shadows@undefended"
    shadows = "models/undefended/shadows/*"
    fresh.params["compute"] = {"devices": "cpu", "workers": 2, "backend": "loky"}
    for project in (finished, fresh):
        project.set("shadows.count", 30)
    store = fresh.folder / "work" / "models"
    process = fresh.start("repro", stage)
    wait_for(lambda: len(fresh.stored()) >= 2)
    os.killpg(process.pid, signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "interrupted" in out.lower()
    assert "Traceback" not in out
    begun = len(fresh.stored())
    process = fresh.start("repro", stage)
    wait_for(lambda: len(fresh.stored()) > begun)
    kill_group(process)
    kept = {path: path.stat().st_mtime_ns for path in store.glob("*.safetensors")}
    assert begun < len(kept) < 30
    assert f"{30 - len(kept)} to train" in fresh.dvc("repro", stage)
    finished.dvc("repro", stage)
    assert len(fresh.bytes_of(shadows)) == 60
    assert fresh.bytes_of(shadows) == finished.bytes_of(shadows)
    for project in (finished, fresh):
        project.set("shadows.count", 3)
        project.repro()
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert not list(store.glob("*.tmp"))
    for pattern in ("models/*/*.safetensors", "models/*/shadows/*", "metrics/**/*.*"):
        assert fresh.bytes_of(pattern) == finished.bytes_of(pattern)


def test_a_bad_key_stops_before_anything_runs(finished: Project) -> None:
    """One message with every problem; the results of before stay."""
    before = finished.bytes_of("metrics/**/*.*")
    finished.params["defense"]["alpha_rcee"] = 1
    finished.params["dataset"]["path"] = None  # dvc.yaml depends on it: dvc reads it before us
    finished.set("train.epochs", 0)
    out = finished.dvc("repro", fails=True)
    assert ran(out) == {"config"}
    assert "defense.alpha_rcee: unknown key (did you mean alpha_rce?)" in out
    assert "dataset.path: must be text, found null" in out
    assert "train.epochs" in out
    assert "Traceback" not in out
    assert finished.bytes_of("metrics/**/*.*") == before
    assert "train.epochs" in finished.nonmember("show", fails=True)  # not those of before
    del finished.params["defense"]["alpha_rcee"]
    finished.params["dataset"]["path"] = TINY["dataset"]["path"]
    finished.set("train.epochs", 5)
    refused = finished.nonmember("show", fails=True)
    assert "train.epochs was 6, is 5); run `dvc repro`" in refused
    finished.set("train.epochs", 6)
    assert finished.repro() == set()
    assert "Strongest attack" in finished.nonmember("show")


def test_random_halves_canaries_and_partial_knowledge(fresh: Project) -> None:
    """The other threat model, online attacks and canaries, through the whole chain."""
    fresh.params["split"]["canaries"] = 0.1
    fresh.params["shadows"] = {"count": 6, "assignment": "random_half"}
    fresh.params["attacks"] = {"names": ["loss", "lira", "rmia"], "lira_mode": "online",
                               "rmia_mode": "online"}  # fmt: skip
    fresh.write()
    fresh.repro()
    path = fresh.folder / "metrics/defended/report.json"
    report = AuditReport.read(path)
    assert list(report.names()) == ["adaptive", "non_adaptive"]
    for found in report.attackers.values():
        assert found.canaries is not None
        assert set(found.attacks) == set(found.canaries) == {"loss", "lira", "rmia"}
    assert report.model.members == report.model.non_members == 180
    assert report.stamp.members == report.stamp.non_members == 180
    assert (fresh.folder / "metrics/plots/canaries.png").exists()
    fresh.params["attacks"] |= {"knowledge": "partial", "partial_splits": 2}
    fresh.write()
    assert fresh.repro() == {"config", "attack@undefended", "attack@defended", "plot"}
    report = AuditReport.read(path)
    assert list(report.names()) == ["partial"]
    loss = report.primary.attacks["loss"]
    assert loss.members == 90
    assert loss.auc.sd is not None
    assert 0 < loss.auc.sd < 0.2  # the splits differ, but not wildly
    assert set(report.primary.canaries or ()) == {"loss", "lira", "rmia"}
    for bound in (report.epsilon, report.epsilon_canaries):
        assert bound is not None
        assert bound.attack in {"loss", "lira", "rmia"}
    fresh.nonmember("records")
    exposed = read_json(fresh.folder / "private/defended/exposed.json")
    assert len(exposed["records"]) == 20


@pytest.mark.parametrize("stage", STAGES)
def test_modules_a_stage_imports_are_its_deps(stage: str) -> None:
    """DVC follows no imports: a stage lists its modules, and no others.

    A part may be found by name, so what any part of a kind imports counts too.
    """
    listed = {dep for dep in STAGES[stage]["deps"] if dep.startswith(("stages/", "nonmember/"))}
    modules, before = {f"stages.{stage}"}, set[str]()
    while modules != before:
        before = set(modules)
        needed = imported(sorted(modules))
        kinds = {part for part in PARTS if f"nonmember.{part}" in needed}
        modules |= {
            f"nonmember.{kind}.{path.stem}"
            for kind in kinds
            for path in (ROOT / "nonmember" / kind).glob("*.py")
            if path.stem != "__init__"
        }
    assert listed == {dep_of(module, path) for module, path in needed.items()} - {None}


def dep_of(module: str, path: Path) -> str | None:
    """How dvc.yaml names a module: what is used together counts as its whole folder."""
    top, *rest = module.split(".")
    if not rest:
        return None
    if top == "nonmember" and rest[0] in FOLDERS:
        return f"nonmember/{rest[0]}"
    return None if path.name == "__init__.py" else path.relative_to(ROOT).as_posix()
