"""Stage `attack`: score one arm's target with every attack, and measure the scores.

Run:    python -m stages.attack ARM
Reads:  data/config/attacks.json, data/split/report.json, data/signals/{ARM,undefended}/
Writes: data/scores/ARM.npz, metrics/ARM/attacks.json
"""

from nonmember import audit, files
from nonmember.evidence import Evidence
from stages._main import run


def main(arm: str) -> None:
    config = files.read_json("data/config/attacks.json")
    target = Evidence(f"data/signals/{arm}")
    attackers = {"adaptive": target}
    if arm == "defended":
        attackers["non_adaptive"] = Evidence("data/signals/undefended")
    members = audit.truth(target)
    report = {
        "model": audit.behaviour(target.target),
        "duplicates": files.read_json("data/split/report.json")["duplicates"],
    }
    saved = dict(members)
    for kind, shadows in attackers.items():
        scores = audit.score(target, shadows, config["attacks"], config["seed"])
        report[kind] = audit.numbers(
            scores, members, audit.truth(shadows), target.classes, config["metrics"]
        )
        saved |= {f"{kind}.{name}": values for name, values in scores.items()}
    files.write_arrays(f"data/scores/{arm}.npz", saved)
    files.write_json(f"metrics/{arm}/attacks.json", report)


if __name__ == "__main__":
    run(main, __doc__, arm=True)
