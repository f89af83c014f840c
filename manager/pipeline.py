"""The walk, as it stands in the diagram: a capture's batches -> objects and their members -> scanned -> alarms.

Each stage is an iterator over the one before. What comes out (`Item`) is taken by sinks: documents, tables, counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import field
from typing import TYPE_CHECKING, TypeAlias

from manager.alarms import Alarm, Alarms
from reassembly.builder import Memory
from reassembly.events import FlowEnd
from reassembly.flows import FlowTable
from reassembly.objects import Object
from reassembly.unpack import members
from sensor.captures import CaptureError
from sensor.noun import state

if TYPE_CHECKING:
    from engines.outcome import AnyPool, Scanned
    from sensor.captures import Capture

Product: TypeAlias = Object | FlowEnd
Item: TypeAlias = "Object | Scanned | FlowEnd | Alarm"
Arrived: TypeAlias = tuple[int, Product]  # with the monotonic ns at which its packets were read
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
                yield from self._unpacked(self.table.feed(batch), arrived)
                del batch  # its memory is for the next one
                if not self.after(self.capture):
                    break
        except (CaptureError, OSError) as error:  # what was read until then counts
            self.failed = f"{self.capture.path}: {error}" if isinstance(error, OSError) else str(error)
        yield from self._unpacked(self.table.close(), arrived)

    def _unpacked(self, products: Iterable[Product], arrived: int) -> Iterator[Arrived]:
        for product in products:
            yield arrived, product
            if isinstance(product, Object):
                for member in members(product, self.memory):
                    yield arrived, member


def extracted(products: Iterable[Arrived]) -> Iterator[Item]:
    """Objects as they are, for `tapscan extract`."""
    for _, product in products:
        yield product


def scanned(products: Iterable[Arrived], pool: AnyPool, alarms: Alarms) -> Iterator[Item]:
    """Objects with their verdicts, in the order in which their last engine answers, and alarms of flows gone by."""
    for arrived, product in products:
        if isinstance(product, FlowEnd):
            yield product
            if alarm := alarms.ended(product.flow):
                yield alarm
        else:
            alarms.expect(product)
            pool.submit(product, arrived)
        yield from _settled(pool.results(), alarms)


def rest(pool: AnyPool, alarms: Alarms) -> Iterator[Item]:
    """What is still with the engines when all captures are read."""
    yield from _settled(pool.drain(), alarms)
    yield from alarms.rest()


def _settled(results: Iterable[Scanned], alarms: Alarms) -> Iterator[Item]:
    for one in results:
        yield one
        if alarm := alarms.scanned(one):
            yield alarm
