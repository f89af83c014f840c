"""Flows that are let go by while there is too much: counted for the ledger, not read.

What was begun is read to its end, so it is new flows that pay: first those to ports that are marked low, then all. Who
is admitted says `manager.overload`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import field
from itertools import islice
from typing import Literal, TypeAlias

import numpy as np

from reassembly.events import CloseHow, Flow, FlowEnd
from reassembly.grouping import Groups
from reassembly.identity import begun
from reassembly.limits import Limits
from sensor.noun import state
from sensor.packets import ACK, FIN, RST, SYN, PacketBatch

SECOND = 1_000_000_000
ENDED_SHARE = 16  # where there are too many, one in so many ends at once: the oldest of a dict is slowly found

Admitted: TypeAlias = Literal["all", "important", "none"]
Counts: TypeAlias = tuple[list[int], list[int]]  # by group, for each side


@state
class Bystander:
    """One of them, as far as it is known."""

    flow: Flow
    orig_side: int  # as in `reassembly.grouping`
    last: int  # ns since 1970
    packets: list[int] = field(default_factory=lambda: [0, 0])  # by side
    octets: list[int] = field(default_factory=lambda: [0, 0])
    ending: bool = False  # a FIN or RST was seen


class Bystanders:
    """`low`: ports of services that go first. `exempt`: whether a flow is admitted all the same: it was announced."""

    def __init__(self, limits: Limits, low: Collection[int], exempt: Callable[[Flow], bool]) -> None:
        self.admitted: Admitted = "all"
        self.flows = 0  # that were let go by
        self.limits = limits
        self._low = low
        self._exempt = exempt
        self._there: dict[int, Bystander] = {}
        self._over: list[FlowEnd] = []

    def __iter__(self) -> Iterator[Bystander]:
        return iter(self._there.values())

    @property
    def busy(self) -> bool:
        """There are some, or there may be."""
        return self.admitted != "all" or bool(self._there)

    def sift(self, batch: PacketBatch, groups: Groups, known: Callable[[int], bool]) -> Groups:
        """The groups of one transport that are to be read. `known`: whether the key is that of a flow that is."""
        if not self.busy:
            return groups
        packets, octets, flags = _totals(batch, groups)
        kept = []
        for number, key in enumerate(groups.keys):
            says = bool(flags[number] & SYN or octets[0][number] or octets[1][number])
            if (one := self._of(batch, groups, number, says and not known(key))) is None:
                kept.append(number)
                continue
            one.last = int(batch.time[groups.rows[groups.starts[number + 1] - 1]])
            one.ending = one.ending or bool(flags[number] & (FIN | RST))
            for side in (0, 1):
                one.packets[side] += packets[side][number]
                one.octets[side] += octets[side][number]
        return groups if len(kept) == len(groups) else groups.only(kept)

    def ended(self, now: int | None) -> list[FlowEnd]:
        """Those that are over by now (ns since 1970); None: all."""
        for key, one in list(self._there.items()):
            if now is None or now - one.last > self._patience(one) * SECOND:
                self._end(key)
        over, self._over = self._over, []
        return over

    def _of(self, batch: PacketBatch, groups: Groups, number: int, new: bool) -> Bystander | None:
        """Whose packets a group has; None: they are read. `new`: it may be a flow's that begins."""
        key, first = groups.keys[number], groups.starts[number]
        row = int(groups.rows[first])
        if (one := self._there.get(key)) is not None:
            if not one.ending or batch.flags[row] & (SYN | ACK) != SYN:
                return one
            self._end(key)
        if self.admitted == "all" or not new:
            return None
        return self._begun(batch, row, key, int(groups.side[first]))

    def _begun(self, batch: PacketBatch, row: int, key: int, side: int) -> Bystander | None:
        flow, swapped = begun(batch, row)
        if (self.admitted == "important" and flow.resp_port not in self._low) or self._exempt(flow):
            return None
        if len(self._there) >= self.limits.flows:
            for oldest in [*islice(self._there, max(len(self._there) // ENDED_SHARE, 1))]:
                self._end(oldest)
        self.flows += 1
        self._there[key] = one = Bystander(flow, side ^ swapped, flow.time)
        return one

    def _patience(self, one: Bystander) -> float:
        """Seconds of silence after which it is over."""
        if one.ending:
            return self.limits.timeout_closed
        return self.limits.timeout_udp if one.flow.transport == "udp" else self.limits.timeout_established

    def _end(self, key: int) -> None:
        one = self._there.pop(key)
        how: CloseHow = "fin" if one.ending else "timeout"
        orig, resp = one.orig_side, 1 - one.orig_side
        packets, octets = (one.packets[orig], one.packets[resp]), (one.octets[orig], one.octets[resp])
        self._over.append(FlowEnd(one.flow, "unknown", how, one.last, packets, octets, (0, 0), 0, (), {}, "overload"))


def _totals(batch: PacketBatch, groups: Groups) -> tuple[Counts, Counts, list[int]]:
    """Of each group: packets and bytes of payload, and all its TCP flags."""
    starts = groups.starts[:-1]
    length = batch.wire_length[groups.rows].astype(np.int64)
    packets, octets = [], []
    for side in (0, 1):
        its = groups.side == side
        packets.append(np.add.reduceat(its.astype(np.int64), starts).tolist())
        octets.append(np.add.reduceat(np.where(its, length, 0), starts).tolist())
    flags = np.bitwise_or.reduceat(batch.flags[groups.rows], starts).tolist()
    return (packets[0], packets[1]), (octets[0], octets[1]), flags
