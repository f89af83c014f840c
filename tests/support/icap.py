"""`tapscan icap-server` as a process, and who asks it: bytes on a socket, c-icap-client, a real Squid."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import threading
import time
from http.client import HTTPConnection, IncompleteRead
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from elastic_node import free_port
from sensing import Sensor

HOST = "127.0.0.1"
SECONDS = 30
YARA = '[[engine]]\nkind = "yara"\n'


class IcapServer(Sensor):
    """One that runs. `icap`: lines of [icap]; `more`: of the rest of its settings."""

    def __init__(self, folder, icap="", more=YARA, out=subprocess.PIPE):
        self.port = free_port()
        (folder / "icap.toml").write_text(f'[icap]\nlisten = "{HOST}:{self.port}"\n{icap}\n{more}')
        super().__init__(folder, "--config", "icap.toml", "--json", does="icap-server", out=out)
        self.says(f"listening on {HOST}:{self.port}")

    def documents(self, dataset, count=1, about=""):
        """Those of a kind with a text in them, once there are so many."""
        until = time.monotonic() + SECONDS
        while len(found := [line for line in self._out if f'"tapscan.{dataset}"' in line and about in line]) < count:
            assert time.monotonic() < until, self._out
            time.sleep(0.02)
        return [json.loads(line) for line in found]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if not self.process.stderr.closed:
            self.end()


class Asking:
    """Bytes to an ICAP server, and its answers."""

    def __init__(self, port):
        self._socket = socket.create_connection((HOST, port), SECONDS)
        self._file = self._socket.makefile("rb")

    def send(self, *parts):
        self._socket.sendall(b"".join(parts))

    def last(self, data):
        """Sends it and no more; all that comes back until the server has closed as well."""
        with contextlib.suppress(ConnectionError):
            self._socket.sendall(data)
            self._socket.shutdown(socket.SHUT_WR)
            return self._file.read()
        return b""

    def head(self):
        """Status and fields of the next answer; None at the end."""
        lines = list(iter(lambda: self._file.readline().rstrip(b"\r\n"), b""))
        if not lines:
            return None
        fields = dict(line.decode().split(": ", 1) for line in lines[1:])
        return int(lines[0].split()[1]), fields

    def chunks(self):
        """The body; raises EOFError when the connection ends before its last chunk."""
        whole = b""
        while size := self._size():
            whole += self._file.read(size)
            self._file.readline()
        self._file.readline()
        return whole

    def _size(self):
        if not (line := self._file.readline()):
            raise EOFError
        return int(line, 16)

    def answer(self):
        """Status, fields, the encapsulated head, and the body."""
        status, fields = self.head()
        parts = dict(item.strip().split("=") for item in fields.get("Encapsulated", "null-body=0").split(","))
        *_, (last, begin) = parts.items()
        head = self._file.read(int(begin))
        return status, fields, head, b"" if last == "null-body" else self.chunks()

    def over(self):
        """Whether the server has closed, with nothing more to say."""
        return self._file.read() == b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._file.close()
        self._socket.close()


def chunked(data, size=4096, last=b"0\r\n\r\n"):
    pieces = (data[at : at + size] for at in range(0, len(data), size))
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + last


def asked(method="RESPMOD", body=b"", fields=(), response=(), preview=None, url="http://www.example.org/a.bin"):
    """A request as a proxy sends it: RESPMOD, or REQMOD with `body`; up to the end of its preview, if it has one."""
    request = f"GET {url} HTTP/1.1\r\nHost: www.example.org\r\n\r\n".encode()
    answer = "".join(f"{line}\r\n" for line in ("HTTP/1.1 200 OK", *response, "")).encode()
    upload = f"POST {url} HTTP/1.1\r\nHost: www.example.org\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    parts = (upload,) if method == "REQMOD" else (request, answer)
    names = ("req-hdr=0", f"req-body={len(upload)}")
    if method == "RESPMOD":
        names = ("req-hdr=0", f"res-hdr={len(request)}", f"res-body={len(request) + len(answer)}")
    lines = [f"{method} icap://{HOST}/{method.lower()} ICAP/1.0", f"Host: {HOST}", *fields]
    if preview is not None:
        lines.append(f"Preview: {preview}")
        body = chunked(body[:preview], last=b"0; ieof\r\n\r\n" if len(body) <= preview else b"0\r\n\r\n")
    else:
        body = chunked(body)
    lines.append("Encapsulated: " + ", ".join(names))
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode() + b"".join(parts) + body


def client(port, *words):
    """c-icap's client; gives what it says."""
    if (program := shutil.which("c-icap-client")) is None:
        pytest.skip("c-icap-client not installed (Debian: c-icap)")
    command = [program, "-i", HOST, "-p", str(port), "-v", *map(str, words)]
    return subprocess.run(command, stderr=subprocess.PIPE, text=True, timeout=SECONDS, check=True).stderr


class Origin:
    """A web server that has what it is given, by name; `/chunked/NAME` without its length. `came`: what was sent."""

    def __init__(self, files):
        self.came = []
        self._server = ThreadingHTTPServer((HOST, 0), self._handler(files))
        self.url = f"http://{HOST}:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,)).start()

    def _handler(origin, files):
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                data = files[self.path.rpartition("/")[2]]
                chunks = self.path.startswith("/chunked/")
                self.send_response(200)
                self.send_header(*(("Transfer-Encoding", "chunked") if chunks else ("Content-Length", str(len(data)))))
                self.end_headers()
                with contextlib.suppress(ConnectionError):  # who was cut off doesn't want the rest
                    self.wfile.write(chunked(data, 70_000) if chunks else data)

            def do_POST(self):
                origin.came.append(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_):
                pass

        return Handler

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()


class Squid:
    """Debian's, in a folder of its own. `adapted`: lines that say whom it asks."""

    def __init__(self, folder, *adapted):
        if (program := shutil.which("squid", path=f"{os.environ['PATH']}:/usr/sbin")) is None:
            pytest.skip("squid not installed (Debian: squid)")
        self.port = free_port()
        self._folder = folder
        folder.mkdir()
        if os.geteuid() == 0:
            shutil.chown(folder, "proxy")  # who it becomes
        (folder / "squid.conf").write_text("\n".join((*self._lines(), *adapted, "")))
        command = [program, "-N", "-f", folder / "squid.conf"]
        with (folder / "out").open("wb") as out:
            self._process = subprocess.Popen(command, stdout=out, stderr=out)
        self._await()

    def _lines(self):
        yield f"http_port {HOST}:{self.port}"
        yield from (f"{name} {self._folder}/{file}" for name, file in (("pid_filename", "pid"), ("cache_log", "log")))
        yield f"coredump_dir {self._folder}"
        yield from ("access_log none", "cache deny all", "http_access allow all", "pinger_enable off")
        yield from ("shutdown_lifetime 0 seconds", "icap_enable on", "adaptation_send_client_ip on")
        yield 'adaptation_meta X-Server-IP "%<a"'

    def _await(self):
        for _ in range(200):
            assert self._process.poll() is None, (self._folder / "out").read_text()
            with contextlib.suppress(ConnectionRefusedError), socket.create_connection((HOST, self.port)):
                return
            threading.Event().wait(0.05)
        raise AssertionError(Path(self._folder / "log").read_text())

    def get(self, url):
        """Status, what came, and whether that was all of it."""
        return self._ask("GET", url)

    def post(self, url, data):
        """The same."""
        return self._ask("POST", url, data)

    def _ask(self, method, url, data=None):
        with contextlib.closing(HTTPConnection(HOST, self.port, timeout=SECONDS)) as connection:
            connection.request(method, url, data)
            answer = connection.getresponse()
            try:
                return answer.status, answer.read(), True
            except IncompleteRead as cut:
                return answer.status, cut.partial, False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.terminate()
        self._process.wait(SECONDS)
