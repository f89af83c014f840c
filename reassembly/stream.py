"""One direction of a TCP connection: from segments in any order to `Data`, `Gap` and `Close` in order.

RFC 9293, section 3.10.7.4 orders segments by sequence number; here they are offsets that do not wrap, so that the
32-bit arithmetic stands in one place, `offset_of`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from reassembly.events import Close, CloseHow, Data, Gap
from reassembly.limits import Limits
from reassembly.segments import OverlapPolicy, Segments

Take: TypeAlias = Callable[[Data | Gap | Close], None]

_HALF, _WHOLE = 1 << 31, 1 << 32


class Stream:
    """The receiving end of one direction. `take` is called with each event, in order."""

    __slots__ = (
        "_limits", "_policy", "_since", "_waiting_since", "acked", "bad_checksums", "closed", "delivered", "direction",
        "doubtful", "fin", "findings", "good_checksums", "injected", "isn", "isns", "lost", "missing", "next",
        "packets", "pending", "tail", "take", "timestamp", "urgent", "window",
    )  # fmt: skip

    def __init__(
        self, direction: int, take: Take, limits: Limits, policy: OverlapPolicy, findings: dict[str, None]
    ) -> None:
        self.direction = direction
        self.take = take
        self.findings = findings
        self.isn: int | None = None  # sequence number of offset 0; None before the direction was heard
        self.isns: tuple[int, ...] = ()  # those that its SYNs offered
        self.next = 0  # offset of the next byte to deliver
        self.acked = 0  # the highest offset that the other side acknowledged
        self.fin: int | None = None  # offset of the FIN
        self.closed = False
        self.pending: Segments | None = None
        self.doubtful: Segments | None = None
        self.tail = b""  # the last bytes delivered, to compare retransmissions with
        self.urgent: set[int] | None = None  # offsets of urgent bytes, which the application does not read in line
        self.packets = 0
        self.delivered = 0
        self.missing = 0
        self.lost = 0  # of the missing bytes, those that the other side had acknowledged: they passed us unseen
        self.timestamp: int | None = None  # the latest TSval
        self.window = 0  # the largest that this end offered
        self.injected = False  # bytes of our own may be acknowledged here: what was not seen is no loss
        self.good_checksums = self.bad_checksums = 0
        self._limits = limits
        self._policy = policy
        self._since = 0  # segments since the hole was first passed by an ACK
        self._waiting_since = 0

    def open(self, sequence: int) -> None:
        """Offset 0 is the byte with this sequence number."""
        self.isn = sequence

    def offset_of(self, sequence: int) -> int:
        """The offset nearest to the next expected byte that has this 32-bit sequence number (RFC 9293, 3.4)."""
        assert self.isn is not None
        return self.next + ((sequence - self.isn - self.next + _HALF) % _WHOLE) - _HALF

    def sequence_of(self, offset: int) -> int:
        """The 32-bit sequence number of an offset."""
        assert self.isn is not None
        return (self.isn + offset) % _WHOLE

    def segment(self, start: int, payload: bytes, time: int) -> None:
        """Bytes at an offset, whatever is known of that place already."""
        end = start + len(payload)
        if self.fin is not None and end > self.fin:
            self.findings["stream.data_after_fin"] = None
            payload = payload[: max(0, self.fin - start)]
            end = start + len(payload)
        if start < self.next:
            self._compare(start, payload)
            payload = payload[self.next - start :]
            start = self.next
        if not payload:
            return
        if start == self.next and not self.pending:
            self._deliver(payload, time, time)
            self._finish(time)
            return
        if self.pending is None:
            self.pending = Segments(self._policy)
            self._waiting_since = time
        if self.pending.add(start, payload, time):
            self.findings["stream.overlap_conflict"] = None
        self._drain(time)

    def finished_at(self, offset: int, time: int) -> None:
        """A FIN at an offset; it counts when all bytes before it are there (RFC 9293, 3.10.7.4)."""
        if self.fin is None and offset >= self.next:
            self.fin = offset
        self._finish(time)

    def doubt(self, start: int, payload: bytes, time: int) -> None:
        """Keeps bytes that a host should have dropped, for the case that nothing else fills their place."""
        if self.doubtful is None:
            self.doubtful = Segments("first")
        if self.doubtful.held + len(payload) <= self._limits.doubtful_bytes:
            self.doubtful.add(start, payload, time)

    def acknowledge(self, offset: int, time: int) -> None:
        """The other side has everything before `offset`."""
        self.acked = max(self.acked, offset)
        if self.pending:
            self._give_up(time)

    def cut_short(self, start: int, length: int, time: int) -> None:
        """Bytes that were sent in sight of the sensor but not captured (snap length): a gap where they are next."""
        if start + length <= self.next or self.closed:
            return
        if start <= self.next and not self.pending:
            seen = self.missing - self.lost
            self._gap(start + length - self.next, time)
            self.lost = self.missing - seen  # they came by: it is us who haven't kept them
            self._finish(time)

    def flush(self, time: int) -> None:
        """The direction will hear no more: what is held goes out, its holes as gaps."""
        while self.pending:
            if self.pending.start > self.next:
                self._gap(self.pending.start - self.next, time)
            self._drain(time)
        target = self.fin if self.fin is not None else self.acked
        if self.next < target <= self.next + self._limits.largest_gap and not self.injected:
            self._gap(target - self.next, time)

    def close(self, how: CloseHow, time: int) -> None:
        """Ends the direction; once."""
        if not self.closed:
            self.flush(time)
            if not self.closed:
                self.closed = True
                self.take(Close(self.direction, "fin" if self.fin == self.next else how, time))

    @property
    def held(self) -> int:
        """Bytes held behind a hole."""
        return self.pending.held if self.pending else 0

    def run(self, payload: bytes, began: int, time: int) -> None:
        """In-order bytes of many segments at once; the caller has checked that they are the next ones."""
        self._deliver(payload, began, time)
        if self.fin is not None:  # it came before the last bytes
            self._finish(time)

    def _deliver(self, payload: bytes, began: int, time: int) -> None:
        start, self.next = self.next, self.next + len(payload)
        size = self._limits.conflict_bytes
        self.tail = payload[-size:] if len(payload) >= size else (self.tail + payload)[-size:]
        if self.urgent:
            payload = self._without_urgent(start, payload)
        self.delivered += len(payload)
        if payload:
            self.take(Data(self.direction, payload, began, time))

    def _drain(self, time: int) -> None:
        pending = self.pending
        assert pending is not None
        if pending and pending.start <= self.next:
            parts, end, began = [], self.next, pending.pieces[0].time
            while pending and pending.start == end:
                piece = pending.pop()
                parts.append(piece.payload)
                end = piece.end
            self._deliver(b"".join(parts), min(began, time), time)
        if not pending:
            self.pending = None
            self._since = 0
            self._finish(time)
        else:
            self._give_up(time)

    def _give_up(self, time: int) -> None:
        """Declares the hole a gap when it will not fill: the other side has the bytes, so they went by unseen."""
        pending, limits = self.pending, self._limits
        assert pending is not None
        full = pending.held > limits.flow_out_of_order or len(pending) > limits.segments_out_of_order
        if full:
            self.findings["stream.out_of_order_limit"] = None
        self._since += 1
        waited = self._since > limits.gap_segments or time - self._waiting_since > limits.gap_wait * 1e9
        if full or (self.acked > self.next and waited):
            self._gap(pending.start - self.next, time)
            self._since, self._waiting_since = 0, time
            self._drain(time)

    def _gap(self, length: int, time: int) -> None:
        """Bytes that nobody saw; what was seen in doubt and acknowledged all the same takes their place."""
        end = self.next + length
        while self.doubtful and self.next < end and self.doubtful.start < end:
            piece = self.doubtful.pop()
            if piece.end > end:  # what lies further on may be wanted later
                self.doubtful.add(end, piece.payload[end - piece.start :], piece.time)
            if piece.start <= self.next < piece.end and self.acked > self.next:
                self._deliver(piece.payload[self.next - piece.start : end - piece.start], piece.time, time)
            elif piece.start > self.next and piece.start < end and self.acked > piece.start:
                self._miss(piece.start - self.next, time)
                self._deliver(piece.payload[: end - piece.start], piece.time, time)
        if self.next < end:
            self._miss(end - self.next, time)

    def _miss(self, length: int, time: int) -> None:
        self.lost += min(max(self.acked - self.next, 0), length)
        self.next += length
        self.missing += length
        self.tail = b""
        self.take(Gap(self.direction, length, time))

    def _finish(self, time: int) -> None:
        if self.fin is not None and self.next >= self.fin and not self.closed:
            self.closed = True
            self.take(Close(self.direction, "fin", time))

    def _compare(self, start: int, payload: bytes) -> None:
        """A retransmission: the receiver keeps what it has; other bytes are a finding (Zeek's rexmit inconsistency)."""
        low = max(start, self.next - len(self.tail))
        high = min(start + len(payload), self.next)
        if high - low > 1 or (high > low and start != self.next - 1):  # one byte before `next` is a keep-alive
            at = low - (self.next - len(self.tail))
            if self.tail[at : at + high - low] != payload[low - start : high - start]:
                self.findings["stream.overlap_conflict"] = None

    def _without_urgent(self, start: int, payload: bytes) -> bytes:
        assert self.urgent is not None
        inside = sorted(offset for offset in self.urgent if start <= offset < start + len(payload))
        self.urgent.difference_update(inside)
        kept, at = [], 0
        for offset in inside:
            kept.append(payload[at : offset - start])
            at = offset - start + 1
        return b"".join((*kept, payload[at:]))
