from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from datasets_samples import Source, tiny


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Source]:
    """name -> (path, options) of a small source of that kind."""
    return lambda name: tiny(name, tmp_path, monkeypatch)


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every download fails at once."""
    from torchvision.datasets import utils

    def fail(*args: object, **kwargs: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr(utils.urllib.request, "urlopen", fail)
