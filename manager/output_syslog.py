"""`[[output]] kind = "syslog"`: over UDP (RFC 5426), TCP (RFC 6587) or TLS (RFC 5425).

A syslog receiver never says what it has. Over TCP and TLS a batch counts as sent when the other host's kernel has
acknowledged its last byte; a connection that breaks before makes all of the batch come again.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import select
import socket
import ssl
import struct
import termios
import time
from collections.abc import Sequence

from manager.bulk import Later, Outcome, Refused
from manager.chosen import Chosen
from manager.output_checks import address
from manager.output_settings import SyslogSettings
from manager.output_tls import tls
from manager.spool import Record
from manager.syslog_message import bounded, framed, message

log = logging.getLogger(__name__)

LOOK, LONGEST_LOOK = 0.002, 0.1  # seconds between two looks at what has been acknowledged, at first and later
PIECE = 1 << 16  # bytes that a slow link takes in time
VERDICT = 3.0  # seconds that a receiver has to refuse us
SIOCOUTQ = termios.TIOCOUTQ  # tcp(7): bytes that aren't acknowledged


class SyslogTarget:
    """Connects when there is something to send, and again when the connection is gone. Raises Stop."""

    def __init__(self, settings: SyslogSettings) -> None:
        self._settings = settings
        found = address(settings.address)
        assert found is not None  # the settings were checked
        self._host, self._port = found
        self._context = tls(settings) if settings.transport == "tls" else None
        self._chosen = Chosen(settings.datasets, settings.format)
        self._socket: socket.socket | None = None
        self._cut = 0  # messages

    def send(self, records: Sequence[Record]) -> Outcome:
        """Raises Later, and Refused where the certificate of the receiver isn't believed."""
        outcome = Outcome()
        items = self._chosen.of(records, outcome)
        messages = [message(item, self._settings.facility) for item in items]
        try:
            if self._settings.transport == "udp":
                self._datagrams(messages)
            elif messages:
                self._stream(b"".join(map(framed, messages)))
        except ssl.SSLCertVerificationError as error:
            self._leave()
            raise Refused(f"{self._settings.address}: its certificate: {error.verify_message}") from None
        except OSError as error:
            self._leave()
            raise Later(f"{self._settings.address}: {_why(error)}") from None
        outcome.stored = len(items)
        return outcome

    def _datagrams(self, messages: Sequence[bytes]) -> None:
        """One message each (section 3.1)."""
        for text in messages:
            self._connected().send(self._within(text))

    def _within(self, text: bytes) -> bytes:
        most = self._settings.max_datagram
        if len(text) > most:
            self._cut += 1
            if self._cut == 1:
                log.warning("output %s: messages over max_datagram (%d) are cut", self._settings.name, most)
        return bounded(text, most)

    def _stream(self, data: bytes) -> None:
        connection = self._connected()
        if _closed(connection):
            self._leave()
            connection = self._connected()
        for start in range(0, len(data), PIECE):
            connection.sendall(data[start : start + PIECE])  # the time-out is for each
        _arrived(connection, self._settings.timeout)
        if _closed(connection):
            raise ConnectionResetError(None, "the receiver has closed the connection")

    def _connected(self) -> socket.socket:
        if self._socket is None:
            self._socket = self._connect()
        return self._socket

    def _connect(self) -> socket.socket:
        timeout = self._settings.timeout
        if self._settings.transport == "udp":
            family, kind, protocol, _, place = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_DGRAM)[0]
            datagrams = socket.socket(family, kind, protocol)
            datagrams.settimeout(timeout)
            datagrams.connect(place)
            return datagrams
        plain = socket.create_connection((self._host, self._port), timeout)
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if self._context is None:
            return plain
        secured = plain
        try:
            secured = self._context.wrap_socket(plain, server_hostname=self._host)
            _accepted(secured)
        except OSError:
            secured.close()
            raise
        return secured

    def _leave(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.close()
            self._socket = None

    def close(self) -> None:
        """What was sent has arrived."""
        self._leave()


def _accepted(connection: socket.socket) -> None:
    """With TLS 1.3 a receiver says only after the handshake that it doesn't want us; most say something anyhow."""
    select.select([connection], [], [], VERDICT)
    if _closed(connection):
        raise ConnectionResetError(None, "the receiver has closed the connection")


def _closed(connection: socket.socket) -> bool:
    """Receivers never send anything: what can be read is the end, or why they don't want us."""
    timeout = connection.gettimeout()
    connection.setblocking(False)
    try:
        return not connection.recv(4096)
    except (BlockingIOError, ssl.SSLWantReadError):
        return False
    finally:
        connection.settimeout(timeout)


def _unacknowledged(connection: socket.socket) -> int:
    (count,) = struct.unpack("i", fcntl.ioctl(connection.fileno(), SIOCOUTQ, bytes(4)))
    return int(count)


def _arrived(connection: socket.socket, seconds: float) -> None:
    """Returns when all is acknowledged. Raises TimeoutError when nothing more is for so many seconds."""
    left, since, pause = _unacknowledged(connection), time.monotonic(), LOOK
    while left:
        if time.monotonic() - since > seconds:
            raise TimeoutError(None, "it takes no more")
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_LOOK)
        if (now := _unacknowledged(connection)) < left:
            left, since = now, time.monotonic()


def _why(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return str(error.reason or error).lower().replace("_", " ")
    return error.strerror or str(error) or type(error).__name__
