"""Stage `prepare`: read, make or download the data set.

Run:    python -m stages.prepare
Reads:  data/config/dataset.json, and the path it names
Writes: data/prepared/
"""

from pathlib import Path

from nonmember.console import run
from nonmember.pipeline.prepare import prepare


def main() -> None:
    prepare(Path())


if __name__ == "__main__":
    run(main, __doc__)
