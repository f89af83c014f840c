"""The same downloads past Suricata, whose rule rejects what holds the marker: how many it stops.

It watches the SPAN port by af-packet and sends there by itself (`--reject-dev`): whole frames, addressed as those of
the packet that it answers. `reject` resets who has sent it. Streams are read to their end: by Debian's settings it
looks at the first MiB alone, after which the marker comes.
"""

from __future__ import annotations

import json
import os
import re
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import peers
from bench.collection import Captures
from bench.figures import Figure
from bench.measure import Failed
from bench.watching import ROOTLESS, SETTLES, Span, shaped

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))
from downloads import MARKER, MARKER_AT, SIZE, download, fetched

RUNS = 24
RATES = "100mbit", "500mbit", "unshaped"
RULE = f'reject tcp any any -> any any (msg:"marker"; content:"{MARKER}"; sid:1; rev:1;)\n'
STARTS_IN = 60.0


def figures(_: Captures, home: Path) -> Iterator[Figure]:
    """At each rate the share that is stopped."""
    why = ROOTLESS if os.geteuid() != 0 else peers.missing("suricata")
    for rate in RATES:
        if why:
            yield Figure(f"downloads stopped by suricata, {rate}", None, "", how=why)
            continue
        with Span() as span, rejecting(home / rate, span.port) as alerted, download(span, rate=0):
            shaped(span, span.server, rate)
            got = [fetched(span) for _ in range(RUNS)]
        real, past = sum(count < SIZE for count in got), statistics.median(got) - MARKER_AT
        how = f"real {real} of {RUNS}, claimed {len(alerted)}; past the marker {past / 1000:.0f} kB"
        yield Figure(f"downloads stopped by suricata, {rate}", real / RUNS, "of all", how=how, rising=True)


@contextmanager
def rejecting(home: Path, port: str) -> Iterator[set[int]]:
    """It watches; the set has the flows that it says it has rejected, when it has ended."""
    home.mkdir()
    (home / "marker.rules").write_text(RULE)
    alerted: set[int] = set()
    suricata = _suricata(home, port)
    try:
        yield alerted
        time.sleep(SETTLES)
    finally:
        suricata.send_signal(signal.SIGINT)
        suricata.wait()
    events = map(json.loads, (home / "eve.json").read_text().splitlines())
    alerted |= {one["flow_id"] for one in events if one["event_type"] == "alert"}


def _suricata(home: Path, port: str) -> subprocess.Popen[bytes]:
    words = [peers.command("suricata"), "-c", str(peers.SURICATA_YAML), "-S", str(home / "marker.rules"), "-k", "none"]
    words += ["-l", str(home), f"--af-packet={port}", f"--reject-dev={port}", "--set", "stream.reassembly.depth=0"]
    suricata = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until, said = time.monotonic() + STARTS_IN, home / "suricata.log"
    while not (said.exists() and re.search("ngine started", said.read_text())):
        if suricata.poll() is not None or time.monotonic() > until:
            raise Failed("suricata did not start")
        time.sleep(0.05)
    return suricata
