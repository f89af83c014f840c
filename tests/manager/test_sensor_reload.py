"""The settings of a sensor that runs are read again, while packets go on; and what it tells the service manager."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from sensing import SECONDS, Sensor, documents, figures, of
from span import TRAFFIC

SETTINGS = """
[sensor]
name = "{name}"
workers = {workers}

[[engine]]
name = "own"
kind = "yara"
starter = false
rules = ["own.yar"]
"""
RULE = "rule {name} {{ strings: $a = {text} condition: $a at 0 }}"


class Folder:
    """Of settings and their rules."""

    def __init__(self, path):
        self.path = path
        self.settings()
        self.rule("nothing", '"none of it"')

    def settings(self, name="one", workers=1, more=""):
        (self.path / "own.toml").write_text(SETTINGS.format(name=name, workers=workers) + more)

    def rule(self, name, text):
        (self.path / "own.yar").write_text(RULE.format(name=name, text=text))


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


def test_new_rules_hold_for_what_comes_and_no_packet_is_lost(span, served, folder):
    sensor = Sensor(folder.path, "-i", span.port, "--json", "--config", "own.toml")
    workers = sensor.workers()
    fetch = span.inside(span.client, sys.executable, TRAFFIC, "fetch", span.SERVER, "a.txt")
    subprocess.run(fetch, check=True, timeout=SECONDS)
    sensor.tells(3, "object")
    folder.rule("Greeting", '"hi"')
    folder.settings(name="two", workers=2)
    sensor.process.send_signal(signal.SIGHUP)
    subprocess.run(fetch, check=True, timeout=SECONDS)  # while they are read
    sensor.says("settings have been read again; only a restart changes sensor.workers")
    subprocess.run(fetch, check=True, timeout=SECONDS)
    sensor.tells(3, "alarm")
    assert sensor.workers() == workers
    code, out, _ = sensor.end()
    assert code == 0
    found = documents(out)
    objects = [one for one in of(found, "object") if one["file"]["size"] == 2]
    objects.sort(key=lambda one: one["@timestamp"])  # as they came: old engines may finish after new ones
    assert len(objects) == 9
    assert [one["tapscan"]["verdict"] for one in objects] == sorted(one["tapscan"]["verdict"] for one in objects)
    alarms = of(found, "alarm")
    assert {(one["rule"]["name"], one["observer"]["name"]) for one in alarms} == {("Greeting", "two")}
    assert objects[0]["observer"]["name"] == "one"
    assert figures(found)[-1]["lost_packets"] == 0


def test_new_limits_hold_for_what_comes_also_in_a_worker_that_is_started_later(span, served, folder):
    folder.settings(workers=2)
    sensor = Sensor(folder.path, "-i", span.port, "--json", "--config", "own.toml")
    fetch = span.inside(span.client, sys.executable, TRAFFIC, "fetch", span.SERVER, "a.txt")
    subprocess.run(fetch, check=True, timeout=SECONDS)
    sensor.tells(3, "object")
    folder.settings(workers=2, more="[limits]\nobject_bytes = 1\n[reassembly]\noverlap = 'bsd'\ntrack_vlan = false\n")
    sensor.process.send_signal(signal.SIGHUP)
    sensor.says("settings have been read again; only a restart changes reassembly.track_vlan\n")
    for count in (6, 9):  # what comes while they are handed over may be read with the old ones
        subprocess.run(fetch, check=True, timeout=SECONDS)
        sensor.tells(count, "object")
    for worker in sensor.workers():
        os.kill(worker, signal.SIGKILL)
    subprocess.run(fetch, check=True, timeout=SECONDS)
    sensor.tells(12, "object")
    code, out, _ = sensor.end()
    assert code == 0
    objects = of(documents(out), "object")
    sizes = [one["file"]["size"] for one in objects if one["network"]["protocol"] in ("http", "ftp-data")]
    assert (sizes[:2], sizes[4:]) == ([2, 2], [1, 1, 1, 1])


def broken_rule(folder):
    folder.rule("Broken", "nothing")


def no_list(folder):
    folder.settings(more='[[engine]]\nname = "lists"\nkind = "hashes"\nbad = ["none.txt"]\n')


def no_key(folder):
    folder.settings(more="colour = 1\n")


@pytest.mark.parametrize(
    ("mistake", "why"),
    [
        (broken_rule, r"engine own: .*own\.yar.*syntax error"),
        (no_list, r"engine lists: .*none\.txt: No such file or directory"),
        (no_key, r"own\.toml: engine\[0\]\.colour: is no key here"),
    ],
)
def test_a_mistake_is_one_line_and_all_stays_as_it_was(span, served, folder, mistake, why):
    folder.rule("Greeting", '"hi"')
    sensor = Sensor(folder.path, "-i", span.port, "--json", "--config", "own.toml")
    mistake(folder)
    sensor.process.send_signal(signal.SIGHUP)
    sensor.says("the settings stay as they were")
    fetch = span.inside(span.client, sys.executable, TRAFFIC, "fetch", span.SERVER, "a.txt")
    subprocess.run(fetch, check=True, timeout=SECONDS)
    sensor.tells(3, "alarm")
    code, _, err = sensor.end()
    assert code == 0
    assert re.fullmatch(rf"tapscan: error: the settings stay as they were: {why}.*\n", err), err


@pytest.mark.skipif(os.geteuid() != 0, reason="captures")
def test_a_mistake_can_be_mended(folder):
    sensor = Sensor(folder.path, "-i", "lo", "--config", "own.toml")  # signals may come before it is ready
    no_key(folder)
    sensor.process.send_signal(signal.SIGHUP)
    sensor.says("the settings stay as they were")
    folder.settings()
    sensor.process.send_signal(signal.SIGHUP)
    sensor.says("settings have been read again")
    assert sensor.end()[0] == 0


class Listener:
    """A service manager's end."""

    def __init__(self, name):
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(name)
        if not name.startswith("\0"):
            Path(name).chmod(0o777)  # as that of systemd
        self._socket.settimeout(SECONDS)

    def hears(self, text):
        """Waits for it; gives what came before it, too."""
        heard = []
        while not heard or text not in heard[-1]:
            heard.append(self._socket.recv(4096).decode())
        return heard

    def close(self):
        self._socket.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="captures")
@pytest.mark.parametrize("abstract", [False, True])
def test_the_service_manager_hears_how_it_goes(folder, abstract):
    reached = Path(tempfile.mkdtemp(prefix="tapscan-notify-"))  # by any user
    reached.chmod(0o755)
    name = f"\0lf-{os.getpid()}" if abstract else str(reached / "notify")
    listener = Listener(name)
    address = name.replace("\0", "@")
    sensor = Sensor(folder.path, "-i", "lo", "--config", "own.toml", NOTIFY_SOCKET=address, WATCHDOG_USEC="300000")
    assert listener.hears("READY=1") == ["READY=1"]
    listener.hears("WATCHDOG=1")
    sensor.process.send_signal(signal.SIGHUP)
    reloading = listener.hears("RELOADING=1")[-1]
    assert re.fullmatch(r"RELOADING=1\nMONOTONIC_USEC=\d+", reloading)
    listener.hears("READY=1")
    assert re.fullmatch(r"STATUS=\d+ packets/s, \d+ flows, 0 packets lost, 0 alarms", listener.hears("STATUS")[-1])
    for worker in sensor.workers():
        assert b"NOTIFY_SOCKET" not in Path(f"/proc/{worker}/environ").read_bytes()
    assert sensor.end()[0] == 0
    listener.hears("STOPPING=1")
    listener.close()
    shutil.rmtree(reached)
