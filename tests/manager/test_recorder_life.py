"""A recorder that dies, hangs or has to begin anew: nobody waits for it, and what is lost is said."""

import contextlib
import os
import signal
import time
from pathlib import Path

import pytest
from sensing import SECONDS, Sensor, documents, fetch, of, serving


def named(sensor, name):
    """The one process of that name."""
    until = time.monotonic() + SECONDS
    while True:
        with contextlib.suppress(OSError):
            found = [pid for pid in sensor.workers() if Path(f"/proc/{pid}/comm").read_text() == f"{name}\n"]
            if len(found) == 1:
                return found[0]
        assert time.monotonic() < until
        time.sleep(0.01)


def another(sensor, before):
    """The recorder that has come in the place of one."""
    until = time.monotonic() + SECONDS
    while (now := named(sensor, "tapscan-record")) == before:
        assert time.monotonic() < until
        time.sleep(0.01)
    return now


@pytest.fixture
def sensor(span, tmp_path, eicar):
    with serving(span, {"eicar.com": eicar}, tmp_path / "www"):
        yield Sensor(tmp_path, "-i", span.port, "--json", "--record", str(tmp_path / "kept"), "--around-alarms", "1s")


def kept(out):
    alarms = of(documents(out), "alarm")
    return len(alarms), sum(Path(alarm["tapscan"]["alarm"]["packets"]).exists() for alarm in alarms)


def test_one_that_dies_is_started_again_and_what_it_was_asked_for_is_written(span, sensor):
    fetch(span, "eicar.com")
    sensor.tells(3, "alarm")  # their time isn't over
    first = named(sensor, "tapscan-record")
    begun = time.monotonic()
    os.kill(first, signal.SIGKILL)
    second = another(sensor, first)
    assert time.monotonic() - begun < 5
    fetch(span, "eicar.com")
    sensor.tells(6, "alarm")
    code, out, err = sensor.end()
    assert code == 0
    assert second != first
    assert err.count("the recorder died (SIGKILL): packets that it had not written are lost; ") == 1
    assert kept(out) == (6, 6)


def test_one_that_dies_again_and_again_costs_no_alarm(span, sensor):
    pid = named(sensor, "tapscan-record")
    for _ in range(3):
        os.kill(pid, signal.SIGKILL)
        pid = another(sensor, pid)
    fetch(span, "eicar.com")
    sensor.tells(3, "alarm")
    code, out, err = sensor.end()
    assert code == 0
    assert err.count("the recorder died") == 3
    assert kept(out) == (3, 3)


def test_one_that_hangs_holds_nobody_up(span, sensor):
    pid = named(sensor, "tapscan-record")
    os.kill(pid, signal.SIGSTOP)
    span.unplug()
    span.plug()
    sensor.says("an interface is there again")  # now it has to end, and doesn't
    fetch(span, "eicar.com")
    sensor.tells(3, "alarm")
    os.kill(pid, signal.SIGCONT)
    another(sensor, pid)
    fetch(span, "eicar.com")
    sensor.tells(6, "alarm")
    code, out, err = sensor.end()
    assert code == 0
    assert "the recorder died" not in err
    assert len(of(documents(out), "alarm")) == 6


def test_sockets_of_an_interface_that_is_gone_are_closed(span, sensor):
    def sockets():
        return sum("socket" in str(one.readlink()) for one in Path(f"/proc/{sensor.process.pid}/fd").iterdir())

    before = sockets()
    for _ in range(2):
        pid = named(sensor, "tapscan-record")
        span.unplug()
        span.plug()
        another(sensor, pid)
    fetch(span, "eicar.com")
    sensor.tells(3, "alarm")
    until = time.monotonic() + SECONDS
    while sockets() > before:
        assert time.monotonic() < until
        time.sleep(0.02)
    assert sensor.end()[0] == 0


def test_one_that_is_gone_at_the_end_is_said(span, tmp_path, eicar):
    shorter = "import manager.recording as r; r.PAUSE = r.LONGEST = 600.0"
    with serving(span, {"eicar.com": eicar}, tmp_path / "www"):
        sensor = Sensor(tmp_path, "-i", span.port, "--record", str(tmp_path / "kept"), "-v", shorter=shorter)
        os.kill(named(sensor, "tapscan-record"), signal.SIGKILL)
        sensor.says("the recorder died (SIGKILL)")
        fetch(span, "eicar.com")
        code, out, _ = sensor.end()
    assert code == 0
    assert "record.died" in out
    assert "record.failed" in out
