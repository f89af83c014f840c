"""What is missing or twice in Elasticsearch while it, what ships to it, its disk and the way to it fail under load.

A process spools documents at a steady rate and ships them through a reverse proxy to a server whose disk is small.
One fault comes after another, each when what the one before has left is shipped.
"""

from __future__ import annotations

import os
import secrets
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.collection import Captures
from bench.figures import Figure
from manager.cursor import Cursor
from manager.elastic_setup import Asked, set_up

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))
from elastic import Elastic
from elastic_node import Lacking, distribution, java
from elastic_proxy import Proxy
from machine import small_disk
from shipping import NAME, Shipping, identity

VERSION = "8.19.0"
RATE = 2_000  # documents/s
MANY = 10_000_000  # documents: until it is ended
BUSY = 60.0  # seconds for which a server takes nothing
SHORT = 5.0  # seconds for which a server hangs, and after which there is room again
DISK = "3g"
DISK_FULL = {  # as a server has it, but in bytes; the shortest interval that it allows
    "cluster.routing.allocation.disk.threshold_enabled": True,
    "cluster.routing.allocation.disk.watermark.low": "300mb",
    "cluster.routing.allocation.disk.watermark.high": "200mb",
    "cluster.routing.allocation.disk.watermark.flood_stage": "100mb",
    "cluster.info.update.interval": "10s",
}
CAUGHT_UP = RATE  # documents that are on their way anyhow
LONGEST = 300.0  # seconds until one gives up


def figures(_places: Captures, home: Path) -> list[Figure]:
    """Documents that are missing, those that are there twice, and how long what waited took."""
    try:
        java(VERSION), distribution(VERSION)
    except Lacking as lacking:
        return [Figure("elastic-faults", None, how=str(lacking))]
    if os.geteuid() != 0:
        return [Figure("elastic-faults", None, how="a small disk takes root")]
    disk = home / "disk"
    disk.mkdir()
    home.chmod(0o755)
    with small_disk(disk, DISK), Elastic(VERSION, data=disk / "data", **DISK_FULL) as node, Proxy(node.url) as proxy:
        return Load(node, proxy, disk, home / "spool").figures()


class Load:
    """A process that spools and ships, and what happens to it and to its server."""

    def __init__(self, node: Elastic, proxy: Proxy, disk: Path, spool: Path) -> None:
        self._node = node
        self._proxy = proxy
        self._ballast = disk / "ballast"
        self._spool = spool
        self._stream = f"logs-tapscan.object-{secrets.token_hex(6)}"
        self._process: Any = None
        self._last = 0  # documents that are on disk

    def figures(self) -> list[Figure]:
        """Runs it."""
        set_up(Asked(url=self._node.url))
        begun = time.monotonic()
        self._start()
        self._pass(2 * RATE)
        times = {name: self._through(fault) for name, fault in self._faults().items()}
        seconds, count = time.monotonic() - begun, self._process.end()
        wrong = self._wrong(count)
        rate = f"{count:,} documents in {seconds:.0f} s, {count / seconds:,.0f}/s on average, {len(times)} faults"
        waits = ", ".join(f"{name} {some:.0f} s" for name, some in times.items())
        return [
            Figure("elastic-faults, documents missing or twice", wrong, "", 0, 0, rate),
            Figure("elastic-faults, all stored again after", max(times.values()), "s", 30, 60, waits),
        ]

    def _faults(self) -> dict[str, Callable[[], None]]:
        return {
            "server killed": self._server,
            "process killed": self._sender,
            "both killed": self._both,
            f"429 for {BUSY:.0f} s": self._busy,
            "answers cut off": lambda: self._set("cuts", 4),
            "half of a request taken": lambda: self._set("throttled", 10),
            "server hangs": self._hangs,
            "disk full": self._full,
        }

    def _through(self, fault: Callable[[], None]) -> float:
        """Seconds from the fault's end until what waited is stored."""
        fault()
        over = time.monotonic()
        look = Cursor(self._spool, NAME)
        while look.behind().records > CAUGHT_UP:
            assert time.monotonic() < over + LONGEST, self._process.said + self._node.log()
            time.sleep(0.1)
        seconds = time.monotonic() - over
        self._pass(2 * RATE)
        return seconds

    def _wrong(self, count: int) -> int:
        """Ships what is left; documents that are missing, that nobody sent, and that are there twice."""
        rest = Shipping(self._spool, self._node.url, self._stream, count, 20)
        sent = {identity(number) for number in range(rest.ends())}
        found = self._node.documents(self._stream, sources=False)
        there = self._node.ask("GET", f"/{self._stream}/_count")["count"]
        return len(sent ^ found.keys()) + there - len(found)

    def _start(self) -> None:
        numbers = self._last, MANY, RATE
        self._process = Shipping(self._spool, self._proxy.url, self._stream, *numbers, PATIENT="1")

    def _pass(self, many: int) -> None:
        """Waits for so many documents."""
        self._process.keeps(self._process.kept + many)

    def _server(self) -> None:
        self._node.kill()
        self._pass(RATE)
        self._node.start()

    def _sender(self) -> None:
        self._last = self._process.kill()
        self._start()

    def _both(self) -> None:
        self._node.kill()
        self._sender()
        self._node.start()

    def _busy(self) -> None:
        self._proxy.answer = 429
        time.sleep(BUSY)
        self._proxy.answer = None

    def _set(self, fault: str, many: int) -> None:
        setattr(self._proxy, fault, many)
        while getattr(self._proxy, fault):
            time.sleep(0.1)

    def _hangs(self) -> None:
        os.kill(self._node.pid, signal.SIGSTOP)
        time.sleep(SHORT)
        os.kill(self._node.pid, signal.SIGCONT)

    def _full(self) -> None:
        """Until the server has found out, and a while longer; then there is room again."""
        told = self._process.said.count("cluster_block_exception")
        room = os.statvfs(self._ballast.parent)
        with self._ballast.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, room.f_bavail * room.f_frsize - (60 << 20))
        while self._process.said.count("cluster_block_exception") == told:
            time.sleep(0.1)
        time.sleep(SHORT)
        self._ballast.unlink()
