"""The hosts of a cluster without one: what is done when they come, say nothing, fall silent, are drained and go."""

from __future__ import annotations

import logging
from collections import Counter

import pytest
from samples import object_of

from engines.dispatch import Dispatch
from engines.lane import Job
from engines.roster import LONGEST_PAUSE, SILENCE, Roster
from engines.scanner import Facts, versions
from engines.verdicts import Verdict


class Cluster:
    """Hosts with engines, as far as they are told to answer."""

    def __init__(self):
        self.now = 100.0
        self.asked, self.started, self.ended, self.pinged, self.sent, self.said = [], [], [], [], [], []
        self.dispatch = Dispatch(self.sent.append, lambda task, verdict: self.said.append(verdict))
        self.roster = Roster(self, self.dispatch, Counter())

    def meet(self, host):
        self.asked.append(host)

    def start(self, place):
        self.started.append(place)
        return object()

    def end(self, place):
        self.ended.append(place)

    def ping(self, place):
        self.pinged.append(place)

    def seen(self, *nodes, drained=(), later=0.0):
        self.now += later
        self.roster.seen({node: f"10.0.0.{node}" for node in nodes}, set(drained), self.now)
        self.roster.tick(self.now)

    def introduce(self, *engines):
        while self.asked:
            host = self.asked.pop()
            self.roster.met(host, Facts(host.node, versions(), engines))

    def come_up(self):
        while self.started:
            self.roster.up(self.started.pop(), self.now, 1, 5.0, "1", "7")

    def pong(self, but=()):
        while self.pinged:
            place = self.pinged.pop()
            if place.engine not in but:
                place.asked, place.host.heard = False, self.now

    def ask(self, name):
        self.dispatch.ask(Job(object_of(b"x", name), 0, 0, len(self.dispatch.desks)), self.now)

    def answer(self):
        call = self.sent.pop()
        self.dispatch.answered(call.number, [Verdict("one", "clean", seconds=1.0)] * len(call.tasks), self.now)
        self.roster.tick(self.now)


@pytest.fixture
def cluster():
    made = Cluster()
    made.seen("a", "b")
    made.introduce("one", "two")
    made.come_up()
    return made


def seats(cluster):
    return {(seat.post.host, seat.post.engine) for seat in cluster.dispatch.seats()}


ALL = {(host, engine) for host in "ab" for engine in ("one", "two")}


def test_hosts_are_met_once_and_their_engines_started(cluster):
    assert seats(cluster) == ALL
    assert cluster.roster.settled.is_set()
    cluster.seen("a", "b", later=1)
    assert (cluster.asked, cluster.started) == ([], [])


def test_a_host_of_which_all_is_said_may_be_unusable(caplog):
    cluster = Cluster()
    cluster.seen("a", "b")
    first, second = cluster.asked
    cluster.roster.met(first, Facts("a", ("9", "9", "9"), ("one",)))
    assert not cluster.roster.settled.is_set()
    cluster.roster.met(second, Facts("b", versions(), ("one",)))
    assert not cluster.roster.settled.is_set()
    (place,) = cluster.started
    cluster.roster.unmade(place, cluster.now, "Traceback\nno license", for_good=True)
    assert cluster.roster.settled.is_set()
    assert "make them the same" in first.refused
    cluster.ask("n")
    assert [verdict.reason for verdict in cluster.said] == ["no license"]


def test_a_host_that_cannot_say_who_it_is_is_asked_again(caplog):
    cluster = Cluster()
    cluster.seen("a")
    for _ in range(3):
        cluster.roster.unmet(cluster.asked.pop(), cluster.now, "no answer")
        cluster.seen("a", later=LONGEST_PAUSE - 1)
        assert cluster.asked == []
        cluster.seen("a", later=2)
    assert [record.getMessage() for record in caplog.records] == ["host refused: 10.0.0.a: no answer"]
    cluster.introduce("one")
    cluster.come_up()
    assert cluster.roster.hosts["a"].refused is None
    assert seats(cluster) == {("a", "one")}


def test_a_host_that_is_gone_before_it_says_who_it_is_gets_nothing():
    cluster = Cluster()
    cluster.seen("a")
    cluster.seen()
    cluster.introduce("one")
    assert (cluster.roster.places, cluster.started) == ({}, [])


def test_an_engine_that_fell_is_started_again_after_a_growing_pause(cluster):
    place = cluster.roster.places["a", "one"]
    for pause in (0.1, 0.2, 0.4):
        cluster.roster.fell(place, cluster.now, "killed", crashed=False)
        assert ("a", "one") not in seats(cluster)
        cluster.seen("a", "b", later=pause - 0.05)
        assert cluster.started == []
        cluster.seen("a", "b", later=0.1)
        assert cluster.started == [place]
        cluster.come_up()


def test_an_engine_that_cannot_be_started_is_said_once(cluster, caplog):
    place = cluster.roster.places["a", "one"]
    cluster.roster.fell(place, cluster.now, "killed", crashed=False)
    caplog.clear()
    for why in ("no file", "no file", "no license"):
        cluster.seen("a", "b", later=LONGEST_PAUSE)
        cluster.roster.unmade(cluster.started.pop(), cluster.now, f"Traceback\n{why}", for_good=False)
    said = [record.getMessage() for record in caplog.records]
    assert [text.rpartition(": ")[2] for text in said if "started" in text] == ["no file", "no license"]


def test_a_silent_host_is_left_alone_until_it_answers(cluster, caplog):
    caplog.set_level(logging.WARNING)
    for _ in range(int(SILENCE) + 2):
        cluster.seen("a", "b", later=1)
        cluster.pinged = [place for place in cluster.pinged if place.host.node == "b"]
        cluster.pong()
    assert [seat.post.host for seat in cluster.dispatch.seats() if seat.paused] == ["a", "a"]
    for place in cluster.roster.places.values():
        place.asked, place.host.heard = False, cluster.now
    cluster.seen("a", "b")
    assert not any(seat.paused for seat in cluster.dispatch.seats())
    assert [record.getMessage() for record in caplog.records] == [
        "host 10.0.0.a is silent",
        "host 10.0.0.a answers again",
    ]


def test_nobody_is_silent_while_we_were_away(cluster):
    cluster.seen("a", "b", later=10 * SILENCE)
    assert not any(seat.paused for seat in cluster.dispatch.seats())


def test_one_engine_that_is_stopped_does_not_silence_its_host(cluster):
    for _ in range(3 * int(SILENCE)):
        cluster.seen("a", "b", later=1)
        cluster.pong(but=["one"])
    assert not any(seat.paused for seat in cluster.dispatch.seats())


def test_a_drained_host_finishes_what_it_has_and_then_nothing_runs_there(cluster):
    cluster.ask("n")
    (busy,) = [call for call in cluster.sent if call.seat.post.engine == "one"]
    node = busy.seat.post.host
    cluster.seen("a", "b", drained=[node])
    while cluster.sent:
        cluster.answer()
    assert {host for host, _ in seats(cluster)} == {"a", "b"} - {node}
    assert len(cluster.ended) == 2
    assert cluster.started == []
    assert cluster.roster.counters["cluster.actor_replaced"] == 0
    cluster.seen("a", "b")
    cluster.come_up()
    assert seats(cluster) == ALL


def test_a_host_that_goes_takes_its_engines_with_it(cluster):
    cluster.ask("n")
    cluster.seen("b")
    assert {host for host, _ in seats(cluster)} == {"b"}
    assert all(call.seat.post.host == "b" for call in cluster.sent[-2:])
    assert cluster.roster.counters["cluster.host_gone"] == 1


def test_an_actor_whose_scans_hang_is_replaced_when_it_is_idle(cluster):
    cluster.ask("n")
    call = cluster.sent[-1]
    place = cluster.roster.places[call.seat.post.host, call.seat.post.engine]
    cluster.roster.replace(place, cluster.now)
    cluster.roster.replace(place, cluster.now)
    cluster.seen("a", "b", later=1)
    assert cluster.ended == []
    cluster.answer()
    assert (cluster.ended, cluster.started) == ([place], [place])
    assert cluster.roster.counters["cluster.actor_replaced"] == 1


def test_the_queue_of_an_engine_is_what_no_host_has_yet(cluster):
    for number in range(5):
        cluster.ask(f"n{number}")
    assert [cluster.dispatch.queue(name) for name in ("one", "two")] == [3, 3]


def test_an_actor_that_owes_an_answer_is_ended(cluster):
    cluster.ask("n")
    place = cluster.roster.places[cluster.sent[-1].seat.post.host, cluster.sent[-1].seat.post.engine]
    for _ in range(20):
        cluster.seen("a", "b", later=1)
        cluster.pong()
    assert place in cluster.ended
