"""The coverage ledger on disk: a file of JSON lines a day (UTC), each a row as the `tapscan.coverage` document has it.

Appended to once a minute: whoever ends the sensor, and however, costs at most a minute.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from manager.coverage import MINUTE, Row
from manager.days import Days
from manager.ecs import timestamp

NAME = "coverage-{}.jsonl"


class Ledger:
    """Appends rows. `most`: bytes of all days together; the oldest days go first.

    `opened`: another path to the folder, by which it is reached when its own is closed to us.
    """

    def __init__(self, folder: Path, most: int, opened: Path | None = None) -> None:
        self._days = Days(folder, NAME, most, "the coverage ledger", "sensor.ledger_bytes", opened)

    @property
    def failed(self) -> int:
        """Writes that did."""
        return self._days.failed

    def write(self, rows: Iterable[Row], now: int) -> None:
        """Adds rows to the file of the day of `now` (ns since 1970)."""
        if text := "".join(f"{_line(row)}\n" for row in rows).encode():
            self._days.write(text, timestamp(now)[:10])


def _line(row: Row) -> str:
    fields = {"service": row.service, **row.tally.fields()} | ({"reason": row.reason} if row.reason else {})
    document = {
        "@timestamp": timestamp(row.minute * MINUTE),
        "event": {"dataset": "tapscan.coverage"},
        "observer": {"ingress": {"interface": {"name": row.capture}}},
        "tapscan": {"coverage": fields},
    }
    return json.dumps(document, separators=(",", ":"))
