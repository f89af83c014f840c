"""A cluster in a process of its own: what is there when that process, or the cluster, is lost and comes back."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path

import pytest
from fakes import Kitchen
from samples import object_of

from engines import cluster, failover
from engines.cluster import Cluster, ClusterError
from engines.failover import Failover, NoCluster
from engines.pool import Pool

SUPPORT = str(Path(__file__).parents[1] / "support")
KITCHEN = Kitchen({"one": ("by_content", 5.0, 8), "two": ("digest", 5.0, 8)})


@pytest.fixture(scope="module")
def pool():
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = SUPPORT
    made = Failover(
        KITCHEN, "new", lambda outcome: Pool([KITCHEN.make(one) for one in KITCHEN.names()], outcome=outcome)
    )
    yield made
    made.close()
    if before is None:
        del os.environ["PYTHONPATH"]
    else:
        os.environ["PYTHONPATH"] = before


def scan(pool, *payloads):
    for number, payload in enumerate(payloads):
        pool.submit(object_of(payload, f"n{number}"), time.monotonic_ns())
    return list(pool.drain())


def statuses(result):
    return [(verdict.engine, verdict.status) for verdict in result.verdicts]


def hosts(results):
    return {verdict.host for one in results for verdict in one.verdicts}


def test_objects_go_there_and_verdicts_come_back(pool):
    results = {one.target.name: one for one in scan(pool, b"x", b"bad", b"raise", b"", os.urandom(3_000_000))}
    said = {name: statuses(one) for name, one in results.items()}
    assert said["n0"] == said["n3"] == said["n4"] == [("one", "clean"), ("two", "clean")]
    assert said["n1"] == [("one", "malicious"), ("two", "clean")]
    assert said["n2"] == [("one", "error"), ("two", "clean")]
    assert results["n2"].verdicts[0].reason == "ValueError: told to"
    assert "local" not in hosts(results.values())
    assert 0 < results["n0"].latency.overhead < results["n0"].latency.total <= 5e9


def test_a_large_object_arrives_whole_also_from_a_file(pool):
    large = object_of(os.urandom(20_000_000), "large", on_disk=True)
    pool.submit(large, time.monotonic_ns())
    (one,) = pool.drain()
    assert statuses(one) == [("one", "clean"), ("two", "clean")]  # `two` compares the hash


def test_what_kills_its_engine_is_told_and_costs_nothing_else(pool, caplog):
    results = scan(
        pool, *[b"x%d" % number for number in range(40)], b"crash", *[b"y%d" % number for number in range(40)]
    )
    told = {one.target.name: one.verdicts for one in results}
    assert len(told) == 81
    killer = told.pop("n40")
    assert (killer[0].status, killer[0].reason) == ("error", "crashed the engine")
    assert killer[1].status == "clean"
    assert {verdict.status for verdicts in told.values() for verdict in verdicts} == {"clean"}


def test_when_it_is_lost_the_local_engines_go_on_and_it_comes_back(pool, caplog, monkeypatch):
    monkeypatch.setattr(failover, "RETRY", 0.2)
    caplog.set_level(logging.WARNING)
    for number in range(30):
        pool.submit(object_of(b"slow %d" % number, f"s{number}"), time.monotonic_ns())
    pool._link._process.kill()
    results = list(pool.drain())
    assert sorted(one.target.name for one in results) == sorted(f"s{number}" for number in range(30))
    assert {status for one in results for _, status in statuses(one)} == {"clean"}
    assert "local" in hosts(results)
    assert pool.counters["cluster.lost"] == 1
    assert any("the cluster is lost" in record.getMessage() for record in caplog.records)
    until = time.monotonic() + 30
    while hosts(scan(pool, b"again")) == {"local"}:
        assert time.monotonic() < until, "it has not come back"
        time.sleep(0.2)
    assert any(record.getMessage() == "the cluster is back" for record in caplog.records)


SILENT = "import sys, time; from multiprocessing.connection import Connection as C; C(int(sys.argv[1])).send({}); "


def test_a_cluster_that_never_comes_up_is_given_up(monkeypatch):
    monkeypatch.setattr(failover, "CHILD", "import time; time.sleep(60)")
    monkeypatch.setattr(failover, "PAUSE", 0.1)
    monkeypatch.setattr(failover, "COME", 0.3)
    with pytest.raises(NoCluster, match="doesn't answer"):
        Failover(KITCHEN, "auto", lambda outcome: Pool([], outcome=outcome))


def test_a_process_that_says_nothing_any_more_is_given_up(monkeypatch):
    """As when all of it is stopped, or the head is gone and Ray waits for it."""
    monkeypatch.setattr(failover, "CHILD", SILENT.format('("up",)') + "time.sleep(60)")
    monkeypatch.setattr(failover, "PAUSE", 0.1)
    monkeypatch.setattr(failover, "LOST", 0.5)
    monkeypatch.setattr(failover, "RETRY", 60.0)
    pool = Failover(KITCHEN, "auto", lambda outcome: Pool([KITCHEN.make("one")], outcome=outcome))
    (one,) = scan(pool, b"x")
    assert statuses(one) == [("one", "clean")]
    assert hosts([one]) == {"local"}
    pool.close()


@pytest.mark.parametrize(
    ("address", "why"), [("127.0.0.1:1", "nothing answers"), ("nonsense", "nothing answers"), ("127.0.0.1:", "nothing")]
)
def test_no_cluster_at_the_start_is_said(address, why):
    with pytest.raises(NoCluster, match=why):
        Failover(KITCHEN, address, lambda outcome: Pool([], outcome=outcome))


def test_no_engine_on_any_host_is_said(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", SUPPORT)
    monkeypatch.setattr(cluster, "MEET", 3.0)
    with pytest.raises(ClusterError, match="no host of the cluster can scan"):
        Cluster(Kitchen({}), "new")
