"""Shared by all tests: one thread for the mathematics, and a tiny project that runs real dvc."""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import yaml
from project import TINY, Project


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A tiny project after one complete `dvc repro`. Tests put back what they change."""
    project = Project(tmp_path_factory.mktemp("project"))
    project.repro()
    return project


@pytest.fixture
def fresh(tmp_path: Path) -> Project:
    """A tiny project in which nothing has run yet."""
    return Project(tmp_path)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder one is in, with tiny parameters and two attacks; the store goes there too."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    params = {**TINY, "attacks": {"names": ["loss", "modified_entropy"]}}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    return tmp_path
