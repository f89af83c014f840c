"""`tapscan scan` where engines crash and where they can't keep up: what is kept aside, what goes first."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import pytest
from capture import Conversation, write
from nouns import documents, response, web

SPILL = "[pool]\nwhen_full = 'spill'\nmax_bytes = 1500\nmax_disk = 1000000\n"
SLOW = "[[engine]]\nname = 'slow'\nkind = 'command'\nargv = ['sh', '-c', 'sleep 0.1', '{file}']\nslots = 1\n"
OBJECT = b'"dataset":"tapscan.object","module"'
# A scanner that takes the process with it in which its engine runs
DEADLY = """
[pool]
kind = "ray"
address = "new"
crashed = "kept"

[[engine]]
name = "deadly"
kind = "command"
argv = ["sh", "-c", 'grep -q deadly "$0" && kill -9 $PPID; exit 0', "{file}"]

[[engine]]
name = "yara"
kind = "yara"
"""


def said(document):
    return {one["engine"]: (one["status"], one.get("reason")) for one in document["tapscan"]["verdicts"]}


def test_what_crashes_its_engine_each_time_is_kept_aside_and_the_rest_is_scanned(tmp_path, tapscan):
    bodies = [(f"/{number}.bin", b"harmless %d " % number * 20) for number in range(8)]
    write(web(*bodies[:4], ("/evil.bin", b"a deadly object " * 20), *bodies[4:]), tmp_path / "evil.pcap")
    (tmp_path / "tapscan.toml").write_text(DEADLY)
    done = tapscan("scan", "--json", "--config", "tapscan.toml", "evil.pcap")
    assert done.returncode == 0, done.stderr
    told = {one["url"]["path"]: said(one) for one in documents(done, "tapscan.object")}
    assert told.pop("/evil.bin") == {"deadly": ("error", "crashed the engine"), "yara": ("clean", None)}
    assert list(told.values()) == [{"deadly": ("clean", None), "yara": ("clean", None)}] * 8
    (kept,) = (tmp_path / "kept").iterdir()
    assert kept.read_bytes() == b"a deadly object " * 20
    assert b"crashed engine deadly; kept in " in done.stderr


@pytest.fixture
def live(tmp_path):
    """A scan of what is written to it, as from a wire."""
    (tmp_path / "tapscan.toml").write_text(SPILL + SLOW)
    command = [sys.executable, "-m", "manager.cli", "scan", "--json", "--config", tmp_path / "tapscan.toml", "-"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        os.set_blocking(process.stdout.fileno(), False)
        yield process
        process.stdin.close()
        os.set_blocking(process.stdout.fileno(), True)
        process.stdout.read()
        assert process.wait(30) == 0


def test_what_could_still_be_stopped_is_scanned_first(tmp_path, live):
    """Many objects of a flow that is over, then two of one that goes on: these don't wait for those."""
    over = [(f"/over{number}", b"%d" % number * 1000) for number in range(6)]
    goes_on = Conversation("192.0.2.20:40000", "198.51.100.80:80")
    talk = [*goes_on.open()]
    for number in range(2):
        request, answer = response(b"%d" % number * 1000, name=f"/on{number}")
        talk += [*goes_on.orig(request), *goes_on.resp(answer)]
    write([*web(*over), *talk], tmp_path / "begin.pcap")
    live.stdin.write((tmp_path / "begin.pcap").read_bytes())
    seen, until, port = b"", time.monotonic() + 30, 1
    while seen.count(OBJECT) < 8:
        assert time.monotonic() < until, seen
        port += 1
        tick = Conversation(f"192.0.2.30:{port}", "192.0.2.31:9")
        write([*tick.open(), *tick.close()], tmp_path / "tick.pcap")
        live.stdin.write((tmp_path / "tick.pcap").read_bytes()[24:])  # without the file's header
        live.stdin.flush()
        seen += live.stdout.read() or b""
        time.sleep(0.1)  # a pipe that is silent hands on what it has
    paths = [json.loads(line)["url"]["path"] for line in seen.splitlines() if OBJECT in line]
    assert sorted(paths) == sorted([name for name, _ in over] + ["/on0", "/on1"])
    assert {"/on0", "/on1"} < set(paths[:3])
