"""One connection of an ICAP client: what is read of it is bounded in size and time. RFC 3507.

What `manager.icap_message` makes of the bytes, `manager.icap_service` answers.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator

from manager.icap_message import LONGEST_HEAD, Chunks, IcapRequest, Wrong, parse_request

PIECE = 64 << 10  # bytes that are read at once
LINGER = 2.0  # seconds that the other side has to read what was sent last


class Gone(Exception):
    """The other side is away, or silent for too long."""


class Quiet(Gone):
    """Nothing has come in time."""


class Connection:
    """`silence`: seconds that may pass without a byte; `most`: bytes of all encapsulated heads of a request."""

    def __init__(self, given: socket.socket, silence: float, most: int) -> None:
        self._socket = given
        self._silence = silence
        self._most = most
        self._data = b""  # read and not used
        with contextlib.suppress(OSError):  # it is gone already: whoever reads will see
            given.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def request(self) -> IcapRequest | None:
        """The next one; None: there is none. Raises Wrong, Gone."""
        until = time.monotonic() + self._silence
        while (end := self._data.find(b"\r\n\r\n")) < 0:
            if len(self._data) > LONGEST_HEAD:
                raise Wrong(400, f"a head of more than {LONGEST_HEAD} bytes")
            try:
                self._more(until)
            except Gone:
                if self._data:
                    raise
                return None
        head, self._data = self._data[:end], self._data[end + 4 :]
        return parse_request(head, self._most)

    def exactly(self, count: int) -> bytes:
        """So many bytes. Raises Gone."""
        until = time.monotonic() + self._silence
        while len(self._data) < count:
            self._more(until)
        taken, self._data = self._data[:count], self._data[count:]
        return taken

    def body(self, chunks: Chunks, until: float | None = None, pause: float = 0.0) -> Iterator[bytes]:
        """A body, or a preview, as it comes, to its end; or to a moment (monotonic seconds), and goes on when called
        again. Gives nothing whenever nothing has come for `pause` seconds. Raises Wrong, Gone.
        """
        data, self._data = self._data, b""
        heard = time.monotonic()
        while True:
            if data:
                yield b"".join(chunks.feed(data))
            if chunks.done:
                self._data = chunks.rest
                return
            now = time.monotonic()
            silent = heard + self._silence
            if now >= (until or silent):
                return
            try:
                data = self._read(min(until or silent, silent, now + (pause or self._silence)) - now)
                heard = time.monotonic()
            except Quiet:
                if (now := time.monotonic()) >= silent:
                    raise
                data = b""
                if now < (until or silent):
                    yield data

    def send(self, data: bytes) -> None:
        """Raises Gone."""
        try:
            self._socket.settimeout(self._silence)
            self._socket.sendall(data)
        except OSError as error:
            raise Gone(str(error)) from None

    def close(self) -> None:
        """Lets the other side read what was sent last: bytes that we haven't read would make the end a reset (RFC 9112,
        section 9.6).
        """
        with contextlib.suppress(OSError, Gone):
            self._socket.shutdown(socket.SHUT_WR)
            until = time.monotonic() + LINGER
            while left := max(until - time.monotonic(), 0):
                self._read(left)
        self._socket.close()

    def _more(self, until: float) -> None:
        if (left := until - time.monotonic()) <= 0:
            raise Gone("it took too long")
        self._data += self._read(left)

    def _read(self, seconds: float) -> bytes:
        try:
            self._socket.settimeout(max(seconds, 0.001))
            data = self._socket.recv(PIECE)
        except TimeoutError:
            raise Quiet("silent for too long") from None
        except OSError as error:
            raise Gone(str(error)) from None
        if not data:
            raise Gone("closed")
        return data
