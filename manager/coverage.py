"""The coverage ledger: for each minute (of packets), service and reason, what was seen, reassembled and scanned.

Nothing goes by silently: each flow and each object stands in exactly one row. A row without a reason is what went well;
a flow's reason is why its bytes gave no object, an object's why it is incomplete or why no engine could say anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import astuple, fields
from typing import TYPE_CHECKING

from engines.verdicts import OVERLOAD, Verdict
from reassembly.events import FlowEnd
from reassembly.objects import Object
from sensor.noun import noun, state

if TYPE_CHECKING:
    from engines.outcome import Scanned

ROWS = 100_000  # kept at once, about 40 MB; a hostile capture may claim a minute of its own for every packet
MINUTE = 60_000_000_000  # ns
EVER = 1 << 64  # minutes: before all of them

KERNEL_DROP, CAPTURE_LOSS = "kernel_drop", "capture_loss"  # reasons: we are why it was not seen

_ANSWERS = ("clean", "malicious", "suspicious")


@state
class Tally:
    """Counts of one row. `bytes` and `packets` are of flows, `object_bytes` of objects after decoding."""

    flows: int = 0
    packets: int = 0
    bytes: int = 0
    missing_bytes: int = 0
    lost_bytes: int = 0  # of the missing ones, those that the receiver acknowledged: our loss, not the network's
    unscanned_bytes: int = 0  # of flows that gave no object
    objects: int = 0
    object_bytes: int = 0
    incomplete_objects: int = 0
    scanned_objects: int = 0
    scanned_bytes: int = 0
    unscanned_objects: int = 0
    unscanned_object_bytes: int = 0

    def add(self, other: Tally) -> None:
        """Counts the other's numbers too."""
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))

    def fields(self) -> dict[str, int]:
        """The counts that aren't zero."""
        return {field.name: value for field, value in zip(fields(self), astuple(self), strict=True) if value}


@noun
class Row:
    """One line of the ledger. `minute`: minutes since 1970."""

    capture: str
    minute: int
    service: str
    reason: str | None
    tally: Tally


class Coverage:
    """The ledger itself."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, int, str, str | None], Tally] = {}
        self._first = -EVER  # the first minute that isn't closed

    def flow(self, end: FlowEnd) -> None:
        """A flow is over."""
        lost = sum(end.lost)
        why = CAPTURE_LOSS if end.unscanned == "gap" and lost else end.unscanned
        tally = self._tally(end.flow.capture, end.time, end.service, why)
        tally.flows += 1
        tally.packets += sum(end.packets)
        tally.bytes += (size := sum(end.bytes))
        tally.missing_bytes += sum(end.missing)
        tally.lost_bytes += lost
        if end.unscanned:
            tally.unscanned_bytes += size

    def dropped(self, capture: str, time: int, packets: int) -> None:
        """The kernel had no room for so many packets; nobody knows of which flows, nor their bytes."""
        self._tally(capture, time, "unknown", KERNEL_DROP).packets += packets

    def object(self, target: Object, scanned: Scanned | None = None) -> None:
        """An object is there (`extract`), or back from the engines (`scan`)."""
        why = unscanned(scanned.verdicts) if scanned else None
        tally = self._tally(target.flow.capture, target.time, target.protocol, why or target.cut)
        tally.objects += 1
        tally.object_bytes += target.size
        tally.incomplete_objects += not target.complete
        if why:
            tally.unscanned_objects += 1
            tally.unscanned_object_bytes += target.size
        elif scanned:
            tally.scanned_objects += 1
            tally.scanned_bytes += target.size

    def rows(self) -> Iterator[Row]:
        """All rows, in order of capture and time."""
        for (capture, minute, service, reason), tally in sorted(
            self._rows.items(), key=lambda item: (*item[0][:3], item[0][3] or "")
        ):
            yield Row(capture, minute, service, reason, tally)

    def missing(self) -> tuple[int, int]:
        """Bytes missing in all flows, and those of them that the receiver had."""
        tallies = self._rows.values()
        return sum(tally.missing_bytes for tally in tallies), sum(tally.lost_bytes for tally in tallies)

    def close(self, minute: int) -> list[Row]:
        """Takes out the rows of all minutes before this one; what comes late counts for the first that is left."""
        self._first = max(self._first, minute)
        closed = [row for row in self.rows() if row.minute < minute]
        for row in closed:
            del self._rows[row.capture, row.minute, row.service, row.reason]
        return closed

    def merge(self, rows: Iterator[Row]) -> None:
        """Adds the rows of another ledger (of a worker that saw other flows of the same captures)."""
        for row in rows:
            self._tally(row.capture, row.minute * MINUTE, row.service, row.reason).add(row.tally)

    def _tally(self, capture: str, time: int, service: str, reason: str | None) -> Tally:
        key = capture, max(time // MINUTE, self._first), service, reason
        if (tally := self._rows.get(key)) is None:
            if len(self._rows) >= ROWS:  # the count stays right, only the minute of the newest rows is lost
                key = capture, 0, service, reason
            tally = self._rows.setdefault(key, Tally())
        return tally


def unscanned(verdicts: tuple[Verdict, ...]) -> str | None:
    """Why no engine could say anything: the commonest trouble; None when one could."""
    if any(verdict.status in _ANSWERS for verdict in verdicts):
        return None
    said = [OVERLOAD if verdict.reason == OVERLOAD else verdict.status for verdict in verdicts]
    return max(sorted(set(said)), key=said.count) if said else "no_engine"
