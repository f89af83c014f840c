"""A reverse proxy in front of Elasticsearch that fails as real ones do, and as a server under load does.

What it doesn't refuse it passes on, so that the documents are stored by the real server or are not.
"""

from __future__ import annotations

import gzip
import http.client
import json
import socket
import struct
import sys
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

REJECTED = {"type": "es_rejected_execution_exception", "reason": "rejected execution of coordinating operation"}
AT_ONCE = struct.pack("ii", 1, 0)  # SO_LINGER: closed with a reset


class Proxy:
    """What it does to bulk requests; all may be set while it runs."""

    def __init__(self, url):
        self.answer = None  # a status: nothing is passed on
        self.most = None  # bytes of a request; larger ones are answered with 413
        self.cuts = 0  # so many answers are cut off in the middle, when the server has stored what was asked
        self.throttled = 0  # of so many requests, every other document is answered with 429
        self.answered = Counter()  # requests, by what became of them
        self.documents = []  # how many documents each request had
        self.target = urlsplit(url).netloc
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.proxy = self
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def counted(self, name):
        """Whether there is one of these faults left; it is used up."""
        with self._lock:
            left = getattr(self, name)
            setattr(self, name, max(left - 1, 0))
            return left > 0


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_):
        """A client that is killed is a part of it."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(*_)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60

    def log_message(self, *_):
        """The tests look at `answered`."""

    def do_GET(self):
        self._answer(*self._ask(b""))

    do_HEAD = do_DELETE = do_GET

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if "/_bulk" not in self.path:
            self._answer(*self._ask(body))
            return
        proxy = self.server.proxy
        lines = gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
        proxy.documents.append(lines.count(b"\n") // 2)
        fault, status, answer = self._bulk(proxy, body, lines)
        proxy.answered[fault or status] += 1
        self._cut(status, answer) if fault == "cut" else self._answer(status, answer)

    do_PUT = do_POST

    def _bulk(self, proxy, body, lines):
        """The fault's name, the status and the answer."""
        if proxy.answer is not None:
            return None, proxy.answer, b'{"error": "the proxy was told to"}'
        if proxy.most is not None and len(body) > proxy.most:
            return None, 413, b""
        if proxy.counted("throttled"):
            return "throttled", *self._half(lines)
        fault = "cut" if proxy.counted("cuts") else None
        return fault, *self._ask(body)

    def _half(self, lines):
        """Every other document is passed on."""
        split = lines.splitlines(keepends=True)
        pairs = [b"".join(split[at : at + 2]) for at in range(0, len(split), 2)]
        del self.headers["Content-Encoding"]
        status, answer = self._ask(b"".join(pairs[::2]))
        if status != 200:
            return status, answer
        passed = iter(json.loads(answer)["items"])
        refused = {"create": {"status": 429, "error": REJECTED}}
        items = [refused if number % 2 else next(passed) for number in range(len(pairs))]
        return 200, json.dumps({"errors": True, "items": items}).encode()

    def _ask(self, body):
        connection = http.client.HTTPConnection(self.server.proxy.target, timeout=60)
        headers = {name: value for name, value in self.headers.items() if name not in ("Host", "Content-Length")}
        try:
            connection.request(self.command, self.path, body or None, headers | {"Accept-Encoding": "identity"})
            answer = connection.getresponse()
            self.kind = answer.getheader("Content-Type", "application/json")
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException):
            return 502, b""
        finally:
            connection.close()

    def _answer(self, status, answer):
        self.send_response(status)
        self.send_header("Content-Type", getattr(self, "kind", "application/json"))
        self.send_header("X-Elastic-Product", "Elasticsearch")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer)

    def _cut(self, status, answer):
        """Half of the answer; then the connection is reset."""
        self.send_response(status)
        self.send_header("Content-Type", self.kind)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer[: len(answer) // 2])
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
        self.close_connection = True
