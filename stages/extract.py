"""Stage `extract`: what an attacker sees of every model.

Run:    python -m stages.extract ARM
Reads:  data/config/{ARM,signals}.json, data/prepared/, data/split/, models/ARM/
Writes: data/signals/ARM/
"""

from pathlib import Path

from nonmember.console import run
from nonmember.pipeline.extract import extract


def main(arm: str) -> None:
    extract(Path(), arm)


if __name__ == "__main__":
    run(main, __doc__, arm=True)
