"""A live interface's packets, from the kernel's ring: whole blocks at a time, without a system call or copy a packet.

The first step of the walk on a TAP or SPAN port. packet(7) and the kernel's Documentation/networking/packet_mmap.rst:
AF_PACKET with TPACKET_V3. A block is copied as a whole and given back at once, so the kernel has its memory again
however long the packets are looked at.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack

import numpy as np
from numpy.typing import NDArray

from sensor import stamps
from sensor.bpf import handed_over
from sensor.columns import Headers, Offsets, gather
from sensor.fanout import SOL_PACKET, join
from sensor.noun import noun
from sensor.packets import ETHERNET
from sensor.records import Records

# Numbers of linux/if_packet.h that the socket module hasn't
_ADD_MEMBERSHIP, _RX_RING, _STATISTICS, _VERSION, _IGNORE_OUTGOING = 1, 5, 6, 10, 23
_PROMISCUOUS = 1
_TPACKET_V3 = 2
VLAN_VALID, TPID_VALID = 0x10, 0x40
SUM_GOOD = 0x08 | 0x80  # not filled in yet, or valid
VLAN = 0x8100  # the tag's type where an old kernel doesn't say
_EVERY_PROTOCOL = 0x0003  # ETH_P_ALL
_SIOCGIFHWADDR = 0x8927
_SO_ATTACH_FILTER, _SO_LOCK_FILTER = 26, 44

_BLOCK = struct.Struct("=IIIIIIQ")  # version, offset to private data, status, packets, first packet, length, number
_NEXT = struct.Struct("=I")
_STATUS = 8  # offset of the status in a block
_OURS = 1  # TP_STATUS_USER
_PACKET = np.dtype([
    ("next", "u4"), ("seconds", "u4"), ("nanoseconds", "u4"), ("captured", "u4"), ("wire", "u4"), ("status", "u4"),
    ("mac", "u2"), ("network", "u2"), ("hash", "u4"), ("tci", "u4"), ("tpid", "u2"), ("padding", "u2"),
])  # fmt: skip

# ARPHRD_ of net/if_arp.h -> LINKTYPE_
_LINKS = {1: ETHERNET, 772: ETHERNET, 65534: 101, 768: 101, 776: 101, 769: 101, 778: 101, 512: 101}


class RingRefused(Exception):
    """The kernel gives no ring: an old one, a container, too little memory."""


@noun
class RingSize:
    """How much the kernel keeps for us: `blocks` of `block` bytes, handed over when full or after `timeout` ms.

    Many small blocks: while little passes each holds little, and `blocks` times `timeout` is how long a reader may be
    away before packets are lost. A frame that is larger than a block is cut: 64 KiB where the host glues them together.
    """

    block: int = 128 << 10
    blocks: int = 1024
    timeout: int = 1

    @property
    def settled(self) -> int:
        """Ns after which what has passed is handed over, with some reserve."""
        return (self.timeout + 2) * 1_000_000


@noun
class SocketOptions:
    """What the kernel is to do with packets. `program`: a filter, eight bytes an instruction (`sensor.bpf`).

    Not `promiscuous`, only those to this host come, and those to all. `hardware`: with the time of the card.
    """

    program: bytes = b""
    promiscuous: bool = True
    hardware: bool = False
    fanout: str = "flow"


DEFAULT_OPTIONS = SocketOptions()


def opened(
    interface: str,
    size: RingSize,
    options: SocketOptions = DEFAULT_OPTIONS,
    *,
    group: int | None = None,
    ring: bool = True,
) -> socket.socket:
    """The socket of an interface, with its ring. Raises OSError: no such interface, no right (CAP_NET_RAW);
    RingRefused.

    `group`: of sockets among which the kernel deals out the packets of the interface (`sensor.fanout`). A filter can't
    be taken off again.
    """
    with ExitStack() as until_done:
        made = until_done.enter_context(socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0))  # 0: nothing arrives yet
        link_of(made, interface)
        made.setsockopt(SOL_PACKET, _IGNORE_OUTGOING, 1)
        if options.program:
            _attach(made, options.program)
        if ring:
            _add_ring(made, size)
        if options.hardware:
            stamps.use(made)
        made.bind((interface, _EVERY_PROTOCOL))
        if options.promiscuous:
            _listen_to_all(made, interface)
        if group is not None:
            join(made, group, options.fanout)
        until_done.pop_all()
    return made


def _listen_to_all(made: socket.socket, interface: str) -> None:
    member = struct.pack("=iHH8s", socket.if_nametoindex(interface), _PROMISCUOUS, 0, b"")
    made.setsockopt(SOL_PACKET, _ADD_MEMBERSHIP, member)


def _add_ring(made: socket.socket, size: RingSize) -> None:
    try:
        made.setsockopt(SOL_PACKET, _VERSION, _TPACKET_V3)
        made.setsockopt(SOL_PACKET, _RX_RING, _request(size))
    except (OSError, struct.error) as error:
        raise RingRefused(getattr(error, "strerror", None) or "it is too large") from None


def has_ring(given: socket.socket) -> bool:
    """Whether there is one to be mapped."""
    return given.getsockopt(SOL_PACKET, _VERSION) == _TPACKET_V3


def _request(size: RingSize) -> bytes:
    """struct tpacket_req3. The size of a frame is of no meaning where blocks hold packets of any size, but checked."""
    frame = 2048
    frames = size.block // frame * size.blocks
    return struct.pack("=7I", size.block, size.blocks, frame, frames, size.timeout, 0, 0)


class Ring:
    """The ring of an interface's socket. It needs no right: who opened the socket had it.

    Another process may have read from it before; the packets that it had not come to are there.
    """

    def __init__(self, interface: str, given: socket.socket, size: RingSize) -> None:
        self.interface = interface
        self.socket = given
        self.link = link_of(given, interface)
        self.room = size.blocks  # blocks that there can be at once
        self.size = size
        self._ring = mmap.mmap(given.fileno(), size.block * size.blocks)
        self._at = self._oldest()  # the block that comes next

    def fileno(self) -> int:
        return self.socket.fileno()

    def blocks(self) -> Iterator[tuple[bytes, Records]]:
        """The blocks that are full, or old enough, by now: their bytes, and the frames in them."""
        for _ in range(self.size.blocks):
            begin = self._at * self.size.block
            _, _, status, count, first, length, _ = _BLOCK.unpack_from(self._ring, begin)
            if not status & _OURS:
                return
            block = self._ring[begin : begin + length]
            _NEXT.pack_into(self._ring, begin + _STATUS, 0)  # TP_STATUS_KERNEL: ours no more
            self._at = (self._at + 1) % self.size.blocks
            if count:
                yield block, self._records(block, first, count)

    def lost(self) -> int:
        """Packets that the kernel has dropped since the last call: the ring was full."""
        _, drops, _ = struct.unpack("=III", self.socket.getsockopt(SOL_PACKET, _STATISTICS, 12))
        return int(drops)

    def trouble(self) -> str | None:
        """What is wrong with the interface, once."""
        number = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        return os.strerror(number) if number else None

    def close(self) -> None:
        """Lets go of the memory; the socket is closed as well."""
        self._ring.close()
        self.socket.close()

    def _oldest(self) -> int:
        """The block that was filled first of those that wait; where none does, the one that is being filled.

        The kernel numbers blocks as it begins to fill them.
        """
        waiting, filled = [], (0, 0)
        for at in range(self.size.blocks):
            *_, status, _, _, _, number = _BLOCK.unpack_from(self._ring, at * self.size.block)
            filled = max(filled, (number, at))
            if status & _OURS:
                waiting.append((number, at))
        return min(waiting, default=filled)[1]

    def _records(self, block: bytes, first: int, count: int) -> Records:
        starts = _starts(block, first, count)
        headers = gather(block, starts, _PACKET)
        tagged = (headers["status"] & VLAN_VALID) != 0
        return Records(
            self.link,
            starts + headers["mac"],
            headers["captured"].astype(np.int64),
            headers["wire"].astype(np.int64),
            headers["seconds"].astype(np.int64) * 1_000_000_000 + headers["nanoseconds"],
            _tags(headers, tagged) if tagged.any() else None,
            (headers["status"] & SUM_GOOD) != 0,
        )


def _starts(block: bytes, first: int, count: int) -> Offsets:
    """Offsets of the packets' headers: each says where the next one is."""
    starts, at, step = [], first, _NEXT.unpack_from
    for _ in range(count):
        starts.append(at)
        at += step(block, at)[0]
    return np.array(starts, np.int64)


def _tags(headers: Headers, tagged: NDArray[np.bool_]) -> NDArray[np.uint32]:
    kind = np.where(headers["status"] & TPID_VALID, headers["tpid"], VLAN).astype(np.uint32)
    return np.where(tagged, kind << 16 | headers["tci"], 0).astype(np.uint32)


def _attach(given: socket.socket, program: bytes) -> None:
    described, _kept = handed_over(program)
    given.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, described)
    given.setsockopt(socket.SOL_SOCKET, _SO_LOCK_FILTER, 1)


def link_of(given: socket.socket, interface: str) -> int:
    """The LINKTYPE_ of an interface's frames."""
    answer = fcntl.ioctl(given, _SIOCGIFHWADDR, struct.pack("=16s24x", interface.encode()))
    return _LINKS.get(struct.unpack_from("=H", answer, 16)[0], ETHERNET)
