"""Periods of the ledger: however rows were split and written, the sums are the same."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manager.coverage import MINUTE, Coverage, Row, Tally
from manager.ledger import Ledger
from manager.periods import KEYS, NOTHING, SCANNED, Fate, Period, counted, moment, of_folder

COUNT = st.integers(0, 1 << 40)
MINUTES = st.integers(28_000_000, 28_000_000 + 3 * 24 * 60)


@st.composite
def tallies(draw):
    size, missing = draw(COUNT), draw(COUNT)
    objects = draw(st.integers(0, 100))
    scanned = draw(st.integers(0, objects))
    return Tally(
        flows=draw(COUNT),
        packets=draw(COUNT),
        bytes=size,
        missing_bytes=missing,
        lost_bytes=draw(st.integers(0, missing)),
        unscanned_bytes=draw(st.integers(0, size)),
        objects=objects,
        object_bytes=objects * 10,
        scanned_objects=scanned,
        scanned_bytes=scanned * 10,
        unscanned_objects=objects - scanned,
        unscanned_object_bytes=(objects - scanned) * 10,
    )


ROW = st.builds(
    Row,
    st.sampled_from(["eth1", "a.pcap"]),
    MINUTES,
    st.sampled_from(["http", "smtp", "tls", "unknown"]),
    st.sampled_from([None, "tls", "gap", "error", "overload", "kernel_drop", "capture_loss"]),
    tallies(),
)
ROWS = st.lists(ROW, max_size=12)
BY = st.lists(st.sampled_from(sorted(KEYS)), max_size=3, unique=True)


def total(rows):
    whole = Tally()
    for row in rows:
        whole.add(row.tally)
    return whole


@given(ROWS, BY)
def test_no_count_is_lost_however_it_is_grouped(rows, by):
    whole = Tally()
    for tally in counted(rows, by).values():
        whole.add(tally)
    assert whole == total(rows)


@given(ROWS, MINUTES)
def test_two_periods_that_touch_are_the_whole(rows, minute):
    before = [row for row in rows if Period(until=minute).holds(row.minute)]
    after = [row for row in rows if Period(since=minute).holds(row.minute)]
    assert len(before) + len(after) == len(rows)
    both = total(before)
    both.add(total(after))
    assert both == total(rows)


@given(ROWS, st.integers(0, 12), BY)
def test_ledgers_merged_are_one(rows, at, by):
    first, second, whole = Coverage(), Coverage(), Coverage()
    first.merge(iter(rows[:at]))
    second.merge(iter(rows[at:]))
    first.merge(second.rows())
    whole.merge(iter(rows))
    assert list(first.rows()) == list(whole.rows())
    assert counted(first.rows(), by) == counted(rows, by)


@given(rows=ROWS, parts=st.integers(1, 4), period=st.builds(Period, st.none() | MINUTES, st.none() | MINUTES))
def test_what_is_written_in_parts_is_read_for_any_period(tmp_path_factory, rows, parts, period):
    folder = tmp_path_factory.mktemp("coverage")
    ledger = Ledger(folder, 1 << 30)
    ledger.write([Row("eth1", 28_000_000, "ssh", "ssh", Tally(flows=1))], 28_000_000 * MINUTE)
    for minute in sorted({row.minute for row in rows}):
        some = [row for row in rows if row.minute == minute]
        for at in range(parts):
            ledger.write(some[at::parts], (minute + 3) * MINUTE)
    found = [row for row in of_folder(folder, period) if row.service != "ssh"]
    assert counted(found, list(KEYS)) == counted([row for row in rows if period.holds(row.minute)], list(KEYS))


@given(ROWS)
def test_parts_add_up(rows):
    whole = total(rows)
    parts = Fate(rows).parts(rows)
    assert parts.total() == whole.bytes + whole.missing_bytes
    assert all(part > 0 for part in parts.values())


@given(ROWS, ROWS)
def test_parts_of_a_stretch_add_up_too(some, more):
    whole = total(some)
    assert Fate(some, Fate([*some, *more])).parts(some).total() == whole.bytes + whole.missing_bytes


def row(service, reason=None, minute=5, **counts):
    return Row("eth1", minute, service, reason, Tally(**counts))


def test_bytes_share_the_fate_of_their_services_objects():
    rows = [
        row("http", bytes=1000),
        row("http", objects=3, object_bytes=600, scanned_objects=3, scanned_bytes=600),
        row("http", "overload", objects=1, object_bytes=200, unscanned_objects=1, unscanned_object_bytes=200),
        row("smtp", bytes=50),
        row("smtp", objects=1, object_bytes=20, scanned_objects=1, scanned_bytes=20),
    ]
    assert Fate(rows).parts(rows) == {SCANNED: 800, "overload": 250}


def test_what_was_only_extracted_is_not_protected():
    rows = [row("http", bytes=10, objects=1, object_bytes=5)]
    assert Fate(rows).parts(rows) == {"extracted": 10}


def test_empty_objects_count_by_number():
    rows = [row("http", bytes=10, objects=2, scanned_objects=1), row("http", "error", objects=1, unscanned_objects=1)]
    assert Fate(rows).parts(rows)[SCANNED] > 0


def test_what_is_missing_is_ours_or_the_networks():
    rows = [row("http", bytes=10, missing_bytes=7, lost_bytes=4)]
    assert Fate(rows).parts(rows) == {NOTHING: 10, "capture_loss": 4, "gap": 3}
    assert {key: tally.missing_bytes for key, tally in counted(rows, ["reason"]).items()} == {
        ("",): 0,
        ("capture_loss",): 4,
        ("gap",): 3,
    }


def test_a_stretch_without_objects_takes_the_share_of_the_whole_time():
    late = [row("http", bytes=100, minute=9)]
    rows = [row("http", objects=1, object_bytes=5, scanned_objects=1, scanned_bytes=5), *late]
    assert Fate(late, Fate(rows)).parts(late) == {SCANNED: 100}


@pytest.mark.parametrize(
    ("text", "minute"),
    [
        ("30m", 9_970),
        ("24h", 10_000 - 1440),
        ("2d", 10_000 - 2880),
        ("1970-01-02", 1440),
        ("1970-01-02T01:00", 1500),
        ("1970-01-02T01:00+01:00", 1440),
    ],
)
def test_moments(text, minute):
    assert moment(text, 10_000 * MINUTE) == minute


@pytest.mark.parametrize("text", ["", "h", "yesterday", "-3h", "24", "3y", "1970-13-01"])
def test_what_is_no_moment(text):
    with pytest.raises(ValueError, match=r"isoformat|argument|month"):
        moment(text, time.time_ns())
