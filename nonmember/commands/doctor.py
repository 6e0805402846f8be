"""Ask the audit itself questions with known answers.

Run:    nonmember doctor
Reads:  what the last run left in data/ and metrics/, if anything
Prints: one line a check; exit code 1 if one fails
"""

import sys
from pathlib import Path

from nonmember import doctor


def main() -> None:
    if not doctor.run(Path()):
        sys.exit(1)
