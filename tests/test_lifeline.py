"""Workers end with the process that started them, and Ctrl-C does not reach them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nonmember import lifeline

STAGE = """
import os, sys, time
from nonmember import compute

def hold(number):
    print(os.getpid(), flush=True)
    time.sleep(60)

options = compute.ComputeOptions(devices="cpu", workers=2)
list(compute.in_pool(options, hold, [(0,), (1,)]))
"""


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().split(")")[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="asks /proc who is alive")
def test_workers_are_gone_soon_after_their_stage_was_killed(tmp_path: Path) -> None:
    stage = subprocess.Popen(
        [sys.executable, "-c", STAGE], stdout=subprocess.PIPE, text=True, cwd=Path.cwd()
    )
    assert stage.stdout is not None
    workers = [int(stage.stdout.readline()) for _ in range(2)]
    assert all(map(alive, workers))
    scores = [int(Path(f"/proc/{w}/oom_score_adj").read_text()) for w in workers]
    own = int(Path(f"/proc/{stage.pid}/oom_score_adj").read_text())
    assert min(scores) > own  # memory that runs out ends a worker, whose death is reported
    stage.kill()
    stage.wait()
    end = time.monotonic() + 2
    while any(map(alive, workers)) and time.monotonic() < end:
        time.sleep(0.05)
    assert not any(map(alive, workers))


def test_what_is_started_deaf_ignores_ctrl_c() -> None:
    with lifeline.deaf_children():
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(30)"])
    try:
        time.sleep(0.3)
        os.kill(child.pid, signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(0.5)
    finally:
        child.kill()
        child.wait()


INTERRUPTED = """
import os, signal, time
from nonmember import lifeline

try:
    with lifeline.deaf_children():
        os.kill(os.getpid(), signal.SIGINT)
        print("reached")
    time.sleep(5)
except KeyboardInterrupt:
    print("interrupted")
"""


def test_ctrl_c_in_the_block_arrives_at_its_end() -> None:
    """In a process of its own: a test runner's may have other threads that take the signal."""
    run = subprocess.run(
        [sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, check=True
    )
    assert run.stdout.split() == ["reached", "interrupted"]
