"""The thread that ships to one receiver: it outlives whatever the receiver does."""

import json
import time

import pytest
from spooled import record

from manager import delivery
from manager.bulk import Later, Outcome
from manager.shipper import Receiver, Shipper, status
from manager.spool import Spool


class Target:
    """Does what it is told once, then takes everything."""

    def __init__(self, *first):
        self.first = list(first)
        self.taken = []
        self.closed = 0

    def send(self, records):
        if self.first:
            raise self.first.pop(0)
        self.taken += records
        return Outcome(stored=len(records))

    def close(self):
        self.closed += 1


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(delivery, "LONGEST", 0.01)


def shipped(folder, target, count):
    """The shipper, when it has got so many documents through."""
    told = []
    shipper = Shipper(Receiver("it", lambda: target), folder, told.append)
    end = time.monotonic() + 10
    while len(target.taken) < count and time.monotonic() < end:
        time.sleep(0.01)
    shipper.close()
    return shipper, told


@pytest.mark.parametrize("trouble", [Later("gone"), OSError(5, "Input/output error"), ZeroDivisionError("a mistake")])
def test_whatever_a_receiver_does_it_goes_on(tmp_path, trouble):
    records = [record(number) for number in range(5)]
    Spool(tmp_path, 1 << 20).append(records)
    target = Target(trouble)
    shipper, _ = shipped(tmp_path, target, 5)
    assert target.taken == records
    assert (shipper.progress.stored, shipper.progress.trouble, target.closed) == (5, "", 1)
    assert json.loads(status(tmp_path, "it").read_bytes())["stored"] == 5


def test_what_fell_off_is_told_once(tmp_path):
    spool = Spool(tmp_path, 1 << 14)
    spool.append([record(0)])
    target = Target()
    shipped(tmp_path, target, 1)
    sent = [record(number) for number in range(1, 3000)]
    for one in sent:
        spool.append([one])
    shipper, told = shipped(tmp_path, target, 2)
    assert shipper.progress.lost > 0
    assert len(told) == 1
    assert f"{shipper.progress.lost} documents fell off" in told[0]
    assert len(target.taken) - 1 + shipper.progress.lost == len(sent)


def test_of_two_one_ships_and_the_other_takes_over(tmp_path):
    spool = Spool(tmp_path, 1 << 20)
    first, second = Target(), Target()
    one = Shipper(Receiver("it", lambda: first), tmp_path, print)
    spool.append([record(1)])
    end = time.monotonic() + 10
    while not first.taken and time.monotonic() < end:
        time.sleep(0.01)
    two = Shipper(Receiver("it", lambda: second), tmp_path, print)
    one.close()
    spool.append([record(2)])
    while not second.taken and time.monotonic() < end:
        time.sleep(0.01)
    two.close()
    assert (first.taken, second.taken) == ([record(1)], [record(2)])
