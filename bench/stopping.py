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
import textwrap
import time
from pathlib import Path
from typing import Any

from bench.collection import Captures
from bench.figures import Figure

SUPPORT = Path(__file__).parents[1] / "tests" / "support"
RUNS = 24
SIZE, MARKER_AT, MARKER = 8 << 20, 1 << 20, "tapscan-marker-of-a-bench"
SETTLES = 5.0  # seconds in which a flow that was stopped is known to be over
RATES = {"100mbit": (1.0, 0.95), "500mbit": (1.0, 0.9), "unshaped": (1.0, 0.9)}  # goal and must: share that is stopped
SERVE = textwrap.dedent("""
    import http.server, sys
    size, at, marker = int(sys.argv[2]), int(sys.argv[3]), sys.argv[4].encode()
    body = bytes(at) + marker + bytes(size - at - len(marker))
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", str(size))
            self.end_headers()
            try:
                self.wfile.write(body)
            except OSError:
                self.close_connection = True
        def log_message(self, *_):
            pass
    server = http.server.ThreadingHTTPServer((sys.argv[1], 80), Handler)
    print("ready", flush=True)
    server.serve_forever()
""")
FETCH = textwrap.dedent("""
    import socket, sys
    with socket.create_connection((sys.argv[1], 80)) as link:
        link.sendall(b"GET /setup.exe HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n")
        link.settimeout(20)
        got = b""
        try:
            while b"\\r\\n\\r\\n" not in got:
                got += link.recv(65536)
            count = len(got.partition(b"\\r\\n\\r\\n")[2])
            while count < int(sys.argv[2]) and (some := link.recv(65536)):
                count += len(some)
        except OSError:
            pass
    print(count)
""")
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
    sys.path.insert(0, str(SUPPORT))
    from span import Span, run

    (folder / "rules.yar").write_text(f'rule Marker {{ strings: $a = "{MARKER}" condition: $a }}\n')
    (folder / "tapscan.toml").write_text(SETTINGS)
    with Span() as span:
        run(*span.inside(span.server, "ethtool", "-K", "eth0", "tso", "off", "gso", "off"))
        if rate != "unshaped":
            shape = "tbf", "rate", rate, "burst", "64kb", "latency", "50ms"
            run(*span.inside(span.server, "tc", "qdisc", "add", "dev", "eth0", "root", *shape))
        words = sys.executable, "-c", SERVE, span.SERVER, str(SIZE), str(MARKER_AT), MARKER
        server = subprocess.Popen(span.inside(span.server, *words), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        sensor = _sensor(folder, span.port)
        try:
            assert server.stdout is not None
            server.stdout.readline()
            fetch = span.inside(span.client, sys.executable, "-c", FETCH, span.SERVER, str(SIZE))
            got = [int(subprocess.run(fetch, check=True, capture_output=True).stdout) for _ in range(RUNS)]
            time.sleep(SETTLES)
        finally:
            server.kill()
            server.wait()
            sensor.send_signal(signal.SIGTERM)
            said, _ = sensor.communicate()
        documents = [json.loads(line) for line in said.splitlines()]
        return got, [one["tapscan"]["action"] for one in documents if one["event"]["dataset"] == "tapscan.action"]


def _sensor(folder: Path, port: str) -> subprocess.Popen[str]:
    """One that watches."""
    words = [sys.executable, "-m", "manager.cli", "sensor", "-i", port, "--json", "--config", "tapscan.toml"]
    given = os.environ | {"XDG_STATE_HOME": str(folder), "PYTHONPATH": str(Path(__file__).parents[1])}
    pipe = subprocess.PIPE
    sensor = subprocess.Popen(words, cwd=folder, env=given, stdout=pipe, stderr=pipe, text=True)
    assert sensor.stderr is not None
    while "watching" not in sensor.stderr.readline():
        pass
    return sensor
