"""The flow table: a batch of packets in, objects and flow ends out.

For each batch, array operations (`reassembly.grouping`) sort the rows by flow and find those whose segments simply
follow one another: they cost a few Python operations a *run*, which is all that one side said before the other spoke.
Anything else (holes, overlaps, RST, odd flags) goes segment by segment through `reassembly.tcp`, with the same outcome.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Collection, Iterator
from itertools import islice, takewhile
from typing import TypeAlias

import numpy as np

from reassembly.acting import Acting
from reassembly.builder import Memory, Origin
from reassembly.bystanders import SECOND, Bystander, Bystanders
from reassembly.detect import at_once
from reassembly.entry import Entry
from reassembly.events import CloseHow, Data, Expect, Flow, FlowEnd
from reassembly.expected import Expected
from reassembly.grouping import Chains, Groups, Ints, Salt, chain, group_rows, shard_rows
from reassembly.identity import Firsts, begun
from reassembly.idle import Idle
from reassembly.limits import Limits
from reassembly.objects import Object
from reassembly.segment_rows import segments_of
from reassembly.segments import OverlapPolicies
from reassembly.tcp import Segment
from reassembly.whole import Past, summary, turns
from sensor.packets import RST, SYN, TCP, UDP, PacketBatch

SWEEP = 1 * SECOND  # of packet time between two looks at flows that may be over
SET_BACK = 60 * SECOND  # no packet comes so late

TOGETHER, TOGETHER_BYTES = 256, 1 << 20  # products handed on at once: each stage of the walk runs faster unbroken

Product: TypeAlias = Object | FlowEnd


class FlowTable:
    """All flows of one capture or interface. `shard`: (k, n) keeps only the k-th of n shares of the flows.

    `low`: ports of services whose flows are the first that are let go by when there is too much (`bystanders`).
    """

    def __init__(
        self,
        limits: Limits,
        memory: Memory,
        policies: OverlapPolicies | None = None,
        *,
        track_vlan: bool = True,
        shard: tuple[int, int] | None = None,
        low: Collection[int] = (),
        acting: Acting | None = None,
    ) -> None:
        self.counters: Counter[str] = memory.counters
        self.packets = 0
        self.limits = limits
        self._memory = memory
        self.policies = policies or OverlapPolicies()
        self._entries: dict[int, Entry] = {}
        self.idle = Idle(limits, self._entries, self.counters)
        self._products: list[Product] = []
        self._announced: list[Expect] = []
        self._emitted = self._products, self._announced
        self.expected = Expected(limits)
        self.bystanders = Bystanders(limits, low, self.expected.announces)
        self._past: dict[int, Past] = {}  # flows that were read at once, by the time of their end
        self._reset: dict[int, Entry] = {}  # had a RST, and end when nothing belies it
        self.acting = acting
        self._limbo: deque[Entry] = deque()  # over, but what they carried may still be announced
        self._salt = Salt()
        self._track_vlan = track_vlan
        self._shard = shard
        self._held = 0  # bytes behind holes, of all flows
        self._now = 0
        self._swept = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def fullness(self) -> dict[str, float]:
        """Which shares of the limits are in use: of `flows`, and of `bytes` behind holes."""
        limits = self.limits
        return {"flows": len(self._entries) / limits.flows, "bytes": self._held / limits.total_out_of_order}

    def feed(self, batch: PacketBatch) -> Iterator[Product]:
        """Takes the next packets; gives what they completed."""
        every = np.arange(len(batch))
        rows = every if self._shard is None else shard_rows(batch, every, *self._shard)
        if not len(rows):
            return
        self.packets, self._memory.now = self.packets + len(rows), int(batch.time[rows[-1]])
        protocol = batch.protocol[rows]
        if len(segments := rows[protocol == TCP]):
            yield from self._tcp(batch, segments)
        if len(datagrams := rows[protocol == UDP]):
            yield from self._udp(batch, datagrams)
        self._goes_on(int(batch.time[rows[-1]]))
        self._evict()
        yield from self._ready()

    def wait(self, now: int) -> Iterator[Product]:
        """Nothing came until `now`, ns since 1970 by the clock that gives packets their time."""
        self._goes_on(now)
        yield from self._ready()

    def shift(self, by: int) -> None:
        """Somebody has set the clock that gives packets their time, ahead or back by so many ns: no flow is older."""
        for one in self._dated():
            one.last += by
        self._past.clear()
        self._now += by
        self._swept += by
        self.idle.again(self._now)

    def _goes_on(self, time: int) -> None:
        """Times of packets waver, but one far in the past is of a clock that was set back."""
        if time < self._now - SET_BACK:
            self.counters["clock.back"] += 1
            self._now = self._swept = time
            for one in self._dated():
                one.last = min(one.last, time)
            self.idle.again(time)
        self._now = max(self._now, time)
        if self._now - self._swept >= SWEEP:
            self._sweep()
        elif self.acting is not None:  # all at once they would keep us from what could still be stopped
            self._end_reset(self._now, 1)

    def _dated(self) -> Iterator[Entry | Bystander]:
        """All that end when nothing comes of them for a while."""
        yield from (*{id(one): one for one in (*self._entries.values(), *self._limbo)}.values(), *self.bystanders)

    def close(self) -> Iterator[Product]:
        """The end of the capture: every flow still open ends here."""
        for entry in sorted(self._entries.values(), key=lambda entry: not entry.leads):
            if not entry.ended:
                self._end(entry, "end_of_capture", entry.last)
                yield from self._ready()
        while self._limbo:
            self._finish(self._limbo.popleft())
        self._products += self.bystanders.ended(None)
        yield from self._ready()
        self._entries.clear()
        self._memory.pieces.clear()

    def _ready(self) -> Iterator[Product]:
        """What has been completed since the last call."""
        if self._products:
            products, self._products[:] = self._products[:], []
            self._memory.finished = 0
            yield from products

    def _groups(self, batch: PacketBatch, rows: Ints) -> Groups:
        """Rows by flow, without those of flows that are let go by."""
        groups = group_rows(batch, rows, self._salt, self._track_vlan)
        return self.bystanders.sift(batch, groups, lambda key: key in self._entries or key in self._past)

    # -- TCP

    def _tcp(self, batch: PacketBatch, rows: Ints) -> Iterator[Product]:
        if self.acting is not None and not len(rows := self.acting.without_ours(batch, rows)):
            return
        if not len(groups := self._groups(batch, rows)):
            return
        self._pause = self.limits.pause
        chains = chain(batch, groups, self._pause)
        firsts = Firsts(batch, groups)
        entries, careful, keys = self._entries, chains.careful, groups.keys
        products, memory = self._products, self._memory
        for number in self.expected.ordered(groups):
            entry = entries.get(keys[number])
            if careful[number] or not self._fast(batch, firsts, chains, number, entry):
                self._slow(batch, groups, number, entry)
            if len(products) >= TOGETHER or memory.finished >= TOGETHER_BYTES:
                yield from self._ready()
        if self.acting is not None:
            self.acting.look(batch, groups, entries)

    def _fast(self, batch: PacketBatch, firsts: Firsts, chains: Chains, number: int, entry: Entry | None) -> bool:
        """Passes the runs of a group on if they follow what the flow has seen; False if they do not."""
        if entry is None:
            if not chains.opening[number] or firsts.keys[number] in self._past:
                return False
            if not chains.opens(number, firsts.sides[number]):
                return False
            flow, side = firsts.flow(number), firsts.sides[number]
            if chains.whole[number] and not self.expected and self._whole(batch, flow, chains, number, side):
                self._past[firsts.keys[number]] = Past(
                    (chains.first_seq[0][number], chains.first_seq[1][number]), chains.lasts[number]
                )
                return True
            entry = self._enter(flow, firsts.keys[number], side)
        elif not entry.follows(chains, number, self._pause):
            return False
        entry.account(chains, number)
        first, last = chains.runs[number], chains.runs[number + 1]
        if first != last:
            self._pass_runs(batch.buffer, chains, entry, first, last)
        entry.acknowledge(chains, number)
        entry.last = chains.lasts[number]
        self._after(entry)
        return True

    def _whole(self, batch: PacketBatch, flow: Flow, chains: Chains, number: int, side: int) -> bool:
        """Reads a flow of which all is here at once, if it can be read so."""
        said = turns(batch.buffer, chains, number, side)
        if (found := at_once(Origin(flow, self._memory), said)) is None:
            return False
        service, objects = found
        self._products += objects
        self._products.append(summary(flow, service, said, len(objects), chains, number, side))
        return True

    def _pass_runs(self, buffer: bytes | memoryview, chains: Chains, entry: Entry, first: int, last: int) -> None:
        connection = entry.connection
        assert connection is not None
        times = chains.time
        for run in range(first, last):
            begin, end = chains.run_begin[run], chains.run_end[run]
            payload = chains.payload(buffer, run)
            stream = connection.streams[chains.run_side[run] ^ entry.orig_side]
            if payload:
                stream.run(payload, times[begin], times[end - 1])
            if chains.run_fin[run]:
                stream.finished_at(stream.next, times[end - 1])

    def _slow(self, batch: PacketBatch, groups: Groups, number: int, entry: Entry | None) -> None:
        begin, end = groups.starts[number], groups.starts[number + 1]
        sides = groups.side[begin:end].tolist()
        for at, segment in enumerate(segments_of(batch, groups.rows[begin:end])):
            if entry is not None:
                segment = self._directed(segment, sides[at], entry)
                if (how := self._begins_anew(entry, segment)) is not None:
                    if not entry.ended:
                        self._end(entry, how, entry.last)
                    entry = None
            if entry is None:
                if not segment.flags & SYN and not segment.wire_length:
                    continue
                if self._late(groups.keys[number], segment):
                    continue
                entry = self._open(batch, int(groups.rows[begin + at]), groups.keys[number], sides[at])
                segment = self._directed(segment, sides[at], entry)
            self._careful(entry, segment)

    def _late(self, key: int, segment: Segment) -> bool:
        """Whether a segment belongs to a flow that was read at once and is over."""
        past = self._past.get(key)
        if past is None:
            return False
        if segment.time - past.last <= self.limits.timeout_closed * SECOND and past.knows(segment):
            return True
        del self._past[key]
        return False

    def _careful(self, entry: Entry, segment: Segment) -> None:
        assert entry.connection is not None
        before = entry.held
        if segment.time - entry.last > self.limits.rest * SECOND:
            entry.slim()
        entry.connection.segment(segment)
        self._held += entry.held - before
        entry.last = segment.time
        if entry.connection.reset_by is not None:
            self._reset[entry.key] = entry
        self._after(entry)

    def _directed(self, segment: Segment, side: int, entry: Entry) -> Segment:
        direction = side ^ entry.orig_side
        return segment if direction == segment.direction else segment.turned()

    def _begins_anew(self, entry: Entry, segment: Segment) -> CloseHow | None:
        """How the flow ended, if this segment begins another one with the same addresses and ports."""
        assert entry.connection is not None
        if segment.time - entry.last > entry.timeout * SECOND and not segment.flags & RST:
            return "timeout"
        return "reset" if entry.connection.opens_anew(segment) else None

    def _open(self, batch: PacketBatch, row: int, key: int, side: int) -> Entry:
        flow, swapped = begun(batch, row)
        return self._enter(flow, key, side ^ swapped)

    def _enter(self, flow: Flow, key: int, orig_side: int) -> Entry:
        entry = Entry(key, flow, orig_side, self._memory, self.policies, self._emitted)
        self._entries[key] = entry
        self.idle.enter(entry)
        if self.acting is not None:
            self.acting.enter(entry)
        if self.expected and (expect := self.expected.take(flow)) is not None:
            entry.expect(expect)
        return entry

    # -- UDP

    def _udp(self, batch: PacketBatch, rows: Ints) -> Iterator[Product]:
        groups = self._groups(batch, rows)
        for number in groups.order:
            entry = self._entries.get(groups.keys[number])
            for row, side in groups.sided(number):
                time = int(batch.time[row])
                if entry is not None and (entry.ended or time - entry.last > entry.timeout * SECOND):
                    if not entry.ended:
                        self._end(entry, "timeout", entry.last)
                    entry = None
                if entry is None:
                    entry = self._open(batch, row, groups.keys[number], side)
                self._datagram(batch, row, side ^ entry.orig_side, entry)
            yield from self._ready()

    def _datagram(self, batch: PacketBatch, row: int, direction: int, entry: Entry) -> None:
        start, length, time = int(batch.payload[row]), int(batch.length[row]), int(batch.time[row])
        assert entry.datagrams is not None
        entry.last = time
        entry.datagrams[direction] += 1
        entry.datagrams[2 + direction] += length
        if length and entry.reads:
            entry.take(Data(direction, bytes(batch.buffer[start : start + length]), time, time))

    # -- ends

    def _after(self, entry: Entry) -> None:
        """Follows up what the entry's parser announced; ends the entry when both directions have ended."""
        if self._announced:
            self._announce(entry)
        if entry.over and not entry.ended:
            self._end(entry, entry.how, entry.last)

    def _announce(self, leader: Entry) -> None:
        """The announced flow may have begun, even ended, before its announcement was read."""
        if not leader.ended:
            self.expected.leaders.add(leader.key)
        announced, self._announced[:] = self._announced[:], []
        for expect in announced:
            entry = self.expected.announce(expect)
            if entry is not None:
                entry.expect(expect)

    def _end(self, entry: Entry, how: CloseHow, time: int) -> None:
        self._held -= entry.held
        entry.close(how, time)
        self.idle.watch(entry, entry.last + int(self.limits.timeout_closed * SECOND))
        if self._announced:
            self._announce(entry)
        if entry.claimable:
            self.expected.wait(entry)
            self._limbo.append(entry)
        else:
            self._finish(entry)

    def _finish(self, entry: Entry) -> None:
        self.expected.forget(entry)
        if self.acting is not None:
            self.acting.leave(entry)
        self._products.append(entry.summary())

    def _sweep(self) -> None:
        """Ends flows that have been silent too long, and forgets those that ended some time ago."""
        now, self._swept = self._now, self._now
        forgotten = now - (remembered := int(self.limits.timeout_closed * SECOND))
        for entry in () if self.acting is None else self.acting.silent(now):
            self._end(entry, "reset", entry.last)
        patience = self.idle.patience
        for entry in self.idle.due(now):
            if entry.ended:
                if entry.last < forgotten:
                    del self._entries[entry.key]
                else:
                    self.idle.watch(entry, entry.last + remembered)
            elif (how := self.idle.over(entry, now, patience)) is not None:
                del self._entries[entry.key]
                self._end(entry, how, entry.last)
        for key in [key for key, past in takewhile(lambda one: one[1].last < forgotten, self._past.items())]:
            del self._past[key]
        self._end_reset(now)
        self._products += self.bystanders.ended(now)
        while self._limbo and self._limbo[0].last < forgotten:
            self._finish(self._limbo.popleft())

    def _end_reset(self, now: int, most: int | None = None) -> None:
        for key, entry in tuple(islice(self._reset.items(), most)):
            if entry.ended or entry.connection is None or entry.connection.reset_by is None:
                del self._reset[key]
            elif now - entry.last > self.limits.reset_wait * SECOND:
                del self._reset[key]
                self._end(entry, "reset", entry.last)

    def _evict(self) -> None:
        """Over a limit, some flows have to leave."""
        for entry, limit in self.idle.excess(lambda: self._held > self.limits.total_out_of_order):
            del self._entries[entry.key]
            if not entry.ended:
                self.counters[limit] += 1
                self._end(entry, "eviction", entry.last)
