"""Every evaluated record with its scores and risk, outside git: these files name members.

Run:    nonmember records
Reads:  metrics/ARM/report.json, data/scores/ARM.npz, data/prepared/; records from params.yaml
Writes: private/ARM/records.csv, one line a record: its row and own id, class, whether a member,
        risk by all attacks together, and each attack's score (higher = member);
        private/ARM/exposed.json, the 20 records of highest risk. With `records.publish: true`
        they go to metrics/ARM, where git sees them.
"""

from __future__ import annotations

from pathlib import Path

from nonmember.commands.show import ARMS, current
from nonmember.params import read_records
from nonmember.reporting.records import write_records


def main() -> None:
    place = Path()
    folder = "metrics" if read_records(place / "params.yaml").publish else "private"
    for arm in ARMS:
        report = current(place, arm)
        count = write_records(place, report, place / folder / arm)
        print(f"{folder}/{arm}/records.csv: {count} records of the {report.label} model")
