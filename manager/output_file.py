"""`[[output]] kind = "file"`: a line a document, in a file that is ended by size and by day.

What was sent is on the disk (fdatasync(2)) before the cursor moves on: none is lost, however the process ends. Lines
that were written and not committed are written once more by who comes next; `event.id` tells them.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Sequence
from pathlib import Path

from manager.bulk import Later, Outcome
from manager.chosen import Chosen
from manager.output_settings import FileSettings
from manager.rotation import Rotation
from manager.spool import Record
from sensor.files import keep_names, write_all

log = logging.getLogger(__name__)

DAY = 86_400  # seconds
BACK = 1 << 16  # bytes that are looked at at once for the end of a line


class FileTarget:
    """It is opened anew each time, so that others may move it away as well."""

    def __init__(self, settings: FileSettings) -> None:
        self._path = Path(settings.path)
        self._most, self._daily = settings.max_bytes, settings.daily
        self._chosen = Chosen(settings.datasets, settings.format)
        self._rotation = Rotation(self._path, settings.compress, settings.keep)
        self._tidy = False

    def send(self, records: Sequence[Record]) -> Outcome:
        """All or none. Raises Later when the disk doesn't take them."""
        outcome = Outcome()
        lines = [item.text.rstrip(b"\n") + b"\n" for item in self._chosen.of(records, outcome)]
        try:
            for some in _parts(lines, self._most):
                self._append(b"".join(some))
                outcome.stored += len(some)
        except OSError as error:
            place = os.path.realpath(self._path.parent)  # it may be an open folder
            raise Later(f"{place}/{self._path.name}: {error.strerror}") from None
        return outcome

    def close(self) -> None:
        """Nothing is open between two batches."""

    def _append(self, data: bytes) -> None:
        self._begin(len(data))
        descriptor = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            size = _whole(descriptor, self._path)
            try:
                write_all(descriptor, data)
                os.fdatasync(descriptor)
            except OSError:
                os.ftruncate(descriptor, size)
                raise
            if not size:
                keep_names(self._path.parent)
        finally:
            os.close(descriptor)

    def _begin(self, size: int) -> None:
        """Room for so many bytes, in the file of today."""
        if not self._tidy:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._rotation.tidy()
            self._tidy = True
        try:
            known = self._path.stat()
        except FileNotFoundError:
            return
        yesterday = self._daily and int(known.st_mtime) // DAY < int(time.time()) // DAY
        if known.st_size and (known.st_size + size > self._most or yesterday):
            self._rotation.turn()


def _parts(lines: list[bytes], most: int) -> list[list[bytes]]:
    """Lines that fit into one file; one that is larger stands alone in its own."""
    parts: list[list[bytes]] = []
    size = 0
    for line in lines:
        size += len(line)
        if not parts or size > most:
            parts.append([])
            size = len(line)
        parts[-1].append(line)
    return parts


def _whole(descriptor: int, path: Path) -> int:
    """A last line that was cut off comes again, whole: its beginning goes. The size without it."""
    size = end = os.fstat(descriptor).st_size
    while end:
        start = max(0, end - BACK)
        found = os.pread(descriptor, end - start, start).rfind(b"\n")
        if found >= 0:
            end = start + found + 1
            break
        end = start
    if end < size:
        log.warning("%s: a line that was cut off is taken away: %d bytes", path, size - end)
        os.ftruncate(descriptor, end)
    return end
