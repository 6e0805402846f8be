"""The arms of one made-up run, for every picture."""

from __future__ import annotations

from pathlib import Path

import pytest
import runs

from nonmember import plots
from nonmember.pipeline import plot


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A made-up run after its last stage."""
    folder = tmp_path_factory.mktemp("drawn")
    runs.fill(folder)
    plot.plot(folder)
    return folder


@pytest.fixture
def arms(drawn: Path) -> list[plots.Arm]:
    return [plot.load(drawn, name) for name in plot.ARMS]
