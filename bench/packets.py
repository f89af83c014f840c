"""Captures that no server has to send: many open flows, one large object, a small page. Columns in, pcap records out.

Ethernet, IPv4 (RFC 791) and TCP (RFC 9293) with right checksums, many packets of one size at a time.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Column = npt.NDArray[Any]

BEGAN = 1_700_000_000_000_000  # microseconds since 1970
FIN, SYN, PSH, ACK = 1, 2, 8, 16
MSS = 1448
SERVER = 0x0AC80001  # 10.200.0.1
CLIENT = 0x0A000001  # 10.0.0.1 and on
HEADERS = 16 + 14 + 20 + 20  # pcap record, Ethernet, IPv4, TCP
FILE_HEADER = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 1 << 18, 1)
ROWS = 4096  # packets made at once
MACS = bytes.fromhex("020000000001 020000000002")


def records(
    times: Column,
    ends: tuple[Column, Column, Column, Column],
    numbers: tuple[Column, Column],
    flags: int,
    data: Column,
    macs: bytes = MACS,
) -> bytes:
    """Packets of one size, one a row, as pcap records.

    `times` are microseconds; `ends` are source and destination address, then the two ports; `numbers` are sequence and
    acknowledgement; `data` is bytes, rows x length; `macs` are whom frames go to and come from.
    """
    rows, length = data.shape
    out = np.zeros((rows, HEADERS + length), np.uint8)
    _little(out, 0, np.stack([times // 1_000_000, times % 1_000_000], 1))
    _little(out, 8, np.full((rows, 2), HEADERS - 16 + length))
    out[:, 16:30] = np.frombuffer(macs + b"\x08\x00", np.uint8)
    ip = struct.pack(">BBHHHBBH", 0x45, 0, 40 + length, 0, 0x4000, 64, 6, 0)
    out[:, 30:42] = np.frombuffer(ip, np.uint8)
    _big(out, 42, np.stack(ends[:2], 1), 4)
    _big(out, 50, np.stack(ends[2:], 1), 2)
    _big(out, 54, np.stack(numbers, 1) & 0xFFFFFFFF, 4)
    out[:, 62:66] = np.frombuffer(struct.pack(">BBH", 5 << 4, flags, 64240), np.uint8)
    out[:, 70:] = data
    _big(out, 40, _checksum(out[:, 30:50])[:, None], 2)
    # RFC 9293, section 3.1: the pseudo-header is the addresses, the protocol and the length of the segment
    _big(out, 66, _checksum(out[:, 42:], 6 + 20 + length)[:, None], 2)
    return out.tobytes()


def _little(out: Column, at: int, values: Column) -> None:
    width = 4 * values.shape[1]
    out[:, at : at + width] = np.ascontiguousarray(values.astype("<u4")).view(np.uint8)


def _big(out: Column, at: int, values: Column, size: int) -> None:
    width = size * values.shape[1]
    out[:, at : at + width] = np.ascontiguousarray(values.astype(f">u{size}")).view(np.uint8)


def _checksum(part: Column, more: int = 0) -> Column:
    """RFC 1071: the ones' complement of the ones' complement sum of 16-bit words."""
    if part.shape[1] % 2:
        part = np.pad(part, ((0, 0), (0, 1)))
    total = np.ascontiguousarray(part).view(">u2").sum(1, dtype=np.uint64) + np.uint64(more)
    for _ in range(3):
        total = (total & np.uint64(0xFFFF)) + (total >> np.uint64(16))
    folded: Column = ~total & np.uint64(0xFFFF)
    return folded


def open_flows(path: Path, count: int = 100_000) -> None:
    """`count` connections, each with a handshake and one request with a body, none of which ends."""
    body = b"name=visitor&text=" + b"a" * 82
    request = b"POST /form HTTP/1.1\r\nHost: forms.example\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    with path.open("wb") as file:
        file.write(FILE_HEADER)
        for start in range(0, count, ROWS):
            file.write(_opened(np.arange(start, min(start + ROWS, count)), request))


def _opened(flows: Column, request: bytes) -> bytes:
    """All SYNs of the flows, then their answers, then the requests: as many are open at once as there are."""
    one = np.ones_like(flows)
    there = (CLIENT + flows // 50_000, SERVER * one, 10_000 + flows % 50_000, 80 * one)
    back = (there[1], there[0], there[3], there[2])
    isn, empty = flows * 7919, np.zeros((len(flows), 0), np.uint8)
    sent = np.tile(np.frombuffer(request, np.uint8), (len(flows), 1))
    times = BEGAN + flows[0] * 100 + (flows - flows[0]) * 25  # in the order of the wire
    turn = ROWS * 25
    return b"".join(
        (
            records(times, there, (isn, 0 * one), SYN, empty),
            records(times + turn, back, (isn + 99, isn + 1), SYN | ACK, empty),
            records(times + 2 * turn, there, (isn + 1, isn + 100), ACK, empty),
            records(times + 3 * turn, there, (isn + 1, isn + 100), PSH | ACK, sent),
        )
    )


def download(path: Path, size: int, kind: str = "application/octet-stream") -> None:
    """One request, and a response with a body of `size` bytes."""
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {size}\r\n\r\n".encode()
    request = b"GET /download HTTP/1.1\r\nHost: files.example\r\n\r\n"
    there, back = _ends(1), _ends(1)
    back = (there[1], there[0], there[3], there[2])
    none = np.zeros((1, 0), np.uint8)
    at = BEGAN
    with path.open("wb") as file:
        file.write(FILE_HEADER)
        file.write(records(_one(at), there, (_one(0), _one(0)), SYN, none))
        file.write(records(_one(at + 1), back, (_one(0), _one(1)), SYN | ACK, none))
        file.write(records(_one(at + 2), there, (_one(1), _one(1)), ACK, none))
        file.write(records(_one(at + 3), there, (_one(1), _one(1)), PSH | ACK, np.frombuffer(request, np.uint8)[None]))
        sent = 1
        for piece in _pieces(head, size):
            rows = len(piece)
            steps = np.arange(rows)
            times = at + 10 + (sent + steps * MSS) // 100  # 100 bytes a microsecond
            numbers = (sent + steps * piece.shape[1], np.full(rows, 1 + len(request)))
            file.write(records(times, _repeat(back, rows), numbers, ACK, piece))
            sent += piece.size
            acked = (_one(1 + len(request)), _one(sent))
            file.write(records(times[-1:] + 1, there, acked, ACK, none))
        end = _one(at + 20 + sent // 100)
        file.write(records(end, back, (_one(sent), _one(1 + len(request))), FIN | ACK, none))
        file.write(records(end + 1, there, (_one(1 + len(request)), _one(sent + 1)), FIN | ACK, none))


def _pieces(head: bytes, size: int) -> Iterator[Column]:
    """The response in segments of MSS, 256 at a time; what is over comes last, alone."""
    dice = np.random.default_rng(1)
    block = dice.integers(0, 256, 256 * MSS, np.uint8)
    left, rest = size, np.frombuffer(head, np.uint8)
    while left or len(rest):
        fresh = np.roll(block[: min(left, len(block))], int(dice.integers(1, 1000)))
        left -= len(fresh)
        data = np.concatenate([rest, fresh])
        whole = len(data) // MSS
        if whole:
            yield data[: whole * MSS].reshape(whole, MSS)
        rest = data[whole * MSS :]
        if not left and len(rest):
            yield rest[None]
            return


def _one(value: int) -> Column:
    return np.array([value], np.int64)


def _ends(port: int) -> tuple[Column, Column, Column, Column]:
    return _one(CLIENT), _one(SERVER), _one(40_000 + port), _one(80)


def _repeat(ends: tuple[Column, Column, Column, Column], rows: int) -> tuple[Column, Column, Column, Column]:
    first, second, third, fourth = (np.repeat(end, rows) for end in ends)
    return first, second, third, fourth
