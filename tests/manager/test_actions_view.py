"""`tapscan actions`: its list, the stop rate, and the stop file."""

import json
import time

import pytest
from nouns import an_action, an_object

from manager.action_log import ActionLog
from manager.action_stop import stopped
from manager.actions_view import SHOWN, rates, size_class
from manager.events import Documents
from manager.observer import Observer

DOCUMENTS = Documents(Observer("sensor-7"))


def made(number, **more):
    return DOCUMENTS.action(an_action(id=str(number), time=time.time_ns(), **more))


MAIL = an_object(protocol="smtp", name="in\x1bvoice.zip")


@pytest.fixture
def kept(tmp_path):
    """In the state directory that `tapscan` has."""
    log = ActionLog(tmp_path / "state" / "tapscan" / "actions")
    wide = {"bytes_total": 20_000_000, "bytes_delivered": 1_500_000, "latency": 2_500_000}
    for number, more in enumerate(
        [
            {"outcome": "confirmed", **wide},
            {"outcome": "confirmed", **wide},
            {"outcome": "late", "bytes_total": 50_000},
            {"outcome": "failed", "target": MAIL, "reason": "the flow went on"},
            {"outcome": "refused", "target": MAIL, "reason": "allowed"},
            {"outcome": "observed", "mode": "observe"},
            {"outcome": "done", "kind": "command"},
            {"outcome": "failed", "kind": "webhook", "reason": "503"},
        ]
    ):
        log.write(made(number, **more))
    return tmp_path / "state" / "tapscan" / "actions"


@pytest.mark.usefixtures("kept")
def test_the_list_and_the_stop_rate(tapscan):
    done = tapscan("actions", COLUMNS="200")
    out = done.stdout.decode()
    assert (done.returncode, done.stderr) == (0, b"")
    assert "8 actions: 2 confirmed, 2 failed, 1 late, 1 refused, 1 observed, 1 done" in out
    rows = {line.split()[0]: line.split()[-4:] for line in out.splitlines() if line.endswith(" %")}
    assert rows["http"] == ["3", "2", "66.7", "%"]
    assert rows["smtp"] == ["1", "0", "0.0", "%"]
    assert rows["all"] == ["4", "2", "50.0", "%"]
    assert rows["larger"] == ["2", "2", "100.0", "%"]
    assert "failed: the flow went on" in out
    assert "1.5 MB of 20.0 MB" in out
    assert "2.5 ms" in out
    assert "\x1b" not in out


def test_documents_as_json(tapscan, kept):
    ActionLog(kept).write(made(0, revision=2, outcome="late"))
    done = tapscan("actions", "--json")
    found = [json.loads(line)["tapscan"]["action"] for line in done.stdout.splitlines()]
    assert sorted(one["id"] for one in found) == list("01234567")
    assert [one["outcome"] for one in found if one["id"] == "0"] == ["late"]


@pytest.mark.usefixtures("kept")
def test_since(tapscan):
    assert b"no actions" in tapscan("actions", "--since", "2999-01-01").stdout
    assert b"8 actions" in tapscan("actions", "--since", "2020-01-01").stdout
    done = tapscan("actions", "--since", "soon")
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr == b"tapscan: --since soon: write 24h, 7d, or a date or time\n"


def test_without_any(tapscan):
    done = tapscan("actions")
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"no actions in " in done.stdout


def test_a_rate_needs_something_that_was_tried(tapscan, tmp_path):
    ActionLog(tmp_path / "state" / "tapscan" / "actions").write(made(1, outcome="observed"))
    assert b"none was to be stopped" in tapscan("actions").stdout


def test_many_are_counted_and_the_newest_shown(tapscan, tmp_path):
    log = ActionLog(tmp_path / "state" / "tapscan" / "actions")
    for number in range(SHOWN + 7):
        log.write(made(number, target=an_object(name=f"n{number}.bin")))
    out = tapscan("actions", COLUMNS="200").stdout.decode()
    assert f"{SHOWN + 7} actions: {SHOWN + 7} confirmed" in out
    assert "and 7 actions before (--json has all of them)" in out
    assert "n6.bin" not in out
    assert "n7.bin" in out


def test_stop_and_resume(tapscan, tmp_path):
    path = tmp_path / "state" / "tapscan" / "actions" / "stop"
    assert tapscan("actions", "resume").stdout == f"not stopped: there is no {path}\n".encode()
    done = tapscan("actions", "stop")
    assert done.stdout.startswith(f"stopped: {path} is there now".encode())
    assert (done.returncode, stopped(path)) == (0, True)
    assert tapscan("actions", "stop").stdout.startswith(b"stopped already: ")
    assert b"stopped: nothing is sent while" in tapscan("actions").stdout
    assert tapscan("actions", "resume").stdout == f"resumed: {path} is gone; mode is observe\n".encode()
    assert not stopped(path)
    assert b"stopped" not in tapscan("actions").stdout


def test_the_stop_file_of_the_settings(tapscan, tmp_path):
    path = tmp_path / "own" / "halt"
    (tmp_path / "t.toml").write_text(f"[countermeasures]\nmode = 'enforce'\nstop_file = '{path}'\n")
    assert tapscan("actions", "stop", "--config", "t.toml").returncode == 0
    assert path.is_file()
    assert b"mode is enforce" in tapscan("actions", "resume", "--config", "t.toml").stdout
    assert not path.exists()


def test_what_can_not_be_stopped_is_said(tapscan, tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "t.toml").write_text(f"[countermeasures]\nstop_file = '{tmp_path}/file/stop'\n")
    for word, says in (("stop", b"not stopped: "), ("resume", b"still stopped: ")):
        done = tapscan("actions", word, "--config", "t.toml")
        assert (done.returncode, done.stdout) == (2, b"")
        assert says in done.stderr


def test_who_can_not_look_takes_it_for_a_stop(tmp_path):
    (tmp_path / "file").touch()
    assert stopped(tmp_path / "file" / "stop")
    assert not stopped(tmp_path / "stop")


def test_a_dangling_link_stops_as_well(tmp_path):
    (tmp_path / "stop").symlink_to(tmp_path / "nowhere")
    assert stopped(tmp_path / "stop")


@pytest.mark.parametrize(
    ("total", "name"), [(1, "up to 100 kB"), (100_001, "up to 1 MB"), (10_000_000, "up to 10 MB"), (1 << 40, "larger")]
)
def test_size_classes(total, name):
    assert size_class(made(1, bytes_total=total)) == name


def test_without_a_total_the_objects_own_size_counts():
    assert size_class(made(1, target=an_object(b"x" * 200_000))) == "up to 1 MB"


def test_rates_of_nothing():
    assert rates([made(1, outcome="refused")], size_class) == {}
