"""A host of a cluster is drained under load and taken away: nothing is lost, nothing is scanned twice."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event, Thread

import pytest
from hosts import TAPSCAN, Hosts, needed
from ledger import Recipe
from samples import object_of

from engines.failover import Failover

SECONDS = 40


class Sensor:
    """One that sends objects all the time, in a process of Ray's of its own."""

    def __init__(self, name, recipe, address):
        self.name = name
        self.sent = 0
        self.results = []
        self._stop = Event()
        self._pool = Failover(recipe, address, None)
        self._thread = Thread(target=self._work, daemon=True)
        self._thread.start()

    def _work(self):
        while not self._stop.is_set():
            size = 200_000 if self.sent % 20 == 0 else 2_000
            self._pool.submit(object_of(os.urandom(size), f"{self.name}{self.sent}"), time.monotonic_ns())
            self.sent += 1
            self.results += self._pool.results()
            time.sleep(0.02)
        self.results += self._pool.drain()

    def hosts(self, count=20):
        """Which hosts scan what it sends from now on."""
        first = self.sent + 20  # what was on its way is through
        until(lambda: len(self.results) > first + count)
        return {one.verdicts[0].host for one in self.results[first:]}

    def stop(self):
        self._stop.set()
        self._thread.join(SECONDS)
        self._pool.close()
        assert self._pool.counters["cluster.lost"] == 0


def until(holds, what=lambda: None):
    end = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < end, what()
        time.sleep(0.05)


def cluster(*words):
    return subprocess.run([*TAPSCAN, "cluster", *words], capture_output=True, text=True, timeout=90)


class Live:
    """`tapscan cluster status` on a terminal."""

    def __init__(self, address):
        self.shown = b""
        ours, theirs = pty.openpty()
        words = [*TAPSCAN, "cluster", "status", address]
        environment = os.environ | {"TERM": "xterm", "COLUMNS": "120", "LINES": "30"}
        self.process = subprocess.Popen(words, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
        os.close(theirs)
        self._screen = ours
        Thread(target=self._read, daemon=True).start()

    def _read(self):
        try:
            while more := os.read(self._screen, 65536):
                self.shown += more
        except OSError:  # the other end is closed
            pass

    def shows(self, pattern):
        """Waits for a screen with it, after those that were seen."""
        begin = len(self.shown)
        until(lambda: re.search(pattern, self.shown[begin:], re.S), lambda: self.shown[begin - 2000 :])


@pytest.fixture
def hosts(tmp_path, monkeypatch):
    needed()
    with Hosts(tmp_path) as made:
        for name, value in made.environment.items():
            monkeypatch.setenv(name, value)
        made.add("a", "b")
        yield made


def test_hosts_are_drained_and_taken_away(hosts, tmp_path):
    recipe = Recipe(str(tmp_path / "ledger"))
    before = Sensor("n", recipe, hosts.address)
    live = Live(hosts.address)
    until(lambda: before.hosts() == {"head", "a", "b"})
    live.shows(rb"a 10\.\S+ .*ledger")
    lines = cluster("status", "--json", hosts.address).stdout.splitlines()
    metrics = {one["host"]["name"]: one for one in map(json.loads, lines)}
    assert set(metrics) == {"head", "a", "b"}
    for one in metrics.values():
        assert one["data_stream"]["type"] == "metrics"
        assert one["event"]["dataset"] == "tapscan.sensor"
        engine = one["tapscan"]["engine"]
        told = (engine[key] for key in ("name", "version", "database_version", "actors"))
        assert (*told,) == ("ledger", "1.0", "7", 1)
        assert min(engine["scanned"], engine["objects_s"], engine["bytes_s"], engine["latency"]["median"]) > 0
        assert {"errors", "queue", "sensor_queue"} <= set(engine)

    done = cluster("drain", "a", hosts.address)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert "a is drained" in done.stderr
    assert hosts.actors("a") == []
    live.shows(rb"a 10\.\S+ \(drained\)")
    after = Sensor("m", recipe, hosts.address)
    assert before.hosts() == after.hosts() == {"head", "b"}
    assert hosts.actors("a") == []

    with ThreadPoolExecutor() as both:
        undone = both.submit(cluster, "drain", "a", hosts.address, "--undo")
        assert cluster("drain", "b", hosts.address).returncode == 0
        assert undone.result().returncode == 0
    until(lambda: before.hosts() == after.hosts() == {"head", "a"})
    assert hosts.end("b") == 0
    assert hosts.end("a") == 0  # nobody has drained it by hand
    lines = len(Path(recipe.file).read_text().splitlines())
    assert before.hosts() == after.hosts() == {"head"}
    before.stop()
    after.stop()
    live.process.send_signal(signal.SIGINT)
    assert live.process.wait(SECONDS) == 0

    written = [line.split() for line in Path(recipe.file).read_text().splitlines()]
    assert {host for _, host in written[lines:]} == {"head"}
    scanned = Counter(name for name, _ in written)
    assert set(scanned) == {f"{one.name}{number}" for one in (before, after) for number in range(one.sent)}
    assert set(scanned.values()) == {1}
    told = Counter(verdict.status for one in (before, after) for scan in one.results for verdict in scan.verdicts)
    assert told == {"clean": before.sent + after.sent}
