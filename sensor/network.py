"""The IP layer of many packets at once: IPv4 (RFC 791) and IPv6 with its extension headers (RFC 8200, section 4)."""

from __future__ import annotations

from collections import Counter
from dataclasses import fields
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from sensor.checksums import HeaderSums
from sensor.columns import Headers, Offsets, gather
from sensor.link import BY_VERSION, IPV6, Kinds
from sensor.noun import unique

MOST_EXTENSIONS = 16  # IPv6 extension headers walked; RFC 8200 recommends each at most once, of which there are six

Rows: TypeAlias = NDArray[np.int64]

_IPV4 = np.dtype([
    ("version", "u1"), ("tos", "u1"), ("total", ">u2"), ("id", ">u2"), ("fragment", ">u2"),
    ("ttl", "u1"), ("protocol", "u1"), ("sum", ">u2"), ("src", ">u4"), ("dst", ">u4"),
])  # fmt: skip
_IPV6 = np.dtype([
    ("version", ">u4"), ("length", ">u2"), ("next", "u1"), ("hops", "u1"),
    ("src_hi", ">u8"), ("src_lo", ">u8"), ("dst_hi", ">u8"), ("dst_lo", ">u8"),
])  # fmt: skip
_EXTENSION = np.dtype([("next", "u1"), ("length", "u1"), ("offset", ">u2"), ("id", ">u4")])
_VERSION = np.dtype([("version", "u1")])

_MAPPED = np.uint64(0xFFFF << 32)
_HOP_BY_HOP, _ROUTING, _FRAGMENT, _AUTHENTICATION, _DESTINATION, _MOBILITY = 0, 43, 44, 51, 60, 135
_EXTENSIONS = np.zeros(256, np.bool_)
_EXTENSIONS[[_HOP_BY_HOP, _ROUTING, _FRAGMENT, _AUTHENTICATION, _DESTINATION, _MOBILITY]] = True


@unique
class Located:
    """Packets whose IP header has been found. Every column has shape (N,)."""

    row: Rows  # the record it came in
    network: Offsets  # of the IP header
    kind: Kinds  # IPV4, IPV6, or BY_VERSION
    end: Offsets  # behind the last byte captured of the frame
    wire_end: Offsets  # behind the last byte it had on the wire
    vlan: NDArray[np.uint32]

    def __len__(self) -> int:
        return len(self.row)

    def only(self, keep: NDArray[np.bool_]) -> Located:
        """The packets where `keep` is true."""
        return self if keep.all() else Located(*(getattr(self, field.name)[keep] for field in fields(self)))


@unique
class Datagrams:
    """IP packets, or fragments of them, decoded up to the transport header. Every column has shape (N,)."""

    row: Rows
    network: Offsets
    transport: Offsets
    end: Offsets  # behind the last byte captured of the datagram
    promised: Offsets  # where it ends by its own header
    vlan: NDArray[np.uint32]
    protocol: NDArray[np.uint8]
    src_hi: NDArray[np.uint64]
    src_lo: NDArray[np.uint64]
    dst_hi: NDArray[np.uint64]
    dst_lo: NDArray[np.uint64]
    fragment: Offsets  # IPv4: the header; IPv6: the fragment header, of a fragment; -1 of a whole datagram

    def __len__(self) -> int:
        return len(self.row)

    def only(self, keep: NDArray[np.bool_]) -> Datagrams:
        """Those where `keep` is true."""
        return self if keep.all() else Datagrams(*(getattr(self, field.name)[keep] for field in fields(self)))


def merged(parts: list[Datagrams]) -> Datagrams:
    """All of the parts, in the order of their records."""
    if len(parts) == 1:
        return parts[0]
    order = np.argsort(np.concatenate([part.row for part in parts]), kind="stable")
    columns = (np.concatenate([getattr(part, field.name) for part in parts])[order] for field in fields(Datagrams))
    return Datagrams(*columns)


def datagrams(buffer: bytes, located: Located, sums: HeaderSums, counters: Counter[str]) -> list[Datagrams]:
    """The IP headers of these packets decoded: IPv4, then IPv6, each in order. What is neither is counted."""
    version = gather(buffer, located.network, _VERSION)["version"] >> 4
    claimed = np.where(located.kind == IPV6, 6, np.where(located.kind == BY_VERSION, version, 4))
    room = located.end > located.network
    _count(counters, "ip.wrong_version", room & ((version != claimed) | ((version != 4) & (version != 6))))
    fits = room & (version == claimed)
    old, new = located.only(fits & (version == 4)), located.only(fits & (version == 6))
    parts = [_ipv4(buffer, old, sums, counters)] if len(old) else []
    return [*parts, _ipv6(buffer, new, counters)] if len(new) else parts


def _count(counters: Counter[str], name: str, rows: NDArray[np.bool_]) -> None:
    if rows.any():
        counters[name] += int(np.count_nonzero(rows))


def _ipv4(buffer: bytes, packets: Located, sums: HeaderSums, counters: Counter[str]) -> Datagrams:
    whole = packets.network + 20 <= packets.end
    _count(counters, "ip.header_cut", ~whole)
    packets = packets.only(whole)
    header = gather(buffer, packets.network, _IPV4)
    size = (header["version"] & 15).astype(np.int64) * 4
    total = header["total"].astype(np.int64)
    # Segmentation offload leaves 0 there: the packet is as long as its frame.
    total = np.where(total == 0, packets.wire_end - packets.network, total)
    good = (size >= 20) & (size <= total)
    _count(counters, "ip.bad_header", ~good)
    good &= ~sums.wrong(buffer, packets.network, packets.end, header, size)
    if not good.all():
        packets, header, size, total = packets.only(good), header[good], size[good], total[good]
    return _cut(_ipv4_columns(packets, header, size, total), packets, counters)


def _ipv4_columns(packets: Located, header: Headers, size: Offsets, total: Offsets) -> Datagrams:
    zero = np.zeros(len(packets), np.uint64)
    pieces = (header["fragment"] & 0x3FFF) != 0  # an offset, or "more fragments"
    promised = packets.network + total
    return Datagrams(
        packets.row, packets.network, packets.network + size, np.minimum(packets.end, promised), promised,
        packets.vlan, header["protocol"].copy(), zero, header["src"].astype(np.uint64) | _MAPPED, zero,
        header["dst"].astype(np.uint64) | _MAPPED, np.where(pieces, packets.network, -1),
    )  # fmt: skip


def _ipv6(buffer: bytes, packets: Located, counters: Counter[str]) -> Datagrams:
    whole = packets.network + 40 <= packets.end
    _count(counters, "ip.header_cut", ~whole)
    packets = packets.only(whole)
    header = gather(buffer, packets.network, _IPV6)
    length = header["length"].astype(np.int64)
    # 0 stands for a jumbogram (RFC 2675, section 3), or is what segmentation offload leaves.
    promised = np.where(length == 0, packets.wire_end, packets.network + 40 + length)
    end = np.minimum(packets.end, promised)
    transport, protocol, fragment = _behind_extensions(buffer, packets.network + 40, end, header["next"].copy())
    _count(counters, "ip6.extensions_left", _EXTENSIONS[protocol] & (fragment < 0))
    columns = Datagrams(
        packets.row, packets.network, transport, end, promised, packets.vlan, protocol,
        header["src_hi"].astype(np.uint64), header["src_lo"].astype(np.uint64),
        header["dst_hi"].astype(np.uint64), header["dst_lo"].astype(np.uint64), fragment,
    )  # fmt: skip
    return _cut(columns, packets, counters)


def _behind_extensions(
    buffer: bytes, at: Offsets, end: Offsets, kind: NDArray[np.uint8]
) -> tuple[Offsets, NDArray[np.uint8], Offsets]:
    """Walks the extension headers to the transport header or a fragment header: its offset, number; the latter's."""
    fragment = np.full(len(at), -1, np.int64)
    for _ in range(MOST_EXTENSIONS):
        rows = np.flatnonzero(_EXTENSIONS[kind] & (at + 8 <= end) & (fragment < 0))
        if not len(rows):
            break
        header, kinds = gather(buffer, at[rows], _EXTENSION), kind[rows]
        units = header["length"].astype(np.int64)
        size = np.where(kinds == _AUTHENTICATION, (units + 2) * 4, (units + 1) * 8)
        # A fragment header with offset 0 and no more to come makes an "atomic fragment": whole by itself, RFC 6946.
        pieces = (kinds == _FRAGMENT) & ((header["offset"] & 0xFFF9) != 0)
        fragment[rows[pieces]] = at[rows[pieces]]
        at[rows] += np.where(kinds == _FRAGMENT, 8, size)
        kind[rows] = header["next"]
    return at, kind, fragment


def _cut(columns: Datagrams, packets: Located, counters: Counter[str]) -> Datagrams:
    """Without the packets that promise more than was on the wire: the receiver drops them (RFC 1122, 3.2.1)."""
    short = columns.promised > packets.wire_end
    _count(counters, "ip.longer_than_frame", short)
    return columns.only(~short)
