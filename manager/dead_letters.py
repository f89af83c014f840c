"""Documents that a server will never take as they are: a file of JSON lines, each with the reason, to look at and to
send again when the reason is gone.

On disk before the shipper goes past them. Over a bound the older half goes, counted.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from manager.bulk import Dead
from manager.ecs import timestamp
from manager.spool import Record
from sensor.files import write_all

log = logging.getLogger(__name__)

MOST = 128 << 20  # bytes of the file, and again of the older one


class DeadLetters:
    """`path`: the file; beside it lies `.old`, the older half."""

    def __init__(self, path: Path, most: int = MOST) -> None:
        self.path = path
        self._old = path.with_suffix(".old")
        self._most = most

    def add(self, dead: Iterable[Dead]) -> None:
        """Appends; they are on disk when this returns. Raises OSError."""
        text = b"".join(_line(one) for one in dead)
        if not text:
            return
        text = b"\n" + text if self._cut_off() else text
        if self.path.exists() and self.path.stat().st_size + len(text) > self._most:
            if self._old.exists():
                log.error("%s: the oldest dead letters make room for new ones", self.path)
            self.path.replace(self._old)
        number = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            write_all(number, text)
            os.fdatasync(number)
        finally:
            os.close(number)

    def _cut_off(self) -> bool:
        """Whether the last line has no end: it stays alone."""
        try:
            with self.path.open("rb") as file:
                file.seek(-1, os.SEEK_END)
                return file.read() != b"\n"
        except OSError:  # there is none, or nothing in it
            return False

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Each as `{time, index, id, status, reason, document}`, oldest first; cut-off lines are passed over."""
        for path in self._old, self.path:
            try:
                lines = path.read_bytes().splitlines()
            except FileNotFoundError:
                continue
            for line in filter(None, lines):
                try:
                    yield json.loads(line)
                except ValueError:
                    log.error("%s: a line that was cut off is passed over", path)

    def take(self) -> list[Record]:
        """All of them, to be sent again."""
        return [record(letter["index"], letter["id"], json.dumps(letter["document"]).encode()) for letter in self]

    def clear(self) -> None:
        """They have been sent again."""
        for path in self._old, self.path:
            path.unlink(missing_ok=True)


def record(index: str, identity: str, document: bytes) -> Record:
    """A document as the spool and `_bulk` want it. Data streams take `create` only."""
    action = {"create": {"_index": index, "_id": identity}}
    return Record(json.dumps(action, separators=(",", ":")).encode(), document)


def _line(dead: Dead) -> bytes:
    where = json.loads(dead.record.action)["create"]
    letter = {
        "time": timestamp(time.time_ns()),
        "index": where["_index"],
        "id": where["_id"],
        "status": dead.status,
        "reason": dead.reason,
    }
    head = json.dumps(letter, separators=(",", ":")).encode()
    return head[:-1] + b',"document":' + dead.record.document.rstrip() + b"}\n"
