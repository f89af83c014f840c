"""Several processes and one spool: all that was promised is there, whoever is killed, and whenever."""

import os
import random
import signal
import subprocess
import sys
from collections import defaultdict
from contextlib import contextmanager, suppress
from functools import partial

import pytest
from spooled import ALL, drained, in_memory, numbers, some

from manager.cursor import Cursor
from manager.segment import packed, path_of, segments
from manager.spool import Spool

MOST = 1 << 30
SEGMENT = 20_000

WRITER = """
import os, sys
from pathlib import Path
from spooled import some
from manager.spool import Spool
folder, first, rounds, each = Path(sys.argv[1]), *map(int, sys.argv[2:5])
spool = Spool(folder, 1 << 30, int(sys.argv[5]))
for round in range(rounds):
    spool.append(some(*range(first + round * each, first + round * each + each), size=100))
    os.write(1, b"%d\\n" % (first + round * each + each))
"""


def started(script, *argv):
    path = os.pathsep.join(["tests/support", "."])
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, argv)], stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": path}
    )


def writer(folder, first, rounds, each, segment=SEGMENT):
    return started(WRITER, folder, first, rounds, each, segment)


@contextmanager
def forked(task):
    """A process that does this, and is not there any more afterwards."""
    if (pid := os.fork()) == 0:
        with suppress(BaseException):
            task()
            os._exit(0)
        os._exit(1)
    try:
        yield pid
    finally:
        with suppress(ProcessLookupError, ChildProcessError):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


@pytest.fixture
def cursor(tmp_path):
    made = Cursor(tmp_path, "a")
    assert made.acquire()
    yield made
    made.close()


@pytest.fixture
def memory():
    with in_memory() as made:
        yield made


def test_several_processes_append_at_once_while_another_reads(tmp_path, cursor):
    writers = [writer(tmp_path, first * 1_000_000, 60, 1 + 6 * first) for first in range(3)]
    records, lost = [], 0
    while any(one.poll() is None for one in writers):
        more, gone = drained(cursor, 50)
        records += more
        lost += gone
    records += drained(cursor, 50)[0]
    assert lost == 0
    assert len(segments(tmp_path)) > 5
    came = defaultdict(list)
    for number in numbers(records):
        came[number // 1_000_000].append(number)
    for first, one in enumerate(writers):
        acknowledged = one.stdout.read().split()
        one.stdout.close()
        assert (one.returncode, len(acknowledged)) == (0, 60)
        assert came[first] == list(range(first * 1_000_000, first * 1_000_000 + 60 * (1 + 6 * first)))
    appended_at_once = [number for number in numbers(records) if number >= 2_000_000]
    places = [at for at, number in enumerate(numbers(records)) if number >= 2_000_000]
    assert all(places[at + 12] - places[at] == 12 for at in range(0, len(appended_at_once), 13))


def test_killed_under_load_nothing_that_was_promised_is_missing(tmp_path, cursor):
    chance = random.Random(6)
    promised, first = [], 0
    with writer(tmp_path, 1_000_000, 10_000, 5) as other:
        for _ in range(6):
            with writer(tmp_path, first, 10_000, 40) as killed:
                last = [int(killed.stdout.readline()) for _ in range(chance.randrange(1, 30))][-1]
                killed.send_signal(signal.SIGKILL)
                last = max([last, *(int(line) for line in killed.stdout.read().split(b"\n")[:-1])])
            promised += range(first, last)
            first = last + 1000
        other.kill()
        others = range(1_000_000, max(int(line) for line in other.stdout.read().split(b"\n")[:-1]))
    Spool(tmp_path, MOST, SEGMENT)  # what was torn is cut off
    records, lost = drained(cursor, 500)
    came = numbers(records)
    assert lost == 0
    assert len(set(came)) == len(came)
    mine = [number for number in came if number < 1_000_000]
    assert mine == sorted(mine)
    assert set(promised) <= set(mine)
    assert len(mine) - len(promised) <= 6 * 40  # what was on the disk when its process died
    theirs = [number for number in came if number >= 1_000_000]
    assert theirs == sorted(theirs)
    assert set(others) <= set(theirs)


CALLS = ("write", "pwrite", "fdatasync", "fsync", "ftruncate", "open", "rename", "unlink")
STEPS = 500  # more than there are


def wrong(patch, which, how):
    """Of all calls that touch the disk from now on, this one goes wrong. Says whether it was there."""
    made = []

    def counted(name, call):
        def one(*given, **named):
            made.append(name)
            if len(made) - 1 == which:
                if name == "write":
                    call(given[0], given[1][: len(given[1]) // 2])
                how()
            return call(*given, **named)

        return one

    for name in CALLS:
        patch.setattr(os, name, counted(name, getattr(os, name)))
    return lambda: len(made) > which


def batches(first):
    """Of two records each, that fill segments."""
    return [some(number, number + 1, size=number * 20) for number in range(first, first + 16, 2)]


def dying(folder, first, which, acknowledge):
    """Appends, and dies at this step."""
    say = os.write
    wrong(pytest.MonkeyPatch(), which, lambda: os._exit(9))
    spool = Spool(folder, MOST, 1000)
    for batch in batches(first):
        spool.append(batch)
        say(acknowledge, b"x")


def torn(folder):
    """A spool with the records 0 and 1, and half of another."""
    end = Spool(folder, MOST, 1000).append(some(0))
    with path_of(folder, 0).open("r+b") as file:
        file.seek(end.offset)
        file.write(packed(some(1, 2), 1)[:-3])
    return 2


@pytest.mark.parametrize("prepared", [lambda _: 0, torn], ids=["new", "torn"])
def test_a_process_may_die_at_any_step(memory, prepared):
    for which in range(STEPS):
        folder = memory / str(which)
        first = prepared(folder)
        reading, writing = os.pipe()
        with forked(partial(dying, folder, first, which, writing)) as pid:
            os.close(writing)
            with os.fdopen(reading, "rb") as pipe:
                promised = first + 2 * len(pipe.read())
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        cursor = Cursor(folder, "a")
        assert cursor.acquire()
        seen, _ = drained(cursor)
        Spool(folder, MOST, 1000).append(some(99))
        records, lost = drained(cursor)
        came = numbers(seen + records)
        assert (came, lost) == ([*range(len(came) - 1), 99], 0)
        assert promised <= len(came) - 1 <= promised + 2
        cursor.close()
        if code == 0:
            assert which > 50
            break
        assert code == 9


def patiently(spool, batch):
    """Once more when it failed; how often it did."""
    for failed in range(3):
        with suppress(OSError):
            spool.append(batch)
            return failed
    raise AssertionError


def test_any_step_may_fail_once(memory):
    for which in range(STEPS):
        folder = memory / str(which)
        spool, cursor = Spool(folder, MOST, 1000), Cursor(folder, "a")
        assert cursor.acquire()
        with pytest.MonkeyPatch().context() as patch:
            happened = wrong(patch, which, refuse)
            failed = sum(patiently(spool, batch) for batch in batches(0))
        records, lost = drained(cursor)
        assert (numbers(records), lost) == (list(range(16)), 0)
        spool.close()
        cursor.close()
        if not happened():
            assert which > 50
            break
        assert failed == 1


def refuse():
    raise OSError(5, "Input/output error")


def committing(folder, which):
    cursor = Cursor(folder, "a")
    assert cursor.acquire()
    wrong(pytest.MonkeyPatch(), which, lambda: os._exit(9))
    for _ in range(3):
        cursor.commit(cursor.read(2, ALL).end)


@pytest.mark.parametrize("which", range(10))
def test_a_process_may_die_while_it_commits(tmp_path, which):
    Spool(tmp_path, MOST).append(some(*range(10)))
    with forked(partial(committing, tmp_path, which)) as pid:
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert code == (9 if which < 7 else 0)
    cursor = Cursor(tmp_path, "a")
    assert cursor.acquire()
    records, lost = drained(cursor)
    assert numbers(records) == list(range(10 - len(records), 10))
    assert len(records) % 2 == lost == 0


def test_records_are_on_the_disk_before_the_mark_says_so(tmp_path, monkeypatch):
    spool, calls = Spool(tmp_path, MOST), []
    for name in CALLS:
        monkeypatch.setattr(
            os, name, partial(lambda name, call, *given: calls.append(name) or call(*given), name, getattr(os, name))
        )
    spool.append(some(0))
    assert calls[-3:] == ["write", "fdatasync", "pwrite"]


HOLDER = """
import os, sys, time
from pathlib import Path
from manager.cursor import Cursor
cursor = Cursor(Path(sys.argv[1]), "a")
assert cursor.acquire()
if (child := os.fork()) == 0:  # it lives longer
    os.write(1, b"%d " % os.getpid())
    while True:
        time.sleep(1)
while True:
    time.sleep(1)
"""


def test_a_spool_that_comes_while_a_cursor_looks_is_read_from_its_beginning(tmp_path, monkeypatch):
    """Between a look at a segment that isn't there and one at all that are there, others may have written several."""
    cursor, look = Cursor(tmp_path, "a"), os.open
    assert cursor.acquire()

    def late(path, *given):
        if str(path).endswith(".records") and not given[0] & os.O_RDWR:
            monkeypatch.setattr(os, "open", look)
            try:
                return look(path, *given)
            finally:
                spool = Spool(tmp_path, MOST, 200)
                for number in range(10):
                    spool.append(some(number))
        return look(path, *given)

    monkeypatch.setattr(os, "open", late)
    assert drained(cursor) == (some(*range(10)), 0)


def test_one_process_has_a_cursor_until_it_is_gone_with_a_child_that_stays(tmp_path):
    cursor = Cursor(tmp_path, "a")
    holder = started(HOLDER, tmp_path)
    child = int(os.read(holder.stdout.fileno(), 20))
    try:
        assert not cursor.acquire()
        assert Cursor(tmp_path, "b").acquire()
        holder.kill()
        holder.wait()
        assert cursor.acquire()
    finally:
        os.kill(child, signal.SIGKILL)
        holder.stdout.close()
    other = Cursor(tmp_path, "a")
    assert not other.acquire()
    cursor.close()
    assert other.acquire()
    assert other.acquire()


def test_who_acquires_a_cursor_goes_on_where_the_other_was(tmp_path):
    one, other = Cursor(tmp_path, "a"), Cursor(tmp_path, "a")
    Spool(tmp_path, MOST).append(some(*range(10)))
    assert one.acquire()
    one.commit(one.read(4, ALL).end)
    assert not other.acquire()
    one.close()
    assert other.acquire()
    assert numbers(drained(other)[0]) == [4, 5, 6, 7, 8, 9]


def test_a_forked_process_lets_go_of_a_cursor_and_may_append(tmp_path):
    spool, cursor = Spool(tmp_path, MOST), Cursor(tmp_path, "a")
    assert cursor.acquire()
    spool.append(some(0))

    def both():
        spool.append(some(1))
        with pytest.raises(RuntimeError):
            cursor.commit(cursor.position)

    with forked(both) as pid:
        assert os.waitpid(pid, 0)[1] == 0
    spool.append(some(2))
    assert drained(cursor) == (some(0, 1, 2), 0)
