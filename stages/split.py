"""Stage `split`: who is a member of what.

Run:    python -m stages.split
Reads:  data/config/{split,shadows}.json, data/prepared/
Writes: data/split/{target,shadows,canaries}.npz, data/split/report.json
"""

from nonmember import files, prepared, splits
from nonmember.splits import save_rows
from stages._main import run


def main() -> None:
    options = files.read_json("data/config/split.json")
    attacker = files.read_json("data/config/shadows.json")
    draw = {"split": splits.shadow_rows, "random_half": splits.half_rows}[attacker["assignment"]]
    data, seed = prepared.load("data/prepared"), options.pop("seed")
    scheme = splits.SplitOptions(**options)
    target = splits.target_rows(data.labels, scheme, seed)
    shadows = [draw(data.labels, scheme, seed, i) for i in range(attacker["count"])]
    if attacker["assignment"] == "split":
        splits.check_apart(target, shadows)
    canaries = splits.draw_canaries(data.labels, scheme, seed)
    save_rows("data/split/target.npz", {"target": target})
    save_rows("data/split/shadows.npz", {f"{i:03d}": rows for i, rows in enumerate(shadows)})
    canaries.save("data/split/canaries.npz")
    duplicates = splits.count_duplicates(data.inputs, target.train, target.test)
    sizes = {part: len(getattr(target, part)) for part in ("train", "test", "inference")}
    files.write_json(
        "data/split/report.json",
        {**sizes, "canaries": len(canaries.rows), "duplicates": duplicates},
    )
    print(f"each model: {sizes['train']} members, {sizes['test']} non-members")
    if len(canaries.rows):
        print(f"{len(canaries.rows)} of the target's are canaries, with a wrong label")
    if duplicates:
        print(f"{duplicates} non-members are exact copies of a member")


if __name__ == "__main__":
    run(main, __doc__)
