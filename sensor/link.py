"""The link layer of many frames at once: where each frame's network header lies, what it is, which VLAN it is in.

Ethernet (IEEE 802.3), VLAN tags (802.1Q, 802.1ad), Linux cooked (tcpdump.org/linktypes: LINKTYPE_LINUX_SLL, _SLL2),
BSD null and loop, raw IP, Cisco's HDLC (RFC 1547, section 4.3.1: address, control, EtherType). Link types are those of
the LINKTYPE_ registry.
"""

from __future__ import annotations

from collections import Counter
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from sensor.columns import Offsets, gather
from sensor.noun import unique
from sensor.packets import COOKED, COOKED2, ETHERNET
from sensor.records import Records

Kinds: TypeAlias = NDArray[np.uint32]  # EtherTypes

IPV4, IPV6 = 0x0800, 0x86DD
PPP = 0x880B
BY_VERSION, NO_TYPE = 0x10000, 0x10001  # no EtherTypes: the header's first four bits tell; nobody knows

NULL, PPP_ALONE, PPP_HDLC, CISCO_HDLC, LOOP, RAW_IPV4, RAW_IPV6 = 0, 9, 50, 104, 108, 228, 229
RAW = (12, 14, 101)
KNOWN_LINKS = (NULL, ETHERNET, PPP_ALONE, PPP_HDLC, CISCO_HDLC, LOOP, COOKED, COOKED2, RAW_IPV4, RAW_IPV6, *RAW)

SMALLEST_TYPE = 1536  # below it an EtherType is a length (IEEE 802.3, section 3.2.6)

MOST_TAGS = 8  # VLAN tags looked behind; two are the standard, more a misconfiguration or an attack

_TYPE = np.dtype([("type", ">u2")])
_TAG = np.dtype([("tci", ">u2"), ("type", ">u2")])
_FAMILY = np.dtype([("family", ">u4")])
_NULL_IPV4 = (2,)
_NULL_IPV6 = (10, 24, 28, 30)  # Linux, NetBSD and OpenBSD, FreeBSD, macOS

_NAMES = {
    0x0806: "arp", 0x8035: "rarp", 0x88CC: "lldp", 0x888E: "eapol", 0x8863: "pppoe_discovery", 0x9000: "loopback",
    0x8809: "slow_protocols", 0x88E5: "macsec", 0x8847: "mpls", 0x8848: "mpls", 0x8864: "pppoe", 0x880B: "ppp",
    0x8100: "vlan_tags", 0x88A8: "vlan_tags", 0x9100: "vlan_tags", 0x88F7: "ptp", 0x8137: "ipx", 0x809B: "appletalk",
}  # fmt: skip


@unique
class Networks:
    """For each frame: offset of its network header, its EtherType, and the VLAN ids as in `PacketBatch.vlan`.

    A type below `SMALLEST_TYPE` is the length of an LLC frame.
    """

    offset: Offsets
    kind: Kinds
    vlan: NDArray[np.uint32]


def networks(buffer: bytes, records: Records) -> Networks | None:
    """The network headers of these frames; None where the link type is not known."""
    frame, link = records.frame, records.link
    if link == ETHERNET:
        return _tagged(_behind_type(buffer, frame + 12, records), records)
    if link == COOKED:
        return _behind_type(buffer, frame + 14, records)
    if link == CISCO_HDLC:
        return _behind_type(buffer, frame + 2, records)
    if link == COOKED2:
        kind = _types(buffer, frame)
        return _behind_tags(buffer, frame + 20, kind, records)
    if link in (NULL, LOOP):
        return _plain(frame + 4, _families(gather(buffer, frame, _FAMILY)["family"].astype(np.uint32)))
    kinds = {RAW_IPV4: IPV4, RAW_IPV6: IPV6, PPP_ALONE: PPP, PPP_HDLC: PPP} | dict.fromkeys(RAW, BY_VERSION)
    if link in kinds:
        return _plain(frame, np.full(len(frame), kinds[link], np.uint32))
    return None


def _plain(offset: Offsets, kind: Kinds) -> Networks:
    return Networks(offset, kind, np.zeros(len(offset), np.uint32))


def _types(buffer: bytes, at: Offsets) -> Kinds:
    return gather(buffer, at, _TYPE)["type"].astype(np.uint32)


def _behind_type(buffer: bytes, at: Offsets, records: Records) -> Networks:
    return _behind_tags(buffer, at + 2, _types(buffer, at), records)


def _behind_tags(buffer: bytes, offset: Offsets, kind: Kinds, records: Records) -> Networks:
    """Goes behind the VLAN tags. The ids of the two outermost are kept: more do not tell flows apart in practice."""
    vlan = np.zeros(len(offset), np.uint32)
    end = records.frame + records.captured
    for depth in range(MOST_TAGS):
        rows = np.flatnonzero(_is_tag(kind) & (offset + 4 <= end))
        if not len(rows):
            break
        tags = gather(buffer, offset[rows], _TAG)
        if depth < 2:
            vlan[rows] |= (tags["tci"].astype(np.uint32) & 0xFFF) << (12 * depth)
        kind[rows] = tags["type"]
        offset[rows] += 4
    return Networks(offset, kind, vlan)


def _tagged(found: Networks, records: Records) -> Networks:
    """With the outermost tag, where the kernel hands it over beside the frame."""
    if records.tag is None:
        return found
    outer = records.tag & 0xFFF
    return Networks(found.offset, found.kind, np.where(outer > 0, found.vlan << 12 & 0xFFF000 | outer, found.vlan))


def _is_tag(kind: Kinds) -> NDArray[np.bool_]:
    tagged: NDArray[np.bool_] = (kind == 0x8100) | (kind == 0x88A8) | (kind == 0x9100)
    return tagged


def _families(family: NDArray[np.uint32]) -> Kinds:
    """The EtherType of an address family in either byte order: LINKTYPE_NULL has the order of who captured."""
    number = np.where(family > 0xFFFF, family.byteswap(), family)
    kind = np.where(np.isin(number, _NULL_IPV6), IPV6, NO_TYPE)
    return np.where(np.isin(number, _NULL_IPV4), IPV4, kind).astype(np.uint32)


def count_others(kind: Kinds, counters: Counter[str]) -> None:
    """Counts frames that carry no IP, by the name of what they carry."""
    values, counts = np.unique(kind, return_counts=True)
    for value, count in zip(values.tolist(), counts.tolist(), strict=True):
        counters["decode." + _NAMES.get(value, "unknown_ethertype" if value >= SMALLEST_TYPE else "llc")] += count
