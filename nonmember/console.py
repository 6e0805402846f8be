"""How a stage or a command runs: its arguments, one clear message when it fails, an exit code."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any

INTERRUPTED = "interrupted; finished models are kept: run `dvc repro` again"


def run(
    main: Callable[..., Any],
    doc: str | None,
    arm: bool = False,
    add: Callable[[argparse.ArgumentParser], object] | None = None,
    name: str | None = None,
    arguments: Sequence[str] | None = None,
) -> None:
    """Parse the arguments, call `main` with them, and turn expected errors into a message.

    arm: whether there is the argument ARM. add: adds further ones to the parser. name: what the
    help calls the program. arguments: default those of the process. An error ends the process with
    code 1 and no traceback; NONMEMBER_DEBUG=1 in the environment keeps it.
    """
    parser = argparse.ArgumentParser(
        prog=name, description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    if arm:
        parser.add_argument("arm", choices=["undefended", "defended"])
    if add is not None:
        add(parser)
    values = vars(parser.parse_args(arguments))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        main(**values)
        sys.stdout.flush()
    except KeyboardInterrupt:
        print(INTERRUPTED, file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:  # whoever reads, such as `head`, has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except (ValueError, OSError, RuntimeError, MemoryError) as error:
        if os.environ.get("NONMEMBER_DEBUG"):
            raise
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
