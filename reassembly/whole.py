"""Flows of which one batch holds all, in order, from the first SYN to both FINs: read at once, without a flow's state.

The short way through the walk, for the many small connections of the web. What no protocol reads at once
(`reassembly.detect.at_once`) goes the long way, with the same outcome.
"""

from __future__ import annotations

from reassembly.events import Data, Flow, FlowEnd
from reassembly.grouping import Chains
from reassembly.tcp import Segment
from sensor.noun import noun
from sensor.packets import ACK, RST, SYN


def turns(buffer: bytes | memoryview, chains: Chains, number: int, orig_side: int) -> list[Data]:
    """What was said in a group of rows, a `Data` for each run."""
    said = []
    for run in range(chains.runs[number], chains.runs[number + 1]):
        begin, end = chains.run_begin[run], chains.run_end[run]
        if end - begin > 1 or chains.begin[begin] < chains.end[begin]:  # else it is a lone FIN
            payload = chains.payload(buffer, run)
            said.append(Data(chains.run_side[run] ^ orig_side, payload, chains.time[begin], chains.time[end - 1]))
    return said


def summary(
    flow: Flow, service: str, said: list[Data], objects: int, chains: Chains, number: int, orig_side: int
) -> FlowEnd:
    """What there is to say of such a flow."""
    octets = [0, 0]
    for data in said:
        octets[data.direction] += len(data.payload)
    packets = chains.packets[orig_side][number], chains.packets[1 - orig_side][number]
    return FlowEnd(flow, service, "fin", chains.lasts[number], packets, (octets[0], octets[1]), (0, 0), objects, (), {})


@noun
class Past:
    """What tells late segments of a flow that is over from those of its successor."""

    isns: tuple[int, int]  # sequence numbers of both SYNs
    last: int  # ns since 1970 of the last packet

    def knows(self, segment: Segment) -> bool:
        """Whether the segment belongs to the flow that is over."""
        return segment.flags & (SYN | ACK | RST) != SYN or segment.seq in self.isns
