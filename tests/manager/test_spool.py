"""The spool and its cursors: what append() promised comes back, once, in order, within bounds."""

import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest
from machine import small_disk
from spooled import ALL, drained, numbers, record, some

from manager.cursor import Behind, Cursor
from manager.segment import BEGIN, LARGEST, OVERHEAD, segments
from manager.spool import PARTS, Position, Record, Spool

MOST = 1 << 30


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
    spool.append(some(0, 1, 2))
    assert cursor.read(10, ALL) == cursor.read(10, ALL)
    cursor.commit(cursor.read(1, ALL).end)
    assert numbers(cursor.read(10, ALL).records) == [1, 2]


def test_part_of_what_was_read_can_be_committed(spool, cursor):
    spool.append(some(*range(10)))
    half, whole = cursor.read(5, ALL).end, cursor.read(10, ALL).end
    cursor.commit(half)
    assert numbers(cursor.read(1, ALL).records) == [5]
    cursor.commit(whole)
    assert cursor.read(1, ALL).records == ()


def test_nothing_is_a_batch_too(spool, cursor):
    assert cursor.read(10, ALL).records == ()
    end = spool.append([])
    assert cursor.read(10, ALL).end == end
    cursor.commit(end)
    assert spool.append(some(0)) > end
    assert drained(cursor) == (some(0), 0)


def test_a_batch_is_bounded_but_one_record_always_comes(spool, cursor):
    spool.append([record(0, 1000), record(1, 1000), record(2, 1000)])
    size = len(record(0, 1000))
    assert numbers(cursor.read(10, 2 * size).records) == [0, 1]
    assert numbers(cursor.read(10, 2 * size - 1).records) == [0]
    assert numbers(cursor.read(10, 1).records) == [0]


def test_any_bytes_are_kept(spool, cursor):
    odd = [Record(b"", b""), Record(b"\xffTS\x01" * 9, b"\n\0"), Record(b"a", b""), Record(b"", bytes(range(256)))]
    spool.append(odd)
    assert drained(cursor) == (odd, 0)


def test_a_record_may_be_large(spool, cursor):
    large = Record(b"{}", bytes(LARGEST - 2))
    spool.append([record(0), large, record(1)])
    assert drained(cursor) == ([record(0), large, record(1)], 0)


def test_a_record_over_the_bound_is_refused_and_leaves_nothing(spool, cursor):
    with pytest.raises(ValueError, match=f"more than {LARGEST}"):
        spool.append([record(0), Record(b"{}", bytes(LARGEST - 1))])
    spool.append(some(1))
    assert drained(cursor) == (some(1), 0)


def test_a_later_process_goes_on_where_the_earlier_one_was(tmp_path):
    for number in range(5):
        spool, cursor = Spool(tmp_path, MOST), Cursor(tmp_path, "a")
        assert cursor.acquire()
        end = spool.append(some(number))
        batch = cursor.read(10, ALL)
        assert (batch.records, batch.end, batch.lost) == (tuple(some(number)), end, 0)
        cursor.commit(end)
        spool.close()
        cursor.close()
    assert Cursor(tmp_path, "a").position == end


def test_what_was_read_stays_for_another_reader(spool, cursor, tmp_path):
    spool.append(some(0, 1))
    drained(cursor)
    backfill = Cursor(tmp_path / "spool", "backfill")
    assert numbers(backfill.read(10, ALL).records) == [0, 1]


def test_a_new_cursor_begins_at_the_oldest_segment_and_misses_nothing(tmp_path):
    spool = Spool(tmp_path, 4000, 500)
    for number in range(100):
        spool.append(some(number))
    cursor = Cursor(tmp_path, "new")
    assert cursor.acquire()
    records, lost = drained(cursor)
    assert numbers(records) == list(range(100 - len(records), 100))
    assert lost == 0


def test_the_oldest_segments_go_and_what_was_not_read_is_counted(tmp_path):
    spool = Spool(tmp_path, 4000, 500)
    cursor = Cursor(tmp_path, "slow")
    assert cursor.acquire()
    read, lost = [], 0
    for number in range(200):
        spool.append(some(number))
        assert sum(path.stat().st_size for path in tmp_path.glob("*.records")) <= 4000
        if number % 70 == 69:
            batch = cursor.read(3, ALL)
            read += numbers(batch.records)
            lost += batch.lost
            cursor.commit(batch.end)
    assert lost > 50
    records, more = drained(cursor)
    read += numbers(records)
    assert lost + more + len(read) == 200
    assert read == sorted(set(read))
    assert read[-1] == 199


def test_what_is_lost_counts_once_it_is_committed_and_not_before(tmp_path):
    spool = Spool(tmp_path, 4000, 500)
    cursor = Cursor(tmp_path, "slow")
    assert cursor.acquire()
    for number in range(100):
        spool.append(some(number))
    first = cursor.read(1, ALL)
    assert first.lost == int(segments(tmp_path)[0]) == numbers(first.records)[0] > 0
    assert cursor.read(1, ALL) == first
    cursor.commit(first.end)
    assert cursor.read(1, ALL).lost == 0


def test_a_segment_that_is_being_read_is_read_to_its_end(tmp_path):
    spool = Spool(tmp_path, 4000, 500)
    cursor = Cursor(tmp_path, "slow")
    spool.append(some(0, 1, 2))
    assert cursor.acquire()
    cursor.commit(cursor.read(1, ALL).end)
    for number in range(3, 100):
        spool.append(some(number))
    records, lost = drained(cursor)
    assert numbers(records)[:2] == [1, 2]
    assert lost + len(records) == 99


def test_a_batch_may_be_larger_than_the_spool(tmp_path):
    spool = Spool(tmp_path, 1000)
    cursor = Cursor(tmp_path, "a")
    assert cursor.acquire()
    spool.append(some(0))
    spool.append(some(*range(1, 100)))
    assert len(segments(tmp_path)) == 1
    records, lost = drained(cursor)
    assert (numbers(records), lost) == (list(range(1, 100)), 1)


def test_a_small_spool_has_several_segments_all_the_same(tmp_path):
    spool = Spool(tmp_path, 8000)
    for number in range(300):
        spool.append(some(number))
    assert len(segments(tmp_path)) >= PARTS


def test_what_is_behind(spool, cursor):
    assert cursor.behind() == Behind(0, 0, 0.0)
    spool.append(some(0, 1, 2))
    records, size, seconds = cursor.behind()
    assert (records, size) == (3, sum(OVERHEAD + len(one) for one in some(0, 1, 2)))
    assert 0 <= seconds < 60
    spool.append(some(3))
    assert cursor.behind().seconds > seconds
    cursor.commit(cursor.read(2, ALL).end)
    assert cursor.behind()[:2] == (2, 2 * (OVERHEAD + len(record(0))))
    drained(cursor)
    assert cursor.behind() == Behind(0, 0, 0.0)


def test_what_is_behind_over_several_segments(tmp_path):
    spool = Spool(tmp_path, 4000, 500)
    cursor = Cursor(tmp_path, "a")
    assert cursor.acquire()
    for number in range(100):
        spool.append(some(number))
    looking = Cursor(tmp_path, "a")  # as another process would
    there = (
        drained(Cursor(tmp_path, "unheld"), 1000) if False else numbers(Cursor(tmp_path, "b").read(1000, ALL).records)
    )
    assert looking.behind()[:2] == cursor.behind()[:2]
    assert cursor.behind().records == len(there) < 100
    size = sum(path.stat().st_size - BEGIN for path in tmp_path.glob("*.records"))
    assert cursor.behind().bytes == size
    drained(cursor)
    assert looking.behind() == Behind(0, 0, 0.0)


def test_before_there_is_a_spool(tmp_path):
    cursor = Cursor(tmp_path / "none", "a")
    assert cursor.read(10, ALL).records == ()
    assert cursor.behind() == Behind(0, 0, 0.0)
    assert not (tmp_path / "none").exists()
    assert cursor.acquire()
    Spool(tmp_path / "none", MOST).append(some(0))
    assert drained(cursor) == (some(0), 0)


def test_a_spool_that_was_emptied_by_hand_goes_on(spool, cursor, tmp_path):
    spool.append(some(*range(50)))
    cursor.commit(cursor.read(30, ALL).end)
    emptied(tmp_path / "spool")
    spool.append(some(50, 51))
    records, lost = drained(cursor)
    assert (numbers(records), lost) == ([*range(30, 50), 50, 51], 0)  # the cursor has the file open
    emptied(tmp_path / "spool")
    cursor.close()
    spool.append(some(52))
    assert cursor.acquire()
    assert drained(cursor) == (some(52), 0)


def test_a_process_that_comes_to_an_emptied_spool_goes_on_where_cursors_are(spool, cursor, tmp_path):
    spool.append(some(*range(50)))
    drained(cursor)
    cursor.close()
    emptied(tmp_path / "spool")
    Spool(tmp_path / "spool", MOST).append(some(*range(50, 60)))
    assert cursor.acquire()
    assert drained(cursor) == (some(*range(50, 60)), 0)


@pytest.mark.parametrize("read", [3, 50])
def test_a_spool_of_which_everything_was_deleted_is_read_anew_by_who_reads(spool, cursor, tmp_path, read, caplog):
    spool.append(some(*range(50)))
    cursor.commit(cursor.read(read, ALL).end)
    emptied(tmp_path / "spool", "*")
    assert numbers(drained(cursor)[0]) == list(range(read, 50))
    Spool(tmp_path / "spool", MOST).append(some(*range(60, 90)))
    spool.append(some(90))
    assert drained(cursor) == (some(*range(60, 91)), 0)
    assert "it is read anew" in caplog.text


def emptied(folder, what="*.records"):
    for path in folder.glob(what):
        path.unlink()


def test_only_its_owner_reads_it(tmp_path):
    before = os.umask(0)
    try:
        Spool(tmp_path / "spool", MOST).append(some(0))
        assert Cursor(tmp_path / "spool", "a").acquire()
        assert Cursor(tmp_path / "other", "a").acquire()
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o700}
    assert {path.stat().st_mode & 0o777 for path in tmp_path.glob("*/*")} == {0o600}


@pytest.mark.parametrize("name", ["", "../a", "a/b", ".a", "a b"])
def test_a_cursor_is_named_like_a_file(tmp_path, name):
    with pytest.raises(ValueError, match="can't be named"):
        Cursor(tmp_path, name)


def test_only_who_acquired_a_cursor_moves_it_and_only_where_it_read(spool, cursor, tmp_path):
    end = spool.append(some(0))
    with pytest.raises(RuntimeError, match="isn't acquired"):
        Cursor(tmp_path / "spool", "elasticsearch").commit(end)
    with pytest.raises(ValueError, match="isn't the end"):
        cursor.commit(Position(7, 7))
    with pytest.raises(ValueError, match="isn't the end"):
        cursor.commit(end)
    spool.append(some(1))
    first, second = cursor.read(1, ALL).end, cursor.read(2, ALL).end
    cursor.commit(second)
    cursor.commit(second)
    with pytest.raises(ValueError, match="isn't the end"):
        cursor.commit(first)


REFUSED = """
import os, sys
from pathlib import Path
from manager.cursor import Cursor
from manager.spool import Spool
folder, user = Path(sys.argv[1]), int(sys.argv[2])
if os.geteuid() == 0:
    os.setgroups([]), os.setgid(user), os.setuid(user)
for attempt in (lambda: Spool(folder, 1 << 20), lambda: Cursor(folder, "a"), lambda: Cursor(folder, "new").acquire()):
    try:
        attempt()
    except PermissionError as error:
        print(error.filename)
"""


def test_what_may_not_be_read_or_written_is_said_with_its_name(tmp_path_factory, tmp_path):
    Spool(tmp_path, MOST).append(some(0))
    assert Cursor(tmp_path, "a").acquire()
    for part in (tmp_path, *tmp_path.iterdir()):
        part.chmod(0o555 if part.is_dir() else 0)
    tmp_path.parent.chmod(0o755), tmp_path.parent.parent.chmod(0o755)
    user = pwd.getpwnam("nobody").pw_uid
    done = subprocess.run(
        [sys.executable, "-c", REFUSED, str(tmp_path), str(user)], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [str(tmp_path / name) for name in ("lock", "a.cursor", "new.cursor")]


def test_a_full_disk_leaves_nothing_half_and_is_survived(tmp_path):
    with small_disk(tmp_path, "256k"):
        spool, cursor = Spool(tmp_path / "spool", MOST), Cursor(tmp_path / "spool", "a")
        assert cursor.acquire()
        spool.append(some(0, 1))
        filler = tmp_path / "filler"
        filler.write_bytes(bytes(100 << 10))
        for _ in range(2):
            with pytest.raises(OSError, match="No space left") as raised:
                spool.append(some(*range(2, 200), size=2000))
            assert raised.value.filename == str(tmp_path / "spool")
        (path,) = (tmp_path / "spool").glob("*.records")
        assert path.stat().st_size == BEGIN + 2 * (OVERHEAD + len(record(0)))
        with pytest.raises(OSError, match="No space left"):
            filler.write_bytes(bytes(1 << 20))
        assert drained(cursor) == (some(0, 1), 0)  # a cursor moves on a full disk
        filler.unlink()
        spool.append(some(2, size=2000))
        assert drained(cursor) == (some(2, size=2000), 0)
        spool.close()
        cursor.close()


def test_a_disk_that_is_full_when_a_segment_ends(tmp_path):
    with small_disk(tmp_path, "128k"):
        spool, cursor = Spool(tmp_path / "spool", MOST, 60_000), Cursor(tmp_path / "spool", "a")
        assert cursor.acquire()
        spool.append(some(0, size=50_000))
        filler = tmp_path / "filler"
        with pytest.raises(OSError, match="No space left"):
            filler.write_bytes(bytes(1 << 20))
        for _ in range(2):
            with pytest.raises(OSError, match="No space left"):
                spool.append(some(1, size=20_000))
        filler.unlink()
        assert not (tmp_path / "spool/new").exists()
        spool.append(some(1, size=20_000))
        assert numbers(drained(cursor)[0]) == [0, 1]
        spool.close()
        cursor.close()


def opened():
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_no_file_stays_open(tmp_path):
    before = opened()
    spool, cursor = Spool(tmp_path, 4000, 500), Cursor(tmp_path, "a")
    for number in range(100):
        spool.append(some(number))
        assert cursor.acquire()
        cursor.commit(cursor.read(2, ALL).end)
        assert opened() <= before + 3
    spool.close()
    cursor.close()
    assert opened() == before
