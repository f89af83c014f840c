"""Actions on disk: what is written is read again, the last revision of each, whatever a crash left behind."""

import json
import os
from pathlib import Path

import pytest
from machine import small_disk
from nouns import BEGAN, NS, an_action

from manager.action_log import ActionLog, read
from manager.ecs import line
from manager.events import Documents
from manager.observer import Observer
from manager.options import Stop
from manager.ownership import is_action_log

DOCUMENTS = Documents(Observer("sensor-7"))
DAY = 86_400 * NS


def made(**more):
    return DOCUMENTS.action(an_action(**more))


def outcomes(folder, since=0):
    return [(one["tapscan"]["action"]["id"], one["tapscan"]["action"]["outcome"]) for one in read(folder, since)]


def test_the_last_revision_of_each_is_read_in_order_of_time(tmp_path):
    log = ActionLog(tmp_path / "made" / "actions")
    log.write(made(id="b", time=BEGAN + 9, outcome="failed"))
    log.write(made(id="a", time=BEGAN + 5 * NS, revision=2, outcome="late"))
    log.write(made(id="a", time=BEGAN + 5 * NS, revision=1, outcome="confirmed"))
    assert outcomes(tmp_path / "made" / "actions") == [("b", "failed"), ("a", "late")]
    assert log.failed == 0


def test_since_when(tmp_path):
    log = ActionLog(tmp_path)
    for days in range(4):
        log.write(made(id=str(days), time=BEGAN + days * DAY))
    assert len(list(tmp_path.iterdir())) == 4
    assert [name for name, _ in outcomes(tmp_path, BEGAN + 2 * DAY)] == ["2", "3"]
    assert [name for name, _ in outcomes(tmp_path, BEGAN + 2 * DAY + NS)] == ["3"]


def test_only_its_owner_reads_it(tmp_path):
    ActionLog(tmp_path / "actions").write(made())
    (path,) = (tmp_path / "actions").iterdir()
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)


@pytest.mark.parametrize("kept", [1, 20, 400])
def test_a_line_that_was_cut_off_costs_itself_alone(tmp_path, kept):
    log = ActionLog(tmp_path)
    log.write(made(id="first"))
    log.write(made(id="second"))
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.index(b"\n") + 1 + kept])
    log.write(made(id="third"))
    assert [name for name, _ in outcomes(tmp_path)] == ["first", "third"]


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "3",
        "{}",
        '{"tapscan": {"action": null}}',
        '{"@timestamp": 5, "tapscan": {"action": {"id": "x", "revision": 1}}}',
        json.dumps({"@timestamp": "2026", "tapscan": {"action": {"id": "x", "revision": "1"}}}),
    ],
)
def test_what_is_no_action_is_passed_over(tmp_path, text):
    (tmp_path / "actions-2024-02-29.jsonl").write_text(text + "\n")
    (tmp_path / "stop").touch()
    ActionLog(tmp_path).write(made())
    assert outcomes(tmp_path) == [("ac7", "confirmed")]


def test_the_oldest_days_go(tmp_path):
    log = ActionLog(tmp_path / "probe")
    log.write(made())
    size = next((tmp_path / "probe").iterdir()).stat().st_size
    log = ActionLog(tmp_path / "bounded", size * 5 // 2)
    for days in range(5):
        log.write(made(id=str(days), time=BEGAN + days * DAY))
    assert [name for name, _ in outcomes(tmp_path / "bounded")] == ["3", "4"]


def test_a_day_that_is_full_is_said_and_counted(tmp_path, caplog):
    log = ActionLog(tmp_path, len(line(made(id="1"))) * 3 // 2)
    log.write(made(id="1"))
    log.write(made(id="2"))
    assert log.failed == 1
    assert "the log of actions can't be written" in caplog.text
    assert outcomes(tmp_path) == [("1", "confirmed")]


def test_a_full_disk_costs_what_does_not_fit(tmp_path, caplog):
    (tmp_path / "disk").mkdir()
    with small_disk(tmp_path / "disk", "64k") as folder:
        log = ActionLog(Path(folder) / "actions")
        for number in range(200):
            log.write(made(id=str(number)))
        assert 0 < log.failed < 200
        assert len(outcomes(Path(folder) / "actions")) == 200 - log.failed
    assert "the disk is full" in caplog.text or "No space" in caplog.text


def test_no_folder_is_no_actions_and_no_folder_for_us_is_said(tmp_path):
    assert read(tmp_path / "absent", 0) == []
    (tmp_path / "file").touch()
    with pytest.raises(Stop, match="can't be read"):
        read(tmp_path / "file", 0)


def test_by_another_path(tmp_path):
    real = tmp_path / "real"
    real.mkdir()
    number = os.open(real, os.O_RDONLY)
    try:
        ActionLog(Path("/closed/to/us"), opened=Path(f"/proc/self/fd/{number}")).write(made())
    finally:
        os.close(number)
    assert outcomes(real) == [("ac7", "confirmed")]


def test_its_folder_is_told_from_others():
    assert is_action_log([])
    assert is_action_log(["actions-2024-02-29.jsonl", "stop"])
    assert not is_action_log(["actions-2024-02-29.jsonl", "id_ed25519"])
