"""One thin script for each stage of dvc.yaml, run as `python -m stages.NAME`."""

import os
import signal
import sys

from nonmember.console import INTERRUPTED


def _leave(*_: object) -> None:
    print(INTERRUPTED, file=sys.stderr, flush=True)
    os._exit(130)


if sys.argv[:1] == ["-m"]:  # a stage that still imports, which takes seconds, has nothing to lose
    signal.signal(signal.SIGINT, _leave)
