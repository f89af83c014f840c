"""What only the pool of this host has: its threads, and the health of its engines. The rest is in test_contract.py."""

from __future__ import annotations

import threading
import time

import pytest
from samples import object_of

from engines import lane as lane_module
from engines.pool import Pool
from engines.verdicts import Verdict


class Fake:
    """An engine that does what `act` does."""

    version, database_version = "1.0", "7"

    def __init__(self, name="fake", act=lambda target: "clean", *, timeout=5.0, slots=2):
        self.name, self.act, self.timeout, self.slots = name, act, timeout, slots
        self.calls = 0
        self.closed = False
        self.why = None

    def scan(self, target):
        self.calls += 1
        said = self.act(target)
        return said if isinstance(said, Verdict) else Verdict(self.name, said)

    def check(self):
        return self.why

    def close(self):
        self.closed = True


@pytest.fixture
def pool():
    made = []

    def make(*engines):
        made.append(Pool(engines))
        return made[-1]

    yield make
    for one in made:
        one.close()


def scan(pool, *targets):
    for target in targets:
        pool.submit(target, time.monotonic_ns())
    return list(pool.drain())


def test_no_engines_no_verdicts(pool):
    (one,) = scan(pool(), object_of(b"x"))
    assert one.verdicts == ()
    assert one.latency.slowest_engine is None


def test_an_exception_is_an_error_and_costs_nothing_else(pool, caplog):
    def act(target):
        if target.name == "bad":
            raise ValueError("choked")
        return "clean"

    made = pool(Fake("weak", act), Fake("strong"))
    results = {one.target.name: one.verdicts for one in scan(made, object_of(b"1", "bad"), object_of(b"2", "good"))}
    assert (results["bad"][0].status, results["bad"][0].reason) == ("error", "ValueError: choked")
    assert results["bad"][1].status == "clean"
    assert results["good"][0].status == "clean"
    assert made.counters["weak.exception"] == 1
    assert "flow" in caplog.text


def test_a_hanging_engine_is_a_timeout_and_the_next_object_is_scanned(pool, monkeypatch):
    monkeypatch.setattr(lane_module, "GRACE", 0.0)
    release = threading.Event()

    def act(target):
        if target.name == "hang":
            release.wait(20)
        return "clean"

    made = pool(Fake("slow", act, timeout=0.1, slots=1), Fake("quick"))
    begun = time.monotonic()
    results = {one.target.name: one.verdicts for one in scan(made, object_of(b"1", "hang"), object_of(b"2", "next"))}
    assert time.monotonic() - begun < 5
    assert results["hang"][0].status == "timeout"
    assert results["hang"][1].status == "clean"
    assert results["next"][0].status == "clean"
    release.set()


def test_an_engine_that_always_hangs_runs_out_of_threads_not_the_machine(pool, monkeypatch):
    monkeypatch.setattr(lane_module, "GRACE", 0.0)
    release = threading.Event()

    def act(_):
        release.wait(20)
        return "clean"

    made = pool(Fake("stuck", act, timeout=0.01, slots=1))
    before = threading.active_count()
    results = scan(made, *(object_of(b"x", f"n{number}") for number in range(30)))
    assert threading.active_count() - before <= lane_module.STUCK_PER_SLOT + 1
    said = [one.verdicts[0].status for one in results]
    assert said.count("timeout") == lane_module.STUCK_PER_SLOT
    assert said.count("error") == 30 - lane_module.STUCK_PER_SLOT
    release.set()


def test_an_engine_that_is_away_answers_at_once_and_comes_back(pool, monkeypatch):
    monkeypatch.setattr(lane_module, "FIRST_PAUSE", 0.05)
    away = Verdict("gone", "error", reason="refused")
    engine = Fake("gone", lambda _: away, slots=1)
    engine.why = "nobody at the socket"
    made = pool(engine)
    results = scan(made, *(object_of(b"x", f"n{number}") for number in range(20)))
    assert all(one.verdicts[0].status == "error" for one in results)
    assert engine.calls < 10
    assert any("nobody at the socket; next try in" in one.verdicts[0].reason for one in results)
    engine.why, engine.act = None, lambda _: "clean"
    until = time.monotonic() + 5
    while scan(made, object_of(b"again"))[0].verdicts[0].status != "clean":
        assert time.monotonic() < until


def test_errors_of_an_engine_that_is_there_do_not_stop_it(pool):
    engine = Fake("picky", lambda target: Verdict("picky", "error", reason="not my format"), slots=1)
    scan(pool(engine), *(object_of(b"x", f"n{number}") for number in range(20)))
    assert engine.calls == 20


def test_close_closes_the_engines(pool):
    engine = Fake()
    made = pool(engine)
    scan(made, object_of(b"x"))
    made.close()
    assert engine.closed
