"""Stage `config`: check params.yaml and hand each later stage only what concerns it.

Run:    python -m stages.config
Reads:  params.yaml, and enough of the data set to know whether it fits
Writes: data/config/*.json
"""

from nonmember import config, files
from stages._main import run


def main() -> None:
    for name, content in config.make("params.yaml").items():
        files.write_json(f"data/config/{name}.json", content)


if __name__ == "__main__":
    run(main, __doc__)
