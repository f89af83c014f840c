"""What waits for answers: the oldest first, a bounded number, and in the bound of all flows together."""

from __future__ import annotations

from session import origin

from reassembly.partial import CUT
from reassembly.waiting import COST, FREE, Waiting


def test_the_oldest_is_taken_first():
    waiting = Waiting(origin())
    assert not waiting
    for one in "abc":
        waiting.add(one, 1)
    waiting.change("d", 1)
    assert (waiting.first, waiting.last, len(waiting)) == ("a", "d", 3)
    assert [waiting.take() for _ in range(3)] == ["a", "b", "d"]
    assert not waiting


def test_over_the_number_the_oldest_is_forgotten():
    waiting = Waiting(origin(pending_requests=2))
    for one in "abc":
        waiting.add(one, 1)
    assert [waiting.take(), waiting.take()] == ["b", "c"]


def test_a_few_need_no_room():
    where = origin(total_partial=0)
    waiting = Waiting(where)
    waiting.add("a", FREE - COST)
    assert where.memory.partial == 0
    assert not where.findings


def test_many_count_until_they_are_taken():
    where = origin()
    waiting = Waiting(where)
    for number in range(100):
        waiting.add(number, 10)
    assert where.memory.partial == 100 * (COST + 10)
    for _ in range(99):
        waiting.take()
    assert where.memory.partial == 0
    for number in range(100):
        waiting.add(number, 10)
    waiting.clear()
    assert where.memory.partial == 0


def test_without_room_the_last_stays():
    where = origin(total_partial=0)
    waiting = Waiting(where)
    for number in range(100):
        waiting.add(number, 0)
    assert waiting.last == 99
    assert len(waiting) * COST <= FREE
    waiting.add("large", 2 * FREE)
    assert (waiting.first, len(waiting)) == ("large", 1)
    assert list(where.findings) == [CUT]
