"""`tapscan sensor --record`: the packets of an alarm's flow, as tshark and tapscan itself read them."""

import os
import subprocess
import time
from pathlib import Path

import pytest
from capture import write
from machine import small_disk
from nouns import documents as of_done
from nouns import web
from sensing import SECONDS, Sensor, documents, fetch, of, serving


def fields(path, *names):
    """What tshark says of each packet."""
    words = ["tshark", "-r", str(path), "-T", "fields", *(word for name in names for word in ("-e", name))]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return [tuple(line.split("\t")) for line in done.stdout.splitlines()]


def about(path):
    return subprocess.run(["capinfos", str(path)], capture_output=True, text=True, check=True).stdout


def again(tapscan, path):
    """The alarms of a scan of the packets."""
    return of_done(tapscan("scan", path, "--json"), "tapscan.alarm")


def recorded(span, ports, tmp_path, eicar, *more):
    files = {"eicar.com": eicar, "noise.bin": os.urandom(300_000)}
    with serving(span, files, tmp_path / "www"):
        words = (word for port in ports for word in ("-i", port))
        sensor = Sensor(tmp_path, *words, "--json", "--record", str(tmp_path / "kept"), *more)
        fetch(span, *files)
        code, out, err = sensor.end()
    assert (code, err) == (0, "")
    return of(documents(out), "alarm")


@pytest.mark.parametrize("both", [False, True], ids=["SPAN", "TAP"])
def test_the_packets_of_an_alarm_tell_it_again(span, tmp_path, tapscan, eicar, both):
    alarms = recorded(span, span.tap() if both else [span.port], tmp_path, eicar, "--around-alarms", "1s")
    assert len(alarms) == 3
    for alarm in alarms:
        path = Path(alarm["tapscan"]["alarm"]["packets"])
        assert f"tapscan alarm {alarm['tapscan']['alarm']['id']}" in about(path)
        ports = {frozenset(pair) for pair in fields(path, "tcp.srcport", "tcp.dstport")}
        own = frozenset((str(alarm["source"]["port"]), str(alarm["destination"]["port"])))
        assert own in ports
        if alarm["network"]["protocol"] == "ftp-data":
            assert any("21" in pair for pair in ports - {own})
        else:
            assert ports == {own}
        found = [(one["network"]["protocol"], one["file"]["hash"], one.get("url")) for one in again(tapscan, path)]
        assert found == [(alarm["network"]["protocol"], alarm["file"]["hash"], alarm.get("url"))]


def test_a_replay_records_as_well(tmp_path, tapscan, eicar):
    other = web(("/a.txt", b"nothing"), orig="192.0.2.11:40002")
    write([*web(("/bad.com", eicar)), *other], tmp_path / "some.pcap")
    done = tapscan("sensor", "--replay", "some.pcap", "--speed", "0", "--json", "-q", "--record", tmp_path / "kept")
    assert (done.returncode, done.stderr) == (0, b"")
    (alarm,) = of_done(done, "tapscan.alarm")
    (path,) = (tmp_path / "kept").glob("*.pcapng")
    assert alarm["tapscan"]["alarm"]["packets"] == str(path)
    assert len(fields(path, "frame.number")) == len(web(("/bad.com", eicar)))
    (same,) = again(tapscan, path)
    assert same["tapscan"]["alarm"]["id"] == alarm["tapscan"]["alarm"]["id"]


def test_a_folder_that_can_not_be_written_to_is_said(tmp_path, tapscan):
    write(web(("/a.txt", b"nothing")), tmp_path / "some.pcap")
    (tmp_path / "kept").write_text("a file")
    done = tapscan("sensor", "--replay", "some.pcap", "--record", tmp_path / "kept")
    assert done.returncode == 2
    assert done.stderr.count(b"\n") == 1
    assert b"--record" in done.stderr


@pytest.mark.parametrize("words", [("--around-alarms", "soon"), ("--record-bytes", "0")])
def test_words_that_are_no_amounts_are_refused(tapscan, words):
    done = tapscan("sensor", *words)
    assert done.returncode == 2
    assert words[1].encode() in done.stderr


def test_the_recorder_has_no_rights_left_but_its_folder(span, tmp_path):
    sensor = Sensor(tmp_path, "-i", span.port, "--json", "--record", str(tmp_path / "kept"))
    for pid in sensor.workers():
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
        assert status["Uid"].split() == ["65534"] * 4
        assert int(status["CapEff"], 16) == 0
        assert status["NoNewPrivs"] == "1"
    assert len(sensor.workers()) == 2
    assert sensor.end()[0] == 0


def test_what_the_disk_has_no_room_for_is_said_once_and_alarms_go_on(span, tmp_path, eicar):
    disk = tmp_path / "kept"
    disk.mkdir()
    files = {"noise.bin": os.urandom(300_000), "eicar.com": eicar}
    with small_disk(disk, "64k"), serving(span, files, tmp_path / "www"):
        sensor = Sensor(tmp_path, "-i", span.port, "--json", "--record", str(disk))
        fetch(span, "noise.bin", "eicar.com")
        code, out, err = sensor.end()
    assert code == 0
    assert len(of(documents(out), "alarm")) == 3
    assert err.count("packets are not recorded: No space left on device") == 1
    assert "Traceback" not in err


def test_an_interface_that_returns_is_recorded_again(span, tmp_path, tapscan, eicar):
    with serving(span, {"eicar.com": eicar}, tmp_path / "www"):
        sensor = Sensor(tmp_path, "-i", span.port, "--json", "--record", str(tmp_path / "kept"))
        first = sensor.workers()
        span.unplug()
        span.plug()
        sensor.says("an interface is there again")
        until = time.monotonic() + SECONDS
        while len(now := sensor.workers()) < 2 or set(now) & set(first):
            assert time.monotonic() < until
            time.sleep(0.05)
        fetch(span, "eicar.com")
        code, out, _ = sensor.end()
    assert code == 0
    alarms = of(documents(out), "alarm")
    assert len(alarms) == 3
    for alarm in alarms:
        assert again(tapscan, alarm["tapscan"]["alarm"]["packets"])
