"""Objects before engines that can't keep up: none is lost, none is held up by its sender, what goes on goes first."""

from __future__ import annotations

import logging
import time
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import FLOW, object_of

from engines import room as room_module
from engines.ahead import Sent
from engines.lane import Job
from engines.outcome import Outcome
from engines.room import Bounds, Room
from engines.verdicts import Verdict
from manager.coverage import unscanned


class Slow:
    """A pool that scans when it is told to; what an object holds when it is."""

    ahead = None

    def __init__(self):
        self.counters = Counter()
        self.has = []
        self.seen = []
        self._outcome = Outcome(1 << 40, 1 << 40)
        self.closed = False

    def submit(self, target, arrived):
        self._outcome.enter(target)
        self.has.append(Job(target, arrived, time.monotonic_ns(), 1))

    def scan(self, count):
        for job in self.has[:count]:
            with job.target.content.view() as view:
                self.seen.append((job.target.name, bytes(view)))
            job.say(0, Verdict("one", "clean", seconds=0.001))
            self._outcome.finish(job)
        del self.has[:count]

    def results(self, wait=False):
        if wait and self.has:
            self.scan(1)
        return self._outcome.results()

    def close(self):
        self.closed = True


def made(goes_on=lambda flow: False, directory=None, **bounds):
    pool = Slow()
    return pool, Room(pool, ("one", "two"), goes_on, Bounds(**bounds), directory)


def names(results):
    return [one.target.name for one in results]


def refused(results):
    return [one for one in results if all(verdict.status == "skipped" for verdict in one.verdicts)]


step = st.one_of(
    st.tuples(st.just("submit"), st.integers(0, 40), st.booleans()),
    st.tuples(st.just("scan"), st.integers(0, 5)),
    st.tuples(st.just("results"), st.booleans()),
)


@given(st.lists(step, max_size=60))
def test_each_object_comes_back_once_scanned_with_its_bytes_or_refused(steps):
    pool, room = made(engines=60, engine_objects=3, memory=50, disk=80, objects=12)
    sent, back = {}, []
    for number, (kind, *given_) in enumerate(steps):
        if kind == "submit":
            size, kept_in_file = given_
            payload = bytes([number]) * size
            target = object_of(payload, f"n{number}", on_disk=kept_in_file and size > 0)
            sent[target.name] = payload
            room.submit(target, time.monotonic_ns())
            assert len(pool.has) <= 3
            assert len(pool.has) == 1 or sum(job.target.size for job in pool.has) <= 60
        elif kind == "scan":
            pool.scan(given_[0])
        else:
            back += room.results(*given_)
    back += room.drain()
    assert Counter(names(back)) == Counter(sent.keys())
    skipped = {one.target.name for one in refused(back)}
    assert dict(pool.seen) == {name: payload for name, payload in sent.items() if name not in skipped}
    assert room.counters["overload.objects"] == len(skipped)
    assert room.counters["overload.bytes"] == sum(len(sent[name]) for name in skipped)
    assert list(room.results()) == []
    room.close()
    assert pool.closed


def test_what_can_be_scanned_at_once_does_not_wait():
    pool, room = made(engine_objects=2)
    for number in range(3):
        room.submit(object_of(b"x", f"n{number}"), 0)
    assert [job.target.name for job in pool.has] == ["n0", "n1"]
    pool.scan(1)
    assert names(room.results()) == ["n0"]
    assert [job.target.name for job in pool.has] == ["n1", "n2"]


def test_flows_that_go_on_are_first_and_lose_that_when_they_end():
    ended = {"b"}
    _, room = made(lambda flow: flow.id not in ended, engine_objects=1)
    for name in ("full", "a", "b", "c", "d"):
        room.submit(replace(object_of(b"x", name), flow=replace(FLOW, id=name)), 0)
    ended.add("c")
    assert names(room.drain()) == ["full", "a", "d", "b", "c"]


def test_over_all_bounds_an_object_comes_back_at_once_and_says_why(caplog):
    _, room = made(engine_objects=1, memory=10, disk=0)
    for name, size in (("full", 1), ("waits", 10), ("over", 1)):
        room.submit(object_of(bytes(size), name), time.monotonic_ns())
    (one,) = room.results()
    assert one.target.name == "over"
    assert [(verdict.engine, verdict.status, verdict.reason) for verdict in one.verdicts] == [
        ("one", "skipped", "overload"),
        ("two", "skipped", "overload"),
    ]
    assert unscanned(one.verdicts) == "overload"
    with one.target.content.view() as view:
        assert bytes(view) == b"\0"
    assert [(record.levelno, record.getMessage()) for record in caplog.records] == [
        (logging.ERROR, "overload: the engines can't keep up, 1 objects (0.0 MB) have not been scanned")
    ]
    assert names(room.drain()) == ["full", "waits"]
    room.close()


def test_parts_of_what_is_refused_are_forgotten():
    pool, room = made(engine_objects=1, objects=0)
    forgotten = []
    pool.ahead = Sent(lambda *_: None, forgotten.append)
    full, over = object_of(b"x", "full"), replace(object_of(b"y", "over"), id="over")
    for target in (full, over):
        room.ahead.part(target.id, 0, b"z")
    room.submit(full, 0)
    room.submit(over, 0)
    assert forgotten == ["over"]


def test_the_operator_hears_of_it_now_and_then(caplog, monkeypatch):
    _, room = made(engine_objects=1, objects=0)
    room.submit(object_of(b"x", "full"), 0)
    for _ in range(3):
        room.submit(object_of(b"x"), 0)
    assert len(caplog.records) == 1
    monkeypatch.setattr(room_module, "TELL", 0.0)
    room.submit(object_of(b"x"), 0)
    assert "4 objects" in caplog.records[-1].getMessage()


def test_time_here_is_time_in_the_queue():
    _, room = made(engine_objects=1)
    room.submit(object_of(b"x", "full"), time.monotonic_ns())
    room.submit(object_of(b"x", "waits"), time.monotonic_ns())
    time.sleep(0.1)
    first, second = room.drain()
    assert second.latency.queue > 90_000_000
    assert second.latency.reassembly < 50_000_000
    assert first.latency.queue < 50_000_000


@pytest.mark.parametrize("trouble", ["gone", "full"])
def test_a_disk_in_trouble_costs_only_what_was_there(tmp_path, trouble, caplog, monkeypatch):
    pool, room = made(engine_objects=1, memory=0, directory=str(tmp_path if trouble == "gone" else tmp_path / "none"))
    room.submit(object_of(b"full", "full"), 0)
    room.submit(object_of(b"lost", "lost"), 0)
    room.submit(object_of(b"on disk", "large", on_disk=True), 0)
    if trouble == "gone":
        room._rest[0].ticket.segment.file.truncate(0)
    back = list(room.drain())
    assert sorted(names(back)) == ["full", "large", "lost"]
    assert names(refused(back)) == ["lost"]
    assert dict(pool.seen) == {"full": b"full", "large": b"on disk"}
    room.close()


def test_how_full_it_is():
    pool, room = made(engine_objects=1, memory=4000, disk=4000, objects=10)
    assert room.fullness == 0
    for number in range(3):
        room.submit(object_of(b"x" * 2000, f"n{number}"), 0)
    assert room.fullness == 0.5
    pool.scan(1)
    list(room.results())
    assert room.fullness == 0.25
    list(room.drain())
    assert room.fullness == 0
    room.close()


def test_when_the_time_is_over_what_is_left_is_unscanned():
    pool, room = made(engine_objects=2)
    for number in range(4):
        room.submit(object_of(b"x", f"n{number}"), time.monotonic_ns())
    pool.scan(1)
    looks = iter([False, True])
    back = list(room.finish(lambda: next(looks)))
    assert sorted(names(back)) == ["n0", "n1", "n2", "n3"]
    assert [one.target.name for one in back if one.verdicts[0].status == "clean"] == ["n0"]
    assert {verdict.reason for one in refused(back) for verdict in one.verdicts} == {"the sensor ended"}


def test_what_finishes_in_time_is_scanned():
    pool, room = made(engine_objects=1)
    for number in range(4):
        room.submit(object_of(b"x", f"n{number}"), time.monotonic_ns())

    def over():
        pool.scan(1)
        return False

    assert sorted(names(room.finish(over))) == ["n0", "n1", "n2", "n3"]
    assert pool.has == []
