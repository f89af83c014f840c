"""The sensor with countermeasures: real transfers between namespaces, and what their receivers have of them."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import textwrap

import pytest
from sensing import SECONDS, Sensor, documents, of

MARKER = "tapscan-marker-of-a-test"
RULE = f'rule Marker {{ strings: $a = "{MARKER}" condition: $a }}\n'
SIZE = 8 << 20
SERVE = textwrap.dedent("""
    import http.server, sys, time
    address, size, rate, marker = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4].encode()
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", str(size))
            self.end_headers()
            for at in range(0, size, 16384):
                payload = bytes(16384) if at != 1 << 20 else marker + bytes(16384 - len(marker))
                try:
                    self.wfile.write(payload)
                except OSError:
                    self.close_connection = True
                    return
                time.sleep(16384 / rate)
        def log_message(self, *_):
            pass
    server = http.server.ThreadingHTTPServer((address, 80), Handler)
    print("ready", flush=True)
    server.serve_forever()
""")
FETCH = textwrap.dedent("""
    import socket, sys
    with socket.create_connection((sys.argv[1], 80)) as link:
        link.sendall(b"GET /setup.exe HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n")
        link.settimeout(20)
        count = 0
        try:
            while count < int(sys.argv[2]) and (some := link.recv(65536)):
                count += len(some)
        except OSError:
            pass
    print(count)
""")


@contextlib.contextmanager
def slow_server(span, rate=4 << 20, marker=MARKER):
    words = sys.executable, "-c", SERVE, span.SERVER, str(SIZE), str(rate), marker
    server = subprocess.Popen(span.inside(span.server, *words), stdout=subprocess.PIPE)
    try:
        assert server.stdout.readline() == b"ready\n"
        yield
    finally:
        server.kill()
        server.wait()
        server.stdout.close()


def fetched(span):
    """How much of the download a client gets."""
    words = span.inside(span.client, sys.executable, "-c", FETCH, span.SERVER, str(SIZE))
    return int(subprocess.run(words, check=True, timeout=SECONDS, capture_output=True).stdout)


@pytest.fixture
def watching(span, tmp_path):
    """A sensor with a rule, a policy and a mode."""
    (tmp_path / "rules.yar").write_text(RULE)

    def started(mode, **more):
        own = "".join(f"{key} = {json.dumps(value)}\n" for key, value in more.items())
        (tmp_path / "tapscan.toml").write_text(
            f'[[engine]]\nname = "yara"\nkind = "yara"\nrules = ["rules.yar"]\n'
            f'[[policy]]\nwhen = {{ verdict = "malicious" }}\ndo = ["reset"]\n'
            f'[countermeasures]\nmode = "{mode}"\n{own}'
        )
        return Sensor(tmp_path, "-i", span.port, "--json", "--config", str(tmp_path / "tapscan.toml"))

    return started


def test_a_download_is_stopped_while_it_runs(span, watching):
    sensor = watching("enforce")
    with slow_server(span):
        got = fetched(span)
    sensor.tells(1, "action")
    code, out, err = sensor.end()
    assert (code, err) == (0, "")
    (action,) = of(documents(out), "action")
    own = action["tapscan"]["action"]
    assert (own["kind"], own["mode"], own["outcome"]) == ("reset", "enforce", "confirmed")
    assert 1 << 20 < got < SIZE
    assert 1 << 20 < own["bytes_delivered"] < SIZE
    assert own["frames"] >= 8
    assert own["latency"] > 0
