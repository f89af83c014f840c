"""The product on three hosts as a user sets it up: a settings file each, and a real clamd beside two of them."""

from __future__ import annotations

import json
import os
import subprocess
from collections import Counter

import pytest
from capture import write
from hosts import TAPSCAN, Hosts, needed
from nouns import web
from samples import EICAR

CLAMD = '[[engine]]\nkind = "clamd"\naddress = "{}"\n'
YARA = '[[engine]]\nkind = "yara"\n'


def file(folder, name, text):
    (folder / f"{name}.toml").write_text(text)
    return ["--config", str(folder / f"{name}.toml")]


def documents(output, dataset):
    return [one for one in map(json.loads, output.splitlines()) if one["event"]["dataset"] == dataset]


@pytest.fixture
def hosts(tmp_path, monkeypatch, clamds):
    """The sensor's host with YARA, and two with a ClamAV each."""
    needed()
    own = {name: file(tmp_path, name, CLAMD.format(clamds(name).socket)) for name in ("a", "b")}
    with Hosts(tmp_path, head=file(tmp_path, "head", YARA)) as made:
        for name, value in made.environment.items():
            monkeypatch.setenv(name, value)
        made.add("a", "b", **own)
        made.wait()
        yield made


def scan(folder, hosts, *bodies):
    """Exit code and documents of a scan of a capture with these downloads."""
    write(web(*((f"/{number}.bin", body) for number, body in enumerate(bodies))), folder / "some.pcap")
    settings = file(folder, "sensor", f'[pool]\nkind = "ray"\naddress = "{hosts.address}"\n' + YARA)
    words = [*TAPSCAN, "scan", "--json", *settings, folder / "some.pcap"]
    done = subprocess.run(words, capture_output=True, timeout=90)
    assert done.returncode == 1, done.stderr
    return done.stdout


def test_each_engine_runs_where_it_is_set_up_and_a_host_may_leave(tmp_path, hosts):
    bodies = [os.urandom(3000) for _ in range(60)]
    for left in ({"a", "b"}, {"b"}):
        said = scan(tmp_path, hosts, *bodies, EICAR)
        told = [one["tapscan"]["verdicts"] for one in documents(said, "tapscan.object")]
        assert len(told) == 61
        assert Counter((one["engine"], one["status"]) for verdicts in told for one in verdicts) == {
            ("clamav", "clean"): 60, ("clamav", "malicious"): 1, ("yara", "clean"): 60, ("yara", "malicious"): 1,
        }  # fmt: skip
        where = {(one["engine"], one["host"]) for verdicts in told for one in verdicts}
        assert where == {("yara", "head")} | {("clamav", name) for name in left}
        (alarm,) = documents(said, "tapscan.alarm")
        assert {one["engine"] for one in alarm["tapscan"]["alarm"]["verdicts"]} == {"clamav", "yara"}
        if "a" in left:
            assert hosts.end("a") == 0
