"""A sensor that ends, or whose parts hang: it is bounded, and nothing goes by silently."""

import os
import signal
import subprocess
import sys
import time

import pytest
from sensing import SECONDS, Sensor, documents, of
from span import TRAFFIC

SHORT_END = "import manager.capture_workers as w, manager.sensor as s; w.FAREWELL, s.DRAIN = 0.5, 0.5"
SOON_STUCK = "import manager.capture_workers as w; w.STUCK = 1.5"
HANGING = """
[[engine]]
name = "hanging"
kind = "command"
argv = ["sh", "-c", "sleep 600", "{file}"]
timeout = 600.0
"""


def running(parent):
    """Whether a process hasn't been waited for."""
    try:
        os.kill(parent, 0)
    except ProcessLookupError:
        return False
    return True


def test_an_engine_that_hangs_does_not_keep_it(span, served, tmp_path):
    (tmp_path / "own.toml").write_text(HANGING)
    folder = tmp_path / "temporary"
    folder.mkdir()
    words = "-i", span.port, "--json", "--config", "own.toml"
    sensor = Sensor(tmp_path, *words, shorter=SHORT_END, TMPDIR=str(folder))
    fetch = span.inside(span.client, sys.executable, TRAFFIC, "fetch", span.SERVER, "a.txt")
    subprocess.run(fetch, check=True, timeout=SECONDS)
    begun = time.monotonic()
    _, out, err = sensor.end()
    assert time.monotonic() - begun < 20
    assert "the engines have not finished in time" in err
    objects = of(documents(out), "object")
    assert sum(one["file"]["size"] == 2 for one in objects) == 3
    verdicts = [one["tapscan"]["verdicts"][0] for one in objects]
    assert {(one["status"], one["reason"]) for one in verdicts} == {("skipped", "the sensor ended")}
    assert list(folder.iterdir()) == []  # the scanner was ended, too, and its files are gone


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_at_once(span, served, tmp_path, number):
    (tmp_path / "own.toml").write_text(HANGING)
    sensor = Sensor(tmp_path, "-i", span.port, "--json", "--config", "own.toml")
    workers = sensor.workers()
    fetch = span.inside(span.client, sys.executable, TRAFFIC, "fetch", span.SERVER, "a.txt")
    subprocess.run(fetch, check=True, timeout=SECONDS)
    sensor.process.send_signal(number)
    until = time.monotonic() + SECONDS
    while any(running(pid) for pid in workers):  # they are through; the engine isn't
        assert time.monotonic() < until
        time.sleep(0.02)
    begun = time.monotonic()
    code, _, _ = sensor.end(number)
    assert code == 130
    assert time.monotonic() - begun < 10


def test_a_worker_that_hangs_is_ended_and_another_one_goes_on(span, served, tmp_path):
    sensor = Sensor(tmp_path, "-i", span.port, "--json", shorter=SOON_STUCK)
    (worker,) = sensor.workers()
    os.kill(worker, signal.SIGSTOP)
    fetch = span.inside(span.client, sys.executable, TRAFFIC, "fetch", span.SERVER, "eicar.com")
    subprocess.run(fetch, check=True, timeout=SECONDS)  # waits in the kernel's ring
    sensor.says("a capture worker doesn't answer: it is ended")
    sensor.says("a capture worker died (SIGKILL)")
    sensor.tells(3, "alarm")
    assert sensor.workers() != [worker]
    assert sensor.end()[0] == 0
