"""A live sensor whose reader is gone."""

import fcntl
import os
import time

import pytest
from sensing import SECONDS, Sensor, documents, fetch

from manager.listening import Listened


@pytest.fixture
def pipe():
    reading, writing = os.pipe()
    yield reading, writing
    os.close(writing)


def test_what_nobody_reads_is_said_once(pipe):
    reading, writing = pipe
    said = []
    out = Listened(lambda: said.append(1), writing)
    out(b"one\n")
    out.look()
    assert (os.read(reading, 10), out.closed, said) == (b"one\n", False, [])
    os.close(reading)
    out(b"two\n")
    out(b"three\n")
    out.look()
    assert (out.closed, said, out.left) == (True, [1], (0, 0))


def test_it_is_seen_though_there_is_nothing_to_say(pipe):
    reading, writing = pipe
    said = []
    out = Listened(lambda: said.append(1), writing)
    os.close(reading)
    out.look()
    assert (out.closed, said) == (True, [1])


def begun(tmp_path, *words):
    """A sensor, and the end of its standard output at which we read."""
    reading, writing = os.pipe()
    sensor = Sensor(tmp_path, *words, out=writing)
    os.close(writing)
    sensor.says("watching")
    return sensor, reading


@pytest.mark.parametrize("how", [["--json"], []], ids=["documents", "a person"])
def test_with_nothing_else_to_do_it_ends_in_order(span, tmp_path, how):
    sensor, reading = begun(tmp_path, "-i", span.port, *how)
    os.close(reading)
    sensor.process.wait(SECONDS)
    code, _, err = sensor.end()
    assert (code, err) == (141, "tapscan: nobody reads standard output any more: the sensor ends\n")


def test_after_the_first_line(span, served, tmp_path):
    sensor, reading = begun(tmp_path, "-i", span.port, "--json")
    fetch(span, "a.txt")
    with os.fdopen(reading) as head:
        assert documents(head.readline())
    sensor.process.wait(SECONDS)
    code, _, err = sensor.end()
    assert (code, err.count("\n")) == (141, 1)
    assert [*(tmp_path / "state/tapscan/coverage").iterdir()]  # what was seen is in the ledger


@pytest.mark.parametrize("what", ["record", "ledger", "output"])
def test_with_something_else_to_do_it_goes_on(span, served, tmp_path, what):
    own = f'[sensor]\n{what} = "{tmp_path}/kept"\naround_alarms = 1.0\n'
    output = f'[[output]]\nname = "log"\nkind = "file"\npath = "{tmp_path}/kept/alarms.jsonl"\n'
    (tmp_path / "own.toml").write_text(output if what == "output" else own)
    sensor, reading = begun(tmp_path, "-i", span.port, "--json", "--config", "own.toml")
    os.close(reading)
    sensor.says("nobody reads standard output any more: all else goes on")
    fetch(span, "eicar.com")
    if what == "record":
        until = time.monotonic() + SECONDS
        while len([*(tmp_path / "kept").glob("*.pcapng")]) < 3:
            assert time.monotonic() < until
            time.sleep(0.05)
    code, _, err = sensor.end()
    assert (code, err.count("nobody reads")) == (0, 1)
    if what == "ledger":
        (day,) = (tmp_path / "kept").iterdir()
        assert '"service":"http"' in day.read_text()
    if what == "output":
        told = documents((tmp_path / "kept/alarms.jsonl").read_text())
        assert {one["event"]["dataset"] for one in told} == {"tapscan.alarm"}


def test_who_is_there_and_does_not_read_holds_nothing_up(span, served, tmp_path):
    (tmp_path / "own.toml").write_text(
        f'[[output]]\nname = "log"\nkind = "file"\npath = "{tmp_path}/kept/alarms.jsonl"\n'
    )
    sensor, reading = begun(tmp_path, "-i", span.port, "--json", "--config", "own.toml")
    fcntl.fcntl(reading, fcntl.F_SETPIPE_SZ, 4096)
    for _ in range(4):
        fetch(span, "a.txt")
    sensor.says("documents can't be written: nobody reads them; they are kept for now")
    fetch(span, "eicar.com")
    until = time.monotonic() + SECONDS
    while not (tmp_path / "kept/alarms.jsonl").exists() or not documents((tmp_path / "kept/alarms.jsonl").read_text()):
        assert time.monotonic() < until
        time.sleep(0.05)
    with os.fdopen(reading) as all_the_same:
        sensor.process.terminate()
        kinds = [one["event"]["dataset"] for one in documents(all_the_same.read())]
    code, _, err = sensor.end()
    assert code == 0
    assert kinds.count("tapscan.alarm") == 3  # by HTTP, FTP and mail
    assert "documents can be written again; 0 of them are lost" in err
