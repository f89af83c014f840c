"""Documents in files: rotation, full disks, lines that were cut off, and what a kill leaves."""

import gzip
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from machine import small_disk
from receivers import document, lines, record

from manager.bulk import Later
from manager.output_file import FileTarget
from manager.output_settings import FileSettings
from manager.spool import Record

ROOT = Path(__file__).parents[2]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "log" / "alarms.jsonl"


def target(path, **more):
    return FileTarget(FileSettings("log", str(path), **more))


def old(path):
    """The old files, oldest first."""
    return sorted(one for one in path.parent.iterdir() if one != path)


def ids(path):
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [json.loads(line)["event"]["id"] for line in data.splitlines()]


def test_a_line_a_document_as_it_was_spooled(path):
    outcome = target(path).send([record(1), record(2)])
    assert (outcome.stored, outcome.again, outcome.dead) == (2, [], [])
    assert list(map(json.loads, lines(path))) == [document(1), document(2)]
    assert path.stat().st_mode & 0o777 == 0o640


def test_only_what_is_wanted(path):
    records = [record(1), record(2, "object"), record(3, "coverage"), record(4, "health"), record(5, "object")]
    assert target(path).send(records).stored == 2
    assert ids(path) == ["id-1", "id-4"]
    assert target(path, datasets=("object",)).send(records).stored == 2
    assert ids(path)[2:] == ["id-2", "id-5"]
    assert target(path, datasets=("all",)).send(records).stored == 5


def test_nothing_that_is_wanted_makes_no_file(path):
    assert target(path).send([record(1, "object")]).stored == 0
    assert not path.exists()


def test_what_is_no_document_is_a_dead_letter_and_the_rest_is_written(path):
    bad = Record(record(1).action, b'{"event":')
    outcome = target(path).send([bad, record(2)])
    assert (outcome.stored, [dead.record for dead in outcome.dead]) == (1, [bad])
    assert ids(path) == ["id-2"]


def test_a_new_one_when_it_is_full(path):
    size = len(record(10).document) + 1
    made = target(path, max_bytes=3 * size, compress=False)
    for number in range(10, 18):
        made.send([record(number)])
    assert [ids(one) for one in old(path)] == [["id-10", "id-11", "id-12"], ["id-13", "id-14", "id-15"]]
    assert ids(path) == ["id-16", "id-17"]
    assert all(one.stat().st_size <= 3 * size for one in [path, *old(path)])


def test_a_batch_that_is_larger_than_a_file_is_parted(path):
    size = len(record(10).document) + 1
    target(path, max_bytes=2 * size, compress=False).send([record(number) for number in range(10, 15)])
    assert [len(ids(one)) for one in [*old(path), path]] == [2, 2, 1]


def test_a_line_larger_than_a_file_stands_alone(path):
    made = target(path, max_bytes=10, compress=False)
    made.send([record(1), record(2)])
    assert [ids(one) for one in [*old(path), path]] == [["id-1"], ["id-2"]]


def test_a_new_one_each_day(path):
    made = target(path, compress=False)
    made.send([record(1)])
    made.send([record(2)])
    yesterday = path.stat().st_mtime - 86_400
    os.utime(path, (yesterday, yesterday))
    made.send([record(3)])
    assert (ids(old(path)[0]), ids(path)) == (["id-1", "id-2"], ["id-3"])
    os.utime(path, (yesterday, yesterday))
    target(path, daily=False).send([record(4)])
    assert ids(path) == ["id-3", "id-4"]


def test_old_ones_are_packed_and_the_oldest_go(path):
    made = target(path, max_bytes=1, keep=3)
    for number in range(8):
        made.send([record(number)])
    assert [one.suffixes for one in old(path)] == [[".jsonl", ".gz"]] * 3
    assert [ids(one) for one in [*old(path), path]] == [["id-4"], ["id-5"], ["id-6"], ["id-7"]]
    assert all(one.stat().st_mode & 0o777 == 0o640 for one in old(path))


def test_none_is_kept(path):
    made = target(path, max_bytes=1, keep=0)
    for number in range(3):
        made.send([record(number)])
    assert (old(path), ids(path)) == ([], ["id-2"])


def test_other_files_in_the_folder_stay(path):
    path.parent.mkdir()
    others = [path.parent / name for name in ("alarms-old.jsonl", "alarms-20261125.jsonl.gz", "alarms.jsonl.1", "x")]
    for other in others:
        other.write_text("mine")
    made = target(path, max_bytes=1, keep=1)
    for number in range(4):
        made.send([record(number)])
    assert all(other.read_text() == "mine" for other in others)


def test_packing_that_was_interrupted_is_done(path):
    made = target(path, max_bytes=1, compress=False)
    for number in range(3):
        made.send([record(number)])
    first, second = old(path)
    (first.parent / f"{first.name}.gz.part").write_bytes(b"half of it")
    (second.parent / f"{second.name}.gz").write_bytes(gzip.compress(second.read_bytes()))  # and not yet deleted
    target(path, max_bytes=1 << 20).send([record(3)])
    assert [ids(one) for one in [*old(path), path]] == [["id-0"], ["id-1"], ["id-2", "id-3"]]


def test_a_line_that_was_cut_off_is_taken_away(path):
    target(path).send([record(1)])
    whole = path.read_bytes()
    for cut in (b"{", record(2).document[:40], b"x" * 200_000):
        path.write_bytes(whole + cut)
        target(path).send([record(2)])
        assert ids(path) == ["id-1", "id-2"]
    path.write_bytes(b"never a line")
    target(path).send([record(2)])
    assert ids(path) == ["id-2"]


def test_moved_away_by_somebody_else(path):
    made = target(path)
    made.send([record(1)])
    path.rename(path.with_name("taken"))
    made.send([record(2)])
    assert (ids(path), ids(path.with_name("taken"))) == (["id-2"], ["id-1"])


def test_a_full_disk_leaves_nothing_half_and_goes_on(tmp_path):
    with small_disk(tmp_path, "64k") as disk:
        path = disk / "alarms.jsonl"
        made = target(path)
        made.send([record(1)])
        filler = disk / "filler"
        with pytest.raises(OSError, match="No space"), filler.open("wb") as file:
            file.write(b"x" * (1 << 20))
        many = [record(number) for number in range(2, 40)]
        with pytest.raises(Later, match="No space left on device"):
            made.send(many)
        assert ids(path) == ["id-1"]
        filler.unlink()
        assert made.send(many).stored == 38
        assert len(ids(path)) == 39


def test_no_room_to_pack_is_no_reason_to_end(tmp_path, caplog):
    with small_disk(tmp_path, "32k") as disk:
        path = disk / "alarms.jsonl"
        made = target(path, max_bytes=1)
        assert made.send([record(0, note=os.urandom(5500).hex())]).stored == 1
        (disk / "filler").write_bytes(b"x" * 16_384)  # leaves room for a small file
        assert made.send([record(1)]).stored == 1
        assert "old files stay as they are: No space left" in caplog.text
        assert not list(disk.glob("*.part"))
        (disk / "filler").unlink()
        assert [ids(one) for one in [*old(path), path]] == [["id-0"], ["id-1"]]


def test_who_may_not_write_waits(path):
    path.parent.mkdir()
    path.mkdir()
    with pytest.raises(Later, match=r"alarms\.jsonl: Is a directory"):
        target(path).send([record(1)])


WRITER = """
import sys
from pathlib import Path
from receivers import record
from manager.output_settings import FileSettings
from manager.outputs import receiver
from manager.shipper import Shipper
from manager.spool import Spool
folder, path, first, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
shipper = Shipper(receiver(FileSettings("log", path, max_bytes=40_000, keep=10_000)), folder, print)
spool = Spool(folder, 1 << 30)
for number in range(first, first + count):
    spool.append([record(number)])
    print(number, flush=True)
if len(sys.argv) > 5:
    from manager.cursor import Cursor
    import time
    look = Cursor(folder, "log")
    while look.behind().records:
        time.sleep(0.01)
    shipper.close()
"""


def test_killed_again_and_again_none_is_lost(path, tmp_path):
    """At each kill at most one batch is written twice."""
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests' / 'support'}"}
    words = [sys.executable, "-c", WRITER, tmp_path / "spool", path]
    done = 0
    for _ in range(4):
        command = [*map(str, words), str(done), "100000"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, cwd=ROOT) as writer:
            for _ in range(150):
                done = int(writer.stdout.readline()) + 1
            writer.send_signal(signal.SIGKILL)
            done = max([done, *(int(line) + 1 for line in writer.stdout.read().split())])
    done += 1  # spooled, perhaps, and not said
    subprocess.run([*map(str, words), str(done), "1", "to the end"], check=True, env=environment, cwd=ROOT)
    found = [one for file in [*old(path), path] for one in ids(file)]
    assert {f"id-{number}" for number in range(done - 1)} | {f"id-{done}"} <= {*found}
    order = list(dict.fromkeys(int(one.removeprefix("id-")) for one in found))
    assert order == sorted(order)
    assert len(found) - len(order) <= 4 * 1000
