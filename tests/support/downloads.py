"""A download with a marker in it, between the namespaces of a `Span`: a server, and what a client gets of it."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import textwrap

SIZE, MARKER_AT = 8 << 20, 1 << 20
MARKER = "tapscan-marker-of-a-download"
RULE = f'rule Marker {{ strings: $a = "{MARKER}" condition: $a }}\n'
SERVE = textwrap.dedent("""
    import http.server, sys, time
    address, size, at, marker, rate = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4].encode(), sys.argv[5]
    wait = float(sys.argv[6])
    body = bytes(at) + marker + bytes(size - at - len(marker))
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        def do_GET(self):
            time.sleep(wait)
            self.send_response(200)
            self.send_header("Content-Length", str(size))
            self.end_headers()
            step = 16384 if int(rate) else size
            try:
                for start in range(0, size, step):
                    self.wfile.write(body[start : start + step])
                    if int(rate):
                        time.sleep(step / int(rate))
            except OSError:
                self.close_connection = True
        def log_message(self, *_):
            pass
    server = http.server.ThreadingHTTPServer((address, 80), Handler)
    print("ready", flush=True)
    server.serve_forever()
""")
FETCH = textwrap.dedent("""
    import socket, sys
    count = 0
    with socket.create_connection((sys.argv[1], 80)) as link:
        link.sendall(b"GET /setup.exe HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n")
        link.settimeout(20)
        got = b""
        try:
            while b"\\r\\n\\r\\n" not in got:
                got += link.recv(65536) or sys.exit(print(0))
            count = len(got.partition(b"\\r\\n\\r\\n")[2])
            while count < int(sys.argv[2]) and (some := link.recv(65536)):
                count += len(some)
        except OSError:
            pass
    print(count)
""")
ASK = textwrap.dedent("""
    import socket, sys
    address, path, host = sys.argv[1:]
    with socket.create_connection((address, 80)) as link:
        link.sendall(f"GET {path} HTTP/1.1\\r\\nHost: {host}\\r\\n\\r\\n".encode())
        link.settimeout(20)
        try:
            while some := link.recv(65536):
                sys.stdout.buffer.write(some)
        except OSError as error:
            sys.stdout.buffer.write(type(error).__name__.encode())
""")


@contextlib.contextmanager
def download(span, rate=4 << 20, wait=0.0):
    """The server; `rate`: bytes a second, 0: as fast as they go; `wait`: seconds before it answers."""
    words = sys.executable, "-c", SERVE, span.SERVER, str(SIZE), str(MARKER_AT), MARKER, str(rate), str(wait)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    server = subprocess.Popen(span.inside(span.server, *words), **pipes)
    try:
        assert server.stdout.readline() == b"ready\n"
        yield
    finally:
        server.kill()
        server.wait()
        server.stdout.close()


def fetched(span):
    """How many bytes of it a client gets."""
    words = span.inside(span.client, sys.executable, "-c", FETCH, span.SERVER, str(SIZE))
    return int(subprocess.run(words, check=True, timeout=60, capture_output=True).stdout)


def asked(span, path="/setup.exe", host="a"):
    """What a client gets that asks for it, and which error ended it."""
    words = span.inside(span.client, sys.executable, "-c", ASK, span.SERVER, path, host)
    return subprocess.run(words, check=True, timeout=60, capture_output=True).stdout
