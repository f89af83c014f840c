"""The thread that brings documents to the spool: nobody waits for the disk, and within the bound nothing is lost."""

import fcntl
import os
import threading
import time
from contextlib import contextmanager, suppress
from itertools import groupby

import pytest
from machine import small_disk
from spooled import ALL, drained, numbers, record

from manager import spooling
from manager.cursor import Cursor
from manager.segment import BEGIN, LARGEST, found, path_of
from manager.spool import Position, Spool
from manager.spooling import COUNT, PATIENCE, SIZE, Spooler

MOST = 1 << 30


@pytest.fixture
def cursor(tmp_path):
    made = Cursor(tmp_path, "a")
    assert made.acquire()
    yield made
    made.close()


@pytest.fixture
def spooler(tmp_path):
    made = Spooler(Spool(tmp_path, MOST))
    yield made
    made.close()


@contextmanager
def hanging(folder):
    """No append comes to its end meanwhile, as on a disk that doesn't answer."""
    descriptor = os.open(folder / "lock", os.O_RDWR)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(descriptor)


@contextmanager
def full(folder):
    """A disk of 1 MB without any room, until it is told to have some: the file that fills it."""
    with small_disk(folder, "1m"):
        Spool(folder / "spool", MOST).append([])
        with (folder / "filler").open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(4096))
        yield folder / "filler"


def give(spooler, *some, size=20):
    for number in some:
        one = record(number, size)
        spooler.take(one.action, one.document)


def until(true):
    end = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end


def test_what_is_taken_is_on_the_disk_after_a_flush(spooler, cursor):
    assert spooler.position == Position(0, 0)
    give(spooler, *range(10))
    assert spooler.waits > 0
    assert spooler.flush(30)
    assert spooler.waits == spooler.lost == 0
    assert numbers(drained(cursor)[0]) == list(range(10))
    assert cursor.position == spooler.position
    assert spooler.flush(0)


def test_it_comes_to_the_disk_without_a_flush(spooler, cursor):
    give(spooler, 0)
    assert spooler.flush(30)
    began = time.monotonic()
    give(spooler, 1)
    until(lambda: len(cursor.read(2, ALL).records) == 2)
    assert time.monotonic() - began >= PATIENCE


def test_a_flush_need_not_wait_for_more(spooler, monkeypatch):
    monkeypatch.setattr(spooling, "PATIENCE", 1000)
    give(spooler, 0)
    assert spooler.flush(30)


@pytest.mark.parametrize(("count", "size"), [(COUNT, 10), (SIZE // 5000, 6000)])
def test_what_is_enough_need_not_wait_for_more(spooler, cursor, monkeypatch, count, size):
    monkeypatch.setattr(spooling, "PATIENCE", 1000)
    give(spooler, *range(count), size=size)
    until(lambda: cursor.read(1, ALL).records)


def test_documents_go_together(tmp_path, spooler):
    with hanging(tmp_path):
        give(spooler, *range(3 * COUNT))
        give(spooler, *range(100), size=20_000)
        give(spooler, 0, size=2 * SIZE)
    assert spooler.flush(30)
    with path_of(tmp_path, 0).open("rb") as file:
        there = list(found(file.fileno(), BEGIN, path_of(tmp_path, 0).stat().st_size))
    batches = [[len(one.record) for one in some] for _, some in groupby(there, lambda one: one.time)]
    assert 5 <= len(batches) <= 10
    assert max(map(len, batches)) == COUNT
    assert all(sum(sizes) <= SIZE or len(sizes) == 1 for sizes in batches)


def test_nobody_waits_for_a_disk_that_hangs(tmp_path, spooler, cursor):
    with hanging(tmp_path):
        began = time.monotonic()
        give(spooler, *range(5000))
        assert not spooler.flush(0.01)
        assert time.monotonic() - began < PATIENCE + 5
        assert cursor.read(1, ALL).records == ()
    assert spooler.flush(30)
    assert numbers(drained(cursor, 1000)[0]) == list(range(5000))
    assert spooler.lost == 0


def test_over_the_bound_the_oldest_are_lost_and_counted(tmp_path, cursor, caplog):
    spooler = Spooler(Spool(tmp_path, MOST), bound=20_000)
    with hanging(tmp_path):
        give(spooler, *range(2000))
        assert spooler.waits <= 20_000
    spooler.close()
    came = numbers(drained(cursor)[0])
    assert spooler.lost == 2000 - len(came) > 1000
    assert came[-1] == 1999
    assert came == sorted(set(came))
    assert caplog.text.count("can't be brought to the spool: the disk is too slow") == 1
    assert f"documents are in the spool again; {spooler.lost} of them are lost" in caplog.text


def test_a_full_disk_is_said_once_and_waited_for(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(spooling, "AGAIN", 0.05)
    with full(tmp_path) as filler:
        spooler, cursor = Spooler(Spool(tmp_path / "spool", MOST)), Cursor(tmp_path / "spool", "a")
        give(spooler, *range(20), size=5000)
        assert not spooler.flush(0.3)
        assert spooler.waits > 100_000
        assert caplog.text.count("No space left on device") == 1
        assert str(tmp_path / "spool") in caplog.text
        give(spooler, *range(20, 40), size=5000)
        filler.unlink()
        assert spooler.flush(30)
        assert numbers(cursor.read(100, ALL).records) == list(range(40))
        assert "in the spool again; 0 of them are lost" in caplog.text
        spooler.close()
        cursor.close()


def test_a_disk_that_failed_is_left_alone_for_a_while(tmp_path, monkeypatch):
    monkeypatch.setattr(spooling, "AGAIN", 1000)
    with full(tmp_path):
        spool, tried = Spool(tmp_path / "spool", MOST), []
        spooler, append = Spooler(spool), spool.append
        monkeypatch.setattr(spool, "append", lambda records: tried.append(records) or append(records))
        give(spooler, 0, size=5000)
        until(lambda: tried)
        give(spooler, *range(1, 2 * COUNT), size=1000)
        assert not spooler.flush(2 * PATIENCE)
        assert len(tried) == 1
        spooler.close()
        assert len(tried) == 2
        assert spooler.lost == 2 * COUNT


def test_what_found_no_room_keeps_its_order(tmp_path, monkeypatch):
    monkeypatch.setattr(spooling, "AGAIN", 0.01)
    with full(tmp_path) as filler:
        spool, tried = Spool(tmp_path / "spool", MOST), []
        spooler = Spooler(spool)
        append = spool.append
        monkeypatch.setattr(spool, "append", lambda records: tried.append(numbers(records)) or append(records))
        give(spooler, *range(20), size=5000)
        until(lambda: len(tried) > 3)
        filler.unlink()
        spooler.close()
        assert tried == [sorted(batch) for batch in tried]


def test_a_disk_that_stays_full_costs_the_oldest(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(spooling, "AGAIN", 0.05)
    with full(tmp_path) as filler:
        spooler, cursor = Spooler(Spool(tmp_path / "spool", MOST), 60_000), Cursor(tmp_path / "spool", "a")
        give(spooler, *range(10), size=5000)
        assert not spooler.flush(0.2)
        assert spooler.lost == 0
        give(spooler, *range(10, 100), size=5000)
        until(lambda: spooler.waits <= 60_000)
        filler.unlink()
        spooler.flush(30)
        came = numbers(cursor.read(100, ALL).records)
        assert came == list(range(spooler.lost, 100))
        assert 0 < len(came) < 13
        assert len(caplog.messages) == 2
        spooler.close()
        cursor.close()


def test_at_the_end_all_is_written(tmp_path, cursor):
    spooler = Spooler(Spool(tmp_path, MOST))
    give(spooler, *range(3 * COUNT))
    spooler.close()
    assert numbers(drained(cursor, 1000)[0]) == list(range(3 * COUNT))
    assert spooler.waits == spooler.lost == 0


def test_the_end_does_not_wait_for_room(tmp_path, caplog):
    with full(tmp_path):
        spooler = Spooler(Spool(tmp_path / "spool", MOST))
        give(spooler, *range(20), size=5000)
        assert not spooler.flush(0.3)
        spooler.close()
        assert spooler.lost == 20
        assert "20 documents are lost" in caplog.messages[-1]


def test_the_end_does_not_wait_for_a_disk_that_hangs(tmp_path, caplog, cursor):
    spooler = Spooler(Spool(tmp_path, MOST))
    with hanging(tmp_path):
        give(spooler, 0)
        assert not spooler.flush(0.2)
        spooler.close(0.01)
        assert "the disk doesn't answer" in caplog.text
    spooler.close()
    assert numbers(drained(cursor)[0]) == [0]


def test_after_the_end_and_over_the_largest_a_document_is_lost_and_said(tmp_path, caplog, cursor):
    spooler = Spooler(Spool(tmp_path, MOST))
    spooler.take(b"{}", bytes(LARGEST))
    give(spooler, 1)
    spooler.close()
    give(spooler, 2)
    assert numbers(drained(cursor)[0]) == [1]
    assert spooler.lost == 2
    assert [message[:21] for message in caplog.messages] == ["a document is lost: i", "a document is lost: t"]


def test_who_has_taken_nothing_has_no_thread_and_may_fork(tmp_path, cursor):
    before = threading.active_count()  # other tests may have left some
    spooler = Spooler(Spool(tmp_path, MOST))
    assert threading.active_count() == before
    if (child := os.fork()) == 0:
        with suppress(BaseException):
            give(spooler, 1)
            spooler.close()
            os._exit(0)
        os._exit(1)
    give(spooler, 2)
    assert os.waitpid(child, 0)[1] == 0
    spooler.close()
    assert sorted(numbers(drained(cursor)[0])) == [1, 2]
    Spooler(Spool(tmp_path, MOST)).close()


def test_many_threads_may_give(spooler, cursor):
    threads = [threading.Thread(target=give, args=(spooler, *range(at, 4000, 4))) for at in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert spooler.flush(30)
    came = numbers(drained(cursor, 1000)[0])
    assert sorted(came) == list(range(4000))
    assert all([number for number in came if number % 4 == at] == list(range(at, 4000, 4)) for at in range(4))
