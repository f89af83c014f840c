"""The contract of a pool, on both: every object comes back once, with one verdict of each engine, whatever they do.

The engines of a cluster run in other processes, so what they do is named (`fakes`) and what they saw is in the verdict.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from fakes import Kitchen
from samples import object_of

from engines import cluster as cluster_module
from engines import scanner
from engines.cluster import Cluster, ClusterError
from engines.pool import Pool

SUPPORT = str(Path(__file__).parents[1] / "support")


def local(kitchen, **more):
    return Pool([kitchen.make(name) for name in kitchen.names()], **more)


def cluster(kitchen, **more):
    return Cluster(kitchen, "new", **more)


@pytest.fixture(autouse=True)
def workers_find_the_fakes(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", SUPPORT)


@pytest.fixture(params=[local, cluster], ids=["local", "cluster"])
def pool(request):
    made = []

    def make(engines, **more):
        made.append(request.param(Kitchen(engines), **more))
        return made[-1]

    yield make
    for one in made:
        one.close()


def scan(pool, *payloads):
    for number, payload in enumerate(payloads):
        pool.submit(object_of(payload, f"n{number}"), time.monotonic_ns())
    return {one.target.name: one for one in pool.drain()}


def statuses(one):
    return [verdict.status for verdict in one.verdicts]


def test_every_engine_answers_for_every_object(pool):
    made = pool({"one": ("by_content", 5.0, 2), "two": ("digest", 5.0, 2), "three": ("clean", 5.0, 1)})
    results = scan(made, *[b"%d" % number for number in range(300)], b"bad", b"raise", b"", os.urandom(6_000_000))
    assert len(results) == 304
    for name, one in results.items():
        first = {"n300": "malicious", "n301": "error"}.get(name, "clean")
        assert [(verdict.engine, verdict.status) for verdict in one.verdicts] == [
            ("one", first),
            ("two", "clean"),
            ("three", "clean"),
        ]
        assert {(verdict.engine_version, verdict.database_version) for verdict in one.verdicts} == {("1.0", "7")}
        assert all(verdict.host for verdict in one.verdicts)
        assert one.latency.total >= one.latency.slowest
        assert one.latency.overhead == one.latency.total - one.latency.slowest
    assert results["n301"].verdicts[0].reason == "ValueError: told to"


def test_engines_and_slots_run_at_the_same_time_and_no_more(pool):
    made = pool({"one": ("wait_400_ms", 5.0, 2), "two": ("wait_400_ms", 5.0, 2)})
    scan(made, b"warm")
    begun = time.monotonic()
    scan(made, b"a", b"b", b"c", b"d")
    assert 0.8 <= time.monotonic() - begun < 1.4  # two rounds of two


def test_an_engine_that_hangs_times_out_and_is_there_again(pool):
    made = pool({"one": ("by_content", 0.5, 2), "two": ("clean", 5.0, 2)})
    results = scan(made, b"hang", *[b"%d" % number for number in range(20)])
    assert statuses(results.pop("n0")) == ["timeout", "clean"]
    assert {status for one in results.values() for status in statuses(one)} == {"clean"}
    assert [statuses(one) for one in scan(made, b"x", b"y").values()] == [["clean", "clean"]] * 2


def test_only_so_much_is_open_at_once(pool):
    made = pool({"one": ("wait_20_ms", 5.0, 4)}, max_bytes=10_000, max_objects=1000)
    begun = time.monotonic()
    for number in range(40):
        made.submit(object_of(os.urandom(1000), f"n{number}"), time.monotonic_ns())
    assert time.monotonic() - begun > 0.1  # 30 had to be done before the last one was taken
    assert len(list(made.results()) + list(made.drain())) == 40
    assert len(scan(made, os.urandom(50_000))) == 1  # larger than the bound, alone


def test_what_is_done_comes_first(pool):
    made = pool({"one": ("by_content", 5.0, 2)})
    scan(made, b"warm")
    made.submit(object_of(b"slow", "slow"), time.monotonic_ns())
    made.submit(object_of(b"x", "quick"), time.monotonic_ns())
    assert [one.target.name for one in made.drain()] == ["quick", "slow"]


# The cluster alone: processes die.


@pytest.fixture
def one_host():
    made = cluster(Kitchen({"one": ("by_content", 1.0, 4), "two": ("digest", 5.0, 4), "none": ("missing", 1.0, 1)}))
    yield made
    made.close()


def test_processes_that_die(one_host):
    no_engine = "KeyError: 'missing'"
    assert {place.trouble for place in one_host.places.values()} == {None, no_engine}

    # An object that kills its engine is told; those beside it are scanned.
    results = scan(one_host, *[b"a%d" % n for n in range(100)], b"crash", *[b"b%d" % n for n in range(100)])
    assert len(results) == 201
    killer = results.pop("n100")
    assert [(one.status, one.reason) for one in killer.verdicts] == [
        ("error", "crashed the engine"),
        ("clean", None),
        ("error", no_engine),
    ]
    assert {tuple(statuses(one)) for one in results.values()} == {("clean", "clean", "error")}
    assert one_host.counters["cluster.actor_died"] >= 2

    # A process that somebody kills while it scans costs nothing.
    for number in range(12):
        one_host.submit(object_of(b"slow %d" % number, f"k{number}"), time.monotonic_ns())
    time.sleep(0.2)
    victims = actors()
    assert victims
    for pid in victims:
        os.kill(pid, signal.SIGKILL)
    killed = list(one_host.drain())
    assert sorted(one.target.name for one in killed) == sorted(f"k{number}" for number in range(12))
    assert {tuple(statuses(one)) for one in killed} == {("clean", "clean", "error")}

    # One that hangs is replaced.
    assert statuses(scan(one_host, b"hang")["n0"])[0] == "timeout"
    until = time.monotonic() + 5
    while not one_host.counters["cluster.actor_replaced"]:
        assert time.monotonic() < until
        time.sleep(0.05)
    assert statuses(scan(one_host, b"x")["n0"]) == ["clean", "clean", "error"]


def actors():
    """The processes of this test's actors."""
    shown = subprocess.run(["ps", "-eo", "pid,ppid,args"], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in shown.splitlines()[1:]]
    parents = {int(pid): int(parent) for pid, parent, _ in rows}

    def ours(pid):
        while pid > 1:
            if pid == os.getpid():
                return True
            pid = parents.get(pid, 0)
        return False

    return [int(pid) for pid, _, words in rows if words.startswith("ray::_Actor") and ours(int(pid))]


def test_a_host_with_other_versions_gets_no_work(monkeypatch, caplog):
    monkeypatch.setattr(cluster_module, "MEET", 3.0)
    monkeypatch.setattr(scanner, "versions", lambda: ("9.9.9", "3.99", "2.99"))
    with pytest.raises(ClusterError, match=r"there, 9\.9\.9 / 3\.99 / 2\.99 here: make them the same"):
        cluster(Kitchen({"one": ("clean", 1.0, 1)}))
