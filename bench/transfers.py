"""Servers and clients of what is to be stopped, run inside namespaces.

python transfers.py ROLE ADDRESS ...
    mails                 takes mails; prints "ready", and a line for each that was handed over
    mail COUNT            mails so many with a bad attachment, each on a connection of its own
    web SIZE AT [RATE]    HTTP; /bad is SIZE bytes with the marker at AT, /calm as many without it, at RATE bytes/s;
                          prints "ready", and for each upload how many bytes of it came
    get PATH [NTH [PORT]] prints how many bytes of it came, as the NTH response of its connection
    put SIZE AT           uploads what /bad is
    rtt                   prints the milliseconds that the median of a few connections took to be there
"""

from __future__ import annotations

import contextlib
import http.server
import smtplib
import socket
import statistics
import sys
import threading
import time
from email.message import EmailMessage
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from downloads import MARKER

ATTACHED = 225_000  # bytes: 300 kB as base64
STEP = 16384  # bytes that are written at once, where there is a rate
PATIENCE = 5.0  # seconds until a client gives up


def say(word: object) -> None:
    """A line for who has started this."""
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


def mails(address: str) -> None:
    """What it has accepted is handed over (RFC 5321, section 6.1: from then on it is the server's)."""
    from aiosmtpd.controller import Controller

    class Taker:
        async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
            say(len(envelope.content))
            return "250 OK"

    Controller(Taker(), hostname=address, port=25).start()
    say("ready")
    threading.Event().wait()


def mail(address: str, count: str) -> None:
    """None is sent again."""
    letter = _letter()
    for _ in range(int(count)):
        with contextlib.suppress(OSError, smtplib.SMTPException), smtplib.SMTP(address, timeout=PATIENCE) as smtp:
            smtp.send_message(letter)


def web(address: str, size: str, at: str, rate: str = "0") -> None:
    """The server."""

    class Web(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = PATIENCE

        def do_GET(self) -> None:
            body = (
                bad(int(size), int(at)) if self.path == "/bad" else bytes(int(size) if self.path == "/calm" else 2000)
            )
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            try:
                _paced(self.wfile, body, int(rate) if self.path == "/calm" else 0)
            except OSError:
                self.close_connection = True

        def do_POST(self) -> None:
            say(_came(self.rfile, int(self.headers["Content-Length"])))
            self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    server = type("Server", (http.server.ThreadingHTTPServer,), {"address_family": family})((address, 80), Web)
    say("ready")
    server.serve_forever()


def get(address: str, path: str, nth: str = "1", port: str = "0") -> None:
    """The responses before it are small ones."""
    with _connected(address, int(port)) as link, link.makefile("rb") as came:
        count = 0
        with contextlib.suppress(OSError):
            for target in (*["/small"] * (int(nth) - 1), path):
                link.sendall(f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
                count = 0
                headers = dict(line.split(b": ") for line in iter(came.readline, b"\r\n") if b": " in line)
                count = _came(came, int(headers[b"Content-Length"]))
        say(count)


def put(address: str, size: str, at: str) -> None:
    """What has come of it the server says."""
    head = f"POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n"
    with contextlib.suppress(OSError), _connected(address) as link:
        link.sendall(head.encode() + bad(int(size), int(at)))
        link.recv(1000)


def rtt(address: str) -> None:
    """One is a round trip."""
    took = []
    for _ in range(5):
        begun = time.monotonic()
        _connected(address).close()
        took.append(time.monotonic() - begun)
    say(f"{1000 * statistics.median(took):.1f}")


def bad(size: int, at: int) -> bytes:
    """With the marker."""
    return bytes(at) + MARKER.encode() + bytes(size - at - len(MARKER))


def _connected(address: str, port: int = 0) -> socket.socket:
    link = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    link.settimeout(PATIENCE)
    link.bind(("", port))
    link.connect((address, 80))
    return link


def _came(file: Any, size: int) -> int:
    """So many bytes of it are there before it ends."""
    count = 0
    with contextlib.suppress(OSError):
        while count < size and (some := file.read1(min(size - count, 1 << 16))):
            count += len(some)
    return count


def _paced(file: Any, body: bytes, rate: int) -> None:
    step = STEP if rate else len(body)
    for start in range(0, len(body), step):
        file.write(body[start : start + step])
        if rate:
            time.sleep(step / rate)


def _letter() -> EmailMessage:
    letter = EmailMessage()
    letter["From"], letter["To"], letter["Subject"] = "a@example.org", "b@example.org", "bill"
    letter.set_content("see attachment")
    payload = bytes(1000) + MARKER.encode() + bytes(ATTACHED - 1000 - len(MARKER))
    letter.add_attachment(payload, maintype="application", subtype="octet-stream", filename="bill.exe")
    return letter


if __name__ == "__main__":
    {"mails": mails, "mail": mail, "web": web, "get": get, "put": put, "rtt": rtt}[sys.argv[1]](*sys.argv[2:])
