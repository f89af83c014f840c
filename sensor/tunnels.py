"""IP packets inside of IP packets: where does the inner IP header lie?

IP in IP (RFC 2003, RFC 4213), GRE (RFC 2784, RFC 2890) with what it carries, PPTP's GRE (RFC 2637), ERSPAN
(draft-foschiano-erspan), VXLAN (RFC 7348), GENEVE (RFC 8926), GTP-U (3GPP TS 29.281, section 5), Teredo (RFC 4380),
AYIYA (draft-massar-v6ops-ayiya). Packets of an ordinary capture cost one look at a table; those of tunnels go one by
one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from sensor.columns import gather
from sensor.link import BY_VERSION, IPV4, IPV6, NO_TYPE, PPP
from sensor.network import Datagrams, Located, Rows
from sensor.packets import UDP
from sensor.slowpath import HEAD, innermost

MOST_TUNNELS = 8  # inside each other; two are seen in practice

_ETHERNET, _ERSPAN, _ERSPAN_3 = 0x6558, 0x88BE, 0x22EB
_NOTHING = NO_TYPE, 0
_UDP = np.dtype([("sport", ">u2"), ("dport", ">u2")])

Inside: TypeAlias = tuple[int, int]  # EtherType of what is inside, or BY_VERSION or NO_TYPE, and its offset
Step: TypeAlias = Callable[[bytes], Inside]


def split(buffer: bytes, found: list[Datagrams]) -> tuple[list[Datagrams], Located | None]:
    """Whole datagrams without those that carry a tunnel's packet, and where these packets' IP headers lie."""
    outer: list[Datagrams] = []
    inner: list[Located] = []
    for part in found:
        rows = _carriers(buffer, part)
        located, taken = _inside(buffer, part, rows) if len(rows) else (None, rows)
        if located is not None:
            inner.append(located)
            keep = np.ones(len(part), np.bool_)
            keep[taken] = False
            part = part.only(keep)
        outer.append(part)
    return outer, together(inner)


def together(inner: list[Located]) -> Located | None:
    """All of them; None when there are none."""
    if len(inner) < 2:
        return inner[0] if inner else None
    return Located(*(np.concatenate([getattr(one, name) for one in inner]) for name in Located.__match_args__))


def _carriers(buffer: bytes, part: Datagrams) -> Rows:
    """The rows that may carry a packet: by their protocol, or their port."""
    carries = _PROTOCOL[part.protocol]
    udp = np.flatnonzero(part.protocol == UDP)
    if len(udp):
        ports = gather(buffer, part.transport[udp], _UDP)
        carries[udp] = _PORT[ports["dport"]] | _SERVICE[ports["sport"]]
    if not carries.any():
        return udp[:0]
    return np.flatnonzero(carries & (part.fragment < 0))


def _inside(buffer: bytes, part: Datagrams, rows: Rows) -> tuple[Located | None, Rows]:
    """What these rows carry, and those of them that carry an IP packet."""
    taken, offsets, kinds = [], [], []
    for row in rows.tolist():
        start = int(part.transport[row])
        head = buffer[start : min(start + HEAD, int(part.end[row]))]
        kind, size = _behind(int(part.protocol[row]), head)
        if kind != NO_TYPE:
            taken.append(row)
            offsets.append(start + size)
            kinds.append(kind)
    if not taken:
        return None, rows[:0]
    at = np.array(taken, np.int64)
    located = Located(
        part.row[at],
        np.array(offsets, np.int64),
        np.array(kinds, np.uint32),
        part.end[at],
        part.promised[at],
        part.vlan[at],
    )
    return located, at


def _behind(protocol: int, head: bytes) -> Inside:
    """Goes inwards to an IP header that is there."""
    if protocol == UDP:
        step = _PORTS.get(int.from_bytes(head[2:4], "big")) or _SERVICES[int.from_bytes(head[:2], "big")]
        start = 8
    else:
        step, start = _PROTOCOLS[protocol], 0
    kind, size = step(head[start:])
    start += size
    if kind not in (IPV4, IPV6, BY_VERSION, NO_TYPE):
        kind, size = innermost(kind, head[start:])
        start += size
    if start >= len(head):
        return _NOTHING
    version = head[start] >> 4
    told = {4: IPV4, 6: IPV6}.get(version, NO_TYPE)
    return (told, start) if kind in (told, BY_VERSION) else _NOTHING


def _ipv4(head: bytes) -> Inside:
    return IPV4, 0


def _ipv6(head: bytes) -> Inside:
    return IPV6, 0


def _gre(head: bytes) -> Inside:
    """Flags: 0x8000 checksum, 0x4000 routing, 0x2000 key, 0x1000 sequence number, 0x80 acknowledgment (PPTP)."""
    if len(head) < 4 or head[0] & 0x40 or head[1] & 7 > 1:
        return _NOTHING
    flags, kind = int.from_bytes(head[:2], "big"), int.from_bytes(head[2:4], "big")
    size = 4 + 4 * (flags >> 15 & 1) + 4 * (flags >> 13 & 1) + 4 * (flags >> 12 & 1)
    if flags & 7:
        return (PPP, size + 4 * (flags >> 7 & 1)) if kind == PPP and flags & 0x1000 else _NOTHING
    if kind == _ERSPAN:  # type I has no header of its own, nor sequence numbers
        return _ETHERNET, size + 8 * (flags >> 12 & 1)
    if kind == _ERSPAN_3:
        more = head[size + 11] & 1 if len(head) > size + 11 else 0  # "O": a platform's own header follows
        return _ETHERNET, size + 12 + 8 * more
    return kind, size


def _vxlan(head: bytes) -> Inside:
    """The flag I and three zeros; with the flag G, two of them name a group (draft-smith-vxlan-group-policy)."""
    return (_ETHERNET, 8) if head[:4] == b"\x08\0\0\0" or head[:1] == b"\x88" else _NOTHING


def _vxlan_gpe(head: bytes) -> Inside:
    """Version 0, the flags I and P, and what the fourth byte says (draft-ietf-nvo3-vxlan-gpe)."""
    if len(head) < 8 or head[0] & 0x3C != 0x0C:
        return _NOTHING
    return {1: IPV4, 2: IPV6, 3: _ETHERNET}.get(head[3], NO_TYPE), 8


def _geneve(head: bytes) -> Inside:
    """Version 0; options in words of four bytes."""
    if len(head) < 8 or head[0] >> 6:
        return _NOTHING
    return int.from_bytes(head[2:4], "big"), 8 + 4 * (head[0] & 63)


def _gtp(head: bytes) -> Inside:
    """A G-PDU of version 1. With any of the flags E, S, PN four more bytes, and headers that name the next one."""
    if len(head) < 8 or head[0] >> 4 != 3 or head[1] != 0xFF:
        return _NOTHING
    if not head[0] & 7:
        return BY_VERSION, 8
    at = 12
    follows = head[11] if head[0] & 4 and len(head) > 11 else 0
    while follows and at < len(head) and head[at]:
        at += 4 * head[at]
        follows = head[at - 1] if at <= len(head) else 0
    return (BY_VERSION, at) if not follows else _NOTHING


def _teredo(head: bytes) -> Inside:
    """RFC 4380, section 5.1.1: perhaps an authentication, perhaps an origin, then IPv6."""
    start = 0
    if head[:2] == b"\0\1" and len(head) > 4:
        start = 13 + head[2] + head[3]
    if head[start : start + 2] == b"\0\0":
        start += 8
    # Nothing else tells it from another datagram: the header has to be there, and name a following one that is known.
    return (IPV6, start) if head[start + 6 : start + 7] in _FOLLOWING and len(head) >= start + 40 else _NOTHING


_FOLLOWING = {bytes([number]) for number in (0, 6, 17, 43, 44, 58, 60)}


def _ayiya(head: bytes) -> Inside:
    """The length of the identity is a power of two, that of the signature counts in words; opcode 1 forwards."""
    if len(head) < 8 or head[2] & 15 != 1:
        return _NOTHING
    return {4: IPV4, 41: IPV6}.get(head[3], NO_TYPE), 8 + (1 << (head[0] >> 4)) + 4 * (head[1] >> 4)


_PROTOCOLS: dict[int, Step] = {4: _ipv4, 41: _ipv6, 47: _gre}
# 8472 is Linux's from before there was a number, 2152 GTP's.
_SERVICES: dict[int, Step] = {3544: _teredo, 5072: _ayiya}  # which answer from the same port
_PORTS: dict[int, Step] = {4789: _vxlan, 4790: _vxlan_gpe, 8472: _vxlan, 6081: _geneve, 2152: _gtp} | _SERVICES


def _table(size: int, numbers: list[int]) -> NDArray[np.bool_]:
    table = np.zeros(size, np.bool_)
    table[numbers] = True
    return table


_PROTOCOL, _PORT = _table(256, list(_PROTOCOLS)), _table(1 << 16, list(_PORTS))
_SERVICE = _table(1 << 16, list(_SERVICES))
