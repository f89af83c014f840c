"""Frames that a countermeasure sends: TCP segments in the name of one end of a flow, with the link header it uses.

RFC 9293, section 3.1 (TCP), RFC 791 and RFC 8200 (IP).
"""

from __future__ import annotations

from sensor.noun import noun


@noun
class Frame:
    """One segment as `source` would send it to `target`. Addresses are 4 or 16 bytes, all else as in the headers."""

    link: bytes  # all before the IP header: Ethernet, VLAN tags, PPPoE, MPLS
    source: bytes
    source_port: int
    target: bytes
    target_port: int
    hops: int  # TTL or hop limit that frames of the source have where we see them
    flags: int
    seq: int
    ack: int
    payload: bytes = b""
