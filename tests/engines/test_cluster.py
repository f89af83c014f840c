"""A cluster of one host whose processes die, hang and stop: what only a cluster has, and no object lost by it."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from pathlib import Path
from threading import Thread

import pytest
from fakes import Kitchen
from samples import object_of

from engines import cluster as cluster_module
from engines import dispatch, scanner
from engines.cluster import Cluster, ClusterError

ENGINES = Kitchen({"one": ("by_content", 1.0, 4), "two": ("digest", 10.0, 4), "none": ("missing", 1.0, 1)})
NO_ENGINE = "KeyError: 'missing'"
RIGHT = ("clean", "clean", "error")
SECONDS = 60  # for all that is open; what takes longer is lost


@pytest.fixture(scope="module")
def pool(head):
    made = Cluster(ENGINES, head)
    yield made
    made.close()


def scan(pool, *payloads):
    for number, payload in enumerate(payloads):
        pool.submit(object_of(payload, f"n{number}"), time.monotonic_ns())
    return drained(pool, len(payloads))


def drained(pool, count):
    done = []
    taking = Thread(target=lambda: done.extend(pool.drain()), daemon=True)
    taking.start()
    taking.join(SECONDS)
    assert not taking.is_alive(), "not all has come back"
    assert Counter(one.target.name for one in done) == Counter(f"n{number}" for number in range(count))
    return {one.target.name: one.verdicts for one in done}


def statuses(verdicts):
    return tuple(verdict.status for verdict in verdicts)


def until(holds):
    end = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_host_with_other_versions_gets_no_work(head, monkeypatch, caplog):
    """The first of this file, since a process can be in one cluster at a time."""
    monkeypatch.setattr(cluster_module, "MEET", 3.0)
    monkeypatch.setattr(scanner, "versions", lambda: ("9.9.9", "3.99", "2.99"))
    with pytest.raises(ClusterError, match=r"there, 9\.9\.9 / 3\.99 / 2\.99 here: make them the same$"):
        Cluster(ENGINES, head)
    (line,) = [record.getMessage() for record in caplog.records if "refused" in record.getMessage()]
    assert line.count("\n") == 0
    assert "tapscan / Python / Ray" in line


def test_an_engine_that_a_host_cannot_make_is_named_and_the_others_work(pool):
    troubles = {place.engine: place.trouble for place in pool.places.values()}
    assert troubles == {"one": None, "two": None, "none": NO_ENGINE}
    (verdicts,) = scan(pool, b"x").values()
    assert statuses(verdicts) == RIGHT
    assert verdicts[2].reason == NO_ENGINE


def test_an_object_that_crashes_its_engine_is_told_and_those_beside_it_are_scanned(pool):
    before = pool.counters["cluster.actor_died"]
    told = scan(pool, *[b"a%d" % number for number in range(60)], b"crash", *[b"bad %d" % n for n in range(60)])
    killer = told.pop("n60")
    assert [(one.status, one.reason) for one in killer[:2]] == [("error", "crashed the engine"), ("clean", None)]
    for name, verdicts in told.items():
        assert statuses(verdicts)[0] == ("clean" if int(name[1:]) < 60 else "malicious")
    assert pool.counters["cluster.actor_died"] - before >= dispatch.CRASHES


def test_a_process_that_somebody_kills_while_it_scans_costs_nothing(pool):
    before = pool.counters["cluster.actor_died"]
    until(lambda: all(place.seat for place in pool.places.values() if place.engine != "none"))
    until(lambda: len(actors()) == 2)  # the one without an engine goes
    for number in range(12):
        pool.submit(object_of(b"slow %d" % number, f"n{number}"), time.monotonic_ns())
    victims = actors()
    until(lambda: any(seat.calls for seat in pool._dispatch.desk("one").seats))
    for pid in victims:
        os.kill(pid, signal.SIGKILL)
    told = drained(pool, 12)
    assert {statuses(verdicts) for verdicts in told.values()} == {RIGHT}
    (verdicts,) = scan(pool, b"x").values()  # who had nothing to do is missed when it is asked
    assert statuses(verdicts) == RIGHT
    until(lambda: pool.counters["cluster.actor_died"] - before >= 2)


def test_an_actor_in_which_a_scan_hangs_is_replaced(pool):
    before = pool.counters["cluster.actor_replaced"]
    assert scan(pool, b"hang")["n0"][0].status == "timeout"
    until(lambda: pool.counters["cluster.actor_replaced"] > before)
    assert statuses(scan(pool, b"x")["n0"]) == RIGHT


def test_an_object_that_stops_a_whole_process_is_told_and_those_beside_it_are_scanned(pool, monkeypatch):
    monkeypatch.setattr(dispatch, "WIRE", 0.2)
    told = scan(pool, b"1", b"freeze", b"2", b"3")
    assert [(one.status, one.reason) for one in told.pop("n1")[:2]] == [dispatch.STOPPED, ("clean", None)]
    assert {statuses(verdicts) for verdicts in told.values()} == {RIGHT}
    assert statuses(scan(pool, b"x")["n0"]) == RIGHT


def actors():
    """The processes of the engines of this test's head."""
    parents, found = {}, []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            if b"ray::_Actor" in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:  # it has ended
            continue
    return [pid for pid in found if os.getpid() in lineage(pid, parents)]


def lineage(pid, parents):
    while pid in parents:
        yield pid
        pid = parents[pid]
