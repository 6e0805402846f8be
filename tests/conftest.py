"""Shared by all tests: one thread for the mathematics, and a tiny project that runs real dvc."""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from project import Project


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
