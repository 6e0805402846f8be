"""Stage `plot`: the headline numbers of both arms, and the pictures.

Run:    python -m stages.plot
Reads:  data/config/attacks.json, data/prepared/dataset.json, data/signals/,
        data/scores/, metrics/ARM/report.json and models/ARM/target.json of both arms
Writes: metrics/{summary,comparison,tradeoff}.json, metrics/roc.csv, metrics/plots/*.png
"""

from pathlib import Path

from nonmember.console import run
from nonmember.pipeline.plot import plot


def main() -> None:
    plot(Path())


if __name__ == "__main__":
    run(main, __doc__)
