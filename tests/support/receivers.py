"""Who takes documents in tests: real sockets, with and without TLS, and a real HTTP server."""

import contextlib
import hmac
import json
import socket
import ssl
import threading
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue

from manager.outlets import spooled

SECONDS = 20  # for what is sent to come
HOST = "127.0.0.1"


def document(number=0, dataset="alarm", **more):
    """One as it lies in the spool, of a flow with a name of its own."""
    return {
        "@timestamp": "2026-11-25T12:00:00.000001Z",
        "message": f"number {number} — said",
        "event": {"id": f"id-{number}", "dataset": f"tapscan.{dataset}", "kind": "alert", "severity": 73},
        "data_stream": {"type": "logs", "dataset": f"tapscan.{dataset}", "namespace": "default"},
        "observer": {"hostname": "tap.example.org"},
        "network": {"community_id": f"1:{number % 3}"},
    } | more


def record(number=0, dataset="alarm", **more):
    return spooled(document(number, dataset, **more))


class Receiver:
    """What all have in common: what came, in order, and threads that end with it."""

    def __init__(self):
        self.came = Queue()
        self._threads = []

    def take(self, count):
        """So many of what came; waits for them."""
        return [self.came.get(timeout=SECONDS) for _ in range(count)]

    def _runs(self, does, *given):
        thread = threading.Thread(target=does, args=given)
        thread.start()
        self._threads.append(thread)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
        for thread in self._threads:
            thread.join(SECONDS)
            assert not thread.is_alive()


class Stream(Receiver):
    """TCP, or TLS with the certificates of a folder: frames with octet counting (RFC 6587). `asks`: who is there?"""

    def __init__(self, port=0, folder=None, asks=False, pause=0.0):
        super().__init__()
        self._pause = pause  # seconds between two messages, in which nothing is read
        self._context = None
        if folder is not None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(f"{folder}/cert.pem", f"{folder}/key.pem")
            if asks:
                self._context.load_verify_locations(f"{folder}/ca.pem")
                self._context.verify_mode = ssl.CERT_REQUIRED
        self._open = []
        self._listener = socket.create_server((HOST, port))
        if pause:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        self.port = self._listener.getsockname()[1]
        self.address = f"{HOST}:{self.port}"
        self._runs(self._accept)

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._open.append(connection)
                self._runs(self._read, connection)

    def _read(self, connection):
        with contextlib.suppress(OSError, ValueError), connection:
            if self._context is not None:
                connection = self._context.wrap_socket(connection, server_side=True)
                self._open.append(connection)
            with connection, connection.makefile("rb") as file:
                while count := b"".join(iter(lambda: file.read(1).strip(), b"")):
                    self.came.put(file.read(int(count)))
                    threading.Event().wait(self._pause)

    def hang_up(self):
        """Ends every connection that there is."""
        while self._open:
            with contextlib.suppress(OSError):
                self._open.pop().shutdown(socket.SHUT_RDWR)

    def close(self):
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.hang_up()


class Datagrams(Receiver):
    """UDP."""

    def __init__(self):
        super().__init__()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((HOST, 0))
        self.address = f"{HOST}:{self._socket.getsockname()[1]}"
        self._runs(self._read)

    def _read(self):
        while text := self._socket.recv(1 << 16):
            self.came.put(text)

    def close(self):
        self._socket.sendto(b"", self._socket.getsockname())
        self._threads[0].join(SECONDS)
        self._socket.close()


class Web(Receiver):
    """HTTP. `answers`: statuses, or functions of documents that give one; 200 when there are none left."""

    def __init__(self, *answers, secret=None, folder=None):
        super().__init__()
        self.answers, self.always = list(answers), None
        self.statuses, self.headers = [], []
        self._secret = secret
        self._server = ThreadingHTTPServer((HOST, 0), self._handler())
        if folder is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(f"{folder}/cert.pem", f"{folder}/key.pem")
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"http{'s' if folder else ''}://{HOST}:{self._server.server_port}/hook"
        self._runs(self._server.serve_forever, 0.01)

    def _handler(receiver):
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = receiver.answer(self.headers, body)
                self.send_response(status)
                if status in (301, 307):
                    self.send_header("Location", "http://elsewhere.example.org/")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        return Handler

    def answer(self, headers, body):
        self.headers.append(dict(headers))
        status = self._decided(headers, body)
        self.statuses.append(status)
        if status < 300:
            given = json.loads(body)
            for one in given if isinstance(given, list) else [given]:
                self.came.put(one)
        return status

    def _decided(self, headers, body):
        if self._secret is not None and not self._signed(headers, body):
            return 401
        answer = self.always or (self.answers.pop(0) if self.answers else 200)
        return answer(json.loads(body)) if callable(answer) else answer

    def _signed(self, headers, body):
        """As who receives it is told to look."""
        made = hmac.new(self._secret.encode(), f"{headers['Tapscan-Timestamp']}.".encode() + body, sha256).hexdigest()
        return hmac.compare_digest(headers["Tapscan-Signature"], f"v1={made}")

    def close(self):
        self._server.shutdown()
        self._server.server_close()


def lines(path):
    """Of a file, without their ends; all of them have one."""
    data = Path(path).read_bytes() if Path(path).exists() else b""
    assert not data or data.endswith(b"\n")
    return data.splitlines()
