"""Transfers of other kinds past a SPAN port: how many the sensor stops, as their receiver sees it.

IPv6, longer ways, uploads, a later response of a connection; and files that are smaller than what is looked at first.
The sensor is close to the client: a longer way is one between it and the server.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from bench.collection import Captures
from bench.figures import Figure
from bench.watching import ROOTLESS, Span, claims, far, served, shaped, transfer, watched

SIZE, AT = 8 << 20, 1 << 20
SMALL = 4096 + 68  # a marker as long as EICAR's test file, and 4 KiB


@dataclass(frozen=True, slots=True)
class Way:
    """`get` and `put` as in `transfers`; `rtt` is in ms."""

    name: str
    words: tuple[object, ...] = ("get", "/bad")
    six: bool = False
    rtt: float = 0
    rate: str = "100mbit"
    burst: str = "64kb"
    size: int = SIZE
    at: int = AT
    runs: int = 8


WAYS = (
    Way("IPv6", six=True),
    Way("RTT 1 ms", rtt=1),
    Way("RTT 10 ms", rtt=10),
    Way("RTT 50 ms", rtt=50),
    Way("upload", ("put", SIZE, AT)),
    Way("fifth response of a connection", ("get", "/bad", 5)),
    Way("4 kB at 10mbit, RTT 20 ms, marker first", rtt=20, rate="10mbit", burst="2kb", size=SMALL, at=0, runs=24),
    Way("4 kB at 10mbit, RTT 20 ms, marker last", rtt=20, rate="10mbit", burst="2kb", size=SMALL, at=4096, runs=24),
)


def figures(_: Captures, home: Path) -> Iterator[Figure]:
    """Of each the share that is stopped."""
    for number, way in enumerate(WAYS):
        name = f"stopped, {way.name}"
        if os.geteuid() != 0:
            yield Figure(name, None, how=ROOTLESS)
            continue
        got, how = _run(home / str(number), way)
        real = sum(count < way.size for count in got)
        how = f"real {real} of {way.runs}, {how}; past the marker {(statistics.median(got) - way.at) / 1000:.0f} kB"
        yield Figure(name, real / way.runs, "of all", how=how, rising=True)


def _run(folder: Path, way: Way) -> tuple[list[int], str]:
    """Bytes that each receiver got, and what the sensor says."""
    with Span() as span, far(span, way.rtt / 2) if way.rtt else nullcontext(), watched(folder, span.port) as documents:
        address = span.also("eth0", ("fd67::1/64",), ("fd67::2/64",))[0] if way.six else span.SERVER
        upload = way.words[0] == "put"
        shaped(span, span.client if upload else span.server, way.rate, way.burst)
        with served(span, "web", way.size, way.at, address=address) as there:
            here = [line for _ in range(way.runs) for line in transfer(span, *way.words, address=address)]
            took = transfer(span, "rtt", address=address)[0]
    return [int(count) for count in (there if upload else here)], f"{claims(documents)}; RTT {took} ms"
