"""Stage `plot`: the headline numbers of both arms, and the pictures.

Run:    python -m stages.plot
Reads:  data/config/{attacks,defended,undefended}.json, data/signals/, data/scores/,
        metrics/ARM/attacks.json and models/ARM/target.json of both arms
Writes: metrics/summary.json, metrics/tradeoff.json, metrics/roc.csv, metrics/plots/*.png
"""

import csv
import io

import numpy as np

from nonmember import audit, files, plots
from nonmember.evidence import Evidence
from stages._main import run

ARMS = ("undefended", "defended")


def load(name: str) -> plots.Arm:
    report = files.read_json(f"metrics/{name}/attacks.json")
    with np.load(f"data/scores/{name}.npz", allow_pickle=False) as archive:
        scores = {attack: archive[f"adaptive.{attack}.target"] for attack in report["adaptive"]}
    return plots.Arm(
        name=name,
        defense=files.read_json(f"data/config/{name}.json")["defense"]["name"],
        audit=report,
        scores=scores,
        view=Evidence(f"data/signals/{name}").target,
        curve=files.read_json(f"models/{name}/target.json")["curve"],
    )


def write_csv(path: str, rows: list[dict[str, str]]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    files.write_bytes(path, text.getvalue().encode())


def main() -> None:
    options = files.read_json("data/config/attacks.json")["metrics"]
    arms = [load(name) for name in ARMS]
    summary = {arm.name: audit.headline(arm.audit) for arm in arms}
    files.write_json("metrics/summary.json", summary)
    kept = {key: summary["defended"][key] for key in ("test_acc", "worst_auc")}
    files.write_json("metrics/tradeoff.json", [{"defense": arms[-1].defense, **kept}])
    write_csv("metrics/roc.csv", plots.roc_rows(arms))
    for name in plots.PICTURES:
        picture = plots.draw(name, arms, options["min_false_positives"])
        files.write_bytes(f"metrics/plots/{name}.png", picture)


if __name__ == "__main__":
    run(main, __doc__)
