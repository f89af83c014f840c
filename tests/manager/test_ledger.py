"""The ledger on disk: what is written is read again, whatever becomes of the writer and the disk."""

import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from machine import small_disk

from manager.coverage import MINUTE, Row, Tally
from manager.days import OLD
from manager.ledger import Ledger
from manager.options import Stop
from manager.periods import Period, of_files, of_folder

DAY = 24 * 60
MOST = 1 << 20
ALL = Period()


def row(minute=29_000_000, service="http", reason=None, **counts):
    return Row("eth1", minute, service, reason, Tally(**(counts or {"flows": 1, "bytes": 9})))


def test_what_is_written_is_read_again(tmp_path):
    rows = [row(), row(service="tls", reason="tls", flows=2, unscanned_bytes=7)]
    ledger = Ledger(tmp_path / "made" / "coverage", MOST)
    ledger.write(rows, 29_000_000 * MINUTE)
    ledger.write([row(29_000_001)], 29_000_001 * MINUTE)
    assert list(of_folder(tmp_path / "made" / "coverage", ALL)) == [*rows, row(29_000_001)]
    assert ledger.failed == 0


def test_only_its_owner_reads_it(tmp_path):
    Ledger(tmp_path / "coverage", MOST).write([row()], 29_000_000 * MINUTE)
    (path,) = (tmp_path / "coverage").iterdir()
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_nothing_to_write_makes_no_file(tmp_path):
    Ledger(tmp_path / "coverage", MOST).write([], MINUTE)
    assert not (tmp_path / "coverage").exists()


@pytest.mark.parametrize("kept", [1, 20, 150])
def test_a_line_that_was_cut_off_costs_itself_alone(tmp_path, kept):
    ledger = Ledger(tmp_path, MOST)
    ledger.write([row(), row(service="smtp")], 29_000_000 * MINUTE)
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    first = whole.index(b"\n") + 1
    path.write_bytes(whole[: first + kept])
    ledger.write([row(service="ftp")], 29_000_000 * MINUTE)
    assert [one.service for one in of_folder(tmp_path, ALL)] == ["http", "ftp"]


def test_the_oldest_days_go_first(tmp_path):
    many = [row(service=f"s{number}") for number in range(100)]
    probe = Ledger(tmp_path / "probe", MOST)
    probe.write(many, MINUTE)
    size = next((tmp_path / "probe").iterdir()).stat().st_size
    ledger = Ledger(tmp_path / "bounded", size * 5 // 2)
    for day in range(6):
        ledger.write(many, day * DAY * MINUTE)
    assert sorted(path.name for path in (tmp_path / "bounded").iterdir()) == [
        "coverage-1970-01-05.jsonl",
        "coverage-1970-01-06.jsonl",
    ]


def test_days_are_bounded_in_number(tmp_path):
    ledger = Ledger(tmp_path, MOST)
    for day in range(OLD + 3):
        ledger.write([row()], day * DAY * MINUTE)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert (len(names), names[0]) == (OLD, "coverage-1970-01-04.jsonl")


def test_a_day_that_is_too_large_alone_is_said(tmp_path, caplog):
    ledger = Ledger(tmp_path, 300)
    for _ in range(4):
        ledger.write([row()], MINUTE)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 300
    assert ledger.failed > 0
    assert "larger than sensor.ledger_bytes" in caplog.text


LIMITED = """
import resource, sys
from pathlib import Path
from manager.coverage import MINUTE, Row, Tally
from manager.ledger import Ledger
ledger = Ledger(Path(sys.argv[1]), 1 << 20)
ledger.write([Row("eth1", 1, "http", None, Tally(flows=1))], MINUTE)
resource.setrlimit(resource.RLIMIT_FSIZE, (250, resource.RLIM_INFINITY))
ledger.write([Row("eth1", 1, f"s{number}", None, Tally(flows=1)) for number in range(9)], MINUTE)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
ledger.write([Row("eth1", 2, "smtp", None, Tally(flows=1))], MINUTE)
print(ledger.failed)
"""


def test_a_file_that_may_not_grow_stops_nothing(tmp_path):
    done = subprocess.run([sys.executable, "-c", LIMITED, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"
    assert len(done.stderr.splitlines()) == 1
    assert "the disk is full" in done.stderr
    assert [one.service for one in of_folder(tmp_path, ALL)] == ["http", "smtp"]


@pytest.fixture
def full_soon(tmp_path):
    """Of 16 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    with small_disk(folder, "16k"):
        yield folder


def test_a_full_disk_stops_nothing(full_soon, caplog):
    ledger = Ledger(full_soon, MOST)
    many = [row(service=f"s{number}") for number in range(30)]
    for _ in range(5):
        ledger.write(many, MINUTE)
    assert ledger.failed > 0
    assert len(caplog.records) == ledger.failed
    kept = len(list(of_folder(full_soon, ALL)))
    assert kept == (5 - ledger.failed) * len(many) > 0


def test_a_folder_that_cannot_be_made(tmp_path, caplog):
    (tmp_path / "file").touch()
    ledger = Ledger(tmp_path / "file" / "coverage", MOST)
    ledger.write([row()], MINUTE)
    assert (ledger.failed, len(caplog.records)) == (1, 1)


KILLED = """
import os, signal, sys
from pathlib import Path
from manager.coverage import MINUTE, Row, Tally
from manager.ledger import Ledger
ledger = Ledger(Path(sys.argv[1]), 1 << 20)
ledger.write([Row("eth1", 1, "http", None, Tally(flows=1))], MINUTE)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_was_written_outlasts_sigkill(tmp_path):
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    assert done.returncode == -9
    assert list(of_folder(tmp_path, ALL)) == [row(1, flows=1)]


def test_days_outside_of_the_period_are_not_opened(tmp_path):
    ledger = Ledger(tmp_path, MOST)
    for day in range(5):
        ledger.write([row(day * DAY + 5)], (day * DAY + 7) * MINUTE)
    (tmp_path / "coverage-1970-01-01.jsonl").unlink()
    (tmp_path / "coverage-1970-01-01.jsonl").mkdir()  # would be trouble to read
    found = of_folder(tmp_path, Period(since=3 * DAY, until=4 * DAY))
    assert [one.minute for one in found] == [3 * DAY + 5]


def test_rows_written_after_midnight_belong_to_the_day_before(tmp_path):
    Ledger(tmp_path, MOST).write([row(DAY - 1)], (DAY + 1) * MINUTE)
    assert [one.minute for one in of_folder(tmp_path, Period(until=DAY))] == [DAY - 1]


def test_no_ledger_says_what_to_do(tmp_path):
    with pytest.raises(Stop, match=r"no coverage ledger in .*: run tapscan sensor"):
        list(of_folder(tmp_path, ALL))


WORD = st.one_of(st.none(), st.integers(), st.text(max_size=3), st.lists(st.integers(), max_size=1))
FIELD = st.sampled_from(["@timestamp", "event", "tapscan", "dataset", "coverage", "service", "reason", "flows", "log"])
ANYTHING = st.recursive(WORD, lambda inner: st.dictionaries(FIELD, inner, max_size=4), max_leaves=12)


@given(ANYTHING, st.binary(max_size=20))
def test_no_line_is_trouble(tmp_path_factory, document, noise):
    path = tmp_path_factory.getbasetemp() / "lines"
    good = {
        "@timestamp": "1970-01-01T00:05:00.000000Z",
        "event": {"dataset": "tapscan.coverage"},
        "log": {"file": {"path": "a"}},
    }
    lines = [
        json.dumps({"note": "tapscan.coverage", "event": document}),
        json.dumps(good | {"tapscan": document}),
        json.dumps(good | {"tapscan": {"coverage": document}}),
        json.dumps(good | {"tapscan": {"coverage": {"service": "x", "reason": document}}}),
    ]
    path.write_bytes("\n".join(lines).encode() + b"\ntapscan.coverage" + noise + b"\n")
    for one in of_files([str(path)], ALL):
        assert one.minute == 5
        assert one.reason is None or isinstance(one.reason, str)
