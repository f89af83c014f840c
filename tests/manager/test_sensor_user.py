"""Who a sensor is that root has started: another user, who still does all that it takes."""

import contextlib
import json
import os
import signal
from pathlib import Path

import pytest
from sensing import SECONDS, Sensor, documents, fetch, of

NOBODY = 65534


def status(pid):
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def test_the_manager_is_another_user_and_may_only_open_sockets(span, tmp_path):
    sensor = Sensor(tmp_path, "-i", span.port, "--json")
    now = status(sensor.process.pid)
    assert now["Uid"].split() == now["Gid"].split() == [str(NOBODY)] * 4
    assert int(now["CapEff"], 16) == int(now["CapPrm"], 16) == 1 << 13
    assert int(now["CapInh"], 16) == int(now["CapAmb"], 16) == 0
    assert now["NoNewPrivs"] == "1"
    for task in Path(f"/proc/{sensor.process.pid}/task").iterdir():
        own = status(f"{sensor.process.pid}/task/{task.name}")
        assert own["Uid"].split() == [str(NOBODY)] * 4
        assert task.name == str(sensor.process.pid) or int(own["CapEff"], 16) == 0
    assert sensor.end()[0] == 0


def test_nobody_who_is_left_is_root(span, tmp_path):
    sensor = Sensor(tmp_path, "-i", span.port, "--json", "--record", str(tmp_path / "kept"))
    pids = [int(entry.name) for entry in Path("/proc").glob("[0-9]*") if parent(entry) == sensor.process.pid]
    names = {status(pid)["Name"]: status(pid) for pid in pids}
    assert set(names) == {"tapscan-nursery", "tapscan-worker", "tapscan-record"}
    for name, own in names.items():
        assert own["Uid"].split() == [str(NOBODY)] * 4, name
        assert int(own["CapEff"], 16) == 0, name
    nursery = next(pid for pid in pids if status(pid)["Name"] == "tapscan-nursery")
    assert Path(f"/proc/{nursery}/ns/net").readlink() != Path("/proc/self/ns/net").readlink()
    assert sensor.end()[0] == 0
    assert [pid for pid in pids if Path(f"/proc/{pid}").exists()] == []


def parent(entry):
    with contextlib.suppress(OSError):
        return int(status(entry.name)["PPid"])
    return None


def test_an_interface_that_returns_needs_no_root(span, served, tmp_path):
    (tmp_path / "plain.toml").write_text("[sensor]\nring = 0\nworkers = 2\n")
    sensor = Sensor(tmp_path, "-i", span.port, "--json", "--config", "plain.toml")
    span.unplug()
    span.plug()
    sensor.says("an interface is there again")
    fetch(span, "eicar.com")
    sensor.tells(3, "alarm")
    assert status(sensor.process.pid)["Uid"].split()[1] == str(NOBODY)
    assert sensor.end()[0] == 0


def test_the_ledger_belongs_to_it_wherever_it_is(span, served, tmp_path):
    closed = tmp_path / "state" / "tapscan"
    folder = closed / "coverage"
    folder.mkdir(parents=True)
    closed.chmod(0o700)
    (folder / "coverage-2020-01-01.jsonl").write_text("")  # of a sensor that has stayed root
    sensor = Sensor(tmp_path, "-i", span.port, "--json")
    fetch(span, "a.txt")
    code, _, err = sensor.end()
    assert (code, err) == (0, "")
    assert len(kept := sorted(folder.iterdir())) == 2
    assert {path.stat().st_uid for path in (folder, *kept)} == {NOBODY}
    assert '"service":"http"' in kept[1].read_text()
    assert closed.stat().st_uid == 0


def test_the_spool_belongs_to_it(span, served, tmp_path):
    settings = '[elasticsearch]\nurls = ["http://127.0.0.1:9"]\nflush_timeout = 0.1\n'  # nobody is there
    (tmp_path / "own.toml").write_text(settings)
    sensor = Sensor(tmp_path, "-i", span.port, "--json", "--config", "own.toml")
    fetch(span, "a.txt")
    sensor.tells(3, "object")
    code, _, err = sensor.end()
    folder = tmp_path / "state" / "tapscan" / "spool"
    assert code == 0
    assert f"documents for elasticsearch stay in {folder} until they can be stored" in err
    assert "can't be written" not in err
    assert {path.stat().st_uid for path in (folder, *folder.iterdir())} == {NOBODY}


def test_a_folder_with_what_is_of_others_stays_theirs(span, served, tmp_path):
    folder = tmp_path / "others"
    folder.mkdir()
    (folder / "letters").write_text("dear")
    (tmp_path / "own.toml").write_text(f"[sensor]\nledger = {json.dumps(str(folder))}\n")
    sensor = Sensor(tmp_path, "-i", span.port, "--json", "--config", "own.toml")
    assert sensor.said == (
        f"tapscan: warning: {folder}: nobody, who the sensor becomes, can't write there (chown nobody)\n"
    )
    fetch(span, "a.txt")
    code, out, err = sensor.end()
    assert code == 0
    assert f"the coverage ledger can't be written in {folder}: Permission denied" in err
    assert of(documents(out), "coverage")
    assert {path.stat().st_uid for path in (folder, folder / "letters")} == {0}


def test_a_folder_for_temporary_files_that_is_closed_is_said(span, tmp_path, tapscan):
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o700)
    (tmp_path / "own.toml").write_text(f"[sensor]\ntemporary = {json.dumps(str(folder))}\n")
    done = tapscan("sensor", "-i", span.port, "--config", "own.toml")
    assert done.returncode == 2
    who = "nobody, who the sensor becomes,"
    why = f"{folder}: {who} can't write there: Permission denied ([sensor] temporary)"
    assert done.stderr.decode() == f"tapscan: {why}\n"


def test_settings_that_it_can_not_read_again_are_said(span, served, tmp_path):
    (tmp_path / "own.toml").write_text('[sensor]\nname = "one"\n')
    (tmp_path / "own.toml").chmod(0o600)
    sensor = Sensor(tmp_path, "-i", span.port, "--json", "--config", "own.toml")
    sensor.process.send_signal(signal.SIGHUP)
    sensor.says("the settings stay as they were: own.toml: can't be read: Permission denied")
    fetch(span, "eicar.com")
    sensor.tells(3, "alarm")
    assert sensor.end()[0] == 0


SCANNER = """
[[engine]]
name = "who"
kind = "command"
argv = ["sh", "-c", "id -u; exit 1", "{file}"]
signature = "(.+)"
"""


def test_scanners_are_started_as_that_user(span, served, tmp_path):
    (tmp_path / "own.toml").write_text(SCANNER)
    sensor = Sensor(tmp_path, "-i", span.port, "--json", "--config", "own.toml")
    fetch(span, "a.txt")
    sensor.tells(3, "alarm")
    code, out, _ = sensor.end()
    assert code == 0
    assert {one["rule"]["name"] for one in of(documents(out), "alarm")} == {str(NOBODY)}


@pytest.mark.parametrize("name", ["root", "nosuchuser"])
def test_who_it_can_not_become(span, tmp_path, name):
    (tmp_path / "own.toml").write_text(f'[sensor]\nuser = "{name}"\n')
    sensor = Sensor(tmp_path, "-i", span.port, "--json", "--config", "own.toml")
    if name == "root":
        assert sensor.said == "tapscan: warning: the manager stays root: [sensor] user is root\n"
        sensor.says("watching")
        assert sensor.end()[0] == 0
    else:
        assert sensor.said == "tapscan: [sensor] user: there is no user 'nosuchuser' on this host\n"
        sensor.process.wait(SECONDS)
        assert sensor.end()[0] == 2


def test_the_nursery_that_is_gone_ends_the_sensor(span, tmp_path):
    sensor = Sensor(tmp_path, "-i", span.port, "--json")
    pids = [int(entry.name) for entry in Path("/proc").glob("[0-9]*") if parent(entry) == sensor.process.pid]
    (nursery,) = set(pids) - set(sensor.workers())
    os.kill(nursery, signal.SIGKILL)
    for pid in sensor.workers():
        os.kill(pid, signal.SIGKILL)
    sensor.process.wait(SECONDS)
    code, _, err = sensor.end()
    assert code == 2
    assert err.endswith("tapscan: the process that starts capture workers is gone: the sensor ends\n")
