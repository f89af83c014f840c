"""What is told and kept each minute. The clock is the test's: a minute takes a minute."""

import pytest
from nouns import BEGAN, FLOW, NS, an_object, another, flow_end, said, scanned

from manager.channel import Said
from manager.coverage import MINUTE, Tally
from manager.events import Documents
from manager.ledger import Ledger
from manager.loss import LossWatch
from manager.minutes import Kept, Minutes
from manager.observer import Observer
from manager.periods import Period, counted, of_folder

LIVE = another(FLOW, capture="eth1")


class Clock:
    """In the place of workers: what they have counted by now."""

    def __init__(self):
        self.said = Said(now=BEGAN)

    def now(self):
        return self.said.now

    def goes_on(self, seconds, packets=0, lost=0):
        before = self.said
        self.said = Said(packets=before.packets + packets, lost=before.lost + lost, now=before.now + seconds * NS)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def minutes(clock, tmp_path):
    kept = Kept("eth1", Ledger(tmp_path / "coverage", 1 << 20), LossWatch(2, 0.001))
    return Minutes(Documents(Observer("sensor-7", "tap"), live=True), clock, dict, kept)


def kept(tmp_path, *by):
    return counted(of_folder(tmp_path / "coverage", Period()), by)


def datasets(documents):
    return [one["event"]["dataset"] for one in documents]


def test_nothing_is_told_within_a_minute(minutes, clock):
    clock.goes_on(30)
    assert list(minutes.due()) == []


def test_what_a_minute_brought_is_kept_before_it_is_settled(minutes, clock, tmp_path):
    minutes.take(flow_end(LIVE))
    clock.goes_on(70)
    assert datasets(minutes.due()) == ["tapscan.sensor"]  # objects may still come: no row of it is told
    assert kept(tmp_path, "service", "interface") == {("http", "eth1"): Tally(flows=1, packets=11, bytes=2100)}


def test_what_comes_late_is_told_in_one_row_and_kept_in_two(minutes, clock, tmp_path):
    minutes.take(flow_end(LIVE))
    clock.goes_on(70)
    list(minutes.due())
    late = an_object(b"12345", flow=LIVE)
    minutes.take(scanned(late, said("yara", "clean")))
    clock.goes_on(180)
    (row,) = [one for one in minutes.due() if one["event"]["dataset"] == "tapscan.coverage"]
    assert (row["tapscan"]["coverage"]["flows"], row["tapscan"]["coverage"]["scanned_objects"]) == (1, 1)
    assert len(list(of_folder(tmp_path / "coverage", Period()))) == 2
    assert kept(tmp_path) == {(): Tally(**{k: v for k, v in row["tapscan"]["coverage"].items() if k != "service"})}


def test_all_that_is_told_is_kept(minutes, clock, tmp_path):
    told = []
    for number in range(6):
        minutes.take(flow_end(LIVE, time=clock.now(), missing=(3, 0), lost=(number % 2, 0)))
        clock.goes_on(45, packets=10, lost=number)
        told += minutes.due()
    told += minutes.rest()
    whole = Tally()
    for one in told:
        if one["event"]["dataset"] == "tapscan.coverage":
            row = {
                name: count for name, count in one["tapscan"]["coverage"].items() if name not in ("service", "reason")
            }
            whole.add(Tally(**row))
    assert kept(tmp_path) == {(): whole}
    assert (whole.flows, whole.missing_bytes, whole.lost_bytes, whole.packets) == (6, 18, 3, 66 + 15)
    figures = [one["tapscan"]["sensor"] for one in told if one["event"]["dataset"] == "tapscan.sensor"]
    for name, count in (("lost_packets", 15), ("missing_bytes", 18), ("lost_bytes", 3), ("packets", 60)):
        assert sum(one[name] for one in figures) == count, name


def test_packets_are_dropped_in_the_minute_that_is_over(minutes, clock, tmp_path):
    clock.goes_on(61, packets=100, lost=5)
    list(minutes.due())
    (row,) = of_folder(tmp_path / "coverage", Period())
    assert (row.minute, row.reason, row.tally) == (BEGAN // MINUTE, "kernel_drop", Tally(packets=5))


def test_loss_is_an_alarm_once_and_again_after_it_was_gone(minutes, clock, caplog):
    alarms = []
    for lost in (5, 5, 5, 0, 5, 5):
        clock.goes_on(60, packets=100, lost=lost)
        alarms.append(datasets(minutes.due()).count("tapscan.health"))
    assert alarms == [0, 1, 0, 0, 0, 1]
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]


def test_bytes_that_the_receiver_had_are_loss_too(minutes, clock):
    told = []
    for _ in range(3):
        minutes.take(flow_end(LIVE, missing=(9, 0), lost=(9, 0)))
        clock.goes_on(60, packets=10)
        told += minutes.due()
    (alarm,) = [one for one in told if one["event"]["dataset"] == "tapscan.health"]
    assert "acknowledged bytes never came by" in alarm["message"]


def test_bytes_that_got_lost_before_are_none_of_ours(minutes, clock):
    told = []
    for _ in range(3):
        minutes.take(flow_end(LIVE, missing=(900, 0)))
        clock.goes_on(60, packets=10)
        told += minutes.due()
    assert "tapscan.health" not in datasets(told)


@pytest.mark.parametrize("jump", [1_000_000, -1_000_000])
def test_a_clock_that_is_set_ends_nothing(minutes, clock, jump):
    told = []
    for by in (1, 1, jump, 1, 1):
        clock.goes_on(by * 60, packets=10)
        told += minutes.due()
    figures = [one["tapscan"]["sensor"]["packets"] for one in told if one["event"]["dataset"] == "tapscan.sensor"]
    assert figures == [10] * 5
