"""Stage `prepare`: read, make or download the data set.

Run:    python -m stages.prepare
Reads:  data/config/dataset.json, and the path it names
Writes: data/prepared/
"""

from pathlib import Path

from nonmember import files, prepared
from nonmember.datasets import datasets
from stages._main import run


def main() -> None:
    options = files.read_json("data/config/dataset.json")
    name, path = options.pop("name"), Path(options.pop("path"))
    arrays = datasets.get(name)(**options).load(path)
    prepared.save(arrays, name, "data/prepared")
    print(f"{name}: {len(arrays.labels)} samples, {len(arrays.class_names)} classes")


if __name__ == "__main__":
    run(main, __doc__)
