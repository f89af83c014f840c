"""The thread that brings documents to the spool: nobody waits for the disk, nothing is lost within the bound."""

import fcntl
import logging
import threading
import time

import pytest
from machine import small_disk
from spooled import drained, numbers, record

from manager import spooling
from manager.cursor import Cursor
from manager.segment import LARGEST, OVERHEAD
from manager.spool import Position, Spool
from manager.spooling import COUNT, PATIENCE, SIZE, Spooler

MOST = 1 << 30


@pytest.fixture
def cursor(tmp_path):
    made = Cursor(tmp_path / "spool", "a")
    assert made.acquire()
    yield made
    made.close()


@pytest.fixture
def spooler(tmp_path):
    made = Spooler(Spool(tmp_path / "spool", MOST))
    yield made
    made.close()


def give(spooler, *some, size=20):
    for number in some:
        one = record(number, size)
        spooler.take(one.action, one.document)


def test_what_is_taken_is_on_the_disk_after_a_flush(spooler, cursor):
    give(spooler, *range(10))
    assert spooler.flush(10)
    assert spooler.waits == spooler.lost == 0
    records, _ = drained(cursor)
    assert numbers(records) == list(range(10))
    assert cursor.position == spooler.position
