"""Stage `split`: who is a member of what.

Run:    python -m stages.split
Reads:  data/config/{split,shadows}.json, data/prepared/
Writes: data/split/{target,shadows,canaries}.npz, data/split/report.json
"""

from pathlib import Path

from nonmember.console import run
from nonmember.pipeline.split import split


def main() -> None:
    split(Path())


if __name__ == "__main__":
    run(main, __doc__)
