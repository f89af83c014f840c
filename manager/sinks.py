"""Where items of the pipeline go: lines on standard output, files in a folder. The counts have `summary`."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Protocol, TypeAlias

from manager.alarms import Alarm
from manager.ecs import line, timestamp
from manager.events import Documents
from manager.visible import cells, visible
from reassembly.events import FlowEnd
from reassembly.objects import Object

if TYPE_CHECKING:
    from manager.pipeline import Item

Write: TypeAlias = Callable[[bytes], None]

FULL = 1 << 16  # bytes gathered before they are written
PATIENCE = 0.5  # seconds after which they are written anyhow: somebody may be watching


class Sink(Protocol):
    """Takes what comes out of the pipeline."""

    def take(self, item: Item) -> None:
        """One item; what isn't for this sink is passed over."""
        ...


class Lines:
    """Whole lines, gathered and handed on together: to a file descriptor, or to who collects from workers."""

    __slots__ = ("_gathered", "_hand_on", "_size", "_when")

    def __init__(self, hand_on: Write) -> None:
        self._hand_on = hand_on
        self._gathered: list[bytes] = []
        self._size = 0
        self._when = time.monotonic()

    def write(self, text: bytes) -> None:
        """Takes one or more whole lines."""
        self._gathered.append(text)
        self._size += len(text)
        if self._size >= FULL or time.monotonic() - self._when > PATIENCE:
            self.flush()

    def flush(self) -> None:
        """Hands on what was gathered."""
        whole, self._gathered, self._size = b"".join(self._gathered), [], 0
        self._when = time.monotonic()
        if whole:
            self._hand_on(whole)


def to_descriptor(descriptor: int) -> Write:
    """Writes all of it. Raises BrokenPipeError when nobody reads any more."""

    def write(text: bytes) -> None:
        rest = memoryview(text)
        while rest:
            rest = rest[os.write(descriptor, rest) :]

    return write


class JsonLines:
    """Objects and alarms as documents, one line each."""

    def __init__(self, documents: Documents, write: Write) -> None:
        self._documents = documents
        self._write = write

    def take(self, item: Item) -> None:
        if isinstance(item, Object):
            document = self._documents.object(item)
        elif isinstance(item, Alarm):
            document = self._documents.alarm(item)
        elif isinstance(item, FlowEnd):
            return
        else:
            document = self._documents.object(item.target, item)
        self._write(line(document))


class ObjectRows:
    """Objects as rows of a table that a person reads while it grows. `width`: columns of the terminal."""

    def __init__(self, write: Write, width: int) -> None:
        self._write = write
        # time 12, protocol 8, size 9, digest 12, state 10 and a blank after each; names share what is left
        rest = max(30, width - 12 - 8 - 9 - 12 - 10 - 7)
        self._widths = (12, who := rest * 2 // 5, 8, name := (rest - who) // 2, rest - who - name, 9, 12, 10)
        self._headed = False

    def take(self, item: Item) -> None:
        if not isinstance(item, Object):
            return
        if not self._headed:
            self._headed = True
            self._row("time", "from > to", "protocol", "name", "type", "size", "sha256", "state")
        flow, sender = item.flow, item.direction
        self._row(
            timestamp(item.time)[11:23],
            f"{flow.ip(sender)} > {flow.ip(1 - sender)}",
            item.protocol,
            "└" * (item.depth > 0) + (item.name or "-"),
            item.mime_type,
            size(item.size),
            item.sha256[:12],
            item.cut or "complete",
        )

    def _row(self, *texts: str) -> None:
        shown = [visible(text, width) for text, width in zip(texts, self._widths, strict=True)]
        padded = [
            " " * (width - cells(text)) + text if number == 5 else text + " " * (width - cells(text))
            for number, (text, width) in enumerate(zip(shown, self._widths, strict=True))
        ]
        self._write((" ".join(padded).rstrip() + "\n").encode())


class Folder:
    """Each object as a file named by its SHA-256. No name from the wire is ever part of a path."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._path.mkdir(parents=True, exist_ok=True)

    def take(self, item: Item) -> None:
        if not isinstance(item, Object):
            return
        target = self._path / item.sha256
        if target.exists():
            return
        with NamedTemporaryFile(dir=self._path, prefix=".", delete=False) as file:
            try:
                for chunk in item.content.chunks():
                    file.write(chunk)
                file.flush()
                Path(file.name).replace(target)
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise


def size(number: int) -> str:
    """Bytes for a person: `999 B`, `1.5 MB` (powers of 1000)."""
    if number < 1000:
        return f"{number} B"
    value = float(number)
    for unit in ("kB", "MB", "GB", "TB"):
        value /= 1000
        if value < 999.5:
            return f"{value:.1f} {unit}" if value < 99.95 else f"{value:.0f} {unit}"
    return f"{value:.0f} PB"
