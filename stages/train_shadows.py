"""Stage `train_shadows`: train the attacker's models like the target, on the attacker's data.

Run:    python -m stages.train_shadows ARM
Reads:  data/config/ARM.json, data/prepared/, data/split/{shadows,canaries}.npz;
        compute from params.yaml
Writes: models/ARM/shadows/{000,001,…}.{safetensors,json}
"""

from pathlib import Path

from nonmember import files, fleet, prepared
from nonmember.canaries import Canaries
from nonmember.params import read_compute
from nonmember.splits import load_rows
from nonmember.tasks import make_task
from stages._main import run


def main(arm: str) -> None:
    canaries = Canaries.load("data/split/canaries.npz")
    recipe = files.read_json(f"data/config/{arm}.json")
    data = prepared.load("data/prepared")
    tasks = [
        make_task(recipe, rows, data, arm, 1 + i, canaries)
        for i, rows in enumerate(load_rows("data/split/shadows.npz"))
    ]
    paths = [Path(f"models/{arm}/shadows/{i:03d}") for i in range(len(tasks))]
    fleet.deliver(tasks, Path("data/prepared"), paths, read_compute(), f"{arm} shadows")


if __name__ == "__main__":
    run(main, __doc__, arm=True)
