"""Decoding, a chunk of a capture at a time: records -> link -> network -> transport -> `PacketBatch`.

Each stage takes the common shape of all rows with array operations; what it does not know goes packet by packet to
`sensor.slowpath`, which only has to say where the IP header is, so that its rows join the columns again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np

from sensor.link import BY_VERSION, IPV4, IPV6, count_others, networks
from sensor.network import Datagrams, Located, datagrams, merged
from sensor.packets import PacketBatch
from sensor.records import Records
from sensor.transport import batch


class Decoder:
    """Decodes the chunks of one capture in order."""

    def __init__(self, capture: str, counters: Counter[str]) -> None:
        self._capture = capture
        self._counters = counters

    def decode(self, buffer: bytes, records: Records, arrived: int) -> Iterator[PacketBatch]:
        """The TCP and UDP packets of these records: one batch, or none."""
        located = self._locate(buffer, records)
        if located is None:
            return
        parts = datagrams(buffer, located, self._counters)
        if not parts:
            return
        whole = self._whole(merged(parts))
        packets = batch(buffer, whole, records, self._capture, arrived, self._counters)
        if len(packets):
            yield packets

    def _locate(self, buffer: bytes, records: Records) -> Located | None:
        found = networks(buffer, records)
        if found is None:
            self._counters["decode.unknown_link"] += len(records)
            return None
        rows = np.arange(len(records))
        end = records.frame + records.captured
        located = Located(rows, found.offset, found.kind, end, records.frame + records.wire, found.vlan)
        known = (found.kind == IPV4) | (found.kind == IPV6) | (found.kind == BY_VERSION)
        if not known.all():
            count_others(found.kind[~known], self._counters)
        return located.only(known)

    def _whole(self, found: Datagrams) -> Datagrams:
        pieces = found.fragment >= 0
        if pieces.any():
            self._counters["ip.fragments"] += int(np.count_nonzero(pieces))
        return found.only(~pieces)
