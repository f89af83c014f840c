"""FTP data connections to files: RFC 959, section 3.

Nothing in such a flow says what it is: it is read because an FTP control connection announced it. What it carries is
known from there as well, often later than its bytes, so the facts are read when it ends.
"""

from __future__ import annotations

from reassembly.builder import Builder, Origin
from reassembly.events import Close, Data, Fact, Gap
from reassembly.protocols import Answer, Emitted

NAME = "ftp-data"
PORTS = frozenset({20})


def probe(orig: bytes, resp: bytes) -> Answer:
    """Never by content."""
    return Answer.NO


class Parser:
    """One transfer: each direction that carries bytes is one file. `facts` may grow until the flow ends."""

    __slots__ = ("_files", "_origin", "facts")

    def __init__(self, origin: Origin, facts: dict[str, Fact] | None = None) -> None:
        self.facts: dict[str, Fact] = {} if facts is None else facts
        self._origin = origin
        self._files: list[Builder | None] = [None, None]

    def feed(self, event: Data | Gap) -> list[Emitted]:
        """Nothing: a file is whole when its direction ends."""
        if isinstance(event, Gap):
            self._opened(event.direction, event.time).gap(event.length)
        else:
            self._opened(event.direction, event.began).write(event.payload)
        return []

    def close(self, event: Close) -> list[Emitted]:
        """The file of this direction. "The sender closes the data connection": only a FIN says that it is whole."""
        file, self._files[event.direction] = self._files[event.direction], None
        if file is None:
            return []
        path = self.facts.get("tapscan.ftp.path")
        file.name = file_name(path) if isinstance(path, str) else None
        file.facts.update(self.facts)
        return [file.finish(event.time, None if event.how == "fin" else event.how)]

    def _opened(self, direction: int, began: int) -> Builder:
        file = self._files[direction]
        if file is None:
            file = self._files[direction] = self._origin.open(direction, "file", NAME, began)
        return file


def file_name(path: str) -> str | None:
    """The last segment of a path as servers of either kind write it."""
    return path.replace("\\", "/").rstrip("/").rpartition("/")[2] or None
