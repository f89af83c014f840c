"""The careful path: one TCP connection, one segment at a time, as a receiver would take it.

RFC 9293 (state, acceptability), RFC 7323 (timestamps: PAWS), RFC 5961 (which RST to believe). A sensor sees both ends
and neither's memory, so what a host would drop is recognised by what the two ends have shown so far. In-order runs of
ordinary segments do not come here: `reassembly.flows` passes them on as a whole.
"""

from __future__ import annotations

from reassembly.events import ORIG, RESP, Close, CloseHow, Data, Gap
from reassembly.limits import Limits
from reassembly.segments import OverlapPolicy
from reassembly.stream import Stream, Take
from sensor.noun import noun
from sensor.packets import ACK, FIN, RST, SYN, URG

_FORWARD = 1 << 20  # an ACK this far beyond all bytes seen acknowledges nothing that was sent
_FRAME = 1460  # payload of an Ethernet frame: a longer segment was put together by an offloading card, unsummed
_WINDOW = 16 << 20  # larger receive windows than this are not in use; Linux allows 6 MiB by default (tcp_rmem)
_DOUBTS = 8  # so many implausible segments in a row that go on from each other mean that the sensor missed something


def _deaf(event: Data | Gap | Close) -> None:
    """Takes what nobody listens to any more."""


@noun
class Segment:
    """One TCP segment. `wire_length` is more than the payload's length when the capture cut it off."""

    direction: int
    time: int  # ns since 1970
    seq: int
    ack: int
    flags: int
    window: int
    urgent: int
    payload: bytes
    wire_length: int
    timestamp: int | None = None  # TSval, RFC 7323, section 3
    signed: bool = False  # carries the MD5 or AO option, RFC 2385 and RFC 5925
    checksum_ok: bool = True

    def turned(self) -> Segment:
        """The same in the other direction."""
        return Segment(
            1 - self.direction,
            self.time,
            self.seq,
            self.ack,
            self.flags,
            self.window,
            self.urgent,
            self.payload,
            self.wire_length,
            self.timestamp,
            self.signed,
            self.checksum_ok,
        )


class Connection:
    """The state of both directions. `findings` collects the oddities of the streams, by name."""

    __slots__ = (
        "_doubted", "_doubts", "_limits", "_reopened", "_signed", "_syn_data", "confirmed", "established", "findings",
        "how", "last_time", "midstream", "reset_by", "streams",
    )  # fmt: skip

    def __init__(
        self, take: Take, limits: Limits, policies: tuple[OverlapPolicy, OverlapPolicy], midstream: bool
    ) -> None:
        self.findings: dict[str, None] = {}
        # The bytes of a direction are put together by the host that receives them: the policy is the other end's.
        self.streams = (
            Stream(ORIG, take, limits, policies[RESP], self.findings),
            Stream(RESP, take, limits, policies[ORIG], self.findings),
        )
        self.midstream = midstream
        self.established = False  # the handshake was seen in both directions
        self.confirmed = False  # and its last ACK, or anything after it
        self.reset_by: int | None = None  # the direction of a RST that nothing has belied yet
        self.how: CloseHow | None = None
        self.last_time = 0
        self._limits = limits
        self._reopened: int | None = None  # of a SYN into the established connection
        self._doubts = 0
        self._doubted = (0, 0)  # where the last one says that both ends stand
        self._signed = False  # the handshake carried the MD5 or AO option
        self._syn_data: tuple[int, bytes] | None = None

    @property
    def over(self) -> bool:
        """Both directions have ended."""
        return self.streams[ORIG].closed and self.streams[RESP].closed

    @property
    def plain(self) -> bool:
        """Nothing is held, odd or closed: in-order runs may bypass `segment`."""
        orig, resp = self.streams
        if orig.pending or resp.pending or orig.closed or resp.closed or self._reopened is not None:
            return False
        return self.reset_by is None and len(orig.isns) < 2 and len(resp.isns) < 2

    def ours(self, direction: int) -> bool:
        """Whether there are holes, and each was acknowledged: the bytes passed us unseen."""
        stream = self.streams[direction]
        return 0 < stream.missing == stream.lost

    def opens_anew(self, segment: Segment) -> bool:
        """Whether this segment begins another connection of the same addresses and ports (port reuse)."""
        if segment.flags & (SYN | ACK | RST) == SYN:
            over = self.over or self.reset_by is not None
            return over and (segment.seq + 1) % (1 << 32) not in self.streams[segment.direction].isns
        if segment.flags & (SYN | ACK | RST) == SYN | ACK and self._reopened is not None:
            return segment.ack == (self._reopened + 1) % (1 << 32)
        return False

    def segment(self, segment: Segment) -> None:
        """Takes one segment, if a host would."""
        self.last_time = segment.time
        mine = self.streams[segment.direction]
        mine.packets += 1
        if self.over:
            return
        if not self._checksum_passes(segment):
            self._doubt(segment)
        elif segment.flags & SYN:
            self._syn(segment)
        elif segment.flags & RST:
            self._rst(segment)
        elif self._acceptable(segment):
            self._established(segment)
        else:
            self._doubt(segment)

    def _doubt(self, segment: Segment) -> None:
        """What a host would have dropped is kept aside: if the other side acknowledges it, it did not."""
        stream = self.streams[segment.direction]
        if stream.isn is not None and segment.payload and not segment.flags & (SYN | RST):
            stream.doubt(stream.offset_of(segment.seq), segment.payload, segment.time)

    def close(self, how: CloseHow, time: int) -> None:
        """Ends what is still open, in both directions."""
        if self.reset_by is not None:
            how = "reset"
        self.how = self.how or how
        for stream in self.streams:
            stream.close(how, time)

    def let_go(self) -> None:
        """The flow is over and told: only what recognises late segments stays."""
        for stream in self.streams:
            stream.take = _deaf
            stream.tail = b""

    # -- handshake

    def shake(self, direction: int, first: int) -> None:
        """The SYN of a direction, `first` being the sequence number after it; seen by the fast path."""
        stream = self.streams[direction]
        stream.open(first)
        stream.isns += (first,)
        self.established |= direction == RESP

    def _syn(self, segment: Segment) -> None:
        stream = self.streams[segment.direction]
        other = self.streams[1 - segment.direction]
        first = (segment.seq + 1) % (1 << 32)
        if stream.next > 0 or (stream.isn is not None and (self.confirmed or self.midstream)):
            if first != stream.isn:
                self.findings["stream.syn_in_established"] = None
                self._reopened = segment.seq if not segment.flags & ACK else self._reopened
            return
        if first in stream.isns or len(stream.isns) >= self._limits.handshakes:
            return
        stream.isns += (first,)
        if segment.flags & ACK:
            self._belie_reset(segment)
        if len(stream.isns) > 1:
            self.findings["stream.handshake_conflict"] = None
        if len(stream.isns) == 1:
            stream.open(first)
            self._signed |= segment.signed
        if segment.flags & ACK:
            self._answered(segment, other)
        elif segment.payload:
            self.findings["stream.syn_data"] = None
            self._syn_data = (segment.direction, segment.payload)

    def _answered(self, segment: Segment, other: Stream) -> None:
        """A SYN/ACK says which of several SYNs was taken, and whether the data on it was (RFC 7413, section 4.2.2)."""
        if other.isn is None or segment.ack in other.isns:
            other.open(segment.ack)
        self.established = True
        if self._syn_data is not None and self._syn_data[0] == other.direction:
            payload, self._syn_data = self._syn_data[1], None
            if other.offset_of(segment.ack) == len(payload):
                other.segment(0, payload, segment.time)

    # -- reset

    def _rst(self, segment: Segment) -> None:
        """RFC 5961, section 3.2: only a RST at exactly the next expected byte resets.

        Whether it reached its target shows afterwards: its sender says no more (a forged one with a short TTL is belied
        by the data that follows it). So the flow ends `limits.reset_wait` later.
        """
        mine, other = self.streams[segment.direction], self.streams[1 - segment.direction]
        if mine.isn is None:
            # A refused SYN is answered by RST/ACK that acknowledges it (RFC 9293, 3.10.7.3).
            if other.isn is not None and segment.flags & ACK and other.offset_of(segment.ack) not in (0, other.next):
                self.findings["stream.rst_invalid"] = None
                return
        else:
            offset = mine.offset_of(segment.seq)
            expected = {mine.next, mine.acked, mine.pending.end if mine.pending else mine.next}
            if mine.fin is not None:
                expected.add(mine.fin + 1)
            if offset not in expected and not (offset == mine.next + 1 and mine.closed):
                self.findings["stream.rst_invalid"] = None
                return
        if segment.signed and not self._signed:
            self.findings["stream.signed_segment"] = None
            return
        if self.reset_by is None:
            self.reset_by = segment.direction

    def _belie_reset(self, segment: Segment) -> None:
        """The sender of a RST goes on talking: it was not the one who sent it."""
        if self.reset_by == segment.direction:
            self.reset_by = None
            self.findings["stream.data_after_rst"] = None

    # -- data

    def _acceptable(self, segment: Segment) -> bool:
        """What hosts drop before they look at the payload; each reason is a finding."""
        if not segment.flags & ACK:
            reason = "stream.no_ack_flag" if segment.wire_length or segment.flags else "stream.no_flags"
        elif self._paws_rejects(segment):
            reason = "stream.paws_rejected"
        elif segment.signed and not self._signed:
            reason = "stream.signed_segment"
        elif not self._ack_plausible(segment):
            reason = "stream.invalid_ack"
            self._count_doubt(segment)
        elif self._beyond_window(segment):
            reason = "stream.out_of_window"
            self._count_doubt(segment)
        else:
            self._doubts = 0
            return True
        self.findings[reason] = None
        if self._doubts > _DOUBTS:
            self.findings["stream.resynchronised"] = None
        return self._doubts > _DOUBTS

    def _count_doubt(self, segment: Segment) -> None:
        """Segments of a connection lie close together; what is guessed lies anywhere."""
        stands = (segment.seq, segment.ack) if segment.direction == ORIG else (segment.ack, segment.seq)
        pairs = zip(stands, self._doubted, strict=True)
        close = all((now - before + _WINDOW) % (1 << 32) < 2 * _WINDOW for now, before in pairs)
        self._doubts, self._doubted = self._doubts + 1 if close else 1, stands

    def _paws_rejects(self, segment: Segment) -> bool:
        """RFC 7323, section 5.3; Linux lets the clock go back by one."""
        if segment.timestamp is None:
            return False
        mine = self.streams[segment.direction]
        recent = mine.timestamp
        if recent is not None and 2 <= (recent - segment.timestamp) % (1 << 32) < 1 << 31:
            return True
        mine.timestamp = segment.timestamp
        return False

    def _ack_plausible(self, segment: Segment) -> bool:
        """RFC 9293, 3.10.7.4 and RFC 5961, section 5: neither far ahead of what was sent nor far behind."""
        mine, other = self.streams[segment.direction], self.streams[1 - segment.direction]
        if other.isn is None or self.midstream or other.missing:
            return True
        offset = other.offset_of(segment.ack)
        seen = other.pending.end if other.pending else other.next
        return other.acked - max(_FORWARD >> 4, mine.window) <= offset <= seen + _FORWARD

    def _beyond_window(self, segment: Segment) -> bool:
        """Farther ahead than any window reaches (RFC 7323, section 2.2) when the other end is seen acknowledging."""
        mine = self.streams[segment.direction]
        if mine.isn is None or not segment.wire_length or self.midstream:
            return False
        return mine.offset_of(segment.seq) > max(mine.next, mine.acked) + _WINDOW

    def _established(self, segment: Segment) -> None:
        mine, other = self.streams[segment.direction], self.streams[1 - segment.direction]
        if mine.isn is None and segment.wire_length:
            mine.open(segment.seq)
        if segment.wire_length and mine.offset_of(segment.seq) == mine.next:
            self._belie_reset(segment)
        if other.isn is not None:
            self._choose_handshake(segment, other)
            self.confirmed = True
            other.acknowledge(other.offset_of(segment.ack), segment.time)
        mine.window = max(mine.window, segment.window)
        if mine.isn is None:
            return
        start = mine.offset_of(segment.seq)
        payload = segment.payload
        if self._syn_data is not None and self._syn_data == (segment.direction, self._syn_data[1]):
            self._late_syn_data(mine, start, segment.time)
        if segment.flags & URG and payload:
            self._mark_urgent(mine, segment, start)
        if start < 0:
            payload, start = payload[-start:], 0
        if payload:
            mine.segment(start, payload, segment.time)
        cut = segment.wire_length - len(segment.payload)
        if cut > 0:
            self.findings["stream.cut_by_snap_length"] = None
            mine.cut_short(start + len(payload), cut, segment.time)
        if segment.flags & FIN:
            mine.finished_at(start + segment.wire_length, segment.time)

    def _late_syn_data(self, stream: Stream, start: int, time: int) -> None:
        """No SYN/ACK was seen: what follows the SYN shows whether its data was taken."""
        assert self._syn_data is not None
        payload, self._syn_data = self._syn_data[1], None
        if start == len(payload):
            stream.segment(0, payload, time)

    def _choose_handshake(self, segment: Segment, other: Stream) -> None:
        """Of several SYN/ACKs the one that is acknowledged counts."""
        if len(other.isns) > 1:
            if other.next == 0 and not other.pending and segment.ack in other.isns:
                other.open(segment.ack)
            other.isns = (other.isn or 0,)

    def _mark_urgent(self, stream: Stream, segment: Segment, start: int) -> None:
        """Linux keeps the byte before the urgent pointer out of the stream (measured; RFC 6093 describes the mess)."""
        at = max(segment.urgent - 1, 0)
        if at < len(segment.payload):
            self.findings["stream.urgent"] = None
            stream.urgent = stream.urgent or set()
            if len(stream.urgent) < 1 << 16:
                stream.urgent.add(start + at)

    def _checksum_passes(self, segment: Segment) -> bool:
        """A bad checksum counts only where this sender's are good otherwise: else its network card computes them."""
        mine = self.streams[segment.direction]
        if segment.wire_length > _FRAME:  # put together by a host: says nothing about the others
            return True
        if segment.checksum_ok:
            mine.good_checksums += 1
            return True
        mine.bad_checksums += 1
        if mine.good_checksums < mine.bad_checksums:
            return True
        self.findings["stream.bad_checksum"] = None
        return False
