"""`tapscan sensor` as a user calls it: real servers and clients, and a SPAN port between them."""

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from capture import Conversation, write
from nouns import web
from sensing import ROOT, SECONDS, TAPSCAN, Sensor, documents, figures, of
from span import TRAFFIC


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
    assert figures(found)[-1]["lost_packets"] == 0
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


@pytest.mark.parametrize("speed", ["0", "1000"])
def test_latency_is_of_time_that_has_passed_not_of_the_captures(tmp_path, tapscan, speed):
    write(holed(2, 0.0), tmp_path / "long.pcap")
    found = documents(tapscan("sensor", "--replay", "long.pcap", "--speed", speed, "--json").stdout.decode())
    waited = [one["tapscan"]["latency"]["reassembly"] for one in of(found, "object")]
    assert waited
    assert max(waited) < 2_000_000_000


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ((), "no interface to watch: -i IFACE, or interfaces = [...] under [sensor] in the settings"),
        (("-i", "nosuch0"), "nosuch0: no such interface (ip link shows those that are there)"),
        (("-i", "lo", "--filter", "tcp prt 80"), "--filter: 'tcp prt 80': can't parse filter expression: syntax error"),
        (("--replay", "none.pcap"), "none.pcap: no such file"),
        (("--replay", "-"), "--replay: what is played has to be a file; tapscan scan - reads standard input"),
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
    for pid in (worker, sensor.process.pid):
        assert "NoNewPrivs:\t1\n" in Path(f"/proc/{pid}/status").read_text()
        assert re.search(r"^Max core file size +0 +0 ", Path(f"/proc/{pid}/limits").read_text(), re.M)
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
    assert figures(found)[-1]["lost_packets"] == 0
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
    subprocess.run(fetch, check=True, timeout=SECONDS)
    code, out, err = sensor.end()
    assert code == 0
    assert f"{span.port}: Network is down" in err
    protocols = Counter(one["network"]["protocol"] for one in of(documents(out), "alarm"))
    assert protocols == {"http": 3, "ftp-data": 3, "smtp": 3}


def test_when_there_is_too_much_low_ports_go_first_and_are_counted(span, served, tmp_path):
    (tmp_path / "tapscan.toml").write_text("[overload]\nbytes = 0.0\nlow = [80]\n")
    sensor = Sensor(tmp_path, "-i", span.port, "--json", "--config", "tapscan.toml")
    sensor.says("overload (bytes 0%): new flows to ports that are marked low are not read")
    subprocess.run(span.inside(span.client, sys.executable, TRAFFIC, "fetch", span.SERVER, *served), check=True)
    code, out, _ = sensor.end()
    found = documents(out)
    assert code == 0
    assert {one["network"]["protocol"] for one in of(found, "object")} == {"ftp-data", "smtp"}
    assert sum(one["network"]["protocol"] == "ftp-data" for one in of(found, "object")) == len(served)
    rows = [one["tapscan"]["coverage"] for one in of(found, "coverage")]
    (let_by,) = [row for row in rows if row.get("reason") == "overload"]
    assert let_by["flows"] == len(served)
    assert let_by["unscanned_bytes"] > sum(map(len, served.values()))


def test_the_ledger_is_kept_and_says_what_was_seen(span, served, tmp_path, tapscan):
    sensor = Sensor(tmp_path, "-i", span.port, "--json")
    fetch = span.inside(span.client, sys.executable, TRAFFIC, "fetch", span.SERVER, *served)
    subprocess.run(fetch, check=True, timeout=SECONDS)
    code, out, err = sensor.end()
    assert (code, err) == (0, "")
    (tmp_path / "out.jsonl").write_text(out)
    kept, printed = (tapscan("coverage", *words, "--json").stdout for words in ((), ("out.jsonl",)))
    assert kept == printed
    found = {one["service"]: one for one in map(json.loads, kept.splitlines()) if "reason" not in one}
    assert found["http"]["scanned_objects"] == len(served)
    assert found["http"]["scanned_bytes"] == sum(map(len, served.values()))
    (one,) = map(json.loads, tapscan("coverage", "--by", "interface", "--json").stdout.splitlines())
    assert one["interface"] == span.port
    assert tapscan("coverage").stdout.startswith(b"This tap protects ")


def test_the_ledger_is_kept_for_a_person_too(span, served, tmp_path, tapscan):
    sensor = Sensor(tmp_path, "-i", span.port)
    fetch = span.inside(span.client, sys.executable, TRAFFIC, "fetch", span.SERVER, "a.txt")
    subprocess.run(fetch, check=True, timeout=SECONDS)
    assert sensor.end()[0] == 0
    assert b'"service":"http"' in tapscan("coverage", "--json").stdout


def test_a_ledger_that_cannot_be_written_stops_nothing(span, served, tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "odd.toml").write_text('[sensor]\nledger = "file/coverage"\n')
    sensor = Sensor(tmp_path, "-i", span.port, "--json", "--config", "odd.toml")
    fetch = span.inside(span.client, sys.executable, TRAFFIC, "fetch", span.SERVER, "eicar.com")
    subprocess.run(fetch, check=True, timeout=SECONDS)
    code, out, err = sensor.end()
    assert code == 0
    assert "the coverage ledger can't be written in file/coverage: " in err
    found = documents(out)
    assert len(of(found, "alarm")) == 3
    assert figures(found)[-1]["ledger_failed"] >= 1
    assert of(found, "coverage")


def while_it_stands(sensor, command):
    """Does something while the worker reads nothing."""
    (worker,) = sensor.workers()
    os.kill(worker, signal.SIGSTOP)
    try:
        subprocess.run(command, check=True, timeout=SECONDS)
    finally:
        os.kill(worker, signal.SIGCONT)


def test_a_person_hears_of_a_ring_that_overflows(span, served, tmp_path):
    (tmp_path / "tiny.toml").write_text("[sensor]\nring = 1\nloss_minutes = 1\n")
    sensor = Sensor(tmp_path, "-i", span.port, "--config", "tiny.toml")
    while_it_stands(sensor, span.inside(span.client, sys.executable, TRAFFIC, "fetch", span.SERVER, "large.bin"))
    code, out, err = sensor.end()
    assert code == 0
    assert re.search(r"kernel_drop [\d,]{5,}", out)
    assert err.count("packets dropped by the kernel: raise sensor.ring or sensor.workers") == 1


def test_a_ring_that_overflows_is_counted_kept_and_alarmed(span, served, tmp_path, tapscan):
    (tmp_path / "tiny.toml").write_text("[sensor]\nring = 1\nloss_minutes = 1\n")
    sensor = Sensor(tmp_path, "-i", span.port, "--json", "--config", "tiny.toml")
    fetch = span.inside(span.client, sys.executable, TRAFFIC, "fetch", span.SERVER, "large.bin")
    while_it_stands(sensor, fetch)
    code, out, err = sensor.end()
    assert code == 0
    found = documents(out)
    lost = sum(one["lost_packets"] for one in figures(found))
    assert lost > 1000
    rows = [one["tapscan"]["coverage"] for one in of(found, "coverage")]
    drops = [one for one in rows if one.get("reason") == "kernel_drop"]
    assert sum(one["packets"] for one in drops) == lost
    assert all(set(one) == {"service", "reason", "packets"} for one in drops)  # nobody knows their bytes
    (alarm,) = of(found, "health")
    assert "packets dropped by the kernel: raise sensor.ring or sensor.workers" in alarm["message"]
    assert alarm["event"]["kind"] == "alert"
    assert alarm["message"] in err
    assert f"{lost:,} packets dropped by the kernel" in " ".join(tapscan("coverage").stdout.decode().split())


def holed(minutes, share):
    """Six flows a minute, of which so much of the answers never came by."""
    for number in range(6 * minutes):
        flow = Conversation(f"192.0.2.10:{41000 + number}", "198.51.100.80:80", at=number * 10.0)
        yield from flow.open()
        yield from flow.orig(b"GET /a HTTP/1.1\r\nHost: www.example.org\r\n\r\n")
        answer = list(flow.resp(b"HTTP/1.1 200 OK\r\nContent-Length: 14600\r\n\r\n" + bytes(14600)))
        yield from answer[:1] + answer[1 + int(share * len(answer)) :]
        yield from flow.close()


def test_loss_that_lasts_is_an_alarm_once(tmp_path, tapscan):
    write(holed(6, 0.3), tmp_path / "holed.pcap")
    done = tapscan("sensor", "--replay", "holed.pcap", "--speed", "60", "--json")
    found = documents(done.stdout.decode())
    (alarm,) = of(found, "health")
    assert "of acknowledged bytes never came by: look at the SPAN port's load" in alarm["message"]
    assert alarm["message"] in done.stderr.decode()
    said = figures(found)
    rows = [one["tapscan"]["coverage"] for one in of(found, "coverage")]
    lost = sum(one["lost_bytes"] for one in said)
    assert lost == sum(one["missing_bytes"] for one in said) > 0
    assert lost == sum(one.get("lost_bytes", 0) for one in rows)
    assert not (tmp_path / "state").exists()  # a capture is no part of the tap's ledger


def test_without_loss_there_is_no_alarm(tmp_path, tapscan):
    write(holed(5, 0.0), tmp_path / "whole.pcap")
    found = documents(tapscan("sensor", "--replay", "whole.pcap", "--speed", "300", "--json").stdout.decode())
    assert of(found, "sensor")
    assert of(found, "health") == []


def test_the_report_tells_our_loss_from_the_networks(tmp_path, tapscan):
    write(holed(1, 0.3), tmp_path / "holed.pcap")
    out = tapscan("sensor", "--replay", "holed.pcap", "--speed", "0").stdout.decode()
    assert re.search(r"Missing: [\d.]+ kB passed us unseen \(acknowledged\), 0 B got lost before", out)
