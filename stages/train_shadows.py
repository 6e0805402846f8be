"""Stage `train_shadows`: train the attacker's models like the target, on the attacker's data.

Run:    python -m stages.train_shadows ARM
Reads:  data/config/ARM.json, data/prepared/, data/split/{shadows,canaries}.npz;
        compute from params.yaml
Writes: models/ARM/shadows/{000,001,…}.{safetensors,json}
"""

from pathlib import Path

from nonmember.console import run
from nonmember.pipeline.train import train_shadows


def main(arm: str) -> None:
    train_shadows(Path(), arm)


if __name__ == "__main__":
    run(main, __doc__, arm=True)
