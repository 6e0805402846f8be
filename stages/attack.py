"""Stage `attack`: score one arm's target with every attack, and measure the scores.

Run:    python -m stages.attack ARM
Reads:  data/config/attacks.json, data/split/report.json, models/ARM/target.json,
        data/signals/{ARM,undefended}/
Writes: data/scores/ARM.npz, metrics/ARM/report.json
"""

from pathlib import Path

from nonmember.console import run
from nonmember.pipeline.attack import attack


def main(arm: str) -> None:
    attack(Path(), arm)


if __name__ == "__main__":
    run(main, __doc__, arm=True)
