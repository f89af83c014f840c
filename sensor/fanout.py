"""Who of several readers gets a packet: a classic BPF program that the kernel runs on each (packet(7), PACKET_FANOUT).

Both directions of a flow go to the same reader, and FTP data where its control connection goes: flows with a
well-known port are dealt out by addresses and ports, all others by their addresses alone, since an FTP transfer joins
any two ports of the same two hosts. The same rule as `reassembly.grouping.shard_rows`. VLAN tags make no difference.
The kernel's own ways are there for those who know why.
"""

from __future__ import annotations

import socket
import struct

from sensor.bpf import handed_over

# linux/if_packet.h
SOL_PACKET = 263
_FANOUT, _FANOUT_DATA = 18, 22
_HASH, _CPU, _PROGRAM = 0, 2, 6
_ROLLOVER, _UNIQUE, _DEFRAG = 0x1000, 0x2000, 0x8000
WAYS: dict[str, int] = {
    "flow": _PROGRAM | _DEFRAG,
    "hash": _HASH,
    "hash+defrag": _HASH | _DEFRAG,
    "hash+rollover": _HASH | _ROLLOVER,
    "cpu": _CPU,
}
NEW_GROUP = -1

# linux/bpf_common.h, linux/filter.h
_LOAD_WORD, _LOAD_HALF, _LOAD_BYTE, _LOAD_HALF_AT_X = 0x20, 0x28, 0x30, 0x48
_LOAD_KEPT, _LOAD_X_KEPT, _LOAD_X_HEADER = 0x60, 0x61, 0xB1
_KEEP, _KEEP_X, _TO_X, _TO_A = 0x02, 0x03, 0x07, 0x87
_XOR_X, _ADD_X, _TIMES, _SHIFT = 0xAC, 0x0C, 0x24, 0x74
_JUMP, _IF_EQUAL, _IF_LEAST, _IF_GREATER_X = 0x05, 0x15, 0x35, 0x2D
_GIVE_A, _GIVE = 0x16, 0x06
_NETWORK = 0xFFF00000  # SKF_NET_OFF: offsets from the network header, whatever is before it
_PROTOCOL = 0xFFFFF000  # SKF_AD_OFF + SKF_AD_PROTOCOL: the EtherType behind tags that are taken off

_IPV4, _IPV6, _TCP, _UDP = 0x0800, 0x86DD, 6, 17
_WELL_KNOWN, _FTP_DATA, _FTP = 1024, 20, 21
_FACTOR, _PORT_FACTOR = 0x9E3779B1, 40503
_ADDRESSES, _ONE, _OTHER, _HIGH = range(4)  # what is kept where

Line = tuple[str, int, int] | tuple[str, int, int, str, str]  # label, code, operand; where to when true, when false


def join(given: socket.socket, group: int, way: str) -> None:
    """Makes a socket one of a group; `NEW_GROUP` makes one (`group_of`). Raises OSError.

    With "flow", the n-th sockets of the groups of several interfaces get the same flows.
    """
    flags = WAYS[way] | (_UNIQUE if group == NEW_GROUP else 0)
    given.setsockopt(SOL_PACKET, _FANOUT, struct.pack("=HH", max(group, 0), flags))
    if group == NEW_GROUP and way == "flow":
        described, _kept = handed_over(program())
        given.setsockopt(SOL_PACKET, _FANOUT_DATA, described)


def group_of(given: socket.socket) -> int:
    """The group that a socket belongs to."""
    return given.getsockopt(SOL_PACKET, _FANOUT) & 0xFFFF


def program() -> bytes:
    """Eight bytes an instruction; it gives a number that the kernel takes modulo the number of readers."""
    lines: list[Line] = [
        ("", _LOAD_WORD, _PROTOCOL),
        ("", _IF_EQUAL, _IPV4, "ipv4", ""),
        ("", _IF_EQUAL, _IPV6, "ipv6", "other"),
        ("other", _GIVE, 0),
        *_xor("ipv4", range(12, 20, 4)),
        ("", _LOAD_BYTE, _NETWORK + 9),
        ("", _IF_EQUAL, _TCP, "ports4", ""),
        ("", _IF_EQUAL, _UDP, "ports4", "mix"),
        ("ports4", _LOAD_X_HEADER, _NETWORK),
        ("", _LOAD_HALF_AT_X, _NETWORK),
        ("", _KEEP, _ONE),
        ("", _LOAD_HALF_AT_X, _NETWORK + 2),
        ("", _KEEP, _OTHER),
        ("", _JUMP, 0, "ports", ""),
        *_xor("ipv6", range(8, 40, 4)),
        ("", _LOAD_BYTE, _NETWORK + 6),
        ("", _IF_EQUAL, _TCP, "ports6", ""),
        ("", _IF_EQUAL, _UDP, "ports6", "mix"),
        ("ports6", _LOAD_HALF, _NETWORK + 40),
        ("", _KEEP, _ONE),
        ("", _LOAD_HALF, _NETWORK + 42),
        ("", _KEEP, _OTHER),
        ("ports", _LOAD_X_KEPT, _ONE),
        ("", _LOAD_KEPT, _OTHER),
        ("", _IF_GREATER_X, 0, "greater", "less"),
        ("greater", _KEEP, _HIGH),
        ("", _TO_A, 0),
        ("", _JUMP, 0, "low", ""),
        ("less", _KEEP_X, _HIGH),
        ("low", _IF_LEAST, _WELL_KNOWN, "mix", ""),
        ("", _IF_EQUAL, _FTP_DATA, "mix", ""),
        ("", _IF_EQUAL, _FTP, "mix", ""),
        ("", _LOAD_KEPT, _HIGH),
        ("", _TIMES, _PORT_FACTOR),
        ("", _LOAD_X_KEPT, _ADDRESSES),
        ("", _ADD_X, 0),
        ("", _KEEP, _ADDRESSES),
        ("mix", _LOAD_KEPT, _ADDRESSES),
        ("", _TIMES, _FACTOR),
        ("", _SHIFT, 16),
        ("", _GIVE_A, 0),
    ]
    places = {line[0]: at for at, line in enumerate(lines) if line[0]}
    return b"".join(_assembled(at, line, places) for at, line in enumerate(lines))


def _xor(label: str, offsets: range) -> list[Line]:
    """All words at these offsets of the network header, whose order then makes no difference; keeps them."""
    first, *others = offsets
    lines: list[Line] = [(label, _LOAD_WORD, _NETWORK + first)]
    for offset in others:
        lines += [("", _TO_X, 0), ("", _LOAD_WORD, _NETWORK + offset), ("", _XOR_X, 0)]
    return [*lines, ("", _KEEP, _ADDRESSES)]


def _assembled(at: int, line: Line, places: dict[str, int]) -> bytes:
    _, code, operand, *targets = line
    true, false = (places[name] - at - 1 if name else 0 for name in targets or ("", ""))
    if code == _JUMP:
        return struct.pack("=HBBI", code, 0, 0, true)
    return struct.pack("=HBBI", code, true, false, operand)
