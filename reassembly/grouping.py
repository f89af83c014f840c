"""Sorts the rows of a batch by flow, and finds by array operations where segments simply follow one another.

Flows are told apart by a 64-bit key mixed with a secret of the process: nobody outside can make two flows share one,
and by chance it happens once in 10^7 tables of a million flows.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from sensor.noun import unique
from sensor.packets import ACK, FIN, RST, SYN, TCP, URG, PacketBatch

Ints = NDArray[np.int64]
Words = NDArray[np.uint64]
Flags = NDArray[np.bool_]

WELL_KNOWN = 1024  # ports below carry protocols whose flows stand alone, but for FTP
FTP_PORTS = (20, 21)
SHIFT = np.uint64(32)


class Salt:
    """Odd random factors, made once a process."""

    __slots__ = ("factors",)

    def __init__(self, seed: bytes | None = None) -> None:
        self.factors = np.frombuffer(seed or os.urandom(48), dtype=np.uint64) | np.uint64(1)


@unique
class Groups:
    """The rows of one transport, sorted by flow and in the order of the capture within a flow.

    G groups over R rows. `rows`, `side` have shape (R,); a side is 0 or 1 and means the same end within one flow.
    The lists of pairs hold one value a group for each side.
    """

    rows: Ints
    side: NDArray[np.uint8]
    keys: list[int]
    starts: list[int]  # G + 1 positions in `rows`
    order: list[int]  # the groups by the time of their first row

    def __len__(self) -> int:
        return len(self.keys)

    def sided(self, number: int) -> Iterator[tuple[int, int]]:
        """The rows of a group, each with its side."""
        begin, end = self.starts[number], self.starts[number + 1]
        return zip(self.rows[begin:end].tolist(), self.side[begin:end].tolist(), strict=True)

    def only(self, numbers: list[int]) -> Groups:
        """Some of the groups."""
        sizes = np.diff(self.starts)
        chosen = np.zeros(len(self), np.bool_)
        chosen[numbers] = True
        rows = np.repeat(chosen, sizes)
        renumbered = np.cumsum(chosen) - 1
        return Groups(
            self.rows[rows],
            self.side[rows],
            [self.keys[number] for number in numbers],
            [0, *np.cumsum(sizes[chosen]).tolist()],
            [int(renumbered[number]) for number in self.order if chosen[number]],
        )


@unique
class Chains:
    """What the fast path needs to know of each group of TCP rows, and the runs of payload in it.

    A run is a stretch of rows with payload (or FIN) of one side, uninterrupted by the other side's; FIN ends it.
    Positions of the runs point into the `begin`, `end` and `time` lists, one entry a row with payload or FIN.
    """

    careful: list[bool]  # something in the group does not follow
    opening: list[bool]  # the first row is a SYN
    whole: list[bool]  # it begins with both SYNs and ends with both FINs
    begins: list[int]  # time of the first row, ns since 1970
    lasts: list[int]  # time of the last
    first: tuple[list[int], list[int]]  # position of the first row that takes sequence space, -1 where there is none
    first_seq: tuple[list[int], list[int]]
    first_ack: tuple[list[int], list[int]]
    first_syn: tuple[list[bool], list[bool]]
    last_ack: tuple[list[int], list[int]]  # the side's last acknowledgment number, -1 where there is none
    packets: tuple[list[int], list[int]]
    runs: list[int]  # G + 1 positions in the run lists
    run_begin: list[int]
    run_end: list[int]
    run_side: list[int]
    run_fin: list[bool]
    begin: list[int]  # offsets in the batch's buffer
    end: list[int]
    time: list[int]

    def opens(self, number: int, side: int) -> bool:
        """A group that begins with a SYN from `side`: the other side says nothing, or the SYN/ACK that answers it."""
        if self.first[1 - side][number] < 0:
            return True
        answered = (self.first_seq[side][number] + 1) % (1 << 32)
        return self.first_syn[1 - side][number] and self.first_ack[1 - side][number] == answered

    def payload(self, buffer: bytes | memoryview, run: int) -> bytes:
        """All that was said in a run."""
        begin, end = self.run_begin[run], self.run_end[run]
        if end - begin == 1:
            return bytes(buffer[self.begin[begin] : self.end[begin]])
        view, pieces = memoryview(buffer), zip(self.begin[begin:end], self.end[begin:end], strict=True)
        return b"".join([view[low:high] for low, high in pieces])


def ends(batch: PacketBatch, rows: Ints, salt: Salt) -> tuple[Words, Words]:
    """One mixed 64-bit word for the source and the destination of each row."""
    one, two, three, four = salt.factors[:4]
    source = batch.src_lo[rows] * one + batch.src_hi[rows] * two + batch.sport[rows].astype(np.uint64) * three
    target = batch.dst_lo[rows] * one + batch.dst_hi[rows] * two + batch.dport[rows].astype(np.uint64) * three
    for word in (source, target):
        word ^= word >> SHIFT
        word *= four
        word ^= word >> SHIFT
    return source, target


def group_rows(batch: PacketBatch, rows: Ints, salt: Salt, track_vlan: bool = True) -> Groups:
    """Sorts `rows` (row numbers of `batch`, ascending) by flow."""
    source, target = ends(batch, rows, salt)
    key = (source + target) * salt.factors[4] + (source ^ target)
    if track_vlan:
        key += batch.vlan[rows].astype(np.uint64) * salt.factors[5]
    order = np.argsort(key, kind="stable")
    key = key[order]
    starts = np.flatnonzero(np.concatenate(([True], key[1:] != key[:-1])))
    rows = rows[order]
    return Groups(
        rows,
        (source > target)[order].view(np.uint8),
        key[starts].tolist(),
        [*starts.tolist(), len(rows)],
        np.argsort(rows[starts], kind="stable").tolist(),
    )


def shard_rows(batch: PacketBatch, rows: Ints, number: int, count: int) -> Ints:
    """The rows that shard `number` of `count` keeps: the same flows in every process, FTP data with its control.

    Flows to well-known ports are dealt out by their addresses and ports; all others by their addresses alone, since
    an FTP transfer joins any two ports of the same two hosts.
    """
    factor = np.uint64(0x9E3779B97F4A7C15)
    pair = (batch.src_lo[rows] ^ batch.src_hi[rows]) + (batch.dst_lo[rows] ^ batch.dst_hi[rows])
    low, high = np.minimum(batch.sport[rows], batch.dport[rows]), np.maximum(batch.sport[rows], batch.dport[rows])
    alone = (low < WELL_KNOWN) & ~np.isin(low, FTP_PORTS)
    word = (pair + np.where(alone, high.astype(np.uint64) * factor, np.uint64(0))) * factor
    kept: Ints = rows[(word >> SHIFT) % np.uint64(count) == np.uint64(number)]
    return kept


def chain(batch: PacketBatch, groups: Groups, longest_pause: int) -> Chains:
    """Looks at TCP groups. `longest_pause`: ns between two packets of a flow after which it may have timed out."""
    rows, side = groups.rows, groups.side
    starts = np.array(groups.starts)
    count = len(groups)
    group = np.repeat(np.arange(count), np.diff(starts))
    seq, flags, length = batch.seq[rows], batch.flags[rows], batch.wire_length[rows].astype(np.uint32)
    time = batch.time[rows]
    syn, fin = (flags & SYN) != 0, (flags & FIN) != 0
    space = length + syn + fin
    takes_space = space > 0
    odd = (flags & (RST | URG)) != 0
    odd |= batch.length[rows] != batch.wire_length[rows]
    odd |= syn & ((length > 0) | fin)
    odd |= (flags & (ACK | SYN)) == 0
    odd[1:] |= (time[1:] - time[:-1] > longest_pause) & (group[1:] == group[:-1])
    careful = np.zeros(count, np.bool_)
    careful[group[odd]] = True
    first, firsts = [], []
    for number in (0, 1):
        at = np.flatnonzero(takes_space & (side == number))
        first.append(_first_of_group(at, group, count))
        firsts.append(first[-1].tolist())
        same = group[at[1:]] == group[at[:-1]]
        follows = seq[at[1:]] == (seq[at[:-1]] + space[at[:-1]]).astype(np.uint32)
        careful[group[at[1:]][same & (~follows | syn[at[1:]] | fin[at[:-1]])]] = True
    last_acks = _last_acks(batch.ack[rows], flags, side, group, careful)
    opening = (flags[starts[:-1]] & (SYN | ACK)) == SYN
    return Chains(
        careful.tolist(),
        opening.tolist(),
        (opening & ~careful & _has(syn, side, group, count) & _has(fin, side, group, count)).tolist(),
        time[starts[:-1]].tolist(),
        time[starts[1:] - 1].tolist(),
        (firsts[0], firsts[1]),
        _pair(seq, first),
        _pair(batch.ack[rows], first),
        _pair(syn, first),
        last_acks,
        _counts(side, group, count),
        *_runs(batch, rows, side, group, np.flatnonzero((length > 0) | fin), fin, time, count),
    )


def _has(mark: Flags, side: NDArray[np.uint8], group: Ints, count: int) -> Flags:
    """Whether both sides of each group have a row with this mark."""
    found = np.zeros((2, count), np.bool_)
    found[side[mark], group[mark]] = True
    both: Flags = found[0] & found[1]
    return both


def _first_of_group(at: Ints, group: Ints, count: int) -> Ints:
    first = np.full(count, -1)
    which = group[at]
    change = np.flatnonzero(np.concatenate(([True], which[1:] != which[:-1]))) if len(at) else at
    first[which[change]] = at[change]
    return first


def _pair(column: NDArray[np.generic], first: list[Ints]) -> tuple[list, list]:  # type: ignore[type-arg]
    return column[first[0]].tolist(), column[first[1]].tolist()


def _last_acks(
    ack: NDArray[np.uint32], flags: NDArray[np.uint8], side: NDArray[np.uint8], group: Ints, careful: Flags
) -> tuple[list[int], list[int]]:
    """The last acknowledgment number of each side; a group in which one goes back is `careful`."""
    both = []
    for number in (0, 1):
        at = np.flatnonzero(((flags & ACK) != 0) & (side == number))
        last = np.full(len(careful), -1)
        last[group[at]] = ack[at]  # of several values for one place NumPy keeps the last
        both.append(last.tolist())
        backwards = (ack[at[1:]] - ack[at[:-1]]).view(np.int32) < 0  # packets changed places
        careful[group[at[1:]][backwards & (group[at[1:]] == group[at[:-1]])]] = True
    return both[0], both[1]


def _counts(side: NDArray[np.uint8], group: Ints, count: int) -> tuple[list[int], list[int]]:
    all_rows = np.bincount(group, minlength=count)
    ones = np.bincount(group[side == 1], minlength=count)
    return (all_rows - ones).tolist(), ones.tolist()


def _runs(
    batch: PacketBatch,
    rows: Ints,
    side: NDArray[np.uint8],
    group: Ints,
    at: Ints,
    fin: Flags,
    time: Ints,
    count: int,
) -> tuple[list[int], list[int], list[int], list[int], list[bool], list[int], list[int], list[int]]:
    which, where, ends_here = group[at], side[at], fin[at]
    change = (which[1:] != which[:-1]) | (where[1:] != where[:-1]) | ends_here[:-1]
    begin = np.concatenate(([0], np.flatnonzero(change) + 1)) if len(at) else at
    end = np.concatenate((begin[1:], [len(at)])) if len(at) else at
    offsets = batch.payload[rows[at]]
    return (
        np.searchsorted(which[begin], np.arange(count + 1)).tolist(),
        begin.tolist(),
        end.tolist(),
        where[begin].tolist(),
        ends_here[end - 1].tolist(),
        offsets.tolist(),
        (offsets + batch.length[rows[at]]).tolist(),
        time[at].tolist(),
    )


def tcp_rows(batch: PacketBatch) -> Ints:
    """The row numbers of TCP packets."""
    return np.flatnonzero(batch.protocol == TCP)
