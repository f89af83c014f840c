"""Where work goes in a cluster, without one: seconds are numbers, hosts are names, and answers come when told to."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from samples import object_of

from engines import dispatch
from engines.dispatch import CRASHES, KILLED, PATIENCE, STOPPED, TOGETHER, TOGETHER_BYTES, WIRE, Dispatch, Post
from engines.lane import Job
from engines.verdicts import Verdict
from reassembly.objects import Content

BASE = object_of(b"")
NO_HOST = ("error", "no host runs it at present")


class Desks:
    """A dispatch, what it has sent and what it has said."""

    def __init__(self, *posts, slots=1, timeout=5.0):
        self.now = 100.0
        self.sent = []  # calls, until they are answered or given up
        self.said = {}  # name and engine -> status and reason
        self.dispatch = Dispatch(self._send, self._say)
        self.seats = [self.seat(host, slots=slots, timeout=timeout) for host in posts]

    def seat(self, host, engine="one", slots=1, timeout=5.0):
        return self.dispatch.seat(Post(engine, host, slots, timeout), self.now)

    def ask(self, *names, size=10):
        for name in names:
            target = replace(BASE, id=name, content=Content(size))
            self.dispatch.ask(Job(target, 0, 0, len(self.dispatch.desks)), self.now)

    def answer(self, call, seconds=1.0, status="clean"):
        self.sent.remove(call)
        verdicts = [Verdict(call.seat.post.engine, status, seconds=seconds) for _ in call.tasks]
        self.dispatch.answered(call.number, verdicts, self.now)

    def crash(self, seat, crashed=True):
        self.sent = [call for call in self.sent if call.seat is not seat]
        self.dispatch.unseat(seat, self.now, crashed)

    def taken(self):
        """What was sent and not looked at here: `[(host, names)]`."""
        return [(call.seat.post.host, names(call)) for call in self.sent]

    def finish(self):
        while self.sent:
            self.answer(self.sent[0])

    def _send(self, call):
        self.sent.append(call)

    def _say(self, task, verdict):
        assert task.job.say(task.number, verdict) in (True, False)
        key = task.job.target.id, verdict.engine
        assert key not in self.said
        self.said[key] = verdict.status, verdict.reason


def names(call):
    return [task.job.target.id for task in call.tasks]


def quick(desks, seat, seconds=0.001):
    """Lets a seat learn that its engine is quick."""
    for _ in range(20):
        seat.note(seconds)


def test_work_goes_to_the_host_with_the_least_outstanding_bytes():
    desks = Desks("a", "b", "c", slots=3)
    desks.ask("large", size=1000)
    desks.ask("middle", size=600)
    desks.ask("small", size=300)
    desks.ask("fourth", size=200)  # c holds the least
    desks.ask("fifth", size=200)  # c again: 500 < 600
    desks.ask("sixth", size=1)  # now b
    assert desks.taken() == [(*pair,) for pair in (
        ("a", ["large"]), ("b", ["middle"]), ("c", ["small"]), ("c", ["fourth"]), ("c", ["fifth"]), ("b", ["sixth"]),
    )]  # fmt: skip
    assert [seat.bytes for seat in desks.seats] == [1000, 601, 700]
    desks.finish()
    assert [seat.bytes for seat in desks.seats] == [0, 0, 0]


def test_of_equal_hosts_the_one_with_fewer_calls():
    desks = Desks("a", "b", slots=2)
    desks.ask("1", "2", "3", size=0)
    assert [host for host, _ in desks.taken()] == ["a", "b", "a"]


def test_slots_are_not_exceeded_and_the_queue_is_in_order():
    desks = Desks("a", slots=2)
    desks.ask("1", "2", "3", "4")
    assert desks.taken() == [("a", ["1"]), ("a", ["2"])]
    desks.answer(desks.sent[1])
    assert desks.taken() == [("a", ["1"]), ("a", ["3"])]
    desks.finish()
    assert list(desks.said) == [("2", "one"), ("1", "one"), ("3", "one"), ("4", "one")]


def test_each_engine_has_its_own_queue():
    desks = Desks("a")
    other = desks.seat("a", engine="two")
    desks.ask("1", "2")
    assert [(call.seat.post.engine, names(call)) for call in desks.sent] == [("one", ["1"]), ("two", ["1"])]
    desks.answer(next(call for call in desks.sent if call.seat is other))
    assert [(call.seat.post.engine, names(call)) for call in desks.sent] == [("one", ["1"]), ("two", ["2"])]


def test_a_new_host_gets_work_at_once():
    desks = Desks("a")
    desks.ask("1", "2")
    desks.seat("b")
    assert desks.taken() == [("a", ["1"]), ("b", ["2"])]


def test_a_lone_object_travels_alone_at_once_also_when_the_engine_is_quick():
    desks = Desks("a")
    quick(desks, desks.seats[0])
    for name in ("1", "2"):
        desks.ask(name)
        assert desks.taken() == [("a", [name])]
        desks.finish()


def queued(desks, count, size=10):
    """The calls that go when there is a queue of so many before hosts that are free."""
    for seat in desks.seats:
        desks.dispatch.pause(seat, desks.now)
    desks.ask(*(f"n{number}" for number in range(count)), size=size)
    assert desks.sent == []
    for seat in desks.seats[1:]:
        seat.paused = False
    desks.dispatch.resume(desks.seats[0], desks.now)
    return desks.sent


@pytest.mark.parametrize("slots", [1, 4])
@pytest.mark.parametrize("pace", [0.0005, 0.002, 0.2])
def test_a_queue_travels_together_for_as_long_as_a_call_may_take(pace, slots):
    desks = Desks("a", slots=slots)
    quick(desks, desks.seats[0], pace)
    calls = queued(desks, 1000)
    assert len(calls[0].tasks) == min(max(round(dispatch.TOGETHER_SECONDS * slots / pace), 1), TOGETHER)
    assert names(calls[0]) == [f"n{number}" for number in range(len(calls[0].tasks))]


def test_objects_that_come_one_by_one_travel_together_once_there_is_a_queue():
    desks = Desks("a")
    quick(desks, desks.seats[0])
    desks.ask(*map(str, range(1000)))
    calls = 0
    while desks.sent:
        desks.answer(desks.sent[0], seconds=0.001)
        calls += 1
    assert len(desks.said) == 1000
    assert calls < 1000 / 4


def test_while_there_is_a_queue_a_quick_engine_is_given_no_less_than_travels_together():
    desks = Desks("a", slots=2)
    quick(desks, desks.seats[0], 0.01)  # ten in 50 ms
    desks.ask(*(f"{number}" for number in range(70)))
    sizes = []
    while desks.dispatch.desks[0].waiting:
        before = [*desks.sent]
        desks.answer(desks.sent[0], 0.01)
        sizes += [len(names(call)) for call in desks.sent if call not in before]
    assert sizes == [10, 10, 10, 10, 10, 10, 6]  # after four that came when there was no queue


def test_no_more_than_a_fair_share_of_the_queue_travels_together():
    desks = Desks("a", "b")
    for seat in desks.seats:
        quick(desks, seat, 1e-5)
    calls = queued(desks, 10)
    assert max(len(call.tasks) for call in calls) <= 5
    assert sorted(seat.bytes for seat in desks.seats) == [40, 60]  # what is left over goes to who may still get a call


def test_together_is_bounded_by_number_and_bytes():
    for size, most in (10, TOGETHER), (TOGETHER_BYTES // 4, 4), (TOGETHER_BYTES, 1), (TOGETHER_BYTES + 1, 1):
        desks = Desks("a")
        quick(desks, desks.seats[0], 1e-7)
        calls = queued(desks, 2000, size=size)
        assert max(len(call.tasks) for call in calls) == most


def test_what_is_not_known_yet_travels_alone():
    desks = Desks("a")
    desks.ask(*map(str, range(50)))
    desks.answer(desks.sent[0], seconds=3.0)
    assert desks.taken() == [("a", ["1"])]


def test_a_quick_engine_has_objects_in_advance_and_one_that_becomes_slow_has_not():
    desks = Desks("a", slots=3)
    seat = desks.seats[0]
    quick(desks, seat, 0.001)
    assert seat.together() > 1
    assert seat.free() > 3
    for _ in range(20):
        seat.note(1.0)
    assert (seat.together(), seat.free()) == (1, 3)


def test_a_host_that_is_gone_costs_nothing_and_blames_nobody():
    desks = Desks("a")
    for _ in range(5):
        seat = desks.seat("b")
        desks.ask("x") if not desks.sent else None
        for one in (seat, *desks.seats):
            desks.crash(one, crashed=False)
        desks.seats = [desks.seat("a")]
        assert desks.taken() == [("a", ["x"])]
    desks.finish()
    assert desks.said == {("x", "one"): ("clean", None)}


def test_what_was_there_goes_elsewhere_before_the_queue_and_in_its_order():
    desks = Desks("a", slots=3)
    desks.ask(*"12345")
    desks.crash(desks.seats[0], crashed=False)
    desks.seat("b")
    desks.finish()
    assert [name for name, _ in desks.said] == list("12345")


def test_suspects_are_tried_in_their_order():
    desks = Desks("a", slots=3)
    desks.ask(*"1234")
    desks.crash(desks.seats[0])
    desks.seat("a")
    desks.finish()
    assert [name for name, _ in desks.said] == list("1234")


def test_what_was_with_a_host_that_is_gone_has_its_time_to_find_another():
    desks = Desks("a")
    desks.ask("1")
    desks.now += 2 * PATIENCE
    desks.crash(desks.seats[0], crashed=False)
    desks.dispatch.expire(desks.now)
    assert desks.said == {}
    desks.dispatch.expire(desks.now + PATIENCE + 1)
    assert desks.said == {("1", "one"): NO_HOST}


def test_an_answer_that_comes_too_late_is_not_heard():
    desks = Desks("a")
    desks.ask("1")
    (call,) = desks.sent
    desks.crash(desks.seats[0], crashed=False)
    desks.dispatch.answered(call.number, [Verdict("one", "malicious")], desks.now)
    desks.dispatch.answered(99, [Verdict("one", "malicious")], desks.now)
    assert desks.said == {}
    desks.seat("b")
    desks.finish()
    assert desks.said == {("1", "one"): ("clean", None)}


def test_a_call_that_came_to_nothing_is_made_again():
    desks = Desks("a")
    desks.ask("1", "2")
    call = desks.sent.pop()
    desks.dispatch.broken(call.number, desks.now)
    desks.dispatch.broken(call.number, desks.now)
    assert desks.taken() == [("a", ["1"])]
    desks.finish()
    assert len(desks.said) == 2


def crash_all(desks, seat, killers):
    """A seat with a killer crashes and comes again, until nothing moves any more."""
    for _ in range(1000):
        if not desks.sent:
            return
        desks.now += 0.1
        call = desks.sent[0]
        if killers & {name for one in call.seat.calls.values() for name in names(one)}:
            desks.crash(call.seat)
            desks.seat(call.seat.post.host, slots=call.seat.post.slots)
        else:
            desks.answer(call, seconds=0.001)
    raise AssertionError("no end")


@pytest.mark.parametrize("slots", [1, 3])
@pytest.mark.parametrize("hosts", ["a", "ab"])
def test_what_kills_its_engine_is_found_and_nothing_else_is_blamed(hosts, slots):
    desks = Desks(*hosts, slots=slots)
    for seat in desks.seats:
        quick(desks, seat)
    everything = [f"n{number}" for number in range(100)]
    killers = {"n0", "n41", "n42", "n99"}
    desks.ask(*everything)
    crash_all(desks, desks.seats[0], killers)
    assert {name for (name, _), told in desks.said.items() if told == KILLED} == killers
    assert {name for (name, _), told in desks.said.items() if told == ("clean", None)} == set(everything) - killers


def test_a_killer_alone_is_told_after_two_tries():
    desks = Desks("a")
    desks.ask("x")
    desks.crash(desks.seats[0])
    second = desks.seat("a")
    assert desks.said == {}
    assert desks.taken() == [("a", ["x"])]
    desks.crash(second)
    assert desks.said == {("x", "one"): KILLED}


def test_one_suspect_at_a_time_with_nothing_beside_it():
    desks = Desks("a", "b", slots=3)
    desks.ask(*"123456")
    desks.ask("7", "8")
    lost, other = desks.seats
    on_other = [call for call in desks.sent if call.seat is other]
    desks.crash(lost)
    assert desks.sent == on_other  # b is kept free of new work until it is idle
    for call in on_other:
        assert len(desks.sent) == len(on_other)
        desks.answer(call)
        on_other = on_other[1:]
    for _ in range(3):
        (call,) = desks.sent
        assert len(call.tasks) == 1
        desks.answer(call)
    assert sorted(name for call in desks.sent for name in names(call)) == ["7", "8"]


def test_other_hosts_go_on_while_a_suspect_is_tried():
    desks = Desks("a", "b", "c")
    desks.ask("1", "2", "3")
    desks.answer(desks.sent[2])
    desks.crash(desks.seats[0])
    desks.ask("4", "5")
    assert sorted(desks.taken()) == [("b", ["2"]), ("c", ["1"])]  # the suspect is alone there
    desks.answer(desks.sent[0])
    assert ("b", ["4"]) in desks.taken()


def test_somebody_who_kills_the_process_once_blames_nobody():
    for slots in (1, 2):
        desks = Desks("a", slots=slots)
        desks.ask("1", "2", "3")
        desks.crash(desks.seats[0])
        desks.seat("a", slots=slots)
        desks.finish()
        assert set(desks.said.values()) == {("clean", None)}
        assert len(desks.said) == 3


def test_a_crash_that_was_shared_is_no_try():
    desks = Desks("a", slots=2)
    desks.ask("1", "2")
    desks.crash(desks.seats[0])
    desks.crash(desks.seat("a"))  # all alone with the first one: its first try
    desks.seat("a")
    desks.finish()
    assert desks.said == {(name, "one"): ("clean", None) for name in "12"}


def test_a_silent_host_gets_nothing_and_what_it_had_goes_elsewhere():
    desks = Desks("a", "b")
    desks.ask("1", "2", "3")
    silent = desks.seats[0]
    (given_up,) = silent.calls.values()
    desks.dispatch.pause(silent, desks.now)
    desks.sent.remove(given_up)
    assert (silent.bytes, silent.calls) == (0, {})
    desks.answer(desks.sent[0])
    assert desks.taken() == [("b", ["1"])]  # before the queue
    desks.dispatch.answered(given_up.number, [Verdict("one", "malicious")], desks.now)  # it was not so silent
    assert ("1", "one") not in desks.said
    desks.dispatch.resume(silent, desks.now)
    assert desks.taken() == [("b", ["1"]), ("a", ["3"])]
    desks.finish()
    assert len(desks.said) == 3


def test_when_all_are_silent_what_is_there_may_still_be_answered():
    desks = Desks("a", "b")
    desks.ask("1", "2", "3")
    for seat in desks.seats:
        desks.dispatch.pause(seat, desks.now)
    assert [host for host, _ in desks.taken()][-1] == "b"
    assert desks.seats[1].calls
    desks.answer(next(call for call in desks.sent if call.seat is desks.seats[1]))
    assert list(desks.said) == [("2", "one")]


def test_a_host_that_owes_an_answer_too_long_is_late():
    desks = Desks("a", "b", timeout=5.0)
    desks.ask("1", "2")
    desks.now += 4
    desks.answer(desks.sent[1])
    desks.now += 1 + WIRE
    assert desks.dispatch.late(desks.now) == []
    assert desks.dispatch.late(desks.now + 0.1) == [desks.seats[0]]


def test_what_stops_its_engine_is_found_and_nothing_else_is_blamed():
    desks = Desks("a", slots=3)
    desks.ask("1", "stops", "3", "4")
    for _ in range(20):
        if not desks.sent:
            break
        if "stops" in [name for call in desks.sent for name in names(call)]:
            desks.now = desks.sent[0].deadline() + 0.1
            (seat,) = desks.dispatch.late(desks.now)
            desks.crash(seat, crashed=False)
            desks.seat("a", slots=3)
        else:
            desks.answer(desks.sent[0])
    assert desks.said.pop(("stops", "one")) == STOPPED
    assert desks.said == {(name, "one"): ("clean", None) for name in "134"}


def test_a_suspect_stays_one_when_its_host_is_silent():
    desks = Desks("a", "b", slots=2)
    desks.ask("1", "2", "3")
    first, second = desks.seats
    for seat in desks.seats:
        quick(desks, seat)
    desks.crash(first)  # with two objects; b is still busy with another
    desks.answer(next(call for call in desks.sent if call.seat is second))
    assert len(second.calls) == 1
    third = desks.seat("c")
    desks.ask("4", "5")
    desks.sent = [call for call in desks.sent if call.seat is not second]
    desks.dispatch.pause(second, desks.now)
    desks.answer(next(call for call in desks.sent if call.seat is third))
    assert [len(call.tasks) for call in third.calls.values()] == [1]
    assert third.alone


def test_a_busy_host_that_was_to_try_a_suspect_and_falls_silent_does_not_hold_it_up():
    desks = Desks("a", "b")
    desks.ask("1", "2")
    first, second = desks.seats
    desks.crash(first)
    assert second.alone  # reserved
    desks.dispatch.pause(second, desks.now)
    desks.seat("c")
    assert ("c", ["1"]) in desks.taken()


def test_a_call_of_many_and_what_is_behind_it_may_take_longer():
    desks = Desks("a", timeout=5.0)
    quick(desks, desks.seats[0])
    first, second = queued(desks, 1000)[:2]
    assert len(first.tasks) > 5
    assert first.deadline() >= desks.now + 5.0 * len(first.tasks) + WIRE
    assert second.deadline() >= desks.now + 5.0 * (len(first.tasks) + len(second.tasks)) + WIRE


def test_an_object_that_finds_no_host_is_told_so():
    desks = Desks("a")
    desks.ask("1", "2", "3")
    desks.crash(desks.seats[0])
    desks.now += PATIENCE - 1
    desks.dispatch.expire(desks.now)
    assert desks.said == {}
    desks.now += 2
    desks.dispatch.expire(desks.now)
    assert desks.said == {(name, "one"): NO_HOST for name in "123"}


def test_while_a_host_is_there_nothing_expires():
    desks = Desks("a")
    desks.ask("1", "2")
    desks.now += 10 * PATIENCE
    desks.dispatch.expire(desks.now)
    assert desks.said == {}


def test_an_engine_that_no_host_can_make_says_so_at_once():
    desks = Desks("a")
    desks.seat("a", engine="two", slots=2)
    desks.ask("1", "2")
    two = desks.dispatch.desk("two")
    desks.crash(two.seats[0])
    desks.dispatch.refuse("two", "no license")
    desks.ask("3")
    assert {key: told for key, told in desks.said.items() if key[1] == "two"} == {
        (name, "two"): ("error", "no license") for name in "123"
    }
    desks.seat("b", engine="two")
    desks.ask("4")
    desks.finish()
    assert desks.said["4", "two"] == ("clean", None)
    desks.crash(two.seats[0], crashed=False)  # it can be made now, so the next one is waited for
    desks.ask("5")
    assert ("5", "two") not in desks.said


class Cluster(RuleBasedStateMachine):
    """Objects, answers, crashes, hosts that come, go and fall silent, in any order."""

    def __init__(self):
        super().__init__()
        self.now = 0.0
        self.dispatch = Dispatch(self._send, self._say)
        self.gone = []  # numbers of calls that were given up
        self.jobs = []
        self.killers = set()  # objects that kill any engine
        self.lonely = Counter()  # crashes of a task that was all there was
        self.said = {}
        for name in ("one", "two"):
            self.dispatch.desk(name)

    def _send(self, call):
        seat = call.seat
        assert not seat.paused
        assert seat in self.dispatch.desks[call.tasks[0].number].seats
        assert seat.alone or seat.free() >= 0
        assert len(call.tasks) == 1 or call.bytes <= TOGETHER_BYTES
        assert 1 <= len(call.tasks) <= TOGETHER
        if any(task.suspect for task in call.tasks):
            assert (len(seat.calls), len(call.tasks)) == (1, 1)

    def _say(self, task, verdict):
        key = task.job.target.id, task.number
        assert key not in self.said
        self.said[key] = verdict
        task.job.say(task.number, verdict)
        if (verdict.status, verdict.reason) in (KILLED, STOPPED):
            assert self.lonely[key] == CRASHES

    def seats(self, when=lambda seat: True):
        return [seat for seat in self.dispatch.seats() if when(seat)]

    def calls(self):
        return [call for seat in self.seats() for call in seat.calls.values()]

    def deadly(self, seat):
        return any(task.job.target.id in self.killers for call in seat.calls.values() for task in call.tasks)

    @rule(data=st.data(), count=st.sampled_from([1, 2, 40]), deadly=st.booleans())
    def objects(self, data, count, deadly):
        size = data.draw(st.sampled_from([0, 100, TOGETHER_BYTES // 3, TOGETHER_BYTES + 1]))
        for at in range(count):
            target = replace(BASE, id=f"n{len(self.jobs)}", content=Content(size))
            if deadly and at == count // 2:
                self.killers.add(target.id)
            self.jobs.append(Job(target, 0, 0, len(self.dispatch.desks)))
            self.dispatch.ask(self.jobs[-1], self.now)

    @rule(engine=st.sampled_from(["one", "two", "three"]), host=st.sampled_from("abc"), slots=st.integers(1, 3))
    def join(self, engine, host, slots):
        self.dispatch.seat(Post(engine, host, slots, 1.0), self.now)

    @precondition(lambda self: any(not self.deadly(call.seat) for call in self.calls()))
    @rule(data=st.data(), seconds=st.sampled_from([0.0, 1e-4, 0.02, 1.0]))
    def answer(self, data, seconds):
        call = data.draw(st.sampled_from([call for call in self.calls() if not self.deadly(call.seat)]))
        self._answer(call, seconds)

    def _answer(self, call, seconds):
        told = [Verdict(call.seat.post.engine, "clean", seconds=seconds) for _ in call.tasks]
        self.dispatch.answered(call.number, told, self.now)
        self.gone.append((call.number, told))

    @precondition(lambda self: self.gone)
    @rule(data=st.data())
    def answer_again(self, data):
        number, told = data.draw(st.sampled_from(self.gone))
        before = len(self.said)
        self.dispatch.answered(number, told, self.now)
        self.dispatch.broken(number, self.now)
        assert len(self.said) == before

    @precondition(lambda self: self.calls())
    @rule(data=st.data())
    def broken(self, data):
        self.dispatch.broken(data.draw(st.sampled_from(self.calls())).number, self.now)

    @precondition(lambda self: self.seats())
    @rule(data=st.data())
    def crash(self, data):
        """By an object or by somebody."""
        self._end(data.draw(st.sampled_from(self.seats())), crashed=True)

    def _end(self, seat, crashed):
        tasks = [task for call in seat.calls.values() for task in call.tasks]
        if len(tasks) == 1:
            self.lonely[tasks[0].job.target.id, tasks[0].number] += 1
        self.dispatch.unseat(seat, self.now, crashed)

    @precondition(lambda self: self.seats())
    @rule(data=st.data())
    def leave(self, data):
        self.dispatch.unseat(data.draw(st.sampled_from(self.seats())), self.now, crashed=False)

    @precondition(lambda self: self.seats(lambda seat: not seat.paused))
    @rule(data=st.data())
    def pause(self, data):
        seat = data.draw(st.sampled_from(self.seats(lambda one: not one.paused)))
        numbers = [(call.number, [Verdict("one", "clean")] * len(call.tasks)) for call in seat.calls.values()]
        self.dispatch.pause(seat, self.now)
        self.gone += [pair for pair in numbers if pair[0] not in seat.calls]

    @precondition(lambda self: self.seats(lambda seat: seat.paused))
    @rule(data=st.data())
    def resume(self, data):
        self.dispatch.resume(data.draw(st.sampled_from(self.seats(lambda seat: seat.paused))), self.now)

    @precondition(lambda self: any(not desk.seats for desk in self.dispatch.desks))
    @rule(data=st.data())
    def refuse(self, data):
        desk = data.draw(st.sampled_from([desk for desk in self.dispatch.desks if not desk.seats]))
        self.dispatch.refuse(desk.name, "no license")
        assert not desk.waiting
        assert not desk.suspects

    @rule(seconds=st.sampled_from([0.1, 2 * WIRE, 2 * PATIENCE]))
    def later(self, seconds):
        self.now += seconds
        for seat in self.dispatch.late(self.now):
            assert any(self.now > call.deadline() for call in seat.calls.values())
            self._end(seat, crashed=False)
        self.dispatch.expire(self.now)

    @invariant()
    def each_task_is_in_one_place(self):
        places = Counter(self.said)
        for key in self.said:
            places[key] = 1
        for desk in self.dispatch.desks:
            queues = [desk.waiting, desk.suspects, *(call.tasks for seat in desk.seats for call in seat.calls.values())]
            places.update((task.job.target.id, desk.number) for queue in queues for task in queue)
        assert max(places.values(), default=1) == 1
        assert set(places) == {(job.target.id, at) for job in self.jobs for at in range(len_of(job))}

    @invariant()
    def bytes_and_calls_are_counted_right(self):
        assert {call.number: call for call in self.calls()} == self.dispatch._calls
        for seat in self.seats():
            sizes = [task.job.target.size for call in seat.calls.values() for task in call.tasks]
            assert seat.bytes == sum(sizes)
            assert not seat.alone or seat.calls

    @invariant()
    def nothing_waits_that_could_go(self):
        for desk in self.dispatch.desks:
            share = self.dispatch._share(desk)
            assert not desk.waiting or not any(seat.takes(share) for seat in desk.seats)
            assert not desk.waiting or all(seat.calls or seat.paused for seat in desk.seats)
            if desk.suspects and any(not seat.paused for seat in desk.seats):
                assert any(seat.alone and not seat.paused for seat in desk.seats)

    def teardown(self):
        """With one healthy host, everything is said; nothing is blamed that did not crash twice, all alone."""
        for desk in self.dispatch.desks:
            self.dispatch.seat(Post(desk.name, "healthy", 1, 1.0), self.now)
        for seat in self.seats(lambda one: one.paused):
            self.dispatch.unseat(seat, self.now, crashed=False)
        for _ in range(20 * len(self.jobs) + 20):
            if (call := next(iter(self.calls()), None)) is None:
                break
            if self.deadly(call.seat):
                self._end(call.seat, crashed=True)
                self.dispatch.seat(call.seat.post, self.now)
            else:
                self._answer(call, 0.001)
            self.each_task_is_in_one_place()
        assert set(self.said) == {(job.target.id, at) for job in self.jobs for at in range(len_of(job))}
        for (name, _), verdict in self.said.items():
            assert name not in self.killers or verdict.status in ("error", "timeout")


def len_of(job):
    """How many engines it goes to."""
    return len(job.verdicts) + len(job.waiting)


TestCluster = Cluster.TestCase
TestCluster.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
