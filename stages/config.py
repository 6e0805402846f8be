"""Stage `config`: check params.yaml and hand each later stage only what concerns it.

Run:    python -m stages.config
Reads:  params.yaml, and enough of the data set to know whether it fits
Writes: data/config/*.json
"""

from pathlib import Path

from nonmember import config
from nonmember.console import run


def main() -> None:
    config.write(Path())


if __name__ == "__main__":
    run(main, __doc__)
