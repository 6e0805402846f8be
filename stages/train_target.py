"""Stage `train_target`: train the model under test.

Run:    python -m stages.train_target ARM
Reads:  data/config/ARM.json, data/prepared/, data/split/{target,canaries}.npz;
        compute from params.yaml
Writes: models/ARM/target.{safetensors,json}
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
    [rows] = load_rows("data/split/target.npz")
    task = make_task(recipe, rows, prepared.load("data/prepared"), arm, 0, canaries)
    fleet.deliver(
        [task],
        Path("data/prepared"),
        [Path(f"models/{arm}/target")],
        read_compute(),
        f"{arm} target",
    )


if __name__ == "__main__":
    run(main, __doc__, arm=True)
