"""Records for the spool, and all that a cursor gives."""

import tempfile
from contextlib import contextmanager
from pathlib import Path

from manager.spool import Record

ALL = 1 << 30  # bytes


def record(number, size=20):
    return Record(b'{"create":{"_id":"%d"}}' % number, b'{"n":%d,"x":"%s"}' % (number, b"x" * size))


def some(*numbers, size=20):
    return [record(number, size) for number in numbers]


def numbers(records):
    """Of records that `record` made."""
    return [int(one.action.split(b'"')[5]) for one in records]


def drained(cursor, most_records=7):
    """All there is, committed in batches, and how many are lost."""
    records, lost = [], 0
    while True:
        batch = cursor.read(most_records, ALL)
        records += batch.records
        lost += batch.lost
        cursor.commit(batch.end)
        if not batch.records:
            return records, lost


@contextmanager
def in_memory():
    """A folder where it is not the disk that takes time."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as made:
        yield Path(made)
