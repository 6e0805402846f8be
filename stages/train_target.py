"""Stage `train_target`: train the model under test.

Run:    python -m stages.train_target ARM
Reads:  data/config/ARM.json, data/prepared/, data/split/{target,canaries}.npz;
        compute from params.yaml
Writes: models/ARM/target.{safetensors,json}
"""

from pathlib import Path

from nonmember.console import run
from nonmember.pipeline.train import train_target


def main(arm: str) -> None:
    train_target(Path(), arm)


if __name__ == "__main__":
    run(main, __doc__, arm=True)
