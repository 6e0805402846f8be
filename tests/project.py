"""A tiny project that runs real dvc, for the tests of the pipeline."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent
Names = set[str]  # by another name where `set` is a method

TINY: dict[str, Any] = {
    "seed": 0,
    "compute": {"devices": "cpu", "workers": 1, "backend": "sequential"},
    "dataset": {"name": "digits", "path": "data/raw"},
    "split": {"scheme": "past", "size": 200},
    "model": {"name": "mlp", "widths": [32]},
    "train": {"epochs": 6, "batch_size": 32, "lr": 0.05},
    "defense": {"name": "crl", "alpha_rce": 0.5, "tau_rce": 0.1, "relax_alpha": 0.5},
    "shadows": {"count": 3},
    # One of each kind: of logits, of gradients, of other models, of many queries.
    "attacks": {"names": ["loss", "modified_entropy", "grad_x_l2", "lira", "augmentation"]},
    "metrics": {"min_false_positives": 1},
}


class Project:
    """A copy of the repository with tiny parameters, driven through `python -m dvc`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.params: dict[str, Any] = {
            key: dict(v) if isinstance(v, dict) else v for key, v in TINY.items()
        }
        names = subprocess.run(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT, capture_output=True, text=True, check=True,
        ).stdout.splitlines()  # fmt: skip
        wanted = ("nonmember/", "stages/", ".dvc/", "data/raw/", "dvc.yaml", ".dvcignore")
        for name in names:
            if name.startswith(wanted) and (ROOT / name).is_file():
                target = folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, target)
        (folder / ".dvc" / "config.local").write_text("[core]\n    no_scm = true\n")
        self.write()

    def set(self, key: str, value: Any) -> None:
        """Change `section.key` and write params.yaml."""
        section, _, name = key.partition(".")
        self.params[section][name] = value
        self.write()

    def write(self) -> None:
        (self.folder / "params.yaml").write_text(yaml.safe_dump(self.params, sort_keys=False))

    @property
    def environment(self) -> dict[str, str]:
        environment = {k: v for k, v in os.environ.items() if k != "DVC_ROOT"}
        environment["DVC_NO_ANALYTICS"] = "1"
        environment["DVC_SITE_CACHE_DIR"] = str(self.folder / ".site")
        environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
        return environment

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """`dvc ARGUMENTS` in the background, in a process group of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "dvc", *arguments],
            cwd=self.folder, env=self.environment, text=True, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, preexec_fn=_heed_ctrl_c,
        )  # fmt: skip

    def dvc(self, *arguments: str, fails: bool = False) -> str:
        """Run `dvc ARGUMENTS` to its end and return what it printed."""
        process = self.start(*arguments)
        out, _ = process.communicate(timeout=300)
        assert (process.returncode != 0) == fails, out
        return out

    def nonmember(self, *arguments: str, fails: bool = False) -> str:
        """Run `nonmember ARGUMENTS` and return what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", "nonmember.commands", *arguments],
            cwd=self.folder, env=self.environment, text=True, check=False,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert (done.returncode != 0) == fails, done.stdout
        return done.stdout

    def repro(self) -> Names:
        """`dvc repro`; the stages that were run (not those served from the cache)."""
        self.out = self.dvc("repro")
        return ran(self.out)

    def bytes_of(self, pattern: str) -> dict[str, bytes]:
        """The content of files by their path."""
        found = sorted(self.folder.glob(pattern))
        return {p.relative_to(self.folder).as_posix(): p.read_bytes() for p in found if p.is_file()}

    def stored(self) -> Names:
        """Fingerprints of the finished models in the store."""
        return {path.stem for path in (self.folder / "work" / "models").glob("*.safetensors")}


def _heed_ctrl_c() -> None:
    """In the child: a shell that starts the tests in the background has it ignore SIGINT."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def ran(output: str) -> set[str]:
    """Names in dvc's "Running stage 'x':" lines."""
    return {
        line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage '")
    }


def wait_for(condition: Callable[[], bool], seconds: float = 120) -> None:
    """Poll until the condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)


def kill_group(process: subprocess.Popen[str]) -> None:
    """kill -9 dvc, its stage and the workers."""
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
