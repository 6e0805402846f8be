"""Stage `split`: who is a member of what.

Run:    python -m stages.split
Reads:  data/config/{split,shadows}.json, data/prepared/
Writes: data/split/{target,shadows}.npz, data/split/report.json
"""

from nonmember import files, prepared, splits
from nonmember.splits import save_rows
from stages._main import run


def main() -> None:
    options = files.read_json("data/config/split.json")
    count = files.read_json("data/config/shadows.json")["count"]
    data, seed = prepared.load("data/prepared"), options.pop("seed")
    scheme = splits.SplitOptions(**options)
    target = splits.target_rows(data.labels, scheme, seed)
    shadows = [splits.shadow_rows(data.labels, scheme, seed, i) for i in range(count)]
    save_rows("data/split/target.npz", {"target": target})
    save_rows("data/split/shadows.npz", {f"{i:03d}": rows for i, rows in enumerate(shadows)})
    duplicates = splits.count_duplicates(data.inputs, target.train, target.test)
    sizes = {part: len(getattr(target, part)) for part in ("train", "test", "inference")}
    files.write_json("data/split/report.json", {**sizes, "duplicates": duplicates})
    print(f"each model: {sizes['train']} members, {sizes['test']} non-members")
    if duplicates:
        print(f"{duplicates} non-members are exact copies of a member")


if __name__ == "__main__":
    run(main, __doc__)
