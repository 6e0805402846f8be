"""Is the audit to be believed: controls with known answers. Not a stage; `make doctor` runs it.

Run:    python -m stages.doctor
Reads:  what the last run left in data/ and metrics/, if anything
Prints: one line a check; exit code 1 if one fails
"""

import sys
from pathlib import Path

from nonmember import doctor
from stages._main import run


def main() -> None:
    if not doctor.run(Path()):
        sys.exit(1)


if __name__ == "__main__":
    run(main, __doc__)
