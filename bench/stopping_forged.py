"""A million packets of an attacker who is not on the path and forges where they come from: nothing may be reset.

He sees no answers, so numbers that begin connections of others are guessed. His packets are on the mirrored link as
others are, real servers answer them, and while they come a real download runs whose addresses and ports he knows.
Limits of the injector are out of the way: what protects is the proof of a handshake.
"""

from __future__ import annotations

import ipaddress
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import which
from typing import TypeAlias

import numpy as np

from bench.collection import Captures
from bench.figures import Figure
from bench.packets import ACK, FILE_HEADER, PSH, SYN, Column, records
from bench.watching import Span, actions, run, served, transferring, watched

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))
from downloads import MARKER

Ends: TypeAlias = tuple[Column, Column, Column, Column]

ROUNDS, ROW = 100, 1000  # a round is ten kinds of packets, so many of each
PACE = 20_000  # packets a second
SECONDS = ROUNDS * ROW * 10 / PACE
RATE = 4 << 20  # bytes/s of the download, which takes a little longer than all that
SIZE = int(RATE * (SECONDS + 15))
PORT = 40_000  # of who downloads
UPLOAD = f"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {len(MARKER)}\r\n\r\n{MARKER}".encode()
ANSWER = f"HTTP/1.1 200 OK\r\nContent-Length: {len(MARKER)}\r\n\r\n{MARKER}".encode()
STRANGERS = 0xC6120000  # 198.18.0.0/15 is for such things (RFC 2544)


def figures(_: Captures, home: Path) -> Iterator[Figure]:
    """Frames that were sent."""
    name = "flows reset for 1,000,000 forged packets"
    if os.geteuid() != 0 or which("tcpreplay") is None:
        yield Figure(name, None, "", 0, 0, "root and tcpreplay are needed")
        return
    with Span() as span, attacker(span) as device, watched(home / "run", span.port) as documents:
        forged(home / "forged.pcap", _mac(span, span.server), _mac(span, span.client))
        with served(span, "web", SIZE, 0, RATE), transferring(span, "get", "/calm", 1, PORT) as got:
            run("tcpreplay", "--preload-pcap", "-q", f"--intf1={device}", f"--pps={PACE}", str(home / "forged.pcap"))
    came, seen = int(got[0]), [one["tapscan"]["sensor"] for one in documents if "sensor" in one["tapscan"]]
    packets, lost = (sum(one[key] for one in seen) for key in ("packets", "lost_packets"))
    frames = [one["frames"] for one in actions(documents)]
    how = (
        f"real: a download got {came:,} of {SIZE:,} bytes; claimed {sum(frames)} frames for {len(frames):,} findings; "
    )
    how += f"the sensor took {packets:,} packets and lost {lost:,}"
    yield Figure(name, sum(count > 0 for count in frames) + (came < SIZE), "", 0, 0, how)


@contextmanager
def attacker(span: Span) -> Iterator[str]:
    """A further cable to the switch. Answers to him go to the client, which is no router: they come by, and end."""
    port = span.port.replace("tsp", "tsa")
    span.further(port)
    try:
        run("ip", "-n", span.server, "route", "add", "default", "via", span.CLIENT)
        yield port
    finally:
        run("ip", "link", "del", port)


def _mac(span: Span, namespace: str) -> bytes:
    argv = span.inside(namespace, "cat", "/sys/class/net/eth0/address")
    return bytes.fromhex(subprocess.run(argv, check=True, capture_output=True, text=True).stdout.replace(":", ""))


def forged(path: Path, server: bytes, client: bytes, rounds: int = ROUNDS) -> None:
    """A capture of them, in the order in which they are sent."""
    dice = np.random.default_rng(1)
    with path.open("wb") as file:
        file.write(FILE_HEADER)
        for number in range(rounds):
            file.writelines(_round(dice, number, server, client))


def _round(dice: np.random.Generator, number: int, server: bytes, client: bytes) -> Iterator[bytes]:
    """Handshakes of strangers of whom nobody heard; packets that have none; the same on the download's connection."""
    up, down = server + client, client + server
    strangers = _ends(STRANGERS + number * ROW + np.arange(ROW), dice.integers(1024, 65536, ROW))
    others = _ends(STRANGERS + (1 << 16) + dice.integers(0, 1 << 16, ROW), dice.integers(1024, 65536, ROW))
    known = _ends(np.full(ROW, _packed(Span.CLIENT)), np.full(ROW, PORT))
    isn, guess = _guess(dice), _guess(dice)
    yield _made(strangers, (isn, 0 * isn), SYN, b"", up)
    yield _made(strangers, (isn + 1, guess), ACK, b"", up)
    yield _made(strangers, (isn + 1, guess), PSH | ACK, UPLOAD, up)
    yield _made(strangers, (isn + 1 + len(UPLOAD), guess), PSH | ACK, UPLOAD, up)
    yield _made(others, (_guess(dice), guess), PSH | ACK, UPLOAD, up)
    yield _made(_back(others), (_guess(dice), _guess(dice)), PSH | ACK, ANSWER, down)
    yield _made(known, (_guess(dice), 0 * isn), SYN, b"", up)
    yield _made(known, (_guess(dice), _guess(dice)), PSH | ACK, UPLOAD, up)
    yield _made(_back(known), (_guess(dice), _guess(dice)), PSH | ACK, ANSWER, down)
    train = dice.integers(1 << 32) + len(ANSWER) * np.arange(ROW)  # they go on from each other, as real ones do
    yield _made(_back(known), (train, np.full(ROW, dice.integers(1 << 32))), PSH | ACK, ANSWER, down)


def _guess(dice: np.random.Generator) -> Column:
    return dice.integers(0, 1 << 32, ROW)


def _ends(addresses: Column, ports: Column) -> Ends:
    return addresses, np.full(ROW, _packed(Span.SERVER)), ports, np.full(ROW, 80)


def _back(ends: Ends) -> Ends:
    return ends[1], ends[0], ends[3], ends[2]


def _packed(address: str) -> int:
    return int(ipaddress.ip_address(address))


def _made(ends: Ends, numbers: tuple[Column, Column], flags: int, payload: bytes, macs: bytes) -> bytes:
    data = np.tile(np.frombuffer(payload, np.uint8), (ROW, 1))
    return records(np.zeros(ROW, np.int64), ends, numbers, flags, data, macs)
