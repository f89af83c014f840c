"""The contract of a pool: every object comes back once, with one verdict of each engine, whatever they do.

The same for the pool of this host, for a cluster, and for a cluster behind a wall. The engines of a cluster run in
other processes, so what they do is named (`fakes`) and what they saw is in the verdict, or in files.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from pathlib import Path
from threading import Thread

import pytest
from fakes import Kitchen
from samples import object_of

from engines.cluster import Cluster
from engines.failover import Failover
from engines.pool import Pool

SUPPORT = str(Path(__file__).parents[1] / "support")
KITCHEN = Kitchen(
    {
        "weak": ("by_content", 1.0, 2),
        "strong": ("digest", 10.0, 2),
        "one": ("together", 10.0, 3),
        "two": ("meet", 10.0, 3),
    }
)
ENGINES = len(KITCHEN.engines)
BOUNDS = {"max_bytes": 30_000_000, "max_objects": 3000}
SECONDS = 60  # for all that is open; what takes longer is lost


def local(head):
    return Pool([KITCHEN.make(name) for name in KITCHEN.names()], **BOUNDS)


def cluster(head):
    return Cluster(KITCHEN, head, **BOUNDS)


def failover(head):
    return Failover(KITCHEN, head, lambda outcome: Pool([], outcome=outcome), **BOUNDS)


@pytest.fixture(scope="module", params=[local, cluster, failover], ids=["local", "cluster", "failover"])
def pool(request):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", SUPPORT)
        made = request.param(None if request.param is local else request.getfixturevalue("head"))
    yield made
    made.close()


def submit(pool, *payloads, name="n"):
    for number, payload in enumerate(payloads):
        pool.submit(object_of(payload, f"{name}{number}"), time.monotonic_ns())


def drained(pool):
    """All that is open."""
    done = []
    taking = Thread(target=lambda: done.extend(pool.drain()), daemon=True)
    taking.start()
    taking.join(SECONDS)
    assert not taking.is_alive(), "not all has come back"
    return done


def scan(pool, *payloads):
    submit(pool, *payloads)
    done = drained(pool)
    assert Counter(one.target.name for one in done) == Counter(f"n{number}" for number in range(len(payloads)))
    return {one.target.name: one for one in done}


def statuses(one):
    return [verdict.status for verdict in one.verdicts]


def test_every_engine_answers_once_for_every_object_and_says_who_it_is(pool):
    results = scan(pool, *[b"%d" % number for number in range(2000)])
    for one in results.values():
        assert [(verdict.engine, verdict.status) for verdict in one.verdicts] == [
            (name, "clean") for name in ("weak", "strong", "one", "two")
        ]
        assert {(verdict.engine_version, verdict.database_version) for verdict in one.verdicts} == {("1.0", "7")}
        assert all(verdict.host for verdict in one.verdicts)


def test_the_object_comes_back_as_it_was_submitted(pool):
    target = object_of(b"x", "same", findings=("http.te_and_cl",), declared_type="text/plain")
    pool.submit(target, time.monotonic_ns())
    (one,) = drained(pool)
    assert one.target is target


def test_what_one_engine_finds_or_fails_at_costs_the_others_nothing(pool):
    results = scan(pool, b"x", b"bad", b"raise", b"")
    assert [statuses(results[name])[0] for name in ("n0", "n1", "n2", "n3")] == ["clean", "malicious", "error", "clean"]
    assert results["n2"].verdicts[0].reason == "ValueError: told to"
    assert {status for one in results.values() for status in statuses(one)[1:]} == {"clean"}


@pytest.mark.parametrize("on_disk", [False, True], ids=["memory", "disk"])
def test_bytes_arrive_whole(pool, on_disk):
    sizes = 1, 65_536, 65_537, 1_000_000, 5_000_001, 20_000_000
    for number, size in enumerate(sizes):
        target = object_of(os.urandom(size), f"n{number}", on_disk=on_disk)
        pool.submit(target, time.monotonic_ns())
    told = {one.target.name: one.verdicts[1].status for one in drained(pool)}
    assert told == {f"n{number}": "clean" for number in range(len(sizes))}  # `strong` compares the hash


@pytest.mark.parametrize("on_disk", [False, True], ids=["memory", "disk"])
@pytest.mark.parametrize("gone", [1, 300_000, 5_000_000], ids=["a byte", "some", "all"])
def test_what_went_ahead_and_the_rest_are_the_object(pool, gone, on_disk):
    payload = os.urandom(5_000_000)
    target = object_of(payload, "n0", on_disk=on_disk)
    if pool.ahead is not None:
        for begin in range(0, gone, 256 << 10):
            pool.ahead.part(target.id, begin, payload[begin : min(begin + (256 << 10), gone)])
        pool.ahead.part(target.id, gone + 1, b"out of place")
        pool.ahead.part("another", 0, b"that doesn't come")
        pool.ahead.forget("another")
        pool.ahead.forget("never seen")
    pool.submit(target, time.monotonic_ns())
    (one,) = drained(pool)
    assert one.verdicts[1].status == "clean"  # `strong` compares the hash


def test_what_was_forgotten_is_scanned_as_a_whole(pool):
    payload = os.urandom(700_000)
    target = object_of(payload, "n0")
    if pool.ahead is not None:
        pool.ahead.part(target.id, 0, b"other bytes")
        pool.ahead.forget(target.id)
    pool.submit(target, time.monotonic_ns())
    assert drained(pool)[0].verdicts[1].status == "clean"


def test_engines_and_slots_run_side_by_side(pool, tmp_path):
    payload = b"meet %s %d" % (bytes(tmp_path), 6)  # three slots of two engines
    results = scan(pool, payload, payload, payload)
    assert {tuple(statuses(one)) for one in results.values()} == {("clean",) * ENGINES}


def test_slots_are_not_exceeded(pool, tmp_path):
    results = scan(pool, *[b"crowd %s" % bytes(tmp_path)] * 60)
    seen = [int(one.verdicts[2].signature) for one in results.values()]
    assert 1 <= max(seen) <= 3


def test_what_is_done_comes_first_and_nobody_waits_for_it(pool, tmp_path):
    submit(pool, b"gate %s" % bytes(tmp_path), name="gated")
    submit(pool, b"x", b"y", name="quick")
    done = []
    while len(done) < 2:
        done += pool.results(wait=True)
    assert sorted(one.target.name for one in done) == ["quick0", "quick1"]
    assert list(pool.results()) == []
    (tmp_path / "open").touch()
    assert [one.target.name for one in pool.results(wait=True)] == ["gated0"]
    assert list(pool.results(wait=True)) == []


def opened(pool, folder, count, payload):
    """Whether one more may come while the gate is closed, and what comes back when it opens."""
    submit(pool, *[b"gate %s" % bytes(folder)] * count, name="gated")
    more = Thread(target=submit, args=(pool, payload))
    more.start()
    more.join(0.3)
    waited = more.is_alive()
    Path(folder, "open").touch()
    more.join(20)
    assert not more.is_alive()
    return waited, len(drained(pool))


def padded(folder, size):
    return (b"gate %s " % bytes(folder)).ljust(size)


def test_only_so_many_bytes_are_open_at_once(pool, tmp_path):
    for size, waits in (9_000_000, False), (11_000_000, True):
        folder = tmp_path / str(size)
        folder.mkdir()
        submit(pool, padded(folder, 20_000_000), name="large")
        assert opened(pool, folder, 0, bytes(size)) == (waits, 2)


def test_only_so_many_objects_are_open_at_once(pool, tmp_path):
    for count, waits in (BOUNDS["max_objects"] - 1, False), (BOUNDS["max_objects"], True):
        folder = tmp_path / str(count)
        folder.mkdir()
        assert opened(pool, folder, count, b"x") == (waits, count + 1)


def test_an_object_larger_than_the_bound_goes_alone(pool):
    (one,) = scan(pool, bytes(BOUNDS["max_bytes"] + 1)).values()
    assert statuses(one) == ["clean"] * ENGINES


def test_latency_is_taken_apart(pool):
    (one,) = scan(pool, b"slow").values()
    latency = one.latency
    assert latency.slowest_engine == "weak"
    assert 400_000_000 <= latency.slowest <= latency.total
    assert latency.slowest == int(one.verdicts[0].seconds * 1e9)
    assert latency.overhead == latency.total - latency.slowest
    assert latency.transfer == 5
    assert latency.reassembly >= 0


def test_an_engine_that_hangs_times_out_and_is_there_again(pool):
    results = scan(pool, b"hang", *[b"%d" % number for number in range(40)])
    hung = results.pop("n0").verdicts
    assert [verdict.status for verdict in hung] == ["timeout", *["clean"] * (ENGINES - 1)]
    assert hung[0].reason == "no answer within 1 s"
    assert {status for one in results.values() for status in statuses(one)} == {"clean"}
    for _ in range(3):
        assert {status for one in scan(pool, b"x", b"y").values() for status in statuses(one)} == {"clean"}
