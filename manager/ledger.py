"""The coverage ledger on disk: a file of JSON lines a day (UTC), each a row as the `tapscan.coverage` document has it.

Appended to once a minute, in one write: whoever ends the sensor, and however, costs at most the last line, which
readers pass over, and a minute. What can't be written is counted and said; the sensor goes on.
"""

from __future__ import annotations

import errno
import json
import logging
import os
from collections.abc import Iterable
from pathlib import Path

from manager.coverage import MINUTE, Row
from manager.ecs import timestamp

log = logging.getLogger(__name__)

NAME = "coverage-{}.jsonl"
OLD = 400  # days that are kept: a year, and the month that it is compared with


class Ledger:
    """Appends rows. `most`: bytes of all days together; the oldest days go first.

    `opened`: another path to the folder, by which it is reached when its own is closed to us.
    """

    def __init__(self, folder: Path, most: int, opened: Path | None = None) -> None:
        self.failed = 0  # writes
        self._shown = folder
        self._folder = opened or folder
        self._most = most

    def write(self, rows: Iterable[Row], now: int) -> None:
        """Adds rows to the file of the day of `now` (ns since 1970)."""
        text = "".join(f"{_line(row)}\n" for row in rows).encode()
        if not text:
            return
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            path = self._folder / NAME.format(timestamp(now)[:10])
            _append(path, text, self._most)
            self._bound(path)
        except OSError as error:
            self.failed += 1
            log.error("the coverage ledger can't be written in %s: %s", self._shown, error.strerror)

    def _bound(self, newest: Path) -> None:
        """The oldest days go."""
        days = sorted(self._folder.glob(NAME.format("*")), reverse=True)
        size = 0
        for number, day in enumerate(days):
            size += day.stat().st_size
            if day != newest and (size > self._most or number >= OLD):
                day.unlink()


def _append(path: Path, text: bytes, most: int) -> None:
    """All of it or nothing, as long as the disk lets us take back what it took. Raises OSError."""
    number = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if (end := os.fstat(number).st_size) and os.pread(number, 1, end - 1) != b"\n":
            text = b"\n" + text  # a line that was cut off stays alone
        if end + len(text) > most:
            raise OSError(errno.EFBIG, "a day is larger than sensor.ledger_bytes")
        if os.write(number, text) < len(text):
            os.ftruncate(number, end)
            raise OSError(errno.ENOSPC, "the disk is full")
    finally:
        os.close(number)


def _line(row: Row) -> str:
    fields = {"service": row.service, **row.tally.fields()} | ({"reason": row.reason} if row.reason else {})
    document = {
        "@timestamp": timestamp(row.minute * MINUTE),
        "event": {"dataset": "tapscan.coverage"},
        "observer": {"ingress": {"interface": {"name": row.capture}}},
        "tapscan": {"coverage": fields},
    }
    return json.dumps(document, separators=(",", ":"))
