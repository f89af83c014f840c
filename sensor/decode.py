"""Decoding, a chunk of a capture at a time: records -> link -> network -> transport -> `PacketBatch`.

Each stage takes the common shape of all rows with array operations; what it does not know goes packet by packet to
`sensor.slowpath`, which only has to say where the IP header is, so that its rows join the columns again.
"""

from __future__ import annotations

from collections import Counter
from itertools import count

import numpy as np
from numpy.typing import NDArray

from sensor.checksums import HeaderSums
from sensor.columns import Offsets, gather
from sensor.defragment import defragment
from sensor.fragments import Fragments
from sensor.link import BY_VERSION, IPV4, IPV6, SMALLEST_TYPE, Kinds, count_others, networks
from sensor.network import Datagrams, Located, datagrams, merged
from sensor.packets import PacketBatch
from sensor.records import Records
from sensor.slowpath import HEAD, IP_SAP, SLOW, SNAP, innermost
from sensor.transport import batch
from sensor.tunnels import MOST_TUNNELS, split, together

_LLC = np.dtype([("start", "V3")])


class Decoder:
    """Decodes the chunks of one capture in order."""

    def __init__(self, capture: str, counters: Counter[str], fragments: Fragments) -> None:
        self._capture = capture
        self._counters = counters
        self._fragments = fragments
        self._sums = HeaderSums(counters)

    def decode(self, buffer: bytes, records: Records, arrived: int) -> PacketBatch | None:
        """The TCP and UDP packets of these records; None when there are none."""
        located = self._locate(buffer, records)
        parts: list[Datagrams] = []
        # What was inside comes back as IP packets for another turn: a datagram made of fragments, a tunnel's packet.
        for depth in count():
            if located is None or not len(located):
                break
            found = datagrams(buffer, located, self._sums, self._counters)
            found, carried = split(buffer, found) if depth < MOST_TUNNELS else (found, None)
            buffer, located = self._inside(buffer, found, records)
            located = together([one for one in (carried, located) if one is not None])
            parts += [part.only(part.fragment < 0) for part in found]
        if not parts:
            return None
        packets = batch(buffer, merged(parts), records, self._capture, arrived, self._counters)
        return packets if len(packets) else None

    def _locate(self, buffer: bytes, records: Records) -> Located | None:
        """Where the IP headers are. What carries none is counted by name."""
        found = networks(buffer, records)
        if found is None:
            self._counters["decode.unknown_link"] += len(records)
            return None
        end = records.frame + records.captured
        known = _is_ip(found.kind)
        if not known.all():
            _ask(buffer, np.flatnonzero(~known & (found.offset < end)), found.kind, found.offset, end)
            known = _is_ip(found.kind)
            count_others(found.kind[~known], self._counters)
        rows = np.arange(len(records))
        return Located(rows, found.offset, found.kind, end, records.frame + records.wire, found.vlan).only(known)

    def _inside(self, buffer: bytes, found: list[Datagrams], records: Records) -> tuple[bytes, Located | None]:
        pieces = [part.only(part.fragment >= 0) for part in found if (part.fragment >= 0).any()]
        if not pieces:
            return buffer, None
        together = merged(pieces)
        times = records.time[together.row].tolist()
        return defragment(buffer, together, times, self._fragments, self._counters)


def _is_ip(kind: Kinds) -> NDArray[np.bool_]:
    known: NDArray[np.bool_] = (kind == IPV4) | (kind == IPV6) | (kind == BY_VERSION)
    return known


def _ask(buffer: bytes, rows: NDArray[np.int64], kind: Kinds, offset: Offsets, end: Offsets) -> None:
    """Takes rows to the slow path that may have IP further in; sets their `kind` and `offset`."""
    start = gather(buffer, offset[rows], _LLC)["start"]
    kinds = kind[rows]
    worth = np.isin(kinds, tuple(SLOW))
    for sap in (SNAP, IP_SAP):
        worth |= (kinds < SMALLEST_TYPE) & (start == np.void(sap))
    for row in rows[worth].tolist():
        at = int(offset[row])
        found, size = innermost(int(kind[row]), buffer[at : min(at + HEAD, int(end[row]))])
        kind[row], offset[row] = found, at + size
