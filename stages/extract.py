"""Stage `extract`: what an attacker sees of every model.

Run:    python -m stages.extract ARM
Reads:  data/config/{ARM,signals}.json, data/prepared/, data/split/, models/ARM/
Writes: data/signals/ARM/
"""

from pathlib import Path

from nonmember import extraction, files, prepared
from nonmember.canaries import Canaries
from nonmember.params import read_compute
from nonmember.splits import load_rows
from nonmember.tasks import make_task
from stages._main import run


def main(arm: str) -> None:
    canaries = Canaries.load("data/split/canaries.npz")
    recipe = files.read_json(f"data/config/{arm}.json")
    wanted = extraction.Wanted(**files.read_json("data/config/signals.json"))
    rows = load_rows("data/split/target.npz") + load_rows("data/split/shadows.npz")
    data = prepared.load("data/prepared")
    tasks = [make_task(recipe, own, data, arm, number, canaries) for number, own in enumerate(rows)]
    folder = Path(f"models/{arm}")
    shadows = [folder / f"shadows/{i:03d}.safetensors" for i in range(len(rows) - 1)]
    extraction.extract(
        tasks,
        rows,
        [folder / "target.safetensors", *shadows],
        Path("data/prepared"),
        Path(f"data/signals/{arm}"),
        wanted,
        read_compute(),
        canaries,
    )


if __name__ == "__main__":
    run(main, __doc__, arm=True)
