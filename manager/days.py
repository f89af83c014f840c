"""JSON lines on disk, a file a day (UTC): the coverage ledger, and the log of actions.

Each write is one, of whole lines: whoever ends the sensor, and however, costs at most the last line, which readers pass
over. What can't be written is counted and said; the sensor goes on.
"""

from __future__ import annotations

import errno
import logging
import os
from pathlib import Path

log = logging.getLogger(__name__)

OLD = 400  # days that are kept: a year, and the month that it is compared with


class Days:
    """Appends. `name`: as coverage-{}.jsonl. `most`: bytes of all days together, the oldest of which go first; `bound`
    says what that is called. `what`: the whole of it, in words. `opened`: another path to the folder, by which it is
    reached when its own is closed to us.
    """

    def __init__(self, folder: Path, name: str, most: int, what: str, bound: str, opened: Path | None = None) -> None:
        self.failed = 0  # writes
        self._shown = folder
        self._folder = opened or folder
        self._name = name
        self._most = most
        self._what = what
        self._bound = bound

    def write(self, text: bytes, day: str) -> None:
        """Adds whole lines to the file of a day (2026-11-25)."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            path = self._folder / self._name.format(day)
            self._append(path, text)
            self._tidy(path)
        except OSError as error:
            self.failed += 1
            log.error("%s can't be written in %s: %s", self._what, self._shown, error.strerror)

    def _append(self, path: Path, text: bytes) -> None:
        """All of it or nothing, as long as the disk lets us take back what it took. Raises OSError."""
        number = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if (end := os.fstat(number).st_size) and os.pread(number, 1, end - 1) != b"\n":
                text = b"\n" + text  # a line that was cut off stays alone
            if end + len(text) > self._most:
                raise OSError(errno.EFBIG, f"a day is larger than {self._bound}")
            if os.write(number, text) < len(text):
                os.ftruncate(number, end)
                raise OSError(errno.ENOSPC, "the disk is full")
        finally:
            os.close(number)

    def _tidy(self, newest: Path) -> None:
        """The oldest days go."""
        days = sorted(self._folder.glob(self._name.format("*")), reverse=True)
        size = 0
        for number, day in enumerate(days):
            size += day.stat().st_size
            if day != newest and (size > self._most or number >= OLD):
                day.unlink()
