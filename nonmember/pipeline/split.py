"""Who is a member of what."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nonmember import files
from nonmember.data import prepared, splits
from nonmember.data.copies import together


def split(place: Path) -> None:
    """data/config/{split,shadows}.json and data/prepared -> data/split, all under `place`."""
    options = files.read_json(place / "data/config/split.json")
    attacker = files.read_json(place / "data/config/shadows.json")
    draw = {"split": splits.shadow_rows, "random_half": splits.half_rows}[attacker["assignment"]]
    data, seed = prepared.load(place / "data/prepared"), options.pop("seed")
    scheme = splits.SplitOptions(**options)
    copied = scheme.copies == "together"
    groups = together(data.inputs, data.groups) if copied else data.groups
    target = splits.target_rows(data.labels, scheme, seed, groups)
    shadows = [draw(data.labels, scheme, seed, i, groups) for i in range(attacker["count"])]
    known = np.empty(0, np.int64)
    if attacker["assignment"] == "split":
        splits.check_apart(target, shadows)
    else:
        known = splits.known_rows(data.labels, scheme, seed, groups)
    canaries = splits.draw_canaries(data.labels, scheme, seed, groups)
    folder = place / "data/split"
    splits.save_rows(folder / "target.npz", {"target": target})
    splits.save_rows(folder / "shadows.npz", {f"{i:03d}": rows for i, rows in enumerate(shadows)})
    canaries.save(folder / "canaries.npz")
    files.write_array(folder / "known.npy", known)
    duplicates = splits.count_duplicates(data.inputs, target.train, target.test)
    sizes = {part: len(getattr(target, part)) for part in ("train", "test", "inference")}
    whole = None if groups is None else {
        part: len(np.unique(groups[getattr(target, part)])) for part in sizes
    }  # fmt: skip
    report = {
        **sizes, "groups": whole, "canaries": len(canaries.rows), "duplicates": duplicates
    }  # fmt: skip
    files.write_json(folder / "report.json", report)
    print(f"each model: {sizes['train']} members, {sizes['test']} non-members")
    if whole is not None:
        print(f"of whole groups, {whole['train']} and {whole['test']} for the target; shadows' "
              "sizes differ a little")  # fmt: skip
    if len(canaries.rows):
        print(f"{len(canaries.rows)} of the target's are canaries, with a wrong label")
    if duplicates:
        print(f"{duplicates} non-members are exact copies of a member")
