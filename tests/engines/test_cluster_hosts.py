"""A cluster of several hosts, under load, while they die, fall silent and come: nothing is lost or told twice."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter

import pytest
from fakes import Kitchen
from hosts import Hosts, needed
from samples import object_of

from engines import roster
from engines.cluster import Cluster
from engines.failover import Failover
from engines.pool import Pool

KITCHEN = Kitchen({"one": ("wait_20_ms", 5.0, 4), "two": ("digest", 5.0, 4)})


class Load:
    """Objects, one after the other, and what became of each."""

    def __init__(self, pool):
        self.pool = pool
        self.sent = 0
        self.results = []

    def run(self, seconds, until=lambda: False):
        """Submits for so long, or until something holds."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and not until():
            size = 300_000 if self.sent % 50 == 0 else 2_000
            self.pool.submit(object_of(os.urandom(size), f"n{self.sent}"), time.monotonic_ns())
            self.sent += 1
            self.results += self.pool.results()
            time.sleep(0.004)

    def settle(self):
        """All that was sent has come back, once, and with verdicts; which, and where they were made."""
        self.results += self.pool.drain()
        names = Counter(one.target.name for one in self.results)
        assert set(names) == {f"n{number}" for number in range(self.sent)}
        assert max(names.values()) == 1
        assert all(len(one.verdicts) == 2 for one in self.results)
        done, self.results, self.total, self.sent = self.results, [], self.sent, 0
        told = Counter(verdict.status for one in done for verdict in one.verdicts)
        return told, {verdict.host for one in done for verdict in one.verdicts}


@pytest.fixture
def hosts(tmp_path, monkeypatch):
    needed()
    with Hosts(tmp_path) as made:
        for name, value in made.environment.items():
            monkeypatch.setenv(name, value)
        made.add("a", "b")
        yield made


def up(pool, count):
    """Waits until so many hosts have all their engines."""
    until = time.monotonic() + 40
    while sum(place.seat is not None for place in pool.places.copy().values()) < 2 * count:
        assert time.monotonic() < until, [(place.host.address, place.trouble) for place in pool.places.values()]
        time.sleep(0.1)


def test_hosts_die_fall_silent_and_come(hosts):
    pool = Cluster(KITCHEN, hosts.address)
    try:
        up(pool, 3)
        load = Load(pool)
        load.run(2)
        told, where = load.settle()
        assert set(told) == {"clean"}
        assert where == {"head", "a", "b"}

        # An actor is killed.
        load.run(0.5)
        victims = hosts.actors("a")
        assert len(victims) == 2
        for pid in victims:
            os.kill(pid, signal.SIGKILL)
        load.run(2)
        told, _ = load.settle()
        assert set(told) == {"clean"}

        # A cable is pulled: what was there goes elsewhere; then it is back.
        up(pool, 3)
        hosts.link("a", up=False)
        load.run(2 * roster.SILENCE, lambda: any(host.silent for host in pool.hosts.copy().values()))
        assert any(host.silent for host in pool.hosts.values())
        told, where = load.settle()
        assert set(told) == {"clean"}
        hosts.link("a", up=True)
        load.run(15, lambda: not any(host.silent for host in pool.hosts.copy().values()))
        load.settle()
        load.run(2)
        told, where = load.settle()
        assert (set(told), where) == ({"clean"}, {"head", "a", "b"})

        # A host comes, another loses its power.
        hosts.add("c")
        up(pool, 4)
        load.run(1)
        hosts.kill("b")
        load.run(3)
        told, where = load.settle()
        assert set(told) == {"clean"}
        assert "c" in where
        load.run(12, lambda: len(pool.hosts) == 3)
        told, where = load.settle()
        assert (set(told), where) == ({"clean"}, {"head", "a", "c"})
    finally:
        pool.close()


def test_the_head_is_lost_and_comes_back(tmp_path, monkeypatch):
    needed()
    with Hosts(tmp_path) as hosts:
        for name, value in hosts.environment.items():
            monkeypatch.setenv(name, value)
        pool = Failover(KITCHEN, hosts.address, local)
        try:
            load = Load(pool)
            load.run(1)
            assert load.settle() == (Counter(clean=2 * load.total), {"head"})
            hosts.kill("head")
            begun = time.monotonic()
            load.run(15, lambda: pool.counters["cluster.lost"] == 1)
            assert time.monotonic() - begun < 10
            load.run(1)
            told, where = load.settle()
            assert set(told) == {"clean"}
            assert "local" in where
            hosts.start_head()
            load.run(60, lambda: bool(load.results) and load.results[-1].verdicts[0].host == "head")
            told, where = load.settle()
            assert (set(told), where) == ({"clean"}, {"local", "head"})
        finally:
            pool.close()


def local(outcome):
    return Pool([KITCHEN.make(name) for name in KITCHEN.names()], outcome=outcome)


def test_a_full_store_costs_no_object(tmp_path, monkeypatch):
    """More is with the engines than the hosts' stores hold, and Ray may not use the disk."""
    needed()
    with Hosts(tmp_path, "--memory", "80", RAY_local_fs_capacity_threshold="0.0001") as hosts:
        for name, value in hosts.environment.items():
            monkeypatch.setenv(name, value)
        hosts.add("a")
        hosts.wait()
        pool = Cluster(Kitchen({"one": ("wait_400_ms", 10.0, 16), "two": ("digest", 10.0, 8)}), hosts.address)
        try:
            up(pool, 2)
            for number in range(40):
                pool.submit(object_of(os.urandom(12_000_000), f"n{number}"), time.monotonic_ns())
            told = Counter((verdict.status, verdict.reason) for one in pool.drain() for verdict in one.verdicts)
            assert told == {("clean", None): 80}
            assert pool.counters["cluster.store_full"] > 0
        finally:
            pool.close()
