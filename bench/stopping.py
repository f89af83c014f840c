"""Downloads that hold a marker, past a SPAN port: how many the sensor stops, as their receiver sees it.

"claimed": frames were sent for it; "real": the receiver has not got all of it.
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from bench.collection import Captures
from bench.figures import Figure

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from downloads import MARKER_AT, RULE, SIZE, download, fetched
from span import Span, run

RUNS = 24
SETTLES = 5.0  # seconds in which a flow that was stopped is known to be over
RATES = {"100mbit": (1.0, 0.95), "500mbit": (1.0, 0.9), "unshaped": (1.0, 0.9)}  # goal and must: share that is stopped
SETTINGS = """
[[engine]]
name = "yara"
kind = "yara"
rules = ["rules.yar"]
[[policy]]
when = { verdict = "malicious" }
do = ["reset"]
[countermeasures]
mode = "enforce"
per_host = 1000.0
"""


def figures(_: Captures, home: Path) -> list[Figure]:
    """At each rate the share that is stopped; bytes past the marker; milliseconds from the last needed byte."""
    if os.geteuid() != 0:
        return [Figure("downloads stopped", None, "", 1.0, 0.9, "root is needed: the networks are namespaces")]
    made = []
    for rate, (goal, must) in RATES.items():
        (folder := home / rate).mkdir()
        got, actions = _run(folder, rate)
        past = [count - MARKER_AT for count in got]
        real, claimed = sum(count < SIZE for count in got), sum(one["frames"] > 0 for one in actions)
        how = f"real {real} of {len(got)}, claimed {claimed}; past the marker {statistics.median(past) / 1000:.0f} kB"
        made.append(Figure(f"downloads stopped, {rate}", real / len(got), "", goal, must, how, rising=True))
        waits = [one["latency"] / 1e6 for one in actions if "latency" in one]
        if waits and rate == "100mbit":
            how = f"{len(waits)} actions, slowest {max(waits):.1f} ms"
            made.append(Figure("last needed byte to frame, median", statistics.median(waits), "ms", 2, 10, how))
    return made


def _run(folder: Path, rate: str) -> tuple[list[int], list[dict[str, Any]]]:
    """Bytes that each download got, and what the sensor says it did."""
    (folder / "rules.yar").write_text(RULE)
    (folder / "tapscan.toml").write_text(SETTINGS)
    with Span() as span:
        run(*span.inside(span.server, "ethtool", "-K", "eth0", "tso", "off", "gso", "off"))
        if rate != "unshaped":
            shape = "tbf", "rate", rate, "burst", "64kb", "latency", "50ms"
            run(*span.inside(span.server, "tc", "qdisc", "add", "dev", "eth0", "root", *shape))
        sensor = _sensor(folder, span.port)
        try:
            with download(span, rate=0):
                got = [fetched(span) for _ in range(RUNS)]
                time.sleep(SETTLES)
        finally:
            sensor.send_signal(signal.SIGTERM)
            sensor.communicate()
        documents = [json.loads(line) for line in (folder / "out").read_text().splitlines()]
        return got, [one["tapscan"]["action"] for one in documents if one["event"]["dataset"] == "tapscan.action"]


def _sensor(folder: Path, port: str) -> subprocess.Popen[str]:
    """One that watches."""
    words = [sys.executable, "-m", "manager.cli", "sensor", "-i", port, "--json", "--config", "tapscan.toml"]
    given = os.environ | {"XDG_STATE_HOME": str(folder), "PYTHONPATH": str(Path(__file__).parents[1])}
    with (folder / "out").open("w") as out:  # a pipe that nobody reads would hold it up
        sensor = subprocess.Popen(words, cwd=folder, env=given, stdout=out, stderr=subprocess.PIPE, text=True)
    assert sensor.stderr is not None
    while "watching" not in sensor.stderr.readline():
        pass
    return sensor
