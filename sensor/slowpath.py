"""What the columns do not know, packet by packet: where does the IP header lie behind uncommon layers?

LLC and SNAP (IEEE 802.2), MPLS (RFC 3032) and its Ethernet pseudowires (RFC 4448), PPPoE (RFC 2516), PPP (RFC 1661).
What lies inside of IP is `sensor.tunnels`' affair. dpkt reads each header; it is imported when the first packet
comes, and is given the header alone, never what an attacker put behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import TypeAlias

from sensor.link import IPV4, IPV6, NO_TYPE, PPP, SMALLEST_TYPE

MOST_LAYERS = 16  # of one packet; Suricata's decoder.max-layers
HEAD = 256  # bytes of a frame that hold all of them
SNAP, IP_SAP = b"\xaa\xaa\x03", b"\x06\x06\x03"

_LLC = 0  # the EtherType field holds a length

_MPLS, _MPLS_MULTICAST, _PPPOE, _ETHERNET = 0x8847, 0x8848, 0x8864, 0x6558
SLOW = frozenset({_MPLS, _MPLS_MULTICAST, _PPPOE, PPP})  # EtherTypes worth the way

Step: TypeAlias = Callable[[bytes], tuple[int, int]]  # a header and more -> EtherType of what follows, header's size


def innermost(kind: int, head: bytes) -> tuple[int, int]:
    """Goes from what `kind` names, at the start of `head`, inwards. EtherType and offset of where it has to stop."""
    from dpkt import UnpackError

    steps, at = _steps(), 0
    for _ in range(MOST_LAYERS):
        step = steps.get(kind if kind >= SMALLEST_TYPE else _LLC)
        if step is None:
            break
        try:
            kind, size = step(head[at:])
        except UnpackError:
            break
        at += size
        if kind in (IPV4, IPV6):
            break
    return kind, at


@cache
def _steps() -> Mapping[int, Step]:
    from dpkt import ethernet, llc, ppp, pppoe

    def behind_llc(head: bytes) -> tuple[int, int]:
        if head[:3] == IP_SAP:
            return IPV4, 3
        header = llc.LLC(head[:8])
        return (header.type, 8) if header.is_snap else (NO_TYPE, 3)

    def behind_label(head: bytes) -> tuple[int, int]:
        label = ethernet.MPLSlabel(head[:4])
        if not label.s:
            return _MPLS, 4
        version = head[4] >> 4 if len(head) > 4 else 0
        if version in (4, 6):
            return (IPV4 if version == 4 else IPV6), 4
        # RFC 4448, section 4.6: an optional control word, whose first 16 bits are 0; an Ethernet address seldom is so.
        return _ETHERNET, 8 if head[4:6] == b"\0\0" else 4

    def behind_ethernet(head: bytes) -> tuple[int, int]:
        return int.from_bytes(head[12:14], "big"), 14

    def behind_tag(head: bytes) -> tuple[int, int]:
        return ethernet.VLANtag8021Q(head[:4]).type, 4

    def behind_pppoe(head: bytes) -> tuple[int, int]:
        header = pppoe.PPPoE(head[:6])
        return (PPP if header.code == 0 else NO_TYPE), 6

    def behind_ppp(head: bytes) -> tuple[int, int]:
        start = 2 if head[:2] == b"\xff\x03" else 0
        size = 1 if head[start : start + 1] and head[start] & ppp.PFC_BIT else 2
        number = int.from_bytes(head[start : start + size], "big")
        return {ppp.PPP_IP: IPV4, ppp.PPP_IP6: IPV6, 0x281: _MPLS}.get(number, NO_TYPE), start + size

    return {
        _LLC: behind_llc, _MPLS: behind_label, _MPLS_MULTICAST: behind_label, _PPPOE: behind_pppoe, PPP: behind_ppp,
        _ETHERNET: behind_ethernet, 0x8100: behind_tag, 0x88A8: behind_tag, 0x9100: behind_tag,
    }  # fmt: skip
