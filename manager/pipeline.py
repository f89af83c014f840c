"""The walk, as it stands in the diagram: a capture's batches -> objects and their members -> scanned -> alarms.

Each stage is an iterator over the one before. What comes out (`Item`) is taken by sinks: documents, tables, counts.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import field
from typing import TYPE_CHECKING, Protocol, TypeAlias

from manager.alarms import Alarm, Alarms
from reassembly.builder import Memory
from reassembly.events import FlowEnd
from reassembly.flows import FlowTable
from reassembly.objects import Object
from reassembly.unpack import members
from sensor.captures import CaptureError
from sensor.clock import Jump
from sensor.noun import state

if TYPE_CHECKING:
    from engines.outcome import AnyPool, Scanned
    from sensor.captures import Capture
    from sensor.fragments import Fragments
    from sensor.packets import PacketBatch

Product: TypeAlias = Object | FlowEnd
Item: TypeAlias = "Object | Scanned | FlowEnd | Alarm"
# With the monotonic ns at which its last packet arrived; None: nothing came, but the time goes on.
Arrived: TypeAlias = tuple[int, Product | None]
After: TypeAlias = Callable[["Capture"], bool]  # whether to go on


@state
class Timeline:
    """One capture on its way: its packets, its flows, and what its objects may use."""

    capture: Capture
    table: FlowTable
    memory: Memory
    after: After = field(default=lambda capture: True)  # called after each batch
    failed: str | None = None  # why reading ended early

    def products(self) -> Iterator[Arrived]:
        """Objects, each followed by what was packed inside, and flow ends, as the capture is read."""
        arrived = 0
        try:
            for batch in self.capture:
                arrived = batch.arrived
                yield from _unpacked(self.table.feed(batch), self.memory, arrived)
                del batch  # its memory is for the next one
                if not self.after(self.capture):
                    break
        except (CaptureError, OSError) as error:  # what was read until then counts
            self.failed = f"{self.capture.path}: {error}" if isinstance(error, OSError) else str(error)
        yield from _unpacked(self.table.close(), self.memory, arrived)


class Source(Protocol):
    """What passes by now: live interfaces, or a capture at the pace at which it was recorded."""

    path: str
    counters: Counter[str]
    warnings: list[str]
    packets: int
    bytes: int
    lost: int  # packets that passed and could not be taken
    speed: float  # how much faster than they happened packets pass; 0: as fast as they are taken
    fragments: Fragments
    backlog: float  # which share of the room for packets has been full for a while

    def __iter__(self) -> Iterator[PacketBatch | int | Jump]:
        """Batches, and between them the time (`now`), or that it was set."""
        ...

    def now(self) -> int:
        """Ns since 1970, by the clock that gives packets their time."""
        ...

    def stop(self) -> None:
        """What is there is still handed on; then it ends."""
        ...


@state
class Watch:
    """A source on its way, until it is told to stop."""

    source: Source
    table: FlowTable
    memory: Memory
    after: Callable[[], None]  # called again and again, whether something comes or not

    def products(self) -> Iterator[Arrived]:
        """The same as of a capture; and again and again None, so that nobody waits for a packet."""
        for batch in self.source:
            if isinstance(batch, Jump):
                self.table.shift(batch.by)
                continue
            found = self.table.wait(batch) if isinstance(batch, int) else self.table.feed(batch)
            yield from self._arrived(found)
            yield time.monotonic_ns(), None
            self.after()
        yield from self._arrived(self.table.close())

    def _arrived(self, products: Iterable[Product]) -> Iterator[Arrived]:
        at, now, speed = time.monotonic_ns(), self.source.now(), self.source.speed  # anew: somebody may set the clock
        for _, product in _unpacked(products, self.memory, 0):
            late = max(now - product.time, 0) / speed if speed else 0
            yield at - int(late), product


def _unpacked(products: Iterable[Product], memory: Memory, arrived: int) -> Iterator[tuple[int, Product]]:
    for product in products:
        yield arrived, product
        if isinstance(product, Object):
            for member in members(product, memory):
                yield arrived, member


def extracted(products: Iterable[Arrived]) -> Iterator[Item]:
    """Objects as they are, for `tapscan extract`."""
    for _, product in products:
        if product is not None:
            yield product


def scanned(products: Iterable[Arrived], pool: AnyPool, alarms: Alarms) -> Iterator[Item]:
    """Objects with their verdicts, in the order in which their last engine answers, and alarms of flows gone by."""
    for arrived, product in products:
        if isinstance(product, FlowEnd):
            yield product
            if alarm := alarms.ended(product.flow):
                yield alarm
        elif product is not None:
            alarms.expect(product)
            pool.submit(product, arrived)
        yield from _settled(pool.results(), alarms)


def rest(results: Iterable[Scanned], alarms: Alarms) -> Iterator[Item]:
    """What is still with the engines when all captures are read."""
    yield from _settled(results, alarms)
    yield from alarms.rest()


def _settled(results: Iterable[Scanned], alarms: Alarms) -> Iterator[Item]:
    for one in results:
        yield one
        if alarm := alarms.scanned(one):
            yield alarm
