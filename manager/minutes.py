"""What a live sensor says of each minute: the coverage ledger's rows and its own figures, as documents."""

from __future__ import annotations

import logging
import resource
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from engines.outcome import Scanned
from manager.coverage import MINUTE, Coverage
from manager.ecs import Document
from manager.events import Documents
from manager.ledger import Ledger
from manager.loss import Loss, LossWatch
from manager.quantiles import Quantiles
from manager.summary import EngineCounts
from reassembly.events import FlowEnd
from sensor.noun import noun

if TYPE_CHECKING:
    from manager.capture_workers import Workers
    from manager.pipeline import Item

log = logging.getLogger(__name__)

GRACE = 2  # minutes after which nothing of a minute is waited for any more: objects come late from the engines
PAGE = resource.getpagesize()


@noun
class Kept:
    """Where rows are kept (a capture that is played is no part of it), and who looks at loss.

    `place`: the interfaces, or the capture. `ages`: how old the engines' databases are by now, in seconds.
    """

    place: str
    ledger: Ledger | None
    watch: LossWatch
    ages: Callable[[], Mapping[str, float]] = dict


class Minutes:
    """A sink of the pipeline. `gauges`: what there is at present, by name (flows, objects that wait)."""

    def __init__(
        self, documents: Documents, workers: Workers, gauges: Callable[[], dict[str, int]], kept: Kept
    ) -> None:
        self._documents = documents
        self._workers = workers
        self._gauges = gauges
        self._kept = kept
        self._coverage = Coverage()  # of minutes that may still get more
        self._fresh = Coverage()  # since the last word
        self._engines: dict[str, EngineCounts] = {}
        self._latency = Quantiles()  # seconds from an object's last byte to its last verdict
        self._loss, self._missing = Loss(), 0
        self._said = self._counts()
        self._minute = workers.now() // MINUTE

    def take(self, item: Item) -> None:
        if isinstance(item, FlowEnd):
            self._fresh.flow(item)
            self._loss.bytes += sum(item.bytes)
            self._loss.lost_bytes += sum(item.lost)
            self._missing += sum(item.missing)
        elif isinstance(item, Scanned):
            self._fresh.object(item.target, item)
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
        counts = self._counts()
        figures = {name: value - self._said[name] for name, value in counts.items()}
        if dropped := figures["lost_packets"]:
            self._fresh.dropped(self._kept.place, (minute - 1) * MINUTE, dropped)
        self._keep()
        for row in self._coverage.close(settled):
            yield self._documents.coverage(row)
        figures |= {"missing_bytes": self._missing, "lost_bytes": self._loss.lost_bytes}
        figures["ledger_failed"] = self._kept.ledger.failed if self._kept.ledger else 0
        figures |= self._gauges() | {"flows": self._workers.said.flows, "memory_bytes": _resident()}
        yield self._documents.sensor(minute * MINUTE, figures, self._latency, self._engines)
        ages = self._kept.ages()
        for name, engine in sorted(self._engines.items()):
            yield self._documents.engine(minute * MINUTE, name, engine, ages.get(name))
        yield from self._worried(minute, figures)
        self._said, self._engines, self._latency = counts, {}, Quantiles()
        self._loss, self._missing = Loss(), 0

    def _keep(self) -> None:
        """The ledger is given what a minute has brought, settled or not: its rows add up when they are read."""
        rows, self._fresh = list(self._fresh.rows()), Coverage()
        if self._kept.ledger is not None:
            self._kept.ledger.write(rows, self._workers.now())
        self._coverage.merge(iter(rows))

    def _worried(self, minute: int, figures: dict[str, int]) -> Iterator[Document]:
        self._loss.packets, self._loss.lost_packets = figures["packets"], figures["lost_packets"]
        if (message := self._kept.watch.minute(self._loss)) is not None:
            log.error("%s", message)
            yield self._documents.health(minute * MINUTE, message)

    def _counts(self) -> dict[str, int]:
        said = self._workers.said
        return {"packets": said.packets, "bytes": said.bytes, "lost_packets": said.lost}


def _resident() -> int:
    """Bytes of memory (proc(5), /proc/PID/statm)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE
