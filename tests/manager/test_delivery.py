"""Documents get to one receiver, whatever it answers. The receiver is played; the real one has `test_shipping`."""

import logging
from threading import Event

import pytest

from manager import delivery as room
from manager.bulk import Dead, Later, Outcome, Refused, TooLarge
from manager.dead_letters import DeadLetters, record
from manager.delivery import Delivery

RECORDS = [record("logs-a-b", str(number), b'{"event":{"id":"%d"}}' % number) for number in range(8)]


class Receiver:
    """Answers as it is told, then takes everything."""

    def __init__(self, *answers, most=1000):
        self.answers = list(answers)
        self.requests = []
        self.taken = []
        self._most = most

    def send(self, records):
        self.requests.append(len(records))
        if len(records) > self._most:
            raise TooLarge
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, Exception):
            raise answer
        outcome = answer(records) if answer else Outcome(stored=len(records))
        self.taken += [
            one for one in records if one not in outcome.again and one not in [x.record for x in outcome.dead]
        ]
        return outcome


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    for name in ("SHORTEST", "LONGEST", "REFUSED"):
        monkeypatch.setattr(room, name, 0.001)


@pytest.fixture
def letters(tmp_path):
    return DeadLetters(tmp_path / "dead.jsonl")


def delivered(receiver, letters, records=RECORDS, ending=None):
    told = []
    made = Delivery("it", receiver, letters, told.append, ending or Event())
    return made.deliver(records), made.progress, told


def test_what_fails_is_tried_again_for_ever_and_said_once(letters, caplog):
    receiver = Receiver(*[Later("429 too many requests")] * 20)
    with caplog.at_level(logging.WARNING):
        done, progress, told = delivered(receiver, letters)
    assert (done, progress.stored, progress.tries, progress.trouble, told) == (True, 8, 20, "", [])
    assert receiver.taken == RECORDS
    assert [one.levelname for one in caplog.records] == ["ERROR", "WARNING"]


def test_an_outage_of_days_is_survived(letters, monkeypatch):
    monkeypatch.setattr(room, "LONGEST", 0.0)
    receiver = Receiver(*[Later("gone")] * 3000)
    assert delivered(receiver, letters)[0]


def test_only_what_was_not_taken_is_sent_again(letters):
    half = [lambda sent: Outcome(stored=len(sent) // 2, again=list(sent[::2]), why="429")] * 3
    receiver = Receiver(*half)
    assert delivered(receiver, letters)[0]
    assert receiver.requests == [8, 4, 2, 1]
    assert sorted(one.action for one in receiver.taken) == sorted(one.action for one in RECORDS)


def test_a_request_too_large_is_halved_and_grows_again(letters):
    receiver = Receiver(most=2)
    assert delivered(receiver, letters)[0]
    assert receiver.taken == RECORDS
    assert receiver.requests[:4] == [8, 4, 2, 3]


def test_requests_that_were_too_large_once_are_seldom_so_again(letters):
    """As behind a proxy that takes 1 MB."""
    receiver = Receiver(most=320)
    assert delivered(receiver, letters, RECORDS * 2_000)[0]
    large = sum(count > 320 for count in receiver.requests)
    assert 2 < large < len(receiver.requests) / 4
    assert sum(receiver.requests) < 16_000 * 1.4


def test_it_waits_longer_only_where_nothing_is_taken(letters, monkeypatch):
    waits = []
    monkeypatch.setattr(Delivery, "pause", lambda self, tries, why: waits.append(tries))
    some = [lambda sent: Outcome(stored=1, again=list(sent[1:]), why="429")] * 3
    none = [lambda sent: Outcome(again=list(sent), why="429")] * 2
    assert delivered(Receiver(*none, *some, *none), letters)[0]
    assert waits == [1, 2, 1, 1, 1, 2, 3]


def test_one_document_too_large_is_a_dead_letter(letters):
    receiver = Receiver(most=0)
    done, progress, _ = delivered(receiver, letters, RECORDS[:2])
    assert (done, progress.dead, progress.stored) == (True, 2, 0)
    assert [letter["status"] for letter in letters] == [413, 413]


def test_dead_letters_say_what_and_why(letters):
    receiver = Receiver(lambda sent: Outcome(stored=7, dead=[Dead(sent[3], 400, "no number")]))
    assert delivered(receiver, letters)[1].dead == 1
    (letter,) = letters
    assert letter["reason"] == "no number"
    assert (letter["index"], letter["id"], letter["document"]) == ("logs-a-b", "3", {"event": {"id": "3"}})
    assert letters.take() == [record("logs-a-b", "3", b'{"event": {"id": "3"}}')]


def test_who_may_not_write_says_so_once_and_looks_again(letters):
    receiver = Receiver(*[Refused("403 no")] * 5)
    done, progress, told = delivered(receiver, letters)
    assert (done, progress.refused, progress.trouble, len(told)) == (True, False, "", 1)
    assert "403 no" in told[0]


def test_it_ends_in_the_middle(letters):
    ending = Event()

    def answer(sent):
        ending.set()
        return Outcome(again=list(sent), why="503")

    done, progress, _ = delivered(Receiver(answer), letters, ending=ending)
    assert (done, progress.stored) == (False, 0)


def test_dead_letters_are_bounded_and_outlive_a_cut(tmp_path, caplog):
    letters = DeadLetters(tmp_path / "dead.jsonl", most=4000)
    for number in range(100):
        letters.add([Dead(record("logs-a-b", str(number), b'{"a":1}'), 400, "why")])
    ids = [int(letter["id"]) for letter in letters]
    assert ids == list(range(ids[0], 100))
    assert 20 < len(ids) < 80
    with (tmp_path / "dead.jsonl").open("ab") as file:
        file.write(b'{"time":"2026')
    assert [int(letter["id"]) for letter in letters] == ids
    assert "cut off" in caplog.text
    letters.clear()
    assert list(letters) == []


def test_a_letter_after_one_that_was_cut_off_is_read(tmp_path):
    letters = DeadLetters(tmp_path / "dead.jsonl")
    (tmp_path / "dead.jsonl").write_bytes(b'{"time":"2026')
    letters.add([Dead(RECORDS[0], 400, "why")])
    assert [letter["id"] for letter in letters] == ["0"]
