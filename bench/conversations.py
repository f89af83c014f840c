"""New connections at a rate, as frames on an interface: one small HTTP exchange each, and half of them never close.

    python -m bench.conversations INTERFACE FLOWS-A-SECOND SECONDS [NUMBER OF THE FIRST]

A step of a connection follows the one before after TICK, as over a network, so that none is there at once.
"""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from bench.packets import ACK, CLIENT, FIN, PSH, SERVER, SYN, Column, records

TICK = 0.05  # seconds
CLIENTS, PORTS = 4000, 50_000
RECORD = 16  # bytes before each frame that only captures have
PLACE = b"00000000"  # where the number of the connection is written
REQUEST = (
    b"GET /item/00000000 HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) Firefox/128\r\n"
    b"Accept: text/html,application/xhtml+xml\r\nAccept-Language: en-US,en;q=0.5\r\nConnection: keep-alive\r\n\r\n"
)
BODY = b"<html><body>item 00000000" + b"<p>in stock</p>" * 20
RESPONSE = (
    b"HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Wed, 25 Nov 2026 12:00:00 GMT\r\nContent-Type: text/html\r\n"
    b"Content-Length: %d\r\nConnection: keep-alive\r\nCache-Control: no-cache\r\n\r\n%b" % (len(BODY), BODY)
)


@dataclass(frozen=True, slots=True)
class Step:
    """What one side sends: its bytes come after what both have said before."""

    answers: bool  # the server sends it
    flags: int
    payload: bytes = b""
    said: tuple[int, int] = (0, 0)  # sequence space that client and server have used before


def steps() -> list[Step]:
    """A connection from SYN to the last ACK; one that never closes has the first six."""
    asked = 1 + len(REQUEST)
    answered = 1 + len(RESPONSE)
    return [
        Step(False, SYN),
        Step(True, SYN | ACK, said=(1, 0)),
        Step(False, ACK, said=(1, 1)),
        Step(False, PSH | ACK, REQUEST, (1, 1)),
        Step(True, PSH | ACK, RESPONSE, (asked, 1)),
        Step(False, ACK, said=(asked, answered)),
        Step(False, FIN | ACK, said=(asked, answered)),
        Step(True, FIN | ACK, said=(asked + 1, answered)),
        Step(False, ACK, said=(asked + 1, answered + 1)),
    ]


OPEN = 6  # steps of a connection that never closes


def frames(step: Step, flows: Column) -> bytes:
    """One step of connections with these numbers, as pcap records of one size."""
    one = np.ones_like(flows)
    client, server = (CLIENT + flows % CLIENTS, 10_000 + flows // CLIENTS % PORTS), (SERVER * one, 80 * one)
    source, target = (server, client) if step.answers else (client, server)
    begins = flows * 7919, flows * 7919 + 99  # the first sequence numbers of both
    numbers = [begin + said for begin, said in zip(begins, step.said, strict=True)]
    if step.answers:
        numbers.reverse()
    if not step.flags & ACK:
        numbers[1] = 0 * one
    ends = source[0], target[0], source[1], target[1]
    return records(0 * one, ends, (numbers[0], numbers[1]), step.flags, _numbered(step.payload, flows))


def _numbered(payload: bytes, flows: Column) -> Column:
    rows = np.tile(np.frombuffer(payload, np.uint8), (len(flows), 1))
    if (at := payload.find(PLACE)) >= 0:
        digits = flows[:, None] // 10 ** np.arange(len(PLACE) - 1, -1, -1) % 10
        rows[:, at : at + len(PLACE)] = digits + ord("0")
    return rows


def due(tick: int, count: int, first: int = 0) -> Iterator[tuple[Step, Column]]:
    """What is sent in a tick, of which each has `count` new connections: those with even numbers close."""
    for age, step in enumerate(steps()):
        if tick >= age:
            flows = first + np.arange((tick - age) * count, (tick - age + 1) * count)
            yield step, flows if age < OPEN else flows[flows % 2 == 0]


def send(interface: str, rate: int, seconds: float, first: int = 0) -> int:
    """Sends at that pace, as far as the machine lets it; the number after that of the last connection."""
    count = max(round(rate * TICK), 2)
    ticks = round(seconds / TICK)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as out:
        out.bind((interface, 0))
        begun = time.monotonic()
        for tick in range(ticks):
            for step, flows in due(tick, count, first):
                _write(out, frames(step, flows), len(flows))
            time.sleep(max(begun + (tick + 1) * TICK - time.monotonic(), 0))
    return first + ticks * count


def answers(rate: int, seconds: float) -> int:
    """How many connections get as far as their response in that time."""
    responses = next(age for age, step in enumerate(steps()) if step.payload == RESPONSE)
    return max(round(seconds / TICK) - responses, 0) * max(round(rate * TICK), 2)


def _write(out: socket.socket, made: bytes, count: int) -> None:
    size, view = len(made) // count, memoryview(made)
    for at in range(0, len(made), size):
        out.send(view[at + RECORD : at + size])


if __name__ == "__main__":
    print(send(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), *map(int, sys.argv[4:])))
