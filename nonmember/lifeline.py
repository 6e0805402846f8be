"""What ties a worker to the process that started it: it ends when that one ends."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

EVERY = 0.5  # seconds between two looks at who the parent is
_FIRST_TO_GO = "500"  # of 1000: the kernel that needs memory ends a worker before its parent


def tie(parent: int) -> None:
    """In a worker: end it within a second of the end of process `parent`, its parent.

    A look at the parent's number from time to time works on every system; the signal that Linux
    can send instead comes when the parent's *thread* ends, which a pool outlives.
    """
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_FIRST_TO_GO, encoding="ascii")
    threading.Thread(target=_watch, args=(parent,), daemon=True, name="lifeline").start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(EVERY)
    os._exit(1)


@contextlib.contextmanager
def deaf_children() -> Iterator[None]:
    """Processes and threads started in the block never see Ctrl-C: their parent ends them.

    A Ctrl-C in the block itself arrives at its end.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
