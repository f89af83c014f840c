"""Countermeasures, where flows are known: the frames that end a flow, from where both of its ends stand.

RFC 5961, section 3.2: an end takes a RST at exactly the next byte it expects. Who sends data gets the first one:
nothing comes to it meanwhile, so what it expects is known; at its peer the data that is on its way is faster than we
are. What an end acknowledges later says anew what it expects, and is answered in the same way.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from hashlib import blake2b
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from reassembly.bystanders import SECOND
from reassembly.entry import Entry
from reassembly.events import ORIG, RESP, Flow
from reassembly.grouping import Groups, Ints
from reassembly.known import Known, Met
from reassembly.tcp import Connection
from sensor.frames import Frame, Notice
from sensor.marks import Mark
from sensor.noun import noun, state
from sensor.origins import answer_stamp, sent_by
from sensor.packets import ACK, FIN, PSH, RST, SYN, PacketBatch

ANSWERED = 2 * SECOND  # for so long what an end acknowledges is answered
ANSWERS = 10  # at most
SILENCE = 3 * SECOND  # without a packet after which a flow that was acted on has ended
AHEAD = 6  # RSTs beyond the one where the receiver should stand, a segment apart
SEGMENT = 1448  # bytes, where none was seen
_DENYING = {"stream.data_after_rst", "stream.resynchronised"}  # findings: someone else may have sent what was found
_BEHIND = 1 << 16  # an acknowledgment so far behind the highest one is none of this connection

Ends: TypeAlias = list[tuple[bytes, int] | None]  # link header and hops of frames that each side sends


@noun
class Order:
    """A flow is to be ended; who sends in `direction` is the first to hear of it."""

    action: str
    flow: Flow
    direction: int


@noun
class Sending:
    """What is to go out for an action."""

    action: str
    flow: Flow
    frames: tuple[Frame, ...]
    notice: Notice | None = None  # the last frame carries a page that says this


@state
class _Armed:
    action: str
    entry: Entry
    until: int
    beyond: int = -1  # bytes of the answer: who acknowledges no more of it is left alone, so that he can read our page
    left: int = ANSWERS


class Acting:
    """The flows of a table that can be acted on. `mark`: by which our own frames are known when they come by.

    `known`: what is acted on as soon as it is met.
    """

    def __init__(self, mark: Mark, known: Known | None = None) -> None:
        self.sendings: list[Sending] = []  # for who takes them
        self.met: list[tuple[str, Met]] = []  # with the action on it
        self._known = Known() if known is None else known
        self._mark = mark
        self._flows: dict[str, Entry] = {}
        self._ends: dict[int, Ends] = {}
        self._armed: dict[int, _Armed] = {}
        self._proven: set[int] = set()  # flows whose originator has acknowledged what its peer said
        # Of the last batch: keys and starts of its groups, and the lengths of their segments.
        self._lengths: tuple[list[int], list[int], NDArray[np.int32]] = [], [], np.zeros(0, np.int32)

    def enter(self, entry: Entry) -> None:
        """A flow has begun."""
        self._flows[entry.flow.id] = entry

    def leave(self, entry: Entry) -> None:
        """It is over."""
        self._flows.pop(entry.flow.id, None)
        self._ends.pop(entry.key, None)
        self._armed.pop(entry.key, None)
        self._proven.discard(entry.key)

    def order(self, order: Order, now: int) -> None:
        """Has the flow end, if it goes on and both ends were heard to agree to it. `now`: ns since 1970."""
        if (entry := self._open(order.flow.id)) is not None and entry.connection is not None:
            frames = self._first(entry, entry.connection, order.direction)
            self._send(entry, Sending(order.action, entry.flow, tuple(frames)), now)

    def _open(self, flow: str) -> Entry | None:
        """What can be acted on, and wasn't yet. `flow`: its id."""
        entry = self._flows.get(flow)
        if entry is None or entry.ended or entry.connection is None or entry.key in self._armed:
            return None
        return entry if entry.key in self._proven and _believable(entry.connection) else None

    def _send(self, entry: Entry, sending: Sending, now: int, beyond: int = -1) -> None:
        if sending.frames:
            self._armed[entry.key] = _Armed(sending.action, entry, now + ANSWERED, beyond)
            self.sendings.append(sending)
            self._announcer(entry, sending.action, now)

    def _announcer(self, entry: Entry, action: str, now: int) -> None:
        """FTP: whose transfer has failed asks for it once more, so the control connection ends as well."""
        if entry.expected is None or (other := self._open(entry.expected.by)) is None or other.connection is None:
            return
        frames = tuple(self._first(other, other.connection, RESP))
        self._send(other, Sending(action, other.flow, frames), now)

    def without_ours(self, batch: PacketBatch, rows: Ints) -> Ints:
        """These rows without the frames that we have sent ourselves."""
        if not self._armed:
            return rows
        ends = rows[(batch.flags[rows] & (RST | FIN)) > 0]
        ours = [row for row in ends.tolist() if self._is_ours(batch, row)]
        return rows[~np.isin(rows, ours)] if ours else rows

    def look(self, batch: PacketBatch, groups: Groups, entries: dict[int, Entry]) -> None:
        """What these packets tell of ends, and the answers to flows that were acted on."""
        self._lengths = groups.keys, groups.starts, batch.wire_length[groups.rows]
        for number, key in enumerate(groups.keys):
            if key in self._armed:
                self._answer(batch, groups, number, self._armed[key])
            if (entry := entries.get(key)) is None or entry.ended:
                continue
            if key not in self._proven:
                self._prove(batch, groups, number, entry)
            if None in (known := self._ends.setdefault(key, [None, None])):
                self._note(batch, groups, number, known)
        met, self._known.met = self._known.met, []
        for one in met:
            self._meet(batch, groups, one)

    def silent(self, now: int) -> Iterator[Entry]:
        """Flows that were acted on and of which nothing comes any more."""
        for key, armed in tuple(self._armed.items()):
            if armed.entry.ended:
                del self._armed[key]
            elif now > armed.until and now - armed.entry.last > SILENCE:
                del self._armed[key]
                yield armed.entry

    def _meet(self, batch: PacketBatch, groups: Groups, met: Met) -> None:
        """Something known has been met: what can be done is done at once. It is `asked` only if a page can answer."""
        action = blake2b(f"{met.flow.id}/{met.listed.id}".encode(), digest_size=8, usedforsecurity=False).hexdigest()
        entry = self._open(met.flow.id)
        connection = None if entry is None else entry.connection
        if entry is None or connection is None:
            self.met.append((action, met))
            return
        answer = connection.streams[RESP]
        asking = self._last_word(batch, groups, entry)
        answered = asking is None or answer.pending or answer.offset_of(int(batch.ack[asking])) != answer.next
        if asking is None or answered or not (met.asked and met.listed.page):
            self.met.append((action, replace(met, asked=False)))
            frames = self._first(entry, connection, met.direction)
            self._send(entry, Sending(action, entry.flow, tuple(frames)), met.time)
            return
        self.met.append((action, met))
        answer.injected = True
        notice = Notice(action, met.listed.reason, met.what)
        frames = self._page(entry, connection, answer_stamp(batch, asking))
        self._send(entry, Sending(action, entry.flow, tuple(frames), notice), met.time, answer.next)

    def _last_word(self, batch: PacketBatch, groups: Groups, entry: Entry) -> int | None:
        """The last packet of this batch in which the originator says something."""
        if entry.key not in groups.keys:
            return None
        sided = groups.sided(groups.keys.index(entry.key))
        said = (row for row, side in sided if side == entry.orig_side and batch.wire_length[row])
        return max(said, default=None)

    def _page(self, entry: Entry, connection: Connection, stamp: tuple[int, int] | None) -> Iterator[Frame]:
        """Who would have answered is gone; what he would have said is said in his name."""
        asked, answer = connection.streams
        seq, ack = answer.sequence_of(answer.next), asked.sequence_of(asked.next)
        frames = [*self._reset(entry, ORIG, ack, seq), *self._reset(entry, RESP, seq, ack)]
        if len(frames) == 2:
            yield frames[0]
            yield replace(frames[1], flags=PSH | ACK | FIN, stamp=stamp)

    def _is_ours(self, batch: PacketBatch, row: int) -> bool:
        at = int(batch.network[row])
        head = bytes(batch.buffer[at : at + 6])
        four = head[0] >> 4 == 4
        label = int.from_bytes(head[4:6], "big") if four else int.from_bytes(head[:4], "big") & 0xFFFFF
        ports = int(batch.sport[row]), int(batch.dport[row])
        return self._mark.is_ours(label, int(batch.window[row]), int(batch.seq[row]), int(batch.ack[row]), *ports)

    def _note(self, batch: PacketBatch, groups: Groups, number: int, ends: Ends) -> None:
        for row, side in groups.sided(number):
            if ends[side] is None:
                ends[side] = sent_by(batch, row)

    def _prove(self, batch: PacketBatch, groups: Groups, number: int, entry: Entry) -> None:
        """Only who sees the answers knows the number that they begin with: 32 bits that can't be guessed."""
        if entry.connection is None or (resp := entry.connection.streams[RESP]).isn is None:
            return
        begin, end = groups.starts[number], groups.starts[number + 1]
        rows = groups.rows[begin:end][groups.side[begin:end] == entry.orig_side]
        said = batch.ack[rows][(batch.flags[rows] & (ACK | SYN | RST)) == ACK].tolist()
        if any(0 <= resp.offset_of(ack) <= resp.next + 1 for ack in said):
            self._proven.add(entry.key)

    def _first(self, entry: Entry, connection: Connection, direction: int) -> Iterator[Frame]:
        data, back = connection.streams[direction], connection.streams[1 - direction]
        seq, ack = data.sequence_of(data.next), back.sequence_of(back.next)
        size = self._segment_of(entry.key)
        yield from self._reset(entry, 1 - direction, ack, seq)
        for step in range(AHEAD + 1):
            yield from self._reset(entry, direction, (seq + step * size) % (1 << 32), ack)

    def _segment_of(self, key: int) -> int:
        """Bytes of the largest segment of a flow that came last."""
        keys, starts, lengths = self._lengths
        if key not in keys:
            return SEGMENT
        number = keys.index(key)
        return int(lengths[starts[number] : starts[number + 1]].max()) or SEGMENT

    def _answer(self, batch: PacketBatch, groups: Groups, number: int, armed: _Armed) -> None:
        connection = armed.entry.connection
        assert connection is not None
        last: dict[int, tuple[int, int]] = {}  # by direction: what came before it is no longer true
        for row, side in groups.sided(number):
            flags, time = int(batch.flags[row]), int(batch.time[row])
            if flags & (ACK | RST | SYN) != ACK or time > armed.until:
                continue
            direction, ack = side ^ armed.entry.orig_side, int(batch.ack[row])
            if _acknowledges(connection, direction, ack, armed.beyond):
                last[direction] = ack, (int(batch.seq[row]) + int(batch.wire_length[row])) % (1 << 32)
        frames: list[Frame] = []
        for direction, (ack, after) in last.items():
            if armed.left > 0:
                armed.left -= 1
                frames += self._reset(armed.entry, 1 - direction, ack, after)
        if frames:
            self.sendings.append(Sending(armed.action, armed.entry.flow, tuple(frames)))

    def _reset(self, entry: Entry, direction: int, seq: int, ack: int) -> Iterator[Frame]:
        """A RST in the name of who sends in a direction; none where its frames were never seen."""
        end = self._ends.get(entry.key, [None, None])[direction ^ entry.orig_side]
        if end is None:
            return
        flow = entry.flow
        ends = (flow.orig_ip, flow.orig_port), (flow.resp_ip, flow.resp_port)
        yield Frame(end[0], *ends[direction], *ends[1 - direction], end[1], RST | ACK, seq, ack)


def _believable(connection: Connection) -> bool:
    """The handshake was seen both ways, nobody has said that there is none, and all that came goes on from it."""
    orig, resp = connection.streams
    both = connection.established and orig.isn is not None and resp.isn is not None
    denied = connection.reset_by is not None or not _DENYING.isdisjoint(connection.findings)
    return both and not connection.midstream and not denied


def _acknowledges(connection: Connection, direction: int, ack: int, beyond: int) -> bool:
    """Whether it lies where this connection is: one of another with the same addresses is not to be answered."""
    if direction == ORIG and connection.streams[RESP].next <= beyond:
        return False  # nothing has come but our page
    other = connection.streams[1 - direction]
    if other.isn is None:
        return False
    offset = other.offset_of(ack)
    seen = other.pending.end if other.pending else other.next
    return max(other.acked, 0) - _BEHIND <= offset <= seen + 1
