"""What a live sensor says of each minute: the coverage ledger's rows and its own figures, as documents."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from engines.outcome import Scanned
from manager.coverage import MINUTE, Coverage
from manager.ecs import Document
from manager.events import Documents
from manager.quantiles import Quantiles
from manager.summary import EngineCounts
from reassembly.events import FlowEnd

if TYPE_CHECKING:
    from manager.capture_workers import Workers
    from manager.pipeline import Item

GRACE = 2  # minutes after which nothing of a minute is waited for any more: objects come late from the engines
PAGE = resource.getpagesize()


class Minutes:
    """A sink of the pipeline. `gauges`: what there is at present, by name (flows, objects that wait)."""

    def __init__(self, documents: Documents, workers: Workers, gauges: Callable[[], dict[str, int]]) -> None:
        self._documents = documents
        self._workers = workers
        self._gauges = gauges
        self._coverage = Coverage()
        self._engines: dict[str, EngineCounts] = {}
        self._latency = Quantiles()  # seconds from an object's last byte to its last verdict
        self._said = self._counts()
        self._minute = workers.now() // MINUTE

    def take(self, item: Item) -> None:
        if isinstance(item, FlowEnd):
            self._coverage.flow(item)
        elif isinstance(item, Scanned):
            self._coverage.object(item.target, item)
            for verdict in item.verdicts:
                if (counts := self._engines.get(verdict.engine)) is None:
                    counts = self._engines[verdict.engine] = EngineCounts()
                counts.add(verdict)
            self._latency.add(item.latency.total / 1e9)

    def due(self) -> Iterator[Document]:
        """What is to be said by now: nothing until another minute has begun."""
        minute = self._workers.now() // MINUTE
        if minute > self._minute:
            self._minute = minute
            yield from self._told(minute - GRACE, minute)
        elif minute < self._minute - GRACE:  # the clock was set back
            yield from self.rest()
            self._minute = minute

    def rest(self) -> Iterator[Document]:
        """The end: all that has not been said."""
        yield from self._told(self._minute + 1, self._minute + 1)

    def _told(self, settled: int, minute: int) -> Iterator[Document]:
        for row in self._coverage.close(settled):
            yield self._documents.coverage(row)
        counts = self._counts()
        figures = {name: value - self._said[name] for name, value in counts.items()}
        figures |= self._gauges() | {"flows": self._workers.said.flows, "memory_bytes": _resident()}
        yield self._documents.sensor(minute * MINUTE, figures, self._latency, self._engines)
        self._said, self._engines, self._latency = counts, {}, Quantiles()

    def _counts(self) -> dict[str, int]:
        said = self._workers.said
        return {"packets": said.packets, "bytes": said.bytes, "lost_packets": said.lost}


def _resident() -> int:
    """Bytes of memory (proc(5), /proc/PID/statm)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE
