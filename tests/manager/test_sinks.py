import contextlib
import json
import os
import stat
from concurrent.futures import ThreadPoolExecutor

import pytest
from nouns import FLOW, an_object, flow_end, said, scanned
from samples import object_of

from manager import sinks
from manager.alarms import raise_alarm
from manager.events import Documents
from manager.observer import Observer
from manager.sinks import FULL, Crashed, Documented, Folder, Lines, Patient, printed, to_descriptor


def test_lines_are_handed_on_together_and_whole():
    handed = []
    lines = Lines(handed.append)
    for _ in range(3):
        lines.write(b"x" * (FULL // 2) + b"\n")
    lines.flush()
    lines.flush()
    assert len(handed) == 2
    assert all(text.endswith(b"\n") for text in handed)
    assert sum(map(len, handed)) == 3 * (FULL // 2 + 1)


def test_all_is_written_also_where_a_pipe_takes_little():
    reading, writing = os.pipe()
    os.set_blocking(writing, True)
    to_descriptor(writing)(b"a" * 60_000)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        assert pipe.read() == b"a" * 60_000


@pytest.mark.parametrize("writing_to", [to_descriptor, Patient])
def test_nobody_reads_any_more(writing_to):
    reading, writing = os.pipe()
    os.close(reading)
    with pytest.raises(BrokenPipeError):
        writing_to(writing)(b"line\n")
    os.close(writing)


def test_a_document_of_each_item_for_all_who_want_it():
    lines, kept = [], []
    sink = Documented(Documents(Observer("h")), [printed(lines.append), kept.append])
    bad = scanned(None, said("a", "malicious"))
    for item in (an_object(), bad, flow_end(), raise_alarm(FLOW, [bad])):
        sink.take(item)
    read = [json.loads(line) for line in lines]
    assert [one["event"]["dataset"] for one in read] == ["tapscan.object", "tapscan.object", "tapscan.alarm"]
    assert "verdict" in read[1]["tapscan"]
    assert read == kept


@pytest.mark.parametrize("on_disk", [False, True])
def test_a_folder_of_objects_named_by_their_hash(tmp_path, on_disk):
    folder = Folder(str(tmp_path / "a" / "b"))
    target = object_of(b"some bytes", "../../etc/passwd", on_disk=on_disk)
    folder.take(target)
    folder.take(target)
    (only,) = (tmp_path / "a" / "b").iterdir()
    assert only.name == target.sha256
    assert only.read_bytes() == b"some bytes"
    assert stat.S_IMODE(only.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_folder_takes_empty_objects_and_nothing_else(tmp_path):
    folder = Folder(str(tmp_path))
    folder.take(flow_end())
    folder.take(an_object(b""))
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b""]


def test_what_is_there_is_not_written_again(tmp_path):
    target = an_object(b"new")
    (tmp_path / target.sha256).write_bytes(b"old")
    Folder(str(tmp_path)).take(target)
    assert (tmp_path / target.sha256).read_bytes() == b"old"


def test_what_crashes_an_engine_is_kept_for_its_maker(tmp_path, caplog, monkeypatch):
    folder = tmp_path / "state" / "crashed"
    sink = Crashed(folder)
    crash = said("a", "error", reason="crashed the engine")
    sink.take(scanned(object_of(b"harmless"), said("a", "clean"), said("b", "error", reason="no answer")))
    assert not folder.exists()
    for item in (an_object(), flow_end(), scanned(object_of(b"evil", "../x"), said("b", "clean"), crash)):
        sink.take(item)
    (kept,) = folder.iterdir()
    assert kept.read_bytes() == b"evil"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert f"crashed engine a; kept in {kept}" in caplog.messages[-1]
    monkeypatch.setattr(sinks, "CRASHED_KEPT", 1)
    sink.take(scanned(object_of(b"more"), crash))
    assert len(list(folder.iterdir())) == 1
    assert "not kept, there are 1" in caplog.messages[-1]


def test_a_folder_that_cannot_be_made_costs_nothing_else(tmp_path, caplog):
    (tmp_path / "file").touch()
    Crashed(tmp_path / "file" / "crashed").take(
        scanned(object_of(b"evil"), said("a", "error", reason="crashed the engine"))
    )
    assert "can't be kept" in caplog.messages[-1]


@pytest.fixture(params=[True, False], ids=["waiting", "refusing"])
def narrow(request):
    """A pipe that is full: its end to read, and its end to write, which waits for room or refuses."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writing, bytes(1 << 16))
    os.set_blocking(writing, request.param)
    yield reading, writing
    os.close(reading)
    os.close(writing)


def test_what_finds_no_room_waits(narrow, caplog):
    reading, writing = narrow
    out = Patient(writing)
    out(b"one\n")
    out(b"two\n")
    assert out.waits == 8
    assert caplog.text.count("can't be written") == 1
    os.read(reading, 1 << 20)
    out(b"")
    assert os.read(reading, 100).lstrip(bytes(1)) == b"one\ntwo\n"
    assert (out.waits, out.lost) == (0, 0)
    assert "can be written again; 0 of them are lost" in caplog.text


def test_over_the_bound_the_oldest_are_lost_and_counted(narrow):
    reading, writing = narrow
    out = Patient(writing, bound=20)
    for number in range(10):
        out(b"line %d\n" % number)
    assert out.waits <= 20
    assert out.lost == 8
    os.read(reading, 1 << 20)
    out(b"")
    assert os.read(reading, 100).lstrip(bytes(1)) == b"line 0\nline 9\n"


def test_at_the_end_it_waits_for_who_still_reads(narrow):
    reading, writing = narrow
    out = Patient(writing)
    out(b"a line\n")
    with ThreadPoolExecutor() as threads:
        read = threads.submit(lambda: os.read(reading, 1 << 20))
        out.end(60)
    assert read.result()
    assert out.waits == 0
    assert os.read(reading, 100).lstrip(bytes(1)) == b"a line\n"


def test_at_the_end_it_does_not_wait_for_who_never_reads(narrow):
    out = Patient(narrow[1])
    out(b"a line\n")
    out.end(0.01)
    assert out.waits == 7


def test_a_reader_who_is_waited_for_gets_all(narrow):
    reading, writing = narrow
    out = Patient(writing, bound=1000, waiting=True)
    with ThreadPoolExecutor() as threads:
        wrote = threads.submit(lambda: [out(b"%06d\n" % number) for number in range(100_000)])
        read = b""
        while not read.endswith(b"099999\n"):
            read += os.read(reading, 1 << 16)
    wrote.result()
    assert read.lstrip(bytes(1)).split(b"\n")[:-1] == [b"%06d" % number for number in range(100_000)]
    assert (out.waits, out.lost) == (0, 0)
