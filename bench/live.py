"""The live sensor on a link into which another namespace plays a capture, against Suricata's af-packet on it."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Timer
from typing import Any

from bench import measure, peers
from bench.collection import Captures
from bench.figures import Figure
from bench.measure import Cost, Failed
from bench.traffic import do, inside

RUNS = 3
PACE = 800  # Mbit/s at which both take everything
SLOW = 200  # Mbit/s, while a worker is killed
IDLE = 20  # Mbit/s, small connections: each packet is alone
RING = 256 << 20  # twice the default: what a burst at full rate needs where one core does all of it
BURSTS = 5
SETTLES = 2.0  # seconds after the last packet in which all is taken and scanned
STARTS_IN = 60.0
HURTS_AFTER = 2.0  # seconds
PORT, OTHER, SPACE = "tapbench0", "tapbench1", "tapbench"


@dataclass(frozen=True, slots=True)
class Watched:
    """What a sensor took and said; `lost`: packets that the kernel had no room for."""

    cost: Cost
    started: float
    packets: int
    lost: int
    latency: list[float]  # ms from the last byte of an object to the pool

    @property
    def objects(self) -> int:
        """How many it gave."""
        return len(self.latency)


def figures(places: Captures, home: Path) -> list[Figure]:
    """Loss at full rate, CPU, latency, start."""
    large, small = places.traffic("A"), places.traffic("small")
    if (why := lacks()) or large is None or small is None:
        return [Figure("live, packets lost at full rate", None, "", 0, 0.001, why or places.why)]
    (home / "known").write_text("")
    (home / "live.toml").write_text(f'[sensor]\nring = {RING}\n[[engine]]\nkind = "hashes"\nbad = ["{home}/known"]\n')
    expected = _extracted(large)
    with link():
        sensor = partial(_tapscan, home)
        bursts = [sensor(_play(large)) for _ in range(BURSTS)]
        idle = sensor(_play(small, IDLE))
        hurt = sensor(_play(large, SLOW), hurt=True)
        paced: dict[str, list[Cost]] = {"tapscan": [], "suricata": []}
        for _ in range(RUNS):
            paced["tapscan"].append(sensor(_play(large, PACE)).cost)
            if not peers.missing("suricata"):
                paced["suricata"].append(_suricata(home, _play(large, PACE)))
    start = Figure(
        "live, start to first packet taken",
        max(one.started for one in bursts),
        "s",
        1.5,
        3.0,
        "from the command to the ring being read",
    )
    return [*_loss(bursts, expected), _cpu(paced), *_latency(idle), _hurt(hurt, large, expected), start]


def lacks() -> str:
    """Why nothing can be measured here; empty when it can."""
    if os.geteuid() != 0 or shutil.which("tcpreplay") is None:
        return "root and tcpreplay are needed"
    return peers.missing("ip", "ethtool")


def _loss(bursts: list[Watched], expected: int) -> Iterator[Figure]:
    worst = max(bursts, key=lambda one: one.lost)
    seen = worst.packets + worst.lost
    how = f"{worst.lost} of {seen:,} packets in the worst of {BURSTS} runs, ring of {RING >> 20} MiB"
    yield Figure("live, packets lost at full rate, share", worst.lost / max(seen, 1), "", 0, 0.001, how)
    missing = max(expected - one.objects for one in bursts)
    yield Figure("live, objects missing at full rate", missing, "", 0, 0, f"of {expected:,}, the most of {BURSTS} runs")


def _cpu(paced: dict[str, list[Cost]]) -> Figure:
    name, unit = f"live, CPU, A at {PACE} Mbit/s", "x suricata"
    if not paced["suricata"]:
        return Figure(name, None, unit, 1.0, 2.0, peers.missing("suricata"))
    ours, theirs = paced["tapscan"], paced["suricata"]
    how = f"{measure.median(ours):.2f} s against {measure.median(theirs):.2f} s of af-packet, start-up included"
    return Figure(name, measure.ratio(ours, theirs), unit, 1.0, 2.0, how)


def _hurt(hurt: Watched, capture: Path, expected: int) -> Figure:
    seconds = capture.stat().st_size * 8 / SLOW / 1e6
    missing = expected - hurt.objects
    how = f"kill -9 of the worker at {SLOW} Mbit/s: {missing:,} of {expected:,} objects in {seconds:.1f} s"
    return Figure("live, lost with a worker that dies", missing / expected * seconds, "s", 1.0, 3.0, how)


def _latency(idle: Watched) -> Iterator[Figure]:
    ordered = sorted(idle.latency)
    how = f"{len(ordered):,} objects of small connections at {IDLE} Mbit/s"
    for word, share, goal, must in (("median", 0.5, 2.0, 5.0), ("p99", 0.99, 5.0, 15.0)):
        value = ordered[int(share * (len(ordered) - 1))]
        yield Figure(f"live, last byte to the pool, {word}", value, "ms", goal, must, how)


def _extracted(capture: Path) -> int:
    done = subprocess.run([peers.TAPSCAN, "extract", "--json", str(capture)], capture_output=True, check=True)
    return sum(b'"dataset":"tapscan.object"' in line for line in done.stdout.splitlines())


@contextmanager
def link() -> Iterator[None]:
    """PORT is ours; what is sent into OTHER, in a namespace of its own, arrives there."""
    ip = peers.command("ip")
    do(ip, "netns", "add", SPACE)
    try:
        do(ip, "link", "add", PORT, "type", "veth", "peer", "name", OTHER, "netns", SPACE)
        do(ip, "link", "set", PORT, "up", "mtu", "9000")
        do(ip, "-n", SPACE, "link", "set", OTHER, "up", "mtu", "9000")
        do(peers.command("ethtool"), "-K", PORT, "gro", "off", "tso", "off", "gso", "off")
        yield
    finally:
        do(ip, "netns", "del", SPACE)


def _play(capture: Path, mbit: int | None = None) -> Callable[[], None]:
    pace = ["--topspeed"] if mbit is None else [f"--mbps={mbit}"]
    words = inside(SPACE, "tcpreplay", "--preload-pcap", "-q", f"--intf1={OTHER}", *pace, str(capture))
    return lambda: do(*words)


def _tapscan(home: Path, play: Callable[[], None], hurt: bool = False) -> Watched:
    words = [peers.TAPSCAN, "sensor", "-i", PORT, "--json", "--config", str(home / "live.toml")]
    own = os.environ | {"XDG_STATE_HOME": str(home / "state")}
    out = home / "live.jsonl"
    begun = time.monotonic()
    with out.open("wb") as file:
        process = subprocess.Popen(words, stdout=file, stderr=subprocess.PIPE, text=True, env=own)
    assert process.stderr is not None
    if not any("watching" in line for line in process.stderr):
        raise Failed(f"{' '.join(words)}: did not start")
    started = time.monotonic() - begun
    if hurt:
        Timer(HURTS_AFTER, _kill_worker, [process.pid]).start()
    cost = _ended(process, play, signal.SIGTERM)
    process.stderr.close()
    return _told(cost, started, out)


def _kill_worker(sensor: int) -> None:
    listed = subprocess.run(["pgrep", "-P", str(sensor), "tapscan-worker"], capture_output=True, text=True, check=True)
    os.kill(int(listed.stdout.split()[0]), signal.SIGKILL)


def _told(cost: Cost, started: float, out: Path) -> Watched:
    packets, lost, latency = 0, 0, []
    for document in map(json.loads, out.open("rb")):
        own: dict[str, Any] = document["tapscan"]
        if "sensor" in own:
            packets += own["sensor"]["packets"]
            lost += own["sensor"]["lost_packets"]
        elif document["event"]["dataset"] == "tapscan.object":
            latency.append(own["latency"]["reassembly"] / 1e6)
    return Watched(cost, started, packets, lost, latency)


def _suricata(home: Path, play: Callable[[], None]) -> Cost:
    settings, logs = peers.suricata_settings(home), peers.fresh(home / "suricata-live")
    words = [peers.command("suricata"), "-c", str(settings), "-S", "/dev/null", "--runmode", "single"]
    words += ["-l", str(logs), f"--af-packet={PORT}"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    until, said = time.monotonic() + STARTS_IN, logs / "suricata.log"
    while not (said.exists() and re.search("ngine started", said.read_text())):
        if process.poll() is not None or time.monotonic() > until:
            raise Failed("suricata did not start")
        time.sleep(0.05)
    cost = _ended(process, play, signal.SIGINT)
    assert process.stdout is not None
    process.stdout.close()
    return cost


def _ended(process: subprocess.Popen[str], play: Callable[[], None], number: signal.Signals) -> Cost:
    begun = time.monotonic()
    play()
    time.sleep(SETTLES)
    process.send_signal(number)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return Cost(usage.ru_utime + usage.ru_stime, time.monotonic() - begun, usage.ru_maxrss << 10)
