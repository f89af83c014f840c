"""The first step of the walk on live interfaces: what passes them becomes batches of decoded packets, in order of time.

Several interfaces (the two ports of a TAP) are one timeline: a flow may ask on one and be answered on the other.
"""

from __future__ import annotations

import logging
import select
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from sensor.captures import BATCH_BYTES, DEFAULT_FRAGMENTS, FragmentLimits
from sensor.clock import Clock, Jump
from sensor.decode import Decoder
from sensor.packets import PacketBatch
from sensor.plain import Plain
from sensor.records import Records, together
from sensor.ring import Ring, RingSize

log = logging.getLogger(__name__)

TICK = 0.1  # seconds without a packet after which we say what time it is
GATHER = 0.001  # seconds between two looks: under load, many packets together cost less; a lone one doesn't wait
PORTION = 4096  # packets of a batch: what is read of a full ring at once would take several times its memory
LASTS = 1.0  # seconds after which much at a time is more than a burst
MILLION = 1_000_000
SETTLED = RingSize().settled

Taken = tuple[bytes, Records]


class Live:
    """Some interfaces of one link type as batches; between them the time (ns since 1970), which goes on by itself.

    Iterated until `stop`. `counters` says what was not decoded, by name, `packets` and `bytes` how much was seen,
    `lost` how many packets the kernel had no room for, `backlog` which share of its room was taken all through the last
    second: what passes in a burst is no backlog. `settled`: ns by which the blocks of all interfaces have come.
    `also`: a descriptor; when there is something to read there, it says what time it is. `portion`: packets of a batch.
    """

    def __init__(
        self,
        rings: Sequence[Ring | Plain],
        fragments: FragmentLimits = DEFAULT_FRAGMENTS,
        clock: Clock | None = None,
        *,
        settled: int = SETTLED,
        also: int | None = None,
        portion: int = PORTION,
    ) -> None:
        self._clock = clock or Clock()
        self.path = "+".join(ring.interface for ring in rings)
        self.counters: Counter[str] = Counter()
        self.warnings: list[str] = []
        self.packets = self.bytes = self.lost = 0
        self.speed, self.backlog = 1.0, 0.0
        self._fullness = Least(LASTS)
        self._rings = rings
        self.fragments = fragments.kept(self.counters)
        self._decoder = Decoder(self.path, self.counters, self.fragments)
        self._order = Order(settled) if len(rings) > 1 else None
        self._portion = portion
        self._stopping = False
        self._poll = select.poll()
        for ring in rings:
            self._poll.register(ring, select.POLLIN | select.POLLERR)
        if also is not None:
            self._poll.register(also, select.POLLIN)

    def now(self) -> int:
        """Ns since 1970: packets have the time of the system's clock."""
        return self._clock.now()

    def stop(self) -> None:
        """What is there is still handed on; then it ends. May be called by a signal's handler."""
        self._stopping = True

    def __iter__(self) -> Iterator[PacketBatch | int | Jump]:
        taken = 0.0
        try:
            while not self._stopping:
                for number, event in self._poll.poll(self._patience()):
                    if event & select.POLLERR:
                        self._trouble(number)
                if (left := GATHER - (time.monotonic() - taken)) > 0:
                    time.sleep(left)
                taken = time.monotonic()
                yield from self._taken()
                yield self.now()
            yield from self._taken(last=True)
        finally:
            for ring in self._rings:
                ring.close()
            self.fragments.close()

    def _trouble(self, number: int) -> None:
        """An interface that is down, or gone; one that comes up again delivers again."""
        for ring in self._rings:
            if ring.fileno() == number and (why := ring.trouble()):
                self.counters["interface.down"] += 1
                log.warning("%s: %s", ring.interface, why)

    def _patience(self) -> float:
        return self._order.settled / MILLION if self._order is not None and self._order.waiting else TICK * 1000

    def _taken(self, last: bool = False) -> Iterator[PacketBatch | Jump]:
        """What has come by now; `last`: nothing more comes."""
        arrived = time.monotonic_ns()
        taken = [list(ring.blocks()) for ring in self._rings]
        full = max(len(some) / ring.room for some, ring in zip(taken, self._rings, strict=True))
        self.backlog = self._fullness.with_(full, arrived / 1e9)
        blocks = [one for some in taken for one in some]
        self.lost += sum(ring.lost() for ring in self._rings)
        if (jump := self._clock.jumped()) is not None:  # after they were taken, so that none has a time unheard of
            blocks = self._jumped(jump, blocks)
            yield jump
        if self._order is not None:
            blocks = self._order.sorted(blocks, None if last else self.now())
        for part in portions(blocks, self._portion):
            buffer, records = together(part)
            self.packets += len(records)
            self.bytes += int(records.wire.sum())
            if cut := int(np.count_nonzero(records.captured < records.wire)):
                self.counters["cut_frames"] += cut
            if (batch := self._decoder.decode(buffer, records, arrived)) is not None:
                yield batch

    def _jumped(self, jump: Jump, blocks: list[Taken]) -> list[Taken]:
        log.warning("the clock was set %s by %.0f s", "ahead" if jump.by > 0 else "back", abs(jump.by) / 1e9)
        self.counters["clock.jump"] += 1
        if self._order is not None:
            blocks, self._order.waiting = [*self._order.waiting, *blocks], []
        return [(part, replace(one, time=self._clock.corrected(one.time, jump))) for part, one in blocks]


def portions(blocks: list[Taken], most: int = PORTION) -> Iterator[list[Taken]]:
    """Blocks in batches of about BATCH_BYTES or so many packets; they are let go of on the way."""
    blocks.reverse()
    part, size, packets = [], 0, 0
    while blocks:
        part.append(block := blocks.pop())
        size, packets = size + len(block[0]), packets + len(block[1])
        if size >= BATCH_BYTES or packets >= most or not blocks:
            yield part
            part, size, packets = [], 0, 0


class Least:
    """The least of what there was in the last `seconds`."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._rising: deque[tuple[float, float]] = deque()  # time and value of those that none after them is less than

    def with_(self, value: float, now: float) -> float:
        """Takes another one; `now` never goes back."""
        while self._rising and self._rising[-1][1] >= value:
            self._rising.pop()
        self._rising.append((now, value))
        while self._rising[0][0] < now - self._seconds:
            self._rising.popleft()
        return self._rising[0][1]


class Order:
    """Puts what came from several interfaces in order of time.

    Each ring hands over its blocks some time after their first packet. What is younger than `settled`, in ns, waits, so
    that a question comes before its answer even if its block comes behind.
    """

    def __init__(self, settled: int = SETTLED) -> None:
        self.settled = settled
        self.waiting: list[Taken] = []

    def sorted(self, blocks: Sequence[Taken], now: int | None) -> list[Taken]:
        """All that is settled, as one block; `now`: the time, ns since 1970; None: nothing more comes."""
        if not (blocks := [*self.waiting, *blocks]):
            return []
        buffer, records = together(blocks)
        order = np.argsort(records.time, kind="stable")
        ready = len(order) if now is None else int(np.searchsorted(records.time[order], now - self.settled, "right"))
        self.waiting = [_cut(buffer, records, order[ready:])] if ready < len(order) else []
        return [(buffer, records.only(order[:ready]))] if ready else []


def _cut(buffer: bytes, records: Records, rows: NDArray[np.int64]) -> Taken:
    """These rows with no more of the buffer than they need."""
    begin = int(records.frame[rows].min())
    return buffer[begin:], records.only(rows, -begin)
