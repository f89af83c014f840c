"""The whole way: a scan or a sensor, its spool, and outputs of which none holds back another."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from nouns import documents
from receivers import SECONDS, Stream, Web, lines, record
from sensing import Sensor, fetch

from manager.cursor import Cursor
from manager.output_settings import FileSettings, SyslogSettings, WebhookSettings
from manager.outputs import receiver
from manager.shipper import Shipper
from manager.spool import Spool

ROOT = Path(__file__).parents[2]
ALL = 'datasets = ["all"]\n'


@pytest.fixture
def demo(tmp_path):
    path = tmp_path / "demo.pcap"
    subprocess.run([sys.executable, ROOT / "tests" / "cases" / "capture.py", "demo", path], check=True)
    return path


@pytest.fixture
def settings(tmp_path):
    """Writes settings with these outputs; each is a table's lines."""

    def write(*outputs, wait=20.0):
        path = tmp_path / "tapscan.toml"
        tables = "".join(f"[[output]]\n{one}\n" for one in outputs)
        text = f"[spool]\ndirectory = '{tmp_path}/spool'\n[elasticsearch]\nflush_timeout = {wait}\n{tables}"
        path.write_text(f"{text}[[engine]]\nkind = 'yara'\n")
        return path

    return write


def file(name="log", more=ALL):
    return f'name = "{name}"\nkind = "file"\npath = "{name}.jsonl"\n{more}'


def hook(url, more=ALL):
    return f'name = "hook"\nkind = "webhook"\nurl = "{url}"\n{more}'


def siem(address, more=ALL):
    return f'name = "siem"\nkind = "syslog"\naddress = "{address}"\n{more}'


def ids(some):
    return sorted(one["event"]["id"] for one in some)


def read(path):
    return list(map(json.loads, lines(path)))


@pytest.mark.parametrize("workers", [1, 3])
def test_a_scan_ends_when_all_have_its_documents(tapscan, settings, demo, tmp_path, workers):
    with Web() as web, Stream() as stream:
        path = settings(file(), hook(web.url), siem(stream.address), file("alarms", ""), file("eve", 'format = "eve"'))
        done = tapscan("scan", "--json", "--workers", str(workers), "--config", path, demo)
        assert (done.returncode, done.stderr) == (1, b"")
        told = documents(done)
        assert ids(read(tmp_path / "log.jsonl")) == ids(told)
        assert ids(web.take(len(told))) == ids(told)
        assert ids(json.loads(one.partition(b"] ")[2]) for one in stream.take(len(told))) == ids(told)
    alarms = [one for one in told if one["event"]["dataset"] == "tapscan.alarm"]
    assert ids(read(tmp_path / "alarms.jsonl")) == ids(alarms)
    assert [one["event_type"] for one in read(tmp_path / "eve.jsonl")] == ["alert"] * len(alarms)


def test_one_that_is_away_holds_back_nobody(tapscan, settings, demo, tmp_path):
    with Web() as web:
        pass
    path = settings(hook(web.url), file(), wait=0.3)
    first = tapscan("scan", "--json", "--config", path, demo)
    assert first.returncode == 1
    assert b"documents for hook stay in" in first.stderr
    assert b"Connection refused" in first.stderr
    assert b"for log" not in first.stderr
    assert ids(read(tmp_path / "log.jsonl")) == ids(documents(first))
    shown = tapscan("outputs", "--json", "--config", path)
    away, there = map(json.loads, shown.stdout.splitlines())
    assert shown.returncode == 2
    assert (away["name"], away["waiting"], away["stored"]) == ("hook", len(documents(first)), 0)
    assert (there["name"], there["waiting"], there["stored"]) == ("log", 0, len(documents(first)))
    with Web() as back:
        path = settings(hook(back.url), file())
        second = tapscan("scan", "--json", "--config", path, demo)
        assert second.stderr == b""
        assert ids(back.take(2 * len(documents(first)))) == ids(documents(first) + documents(second))
    shown = tapscan("outputs", "--config", path)
    assert shown.returncode == 0
    assert b"hook   webhook" in shown.stdout
    assert str(tmp_path / "log.jsonl").encode()[:20] in shown.stdout


def test_dead_letters_are_counted(tapscan, settings, demo):
    with Web() as web:
        web.always = lambda some: 400
        path = settings(hook(web.url, 'secret_file = "secret"\n'))
        path.with_name("secret").write_text("of the hook")
        assert tapscan("scan", "--config", path, demo).returncode == 1
    (row,) = map(json.loads, tapscan("outputs", "--json", "--config", path).stdout.splitlines())
    assert (row["dead_letters"], row["stored"], row["waiting"]) == (2, 0, 0)
    assert "of the hook" not in "".join(one.read_text(errors="replace") for one in (path.parent / "spool").iterdir())


def test_one_that_is_slow_holds_back_nobody(tmp_path):
    """It hangs in the middle of a request; the others have all, and the spool takes more."""
    over = threading.Event()
    with Web() as web, Stream() as stream:
        web.always = lambda _: over.wait(SECONDS) and 200
        outputs = [
            WebhookSettings("hook", web.url, timeout=60.0),
            FileSettings("log", str(tmp_path / "log.jsonl")),
            SyslogSettings("siem", stream.address),
        ]
        folder = tmp_path / "spool"
        spool = Spool(folder, 1 << 30)
        shippers = [Shipper(receiver(one), folder, print) for one in outputs]
        for number in range(0, 1000, 100):
            spool.append([record(one) for one in range(number, number + 100)])
        stream.take(1000)
        until_shipped(folder, "log")
        assert Cursor(folder, "hook").behind().records == 1000
        over.set()
        assert len(web.take(1000)) == 1000
        until_shipped(folder, "hook")
        for shipper in shippers:
            shipper.close()
    assert len(lines(tmp_path / "log.jsonl")) == 1000


def until_shipped(folder, name):
    look, pause = Cursor(folder, name), threading.Event()
    for _ in range(SECONDS * 100):
        if not look.behind().records:
            look.close()
            return
        pause.wait(0.01)
    raise AssertionError(f"{name} doesn't get on")


def test_killed_in_the_middle_the_next_goes_on(tapscan, settings, demo, tmp_path):
    with Web() as web:
        web.always = lambda _: 503  # so that nothing is over when it is killed
        path = settings(hook(web.url), file())
        words = [sys.executable, "-m", "manager.cli", "scan", "--json", "--config", path, demo]
        environment = os.environ | {"XDG_STATE_HOME": str(tmp_path / "state")}
        with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, env=environment) as scan:
            look = threading.Event()
            while not web.statuses:
                assert scan.poll() is None
                look.wait(0.01)
            scan.send_signal(signal.SIGKILL)
        web.always = None
        done = tapscan("scan", "--json", "--config", path, demo)
        assert done.returncode == 1, done.stderr
        came = {one["event"]["id"] for one in web.take(len(documents(done)))}
        while not web.came.empty():
            came.add(web.came.get()["event"]["id"])
    known = {one["event"]["id"] for one in documents(done)}
    assert known <= {one["event"]["id"] for one in read(tmp_path / "log.jsonl")}
    assert {one for one in known if one in came} == known


def test_a_sensor_sends_what_it_sees_as_who_it_becomes(span, served, settings, tmp_path):
    """Secrets that only root may read are read before; the folder of the file is handed over."""
    secret = tmp_path / "secret"
    secret.write_text("for root alone")
    secret.chmod(0o600)
    with Web(secret="for root alone") as web:
        more = 'secret_file = "secret"\n'
        one = 'name = "log"\nkind = "file"\npath = "log/alarms.jsonl"\n'
        two = 'name = "eve"\nkind = "file"\npath = "log/eve.jsonl"\nformat = "eve"\n'
        sensor = Sensor(tmp_path, "-i", span.port, "--json", "--config", str(settings(hook(web.url, more), one, two)))
        sensor.says("watching")
        fetch(span, "eicar.com")
        sensor.tells(1, "alarm")
        code, out, err = sensor.end()
        assert code == 0, err
        alarms = [one for one in map(json.loads, out.splitlines()) if one["event"]["dataset"] == "tapscan.alarm"]
        assert ids(web.take(len(alarms))) == ids(alarms)
    log = tmp_path / "log" / "alarms.jsonl"
    assert ids(read(log)) == ids(alarms)
    assert len(read(log.with_name("eve.jsonl"))) == len(alarms)
    assert {one.owner() for one in (log.parent, *log.parent.iterdir())} == {"nobody"}
    assert set(web.statuses) == {200}
