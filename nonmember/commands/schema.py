"""Print the JSON schema of metrics/ARM/report.json.

Run:    nonmember schema
"""

import json

from nonmember.metrics.report import AuditReport


def main() -> None:
    print(json.dumps(AuditReport.model_json_schema(), indent=2))
