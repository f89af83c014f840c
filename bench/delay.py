"""A long cable: frames that come in at either interface leave by the other one some time later, in the order they came.

python delay.py INTERFACE INTERFACE MILLISECONDS        prints "ready"; the time is that of one direction

For kernels without netem. It reads and sends packets (packet(7)), so their checksums must be there already.
"""

from __future__ import annotations

import os
import select
import socket
import sys
import time
from collections import deque

ALL = 3  # ETH_P_ALL
PACKET, IGNORE_OUTGOING = 263, 23  # SOL_PACKET, PACKET_IGNORE_OUTGOING
RCVBUFFORCE = 33  # socket(7)
ROOM = 32 << 20  # bytes that wait to be read
LONGEST = 1.0  # seconds


class Way:
    """One direction."""

    def __init__(self, begin: socket.socket, end: socket.socket, delay: float) -> None:
        self.begin = begin
        self._end = end
        self._delay = delay
        self._on_it: deque[tuple[float, bytes]] = deque()

    def take(self) -> None:
        """What has come in."""
        try:
            while True:
                self._on_it.append((time.monotonic() + self._delay, self.begin.recv(1 << 16)))
        except BlockingIOError:
            pass

    def give(self) -> float:
        """What has arrived; seconds until the next arrives."""
        while self._on_it and self._on_it[0][0] <= time.monotonic():
            self._end.send(self._on_it.popleft()[1])
        return max(self._on_it[0][0] - time.monotonic(), 0) if self._on_it else LONGEST


def opened(interface: str) -> socket.socket:
    """Sends and receives frames of others there."""
    port = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL))
    port.bind((interface, ALL))
    port.setsockopt(PACKET, IGNORE_OUTGOING, 1)
    port.setsockopt(socket.SOL_SOCKET, RCVBUFFORCE, ROOM)
    port.setblocking(False)
    return port


def main(first: str, second: str, delay: str) -> None:
    """Until it is ended."""
    os.setpriority(os.PRIO_PROCESS, 0, -20)  # a cable waits for nobody
    here, there = opened(first), opened(second)
    ways = Way(here, there, float(delay) / 1000), Way(there, here, float(delay) / 1000)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while True:
        wait = min(way.give() for way in ways)
        select.select([way.begin for way in ways], [], [], wait)
        for way in ways:
            way.take()


if __name__ == "__main__":
    main(*sys.argv[1:])
