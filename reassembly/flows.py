"""The flow table: a batch of packets in, objects and flow ends out.

For each batch, array operations (`reassembly.grouping`) sort the rows by flow and find those whose segments simply
follow one another: they cost a few Python operations a *run*, which is all that one side said before the other spoke.
Anything else (holes, overlaps, RST, odd flags) goes segment by segment through `reassembly.tcp`, with the same outcome.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import replace
from typing import TypeAlias

import numpy as np

from reassembly.builder import Memory
from reassembly.entry import Entry, flow_of, from_responder
from reassembly.events import CloseHow, Data, Expect, FlowEnd
from reassembly.expected import Expected
from reassembly.grouping import Chains, Groups, Ints, Salt, chain, group_rows, shard_rows
from reassembly.limits import Limits
from reassembly.objects import Object
from reassembly.segment_rows import segments_of
from reassembly.segments import OverlapPolicies
from reassembly.tcp import Segment
from sensor.packets import ACK, RST, SYN, TCP, UDP, PacketBatch

SECOND = 1_000_000_000
SWEEP = 1 * SECOND  # of packet time between two looks at all flows
EVICTED_SHARE = 16  # over the limit, one flow in so many goes at once: sorting them all is seldom needed then

Product: TypeAlias = Object | FlowEnd


class FlowTable:
    """All flows of one capture or interface. `shard`: (k, n) keeps only the k-th of n shares of the flows."""

    def __init__(
        self,
        limits: Limits,
        memory: Memory,
        policies: OverlapPolicies | None = None,
        *,
        track_vlan: bool = True,
        shard: tuple[int, int] | None = None,
    ) -> None:
        self.counters: Counter[str] = memory.counters
        self.packets = 0
        self._limits = limits
        self._memory = memory
        self._policies = policies or OverlapPolicies()
        self._entries: dict[int, Entry] = {}
        self._emitted: deque[Object | Expect] = deque()
        self._expected = Expected(limits)
        self._limbo: deque[Entry] = deque()  # over, but what they carried may still be announced
        self._salt = Salt()
        self._track_vlan = track_vlan
        self._shard = shard
        self._held = 0  # bytes behind holes, of all flows
        self._now = 0
        self._swept = 0
        self._pause = int(min(limits.timeout_syn, limits.timeout_half_closed, limits.timeout_established) * SECOND)

    def __len__(self) -> int:
        return len(self._entries)

    def feed(self, batch: PacketBatch) -> Iterator[Product]:
        """Takes the next packets; gives what they completed."""
        rows = np.arange(len(batch))
        if self._shard is not None:
            rows = shard_rows(batch, rows, *self._shard)
        if not len(rows):
            return
        self.packets += len(rows)
        protocol = batch.protocol[rows]
        segments, datagrams = rows[protocol == TCP], rows[protocol == UDP]
        if len(segments):
            yield from self._tcp(batch, segments)
        if len(datagrams):
            yield from self._udp(batch, datagrams)
        self._now = max(self._now, int(batch.time[rows[-1]]))
        if self._now - self._swept >= SWEEP:
            yield from self._sweep()
        if len(self._entries) > self._limits.flows or self._held > self._limits.total_out_of_order:
            yield from self._evict()

    def close(self) -> Iterator[Product]:
        """The end of the capture: every flow still open ends here."""
        for entry in sorted(self._entries.values(), key=lambda entry: not entry.leads):
            if not entry.ended:
                yield from self._end(entry, "end_of_capture", entry.last)
        while self._limbo:
            yield from self._finish(self._limbo.popleft())
        self._entries.clear()

    # -- TCP

    def _tcp(self, batch: PacketBatch, rows: Ints) -> Iterator[Product]:
        groups = group_rows(batch, rows, self._salt, self._track_vlan)
        chains = chain(batch, groups, self._pause)
        entries, careful, keys, emitted = self._entries, chains.careful, groups.keys, self._emitted
        for number in self._order(groups):
            entry = entries.get(keys[number])
            if not careful[number] and (passed := self._fast(batch, groups, chains, number, entry)):
                if emitted or passed.over or passed.key in self._expected.leaders or passed.leads:
                    yield from self._after(passed)
            else:
                yield from self._slow(batch, groups, number, entry)

    def _order(self, groups: Groups) -> list[int]:
        """Groups by time; those that announce other flows before all others."""
        leaders = self._expected.leaders
        if not leaders:
            return groups.order
        return sorted(groups.order, key=lambda number: groups.keys[number] not in leaders)

    def _fast(
        self, batch: PacketBatch, groups: Groups, chains: Chains, number: int, entry: Entry | None
    ) -> Entry | None:
        """Passes the runs of a group on if they follow what the flow has seen; None if they do not."""
        if entry is None:
            at = groups.starts[number]
            side = int(groups.side[at])
            if not chains.opening[number] or not self._opens(chains, number, side):
                return None
            entry = self._open(batch, groups, number, at, False)
        elif not entry.follows(chains, number, self._pause):
            return None
        entry.account(chains, number)
        first, last = chains.runs[number], chains.runs[number + 1]
        if first != last:
            self._pass_runs(batch.buffer, chains, entry, first, last)
        entry.acknowledge(chains, number)
        entry.last = chains.lasts[number]
        return entry

    def _opens(self, chains: Chains, number: int, side: int) -> bool:
        """A SYN from `side`, and from the other side nothing or the SYN/ACK that answers it."""
        if chains.first[1 - side][number] < 0:
            return True
        answered = (chains.first_seq[side][number] + 1) % (1 << 32)
        return chains.first_syn[1 - side][number] and chains.first_ack[1 - side][number] == answered

    def _pass_runs(self, buffer: bytes | memoryview, chains: Chains, entry: Entry, first: int, last: int) -> None:
        connection = entry.connection
        assert connection is not None
        begins, ends, times = chains.begin, chains.end, chains.time
        for run in range(first, last):
            begin, end = chains.run_begin[run], chains.run_end[run]
            if end - begin == 1:
                payload = bytes(buffer[begins[begin] : ends[begin]])
            else:
                pieces = zip(begins[begin:end], ends[begin:end], strict=True)
                payload = b"".join([buffer[low:high] for low, high in pieces])
            stream = connection.streams[chains.run_side[run] ^ entry.orig_side]
            if payload:
                stream.run(payload, times[begin], times[end - 1])
            if chains.run_fin[run]:
                stream.finished_at(stream.next, times[end - 1])

    def _slow(self, batch: PacketBatch, groups: Groups, number: int, entry: Entry | None) -> Iterator[Product]:
        begin, end = groups.starts[number], groups.starts[number + 1]
        sides = groups.side[begin:end].tolist()
        for at, segment in enumerate(segments_of(batch, groups.rows[begin:end])):
            if entry is not None:
                segment = self._directed(segment, sides[at], entry)
                if (how := self._begins_anew(entry, segment)) is not None:
                    if not entry.ended:
                        yield from self._end(entry, how, entry.last)
                    entry = None
            if entry is None:
                if not segment.flags & SYN and not segment.wire_length:
                    continue
                entry = self._open(batch, groups, number, begin + at, not segment.flags & SYN)
                segment = self._directed(segment, sides[at], entry)
            yield from self._careful(entry, segment)

    def _careful(self, entry: Entry, segment: Segment) -> Iterator[Product]:
        assert entry.connection is not None
        before = entry.held
        entry.connection.segment(segment)
        self._held += entry.held - before
        entry.last = segment.time
        if self._emitted or entry.over or entry.leads:
            yield from self._after(entry)

    def _directed(self, segment: Segment, side: int, entry: Entry) -> Segment:
        direction = side ^ entry.orig_side
        return segment if direction == segment.direction else replace(segment, direction=direction)

    def _begins_anew(self, entry: Entry, segment: Segment) -> CloseHow | None:
        """How the flow ended, if this segment begins another one with the same addresses and ports."""
        assert entry.connection is not None
        if segment.time - entry.last > entry.timeout * SECOND and not segment.flags & RST:
            return "timeout"
        return "reset" if entry.connection.opens_anew(segment) else None

    def _open(self, batch: PacketBatch, groups: Groups, number: int, at: int, midstream: bool) -> Entry:
        row = int(groups.rows[at])
        flags = int(batch.flags[row])
        swapped = flags & (SYN | ACK) == SYN | ACK if flags & SYN else from_responder(batch, row)
        side = int(groups.side[at]) ^ swapped
        return self._enter(batch, row, groups.keys[number], side, bool(swapped), midstream)

    def _enter(self, batch: PacketBatch, row: int, key: int, side: int, swapped: bool, midstream: bool) -> Entry:
        flow = flow_of(batch, row, swapped, midstream)
        entry = Entry(key, flow, side, self._memory, self._policies, self._emitted)
        self._entries[key] = entry
        expect = self._expected.take(flow)
        if expect is not None:
            entry.expect(expect)
        return entry

    # -- UDP

    def _udp(self, batch: PacketBatch, rows: Ints) -> Iterator[Product]:
        groups = group_rows(batch, rows, self._salt, self._track_vlan)
        for number in groups.order:
            begin, end = groups.starts[number], groups.starts[number + 1]
            entry = self._entries.get(groups.keys[number])
            for at in range(begin, end):
                row = int(groups.rows[at])
                time = int(batch.time[row])
                if entry is not None and (entry.ended or time - entry.last > entry.timeout * SECOND):
                    yield from self._end(entry, "timeout", entry.last)
                    entry = None
                if entry is None:
                    side = int(groups.side[at])
                    entry = self._enter(batch, row, groups.keys[number], side, False, False)
                self._datagram(batch, row, int(groups.side[at]) ^ entry.orig_side, entry)
            if self._emitted:
                yield from self._after(entry) if entry else ()

    def _datagram(self, batch: PacketBatch, row: int, direction: int, entry: Entry) -> None:
        start, length, time = int(batch.payload[row]), int(batch.length[row]), int(batch.time[row])
        entry.last = time
        entry.packets[direction] += 1
        entry.octets[direction] += length
        if length and entry.reads:
            entry.take(Data(direction, bytes(batch.buffer[start : start + length]), time, time))

    # -- ends

    def _after(self, entry: Entry) -> Iterator[Product]:
        """Hands on what the entry's parser gave; ends the entry when both directions have ended."""
        yield from self._hand_on()
        if entry.leads:
            self._expected.leaders.add(entry.key)
        if entry.over and not entry.ended:
            yield from self._end(entry, entry.how, entry.last)

    def _hand_on(self) -> Iterator[Product]:
        emitted = self._emitted
        while emitted:
            one = emitted.popleft()
            if type(one) is Object:
                yield one
            elif type(one) is Expect:
                self._announce(one)

    def _announce(self, expect: Expect) -> None:
        """The announced flow may have begun, even ended, before its announcement was read."""
        entry = self._expected.announce(expect)
        if entry is not None:
            entry.expect(expect)

    def _end(self, entry: Entry, how: CloseHow, time: int) -> Iterator[Product]:
        before = entry.held
        entry.close(how, time)
        self._held += entry.held - before
        yield from self._hand_on()
        if entry.claimable:
            self._expected.wait(entry)
            self._limbo.append(entry)
        else:
            yield from self._finish(entry)

    def _finish(self, entry: Entry) -> Iterator[Product]:
        yield from self._hand_on()
        self._expected.forget(entry)
        yield entry.summary()

    def _sweep(self) -> Iterator[Product]:
        """Ends flows that have been silent too long, and forgets those that ended some time ago."""
        now, self._swept = self._now, self._now
        forgotten = now - int(self._limits.timeout_closed * SECOND)
        gone = []
        for entry in self._entries.values():
            if entry.ended:
                if entry.last < forgotten:
                    gone.append(entry)
            elif now - entry.last > self._pause and now - entry.last > entry.timeout * SECOND:
                gone.append(entry)
        for entry in gone:
            del self._entries[entry.key]
            if not entry.ended:
                yield from self._end(entry, "timeout", entry.last)
        while self._limbo and self._limbo[0].last < forgotten:
            yield from self._finish(self._limbo.popleft())

    def _evict(self) -> Iterator[Product]:
        """Over a limit, flows never established and those with the most bytes behind holes go first.

        Dharmapurikar and Paxson (USENIX Security 2005): neither the oldest nor a random flow may pay for a flood.
        """
        order = sorted(self._entries.values(), key=lambda one: (not one.ended, one.established, -one.held, one.last))
        for entry in order[: max(len(order) // EVICTED_SHARE, 1)]:
            del self._entries[entry.key]
            if not entry.ended:
                self.counters["flows" if len(order) > self._limits.flows else "total_out_of_order"] += 1
                yield from self._end(entry, "eviction", entry.last)
