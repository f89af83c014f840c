"""The spool and its cursors: what append() promised comes back, once, in order."""

import pytest

from manager.cursor import Cursor
from manager.spool import Record, Spool

MOST = 1 << 30
ALL = 1 << 30


def record(number, size=20):
    return Record(b'{"create":{"_id":"%d"}}' % number, b'{"n":%d,"x":"%s"}' % (number, b"x" * size))


def some(*numbers):
    return [record(number) for number in numbers]


@pytest.fixture
def spool(tmp_path):
    made = Spool(tmp_path / "spool", MOST)
    yield made
    made.close()


@pytest.fixture
def cursor(tmp_path):
    made = Cursor(tmp_path / "spool", "elasticsearch")
    assert made.acquire()
    yield made
    made.close()


def drained(cursor, most_records=7):
    """All there is, committed in batches, and what was lost."""
    records, lost = [], 0
    while True:
        batch = cursor.read(most_records, ALL)
        records += batch.records
        lost += batch.lost
        cursor.commit(batch.end)
        if not batch.records:
            return records, lost


def test_what_is_appended_is_read_in_order(spool, cursor):
    first = spool.append(some(0, 1, 2))
    second = spool.append(some(3))
    assert first < second
    batch = cursor.read(3, ALL)
    assert (batch.records, batch.end, batch.lost) == (tuple(some(0, 1, 2)), first, 0)
    cursor.commit(batch.end)
    assert cursor.position == first
    assert drained(cursor) == (some(3), 0)
    assert cursor.position == second


def test_what_is_not_committed_is_read_again(spool, cursor):
    spool.append(some(0, 1))
    assert cursor.read(10, ALL) == cursor.read(10, ALL)
    cursor.commit(cursor.read(1, ALL).end)
    assert cursor.read(10, ALL).records == tuple(some(1))


def test_nothing_is_a_batch_too(spool, cursor):
    assert cursor.read(10, ALL).records == ()
    end = spool.append([])
    assert cursor.read(10, ALL).end == end
    cursor.commit(end)
    assert spool.append(some(0)) > end
    assert drained(cursor) == (some(0), 0)
