"""How a stage ends when it fails: one clear message on stderr, exit code 1, no traceback."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from stages import INTERRUPTED


def run(
    main: Callable[..., Any],
    doc: str | None,
    arm: bool = False,
    add: Callable[[argparse.ArgumentParser], object] | None = None,
) -> None:
    """Parse the arguments, call `main` with them, and turn expected errors into a message.

    arm: whether there is the argument ARM. add: adds further ones to the parser.
    NONMEMBER_DEBUG=1 in the environment keeps the traceback.
    """
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    if arm:
        parser.add_argument("arm", choices=["undefended", "defended"])
    if add is not None:
        add(parser)
    arguments = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        main(**vars(arguments))
    except KeyboardInterrupt:
        print(INTERRUPTED, file=sys.stderr)
        sys.exit(130)
    except (ValueError, OSError, RuntimeError, MemoryError) as error:
        if os.environ.get("NONMEMBER_DEBUG"):
            raise
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
