"""Whatever becomes of the files of the spool: what is intact comes, once and in order, and what is lost is counted."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spooled import ALL, drained, in_memory, numbers, record, some

from manager.cursor import Cursor
from manager.segment import BEGIN, OVERHEAD, marked, packed, path_of, segments
from manager.spool import Record, Spool

MOST = 1 << 30
SEGMENT = 700


class Due:
    """A record that append() returned for, where it stands, and whether it is still whole there."""

    def __init__(self, one, segment, begin):
        self.record, self.segment, self.begin, self.whole = one, segment, begin, True
        self.end = begin + OVERHEAD + len(one)


class Machine:
    """A spool and a cursor, and what must come of them."""

    def __init__(self, where):
        self.where = where
        self.due, self.passed = [], 0  # all records, and how many of them were committed, as read or as lost
        self.next = 0
        self.torn = []  # records that are whole in the tail that a dead process left
        self.spool = self.cursor = None
        self.reopen()

    def reopen(self):
        """Another process goes on."""
        for one in filter(None, (self.spool, self.cursor)):
            one.close()
        self.spool = Spool(self.where, MOST, SEGMENT)
        self.repaired()
        self.cursor = Cursor(self.where, "a")
        assert self.cursor.acquire()

    def made(self, sizes):
        records = [record(self.next + at, size) for at, size in enumerate(sizes)]
        self.next += len(records)
        return records

    def repaired(self):
        self.due += self.torn
        self.torn = []

    def append(self, sizes):
        records = self.made(sizes)
        end = self.spool.append(records)
        self.repaired()
        at = end.offset - sum(OVERHEAD + len(one) for one in records)
        for one in records:
            self.due.append(Due(one, end.segment, at))
            at = self.due[-1].end

    def tear(self, sizes, kept):
        """A process dies while it appends; so many bytes of it are on the disk, and something that is none of it."""
        end = self.spool.append([])
        self.repaired()
        records = self.made(sizes)
        with path_of(self.where, end.segment).open("r+b") as file:
            data = packed(records, marked(file.fileno()).following)
            file.seek(end.offset)
            file.write(data[: int(len(data) * kept)])
        at = end.offset
        for one in records:
            due = Due(one, end.segment, at)
            if due.end <= end.offset + int(len(data) * kept):
                self.torn.append(due)
            at = due.end

    def truncate(self, share):
        """The newest segment loses its end."""
        self.spool.append([])
        self.repaired()
        newest = segments(self.where)[-1]
        with path_of(self.where, newest).open("r+b") as file:
            size = BEGIN + int((file.seek(0, 2) - BEGIN) * share)
            file.truncate(size)
        for one in self.due:
            one.whole &= one.segment != newest or one.end <= size

    def damage(self, which, share):
        """A byte of one record changes."""
        there = [one for one in self.due if one.whole]
        if there:
            one = there[which % len(there)]
            with path_of(self.where, one.segment).open("r+b") as file:
                file.seek(one.begin + int((one.end - 1 - one.begin) * share))
                byte = file.read(1)[0]
                file.seek(-1, 1)
                file.write(bytes([byte ^ 0x55]))
            one.whole = False

    def read(self, most, commit=True):
        batch = self.cursor.read(most, ALL)
        expected = [one.record for one in self.due[self.passed :] if one.whole][:most]
        assert list(batch.records) == expected
        over = self.due[self.passed :][: len(expected) + batch.lost]
        assert batch.lost == sum(not one.whole for one in over)
        if commit:
            self.cursor.commit(batch.end)
            self.passed += len(over)

    def end(self):
        """All is read or lost in the end."""
        self.append([1])
        while self.passed < len(self.due):
            before = self.passed
            self.read(9)
            assert self.passed > before
        assert self.cursor.read(1, ALL).records == ()
        self.spool.close()
        self.cursor.close()


sizes = st.lists(st.integers(0, 300), max_size=5)
share = st.floats(0, 1)
step = st.one_of(
    st.tuples(st.just("append"), sizes),
    st.tuples(st.just("read"), st.integers(1, 8), st.booleans()),
    st.tuples(st.just("reopen")),
    st.tuples(st.just("tear"), sizes, share),
    st.tuples(st.just("truncate"), share),
    st.tuples(st.just("damage"), st.integers(0, 99), share),
)


@given(st.lists(step, max_size=30))
def test_whatever_happens_all_that_is_intact_comes_once_and_in_order(steps):
    with in_memory() as where:
        machine = Machine(where)
        for name, *given_ in steps:
            getattr(machine, name)(*given_)
        machine.end()


def test_an_append_that_broke_off_anywhere_costs_only_what_is_not_whole(tmp_path):
    records = some(0, 1, 2, size=60)  # larger than what comes after it
    data = packed(records, 1)
    for kept in range(len(data) + 1):
        with in_memory() as where:
            spool, cursor = Spool(where, MOST), Cursor(where, "a")
            assert cursor.acquire()
            end = spool.append(some(9))
            path = path_of(where, 0)
            with path.open("r+b") as file:
                file.seek(end.offset)
                file.write(data[:kept])
            assert drained(cursor) == (some(9), 0)  # nothing of it is seen before it is known to be on the disk
            whole = kept // (OVERHEAD + len(records[0]))
            end = spool.append(some(7))
            assert path.stat().st_size == end.offset
            assert numbers(drained(cursor)[0]) == [*range(whole), 7]
            assert cursor.read(1, ALL).lost == 0
            spool.close()
            cursor.close()


@pytest.mark.parametrize("at", range(BEGIN))
def test_a_mark_that_is_damaged_costs_no_record(tmp_path, at, caplog):
    spool, cursor = Spool(tmp_path, MOST), Cursor(tmp_path, "a")
    assert cursor.acquire()
    spool.append(some(0, 1, 2))
    with path_of(tmp_path, 0).open("r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 0xFF]))
    assert cursor.read(9, ALL).records == ()  # as long as nobody knows how far it is written
    Spool(tmp_path, MOST).append(some(3))
    assert f"{path_of(tmp_path, 0)} is damaged" in caplog.text
    assert drained(cursor) == (some(0, 1, 2, 3), 0)


def test_a_segment_of_which_nothing_is_left(tmp_path, caplog):
    spool, cursor = Spool(tmp_path, MOST), Cursor(tmp_path, "a")
    assert cursor.acquire()
    spool.append(some(0, 1, 2, 3))
    cursor.commit(cursor.read(3, ALL).end)
    path_of(tmp_path, 0).write_bytes(b"")
    assert cursor.read(9, ALL).records == ()
    spool.append(some(4))
    assert drained(cursor) == (some(4), 1)
    assert "is damaged" in caplog.text


def test_no_new_record_has_a_number_that_was_there_though_nobody_remembers_it(tmp_path):
    cursor = Cursor(tmp_path, "a")
    assert cursor.acquire()
    Spool(tmp_path, MOST).append(some(0, 1, 2, 3))
    assert drained(cursor) == (some(0, 1, 2, 3), 0)
    path_of(tmp_path, 0).write_bytes(b"")
    Spool(tmp_path, MOST).append(some(4))
    assert drained(cursor) == (some(4), 0)


def test_a_hole_in_the_middle_of_a_full_segment(tmp_path):
    spool, cursor = Spool(tmp_path, MOST, 5000), Cursor(tmp_path, "a")
    assert cursor.acquire()
    for number in range(200):
        spool.append(some(number))
    oldest = segments(tmp_path)[0]
    with path_of(tmp_path, oldest).open("r+b") as file:
        file.seek(BEGIN + 1000)
        file.write(bytes(1500))
    records, lost = drained(cursor)
    size = OVERHEAD + len(record(10))
    assert 1500 // size <= lost <= 1500 // size + 2
    assert lost + len(records) == 200
    assert numbers(records) == sorted(set(numbers(records)))


def test_a_damaged_length_does_not_mislead(tmp_path):
    spool, cursor = Spool(tmp_path, MOST), Cursor(tmp_path, "a")
    assert cursor.acquire()
    end = spool.append(some(0))
    spool.append(some(*range(1, 5000), size=500))
    for value in (b"\xff\xff\xff\x00", b"\xff\xff\xff\xff", b"\x00\x00\x20\x00", b"\x00\x00\x00\x00"):
        with path_of(tmp_path, 0).open("r+b") as file:
            file.seek(end.offset + 12)  # bytes of the document
            file.write(value)
        assert numbers(cursor.read(3, ALL).records) == [0, 2, 3]
        assert cursor.read(3, ALL).lost == 1


def test_a_document_that_looks_like_a_record_is_none(tmp_path):
    """What stands in a damaged record is not read, however it was made."""
    spool, cursor = Spool(tmp_path, MOST), Cursor(tmp_path, "a")
    assert cursor.acquire()
    start = spool.append(some(0))
    spool.append([Record(b"{}", b'{"x":"' + packed(some(66), 1)[:-1] + b'"}')])
    spool.append(some(2))
    with path_of(tmp_path, 0).open("r+b") as file:
        file.seek(start.offset + 20)
        file.write(b"\x07")
    assert [numbers(one.records) for one in (cursor.read(9, ALL),)] == [[0, 2]]


@pytest.mark.parametrize("content", [b"T", b"TSC1", b"x" * 400, bytes(104)])
def test_a_cursor_that_is_damaged_begins_at_the_oldest_record(tmp_path, content, caplog):
    spool, cursor = Spool(tmp_path, MOST), Cursor(tmp_path, "a")
    assert cursor.acquire()
    spool.append(some(0, 1))
    drained(cursor)
    cursor.close()
    (tmp_path / "a.cursor").write_bytes(content)
    assert cursor.acquire()
    assert f"{tmp_path / 'a.cursor'} is damaged" in caplog.text
    assert drained(cursor) == (some(0, 1), 0)


def test_a_commit_that_was_cut_off_is_the_one_before(tmp_path):
    spool, cursor = Spool(tmp_path, MOST), Cursor(tmp_path, "a")
    assert cursor.acquire()
    spool.append(some(*range(10)))
    for _ in range(5):
        cursor.commit(cursor.read(1, ALL).end)
    (tmp_path / "whole").write_bytes((tmp_path / "a.cursor").read_bytes())
    before = Cursor(tmp_path, "a").position
    cursor.commit(cursor.read(1, ALL).end)
    whole, after = (tmp_path / "whole").read_bytes(), (tmp_path / "a.cursor").read_bytes()
    for cut in range(len(after)):
        (tmp_path / "a.cursor").write_bytes(after[:cut] + whole[cut:])
        assert Cursor(tmp_path, "a").position in (before, cursor.position)
    changed = [at for at, (one, two) in enumerate(zip(whole, after, strict=True)) if one != two]
    (tmp_path / "a.cursor").write_bytes(after[: changed[-1]] + whole[changed[-1] :])
    assert Cursor(tmp_path, "a").position == before


def test_a_cursor_that_is_new_or_was_never_moved_is_no_damage(tmp_path, caplog):
    (tmp_path / "b.cursor").touch()
    for name in "ab":
        cursor = Cursor(tmp_path, name)
        assert cursor.acquire()
        cursor.close()
        assert cursor.acquire()
        cursor.close()
    assert caplog.text == ""


def test_a_cursor_of_another_spool_begins_anew(tmp_path, caplog):
    spool, cursor = Spool(tmp_path, 4000, 500), Cursor(tmp_path, "a")
    assert cursor.acquire()
    for number in range(50):
        spool.append(some(number))
    drained(cursor)
    kept = (tmp_path / "a.cursor").read_bytes()
    cursor.close()
    with tempfile.TemporaryDirectory() as other:
        Spool(Path(other), MOST).append(some(0, 1))
        (Path(other) / "a.cursor").write_bytes(kept)
        cursor = Cursor(Path(other), "a")
        assert cursor.acquire()
        assert numbers(drained(cursor)[0]) == [0, 1]
        assert "beyond the spool" in caplog.text
