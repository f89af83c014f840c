"""Parts of large objects: where they go, what is forgotten, and that every engine gets all of the bytes."""

from __future__ import annotations

import os
from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import object_of

from engines import large as large_module
from engines.dispatch import Dispatch, Post, Task
from engines.lane import Job
from engines.large import INLINE, Large, NoRoom
from engines.verdicts import Verdict

PART = 1000


class Wire:
    """Two engines on two hosts, and a store."""

    def __init__(self):
        self.calls, self.stored, self.full = [], [], False
        self.held = defaultdict(dict)  # by seat: what is held of which object
        self.dispatch = Dispatch(self.calls.append, lambda task, verdict: None)
        self.large = Large(self, self.dispatch)
        for engine in ("one", "two"):
            for host in ("a", "b"):
                self.dispatch.seat(Post(engine, host, 1, 1.0), 0.0)

    def hold(self, seat, key, begin, part):
        assert begin == len(self.held[seat].setdefault(key, b""))
        self.held[seat][key] += part

    def forget_at(self, seat, key):
        self.held[seat].pop(key, None)

    def store(self, data):
        if self.full:
            raise NoRoom("full")
        self.stored.append(data)
        return data

    def ask(self, payload, gone=0):
        """An object of which some bytes have gone ahead."""
        target = object_of(payload, f"o{gone}")
        for begin in range(0, gone, PART):
            self.large.part(target.id, begin, payload[begin : min(begin + PART, gone)])
        job = Job(target, 0, 0, 2)
        self.dispatch.ask(job, 0.0, self.large.complete(job))
        return job

    def arrives(self, call):
        """What the engine of a call gets of each object."""
        apart = []
        for task in call.tasks:
            about, count, rest = self.large.row(task, call.seat, apart)
            given = b"".join(apart[len(apart) - count :]) + rest
            yield given if count or len(rest) == about.size else self.held[call.seat].pop(about.id) + rest


sizes = st.one_of(st.integers(0, 5 * PART), st.integers(INLINE - 1, INLINE + 1), st.just(3 * INLINE + 7))


@given(sizes, st.integers(0, 5 * PART), st.booleans())
def test_every_engine_gets_all_bytes_wherever_it_runs(size, gone, elsewhere):
    wire = Wire()
    payload = os.urandom(size)
    job = wire.ask(payload, min(gone, size))
    assert len(wire.calls) == 2
    if elsewhere:
        for call in list(wire.calls):
            wire.dispatch.unseat(call.seat, 1.0, crashed=False)
        del wire.calls[:2]
        assert len(wire.calls) == 2
    assert [b"".join(wire.arrives(call)) for call in wire.calls] == [payload] * 2
    assert bool(wire.stored) == ((elsewhere and gone > 0 < size) or (size > INLINE and (elsewhere or gone == 0)))
    wire.large.done(job)
    assert wire.large._parts == wire.large._arriving == {}
    assert not any(wire.held.values())


def test_parts_go_to_one_host_for_each_engine_and_are_forgotten_there():
    wire = Wire()
    wire.large.part("a", 0, b"123")
    wire.large.part("a", 4, b"out of place")
    wire.large.part("a", 3, b"456")
    assert [seat.post.engine for seat in wire.held] == ["one", "two"]
    assert [dict(held) for held in wire.held.values()] == [{"a": b"123456"}] * 2
    assert [seat.coming for seat in wire.dispatch.seats()] == [1, 0, 1, 0]
    wire.large.forget("a")
    wire.large.forget("a")
    assert not any(wire.held.values())
    assert [seat.coming for seat in wire.dispatch.seats()] == [0, 0, 0, 0]


def test_nothing_goes_ahead_to_an_engine_that_has_a_queue():
    wire = Wire()
    for number in range(3):  # two are scanned, one waits
        wire.ask(b"%d" % number)
    wire.dispatch.answered(1, [Verdict("one", "clean", seconds=0.1)], 1.0)  # `one` has none waiting any more
    wire.large.part("a", 0, b"123")
    assert {seat.post.engine for seat in wire.held} == {"one"}


def test_most_of_a_very_large_object_is_in_the_store(monkeypatch):
    monkeypatch.setattr(large_module, "LOOSE", 4 * PART)
    wire = Wire()
    payload = os.urandom(10 * PART + 1)
    wire.ask(payload, len(payload))
    assert b"".join(wire.stored) == payload[: 8 * PART]


def test_what_the_store_has_no_room_for_goes_in_parts():
    wire = Wire()
    wire.full = True
    payload = os.urandom(3 * INLINE + 7)
    job = wire.ask(payload)
    assert [b"".join(wire.arrives(call)) for call in wire.calls] == [payload] * 2
    wire.large.done(job)
    assert not any(wire.held.values())


def test_what_is_in_the_store_and_what_it_has_no_room_for_is_told(monkeypatch):
    monkeypatch.setattr(large_module, "LOOSE", 4 * PART)
    wire = Wire()
    payload = os.urandom(6 * PART)
    job = wire.ask(payload, len(payload))
    wire.full = True
    assert [b"".join(wire.arrives(call)) for call in wire.calls] == [payload] * 2  # it is held there
    with pytest.raises(NoRoom, match="full"):
        wire.large.row(Task(job, 0, 0.0), wire.calls[0].seat, [])


def test_what_a_host_has_no_room_for_goes_in_parts_the_next_time():
    wire = Wire()
    payload = os.urandom(3 * INLINE + 7)
    job = wire.ask(payload)
    assert [b"".join(wire.arrives(call)) for call in wire.calls] == [payload] * 2
    stored = len(wire.stored)
    wire.large.unstored(job)
    wire.large.unstored(Job(object_of(b"small"), 0, 0, 2))
    assert [b"".join(wire.arrives(call)) for call in wire.calls] == [payload] * 2
    assert len(wire.stored) == stored
