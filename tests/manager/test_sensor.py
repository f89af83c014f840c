"""`tapscan sensor` as a user calls it: real servers and clients, and a SPAN port between them."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from capture import write
from nouns import web
from sensing import ROOT, SECONDS, TAPSCAN, TRAFFIC, Sensor, documents, of, serving
from span import Span, needed


@pytest.fixture
def span():
    needed()
    with Span() as made:
        yield made


@pytest.fixture
def served(span, tmp_path, eicar):
    """What the servers have: names, with their bytes."""
    files = {"eicar.com": eicar, "noise.bin": os.urandom(300_000), "large.bin": os.urandom(12_000_000), "a.txt": b"hi"}
    with serving(span, files, tmp_path / "www"):
        yield files


def test_everything_that_passes_is_found_and_scanned(span, served, tmp_path):
    sensor = Sensor(tmp_path, "-i", span.port, "--json")
    assert sensor.said == f"tapscan: watching {span.port}\n"
    fetch = span.inside(span.client, sys.executable, TRAFFIC, "fetch", span.SERVER, *served)
    subprocess.run(fetch, check=True, timeout=SECONDS)
    code, out, err = sensor.end()
    assert (code, err) == (0, "")
    found = documents(out)
    seen = Counter(
        (one["network"]["protocol"], one["file"]["hash"]["sha256"], one["tapscan"]["verdict"])
        for one in of(found, "object")
    )
    for name, payload in served.items():
        for protocol in ("http", "ftp-data", "smtp"):
            verdict = "malicious" if name == "eicar.com" else "clean"
            assert seen[protocol, hashlib.sha256(payload).hexdigest(), verdict] == 1, (name, protocol)
    alarms = of(found, "alarm")
    assert sorted(one["network"]["protocol"] for one in alarms) == ["ftp-data", "http", "smtp"]
    for one in found:
        if one["event"]["dataset"] in ("tapscan.object", "tapscan.alarm"):
            assert one["observer"]["ingress"]["interface"]["name"] == span.port
            assert "log" not in one
    assert {one["url"]["full"] for one in alarms if "url" in one} == {f"http://{span.SERVER}/eicar.com"}
    (figures,) = [one["tapscan"]["sensor"] for one in of(found, "sensor")][-1:]
    assert figures["lost_packets"] == 0
    ledger = {one["tapscan"]["coverage"]["service"] for one in of(found, "coverage")}
    assert {"http", "ftp", "ftp-data", "smtp"} <= ledger
    latency = [one["tapscan"]["latency"] for one in of(found, "object")]
    assert all(0 <= one["reassembly"] < 1_000_000_000 for one in latency)


def test_as_a_person_sees_it(span, served, tmp_path):
    sensor = Sensor(tmp_path, "-i", span.port)
    fetch = span.inside(span.client, sys.executable, TRAFFIC, "fetch", span.SERVER, "eicar.com")
    subprocess.run(fetch, check=True, timeout=SECONDS)
    code, out, err = sensor.end(signal.SIGINT)
    assert (code, err) == (0, "")
    first, *rest = out.splitlines()
    assert first.startswith("HIGH ")
    assert "eicar.com" in first
    assert any(one.startswith("Objects") for one in rest)


def test_what_changes_packets_is_said_and_switched_off(span, tmp_path):
    left = "gro off tso off gso off"
    switched = subprocess.run(["ethtool", "-K", span.port, *left.replace("off", "on").split()], capture_output=True)
    assert switched.returncode == 0
    sensor = Sensor(tmp_path, "-i", span.port)
    warning = f"tapscan: warning: {span.port} changes packets before they are seen: ethtool -K {span.port} {left}\n"
    assert sensor.said == warning
    sensor.says("watching")
    assert sensor.end()[0] == 0
    sensor = Sensor(tmp_path, "-i", span.port, "--fix-offloads")
    assert sensor.said == f"tapscan: watching {span.port}\n"
    assert sensor.end()[0] == 0
    shown = subprocess.run(["ethtool", "-k", span.port], capture_output=True, text=True, check=True).stdout
    assert "generic-receive-offload: off" in shown
    assert "tx-tcp-segmentation: off" in shown


def test_a_filter_leaves_the_rest_out(span, served, tmp_path):
    sensor = Sensor(tmp_path, "-i", span.port, "--json", "--filter", "tcp port 80")
    fetch = span.inside(span.client, sys.executable, TRAFFIC, "fetch", span.SERVER, "eicar.com")
    subprocess.run(fetch, check=True, timeout=SECONDS)
    _, out, _ = sensor.end()
    assert {one["network"]["protocol"] for one in of(documents(out), "object")} == {"http"}


def test_a_replay_finds_what_a_scan_finds(tmp_path, tapscan, eicar):
    write(web(("/a.txt", b"nothing"), ("/bad.com", eicar)), tmp_path / "some.pcap")
    played = tapscan("sensor", "--replay", "some.pcap", "--speed", "0", "--json")
    scanned = tapscan("scan", "some.pcap", "--json")
    assert (played.returncode, scanned.returncode) == (0, 1)
    both = [
        sorted((one["event"]["id"], one["event"]["dataset"]) for one in documents(done.stdout.decode()))
        for done in (played, scanned)
    ]
    assert [one for one in both[0] if one[1] != "tapscan.sensor"] == both[1]


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ((), "no interface to watch: -i IFACE, or interfaces = [...] under [sensor] in the settings"),
        (("-i", "nosuch0"), "nosuch0: no such interface (ip link shows those that are there)"),
        (("-i", "lo", "--filter", "tcp prt 80"), "--filter: 'tcp prt 80': can't parse filter expression: syntax error"),
        (("--replay", "none.pcap"), "none.pcap: no such file"),
        (("--replay", "none.pcap", "--speed", "fast"), "argument --speed: 'fast' is no number from 0 on"),
    ],
)
def test_what_cannot_begin_says_why(tapscan, words, why):
    done = tapscan("sensor", *words)
    assert done.returncode == 2
    assert done.stderr.decode().startswith(f"tapscan: {why}")
    assert done.stderr.count(b"\n") == 1


def test_without_the_right_the_way_to_it_is_said(tmp_path, span):
    words = ["setpriv", "--bounding-set", "-net_raw", "--inh-caps", "-net_raw", *TAPSCAN, "sensor", "-i", span.port]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 2
    assert f"capturing on {span.port} needs CAP_NET_RAW" in done.stderr
    assert "setcap" in done.stderr


def test_a_worker_that_is_killed_is_started_again_and_its_loss_is_said(span, served, tmp_path):
    (tmp_path / "two.toml").write_text("[sensor]\nworkers = 2\n")
    sensor = Sensor(tmp_path, "-i", span.port, "--json", "--config", "two.toml")
    first = sensor.workers()
    assert len(first) == 2
    fetch = span.inside(span.client, sys.executable, TRAFFIC, "fetch", span.SERVER, "eicar.com")
    subprocess.run(fetch, check=True, timeout=SECONDS)
    sensor.tells(3, "alarm")
    for pid in first:
        os.kill(pid, signal.SIGKILL)
    subprocess.run(fetch, check=True, timeout=SECONDS)  # waits in the kernel's ring until somebody reads it
    until = time.monotonic() + SECONDS
    while len(again := sensor.workers()) < 2 or set(first) & set(again):
        assert time.monotonic() < until
        time.sleep(0.05)
    subprocess.run(fetch, check=True, timeout=SECONDS)
    code, out, err = sensor.end()
    assert code == 0
    assert err.count("a capture worker died (SIGKILL): ") == 2
    protocols = Counter(one["network"]["protocol"] for one in of(documents(out), "alarm"))
    assert protocols == {"http": 3, "ftp-data": 3, "smtp": 3}


def test_workers_have_no_rights_left(span, tmp_path):
    sensor = Sensor(tmp_path, "-i", span.port, "--json")
    (worker,) = sensor.workers()
    lines = Path(f"/proc/{worker}/status").read_text().splitlines()
    status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    assert status["Uid"].split() == ["65534"] * 4
    assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0
    assert status["NoNewPrivs"] == "1"
    assert Path(f"/proc/{worker}/ns/net").readlink() != Path("/proc/self/ns/net").readlink()
    assert sensor.end()[0] == 0


def test_many_flows_of_many_workers_and_large_files(span, tmp_path, served):
    (tmp_path / "three.toml").write_text(f"[sensor]\nworkers = 3\nring = {256 << 20}\n")
    sensor = Sensor(tmp_path, "-i", span.port, "--json", "--config", "three.toml")
    fetch = span.inside(span.client, sys.executable, TRAFFIC, "fetch", span.SERVER, *served)
    several = [subprocess.Popen(fetch) for _ in range(4)]
    assert [one.wait(SECONDS) for one in several] == [0] * 4
    code, out, err = sensor.end()
    assert (code, err) == (0, "")
    found = documents(out)
    assert [one["tapscan"]["sensor"]["lost_packets"] for one in of(found, "sensor")][-1] == 0
    seen = Counter((one["network"]["protocol"], one["file"]["hash"]["sha256"]) for one in of(found, "object"))
    for name, payload in served.items():
        for protocol in ("http", "ftp-data", "smtp"):
            assert seen[protocol, hashlib.sha256(payload).hexdigest()] == 4, (name, protocol)


def test_an_interface_that_is_gone_is_waited_for(span, served, tmp_path):
    sensor = Sensor(tmp_path, "-i", span.port, "--json")
    fetch = span.inside(span.client, sys.executable, TRAFFIC, "fetch", span.SERVER, "eicar.com")
    subprocess.run(fetch, check=True, timeout=SECONDS)
    span.down()
    span.up()
    subprocess.run(fetch, check=True, timeout=SECONDS)
    span.unplug()
    subprocess.run(fetch, check=True, timeout=SECONDS)  # nobody can see that
    span.plug()
    sensor.says("an interface is there again")
    first, until = sensor.workers(), time.monotonic() + SECONDS
    while time.monotonic() < until and sensor.workers() == first:
        time.sleep(0.05)
    time.sleep(1.5)
    subprocess.run(fetch, check=True, timeout=SECONDS)
    code, out, err = sensor.end()
    assert code == 0
    assert f"{span.port}: Network is down" in err
    protocols = Counter(one["network"]["protocol"] for one in of(documents(out), "alarm"))
    assert protocols == {"http": 3, "ftp-data": 3, "smtp": 3}
