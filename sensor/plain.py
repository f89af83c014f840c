"""A live interface's packets without the kernel's ring: one system call a packet, where the kernel refuses more.

packet(7), PACKET_AUXDATA. The same as `sensor.ring.Ring` for who reads.

The kernel begins to give packets their time some moments after a socket first asks for it (SO_TIMESTAMPNS of
socket(7)); those that came before have the time at which they are read, which would be wrong, and count as lost.
"""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Iterator

import numpy as np

from sensor.fanout import SOL_PACKET
from sensor.records import Records
from sensor.ring import (
    DEFAULT_OPTIONS,
    SUM_GOOD,
    TPID_VALID,
    VLAN,
    VLAN_VALID,
    Ring,
    RingSize,
    SocketOptions,
    has_ring,
    link_of,
    opened,
)

_STATISTICS, _AUXDATA = 6, 8
_RECEIVE_BUFFER, _TIMESTAMP = 33, 35  # SO_RCVBUFFORCE, SO_TIMESTAMPNS: of socket(7)
_AUX = struct.Struct("=IIIHHHH")  # status, length on the wire, captured, link and network offset, tag and its type
_TIME = struct.Struct("@ll")
_ANCILLARY = socket.CMSG_SPACE(_AUX.size) + socket.CMSG_SPACE(_TIME.size)
TOGETHER = 256  # packets that are handed on at once
ROOM = 256  # times so many, about, that the receive buffer holds
LONGEST = 256 << 10  # bytes of a frame


def opened_plain(
    interface: str, size: RingSize, options: SocketOptions = DEFAULT_OPTIONS, *, group: int | None = None
) -> socket.socket:
    """The socket of an interface, with as much room as the ring would have. Raises OSError as `opened` does."""
    made = opened(interface, size, options, group=group, ring=False)
    made.setsockopt(SOL_PACKET, _AUXDATA, 1)
    made.setsockopt(socket.SOL_SOCKET, _TIMESTAMP, 1)
    _give_room(made, min(size.block * size.blocks, 1 << 30))
    made.setblocking(False)
    return made


def _give_room(made: socket.socket, size: int) -> None:
    try:
        made.setsockopt(socket.SOL_SOCKET, _RECEIVE_BUFFER, size)
    except PermissionError:  # without CAP_NET_ADMIN it is what everybody may have
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)


class Plain:
    """The packets of such a socket."""

    def __init__(self, interface: str, given: socket.socket) -> None:
        self.interface = interface
        self.socket = given
        self.link = link_of(given, interface)
        self.room = ROOM
        given.setblocking(False)
        self._room = bytearray(LONGEST)
        self._error = 0
        self._timed = False  # packets have the time at which they came
        self._untimed = 0  # packets that had none

    def fileno(self) -> int:
        return self.socket.fileno()

    def blocks(self) -> Iterator[tuple[bytes, Records]]:
        """What has come by now."""
        while rows := [*self._received()]:
            frames = b"".join(frame for frame, _ in rows)
            captured = np.array([len(frame) for frame, _ in rows], np.int64)
            wire, when, tag, good = (np.array(column) for column in zip(*(row for _, row in rows), strict=True))
            tags = tag.astype(np.uint32) if tag.any() else None
            yield frames, Records(self.link, np.cumsum(captured) - captured, captured, wire, when, tags, good)
            if len(rows) < TOGETHER:
                return

    def lost(self) -> int:
        """Packets that the kernel has dropped since the last call, and those without the time at which they came."""
        _, drops = struct.unpack("=II", self.socket.getsockopt(SOL_PACKET, _STATISTICS, 8))
        untimed, self._untimed = self._untimed, 0
        return int(drops) + untimed

    def trouble(self) -> str | None:
        """What is wrong with the interface, once."""
        number = self._error or self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        self._error = 0
        return os.strerror(number) if number else None

    def close(self) -> None:
        """The socket as well."""
        self.socket.close()

    def _received(self) -> Iterator[tuple[bytes, tuple[int, int, int, bool]]]:
        for _ in range(TOGETHER):
            before = 0 if self._timed else time.time_ns()
            try:
                size, told, _, _ = self.socket.recvmsg_into([self._room], _ANCILLARY)
            except BlockingIOError:
                return
            except OSError as error:
                self._error = error.errno or 0
                return
            described = _described(size, told)
            if self._timed or self._has_come(described[1], before):
                yield bytes(self._room[:size]), described

    def _has_come(self, when: int, before: int) -> bool:
        """Whether the first packets' time is that at which they came. `before`: when they were there already."""
        self._timed = when < before
        self._untimed += not self._timed
        return self._timed


def _described(size: int, told: list[tuple[int, int, bytes]]) -> tuple[int, int, int, bool]:
    """Bytes on the wire, time, tag, and whether the checksums are good, of what the kernel says with a packet."""
    by = {(level, kind): value for level, kind, value in told}
    stamp = by.get((socket.SOL_SOCKET, _TIMESTAMP))
    seconds, nanoseconds = _TIME.unpack(stamp) if stamp else divmod(time.time_ns(), 1_000_000_000)
    status, wire, _, _, _, tci, kind = _AUX.unpack(by.get((SOL_PACKET, _AUXDATA), bytes(_AUX.size)))
    tag = (kind if status & TPID_VALID else VLAN) << 16 | tci if status & VLAN_VALID else 0
    return max(size, wire), seconds * 1_000_000_000 + nanoseconds, tag, bool(status & SUM_GOOD)


def reader(interface: str, given: socket.socket, size: RingSize) -> Ring | Plain:
    """Who reads from a socket: of its ring, where it has one."""
    return Ring(interface, given, size) if has_ring(given) else Plain(interface, given)
