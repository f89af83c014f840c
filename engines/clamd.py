"""clamd, ClamAV's daemon, over its Unix or TCP socket (clamd(8), "COMMANDS").

An object goes as `zINSTREAM`: chunks of at most `CHUNK` bytes, each after its length in four bytes, a zero length at
the end; the answer is `stream: NAME FOUND`, `stream: OK` or `... ERROR`. Through a Unix socket small ones go as
`zFILDES`, which hands over a descriptor and saves clamd a temporary file. Each scan has a connection of its own, so
that a daemon that reloads or restarts costs at most one more try.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from time import monotonic

from engines.verdicts import Verdict
from reassembly.objects import Object

CHUNK = 1 << 20
ANSWER_BYTES = 64 << 10  # an answer is one line; more is no clamd
TRIES = 2
PASSED = 4 << 20  # bytes: larger ones are streamed, since clamd says OK to a file over its MaxFileSize
_VERSION = re.compile(r"^ClamAV ([^/\s]+)(?:/([^/]*)/(.*))?$")


class Clamd:
    """One clamd. `address`: the path of a Unix socket, or HOST:PORT."""

    def __init__(
        self,
        name: str = "clamav",
        address: str = "/run/clamav/clamd.ctl",
        *,
        timeout: float = 60.0,
        slots: int | None = None,
    ) -> None:
        self.name = name
        self.address = address
        self.version: str | None = None
        self.database_version: str | None = None
        self.database_age: float | None = None  # seconds
        self.timeout = timeout
        self.slots = slots or 4
        self._passes = self._is_unix and hasattr(os, "memfd_create")

    def scan(self, target: Object) -> Verdict:
        """Sends the object; a connection that breaks is tried once more."""
        if self.version is None:
            self.check()
        why = ""
        deadline = monotonic() + self.timeout
        for _ in range(TRIES):
            try:
                return self._verdict(self._ask(target, deadline))
            except TimeoutError:
                return Verdict(self.name, "timeout", reason=f"no answer within {self.timeout:g} s")
            except OSError as error:
                why = f"{self.address}: {error.strerror or error}"
        return Verdict(self.name, "error", reason=why)

    def check(self) -> str | None:
        """Asks for the versions; None when the daemon answers."""
        try:
            with self._connected(monotonic() + min(self.timeout, 5.0)) as connection:
                connection.sendall(b"zVERSION\0")
                answer = _answer(connection)
        except OSError as error:
            return f"{self.address}: {error.strerror or error or 'no answer'}"
        found = _VERSION.match(answer)
        if found is None:
            return f"{self.address}: not a clamd: it answers {answer[:80]!r}"
        self.version, self.database_version = found[1], found[2] or None
        self.database_age = _age(found[3])
        return None

    def close(self) -> None:
        """Nothing to let go of."""

    def _ask(self, target: Object, deadline: float) -> str:
        memory = target.content.kept
        if self._passes and memory and len(memory) <= PASSED:
            answer = self._pass(memory, deadline)
            if answer.endswith((": OK", " FOUND")):
                return answer
            self._passes = False  # not allowed to read it (AppArmor, another kernel): from now on all is streamed
        return self._send(target, deadline)

    def _pass(self, memory: bytes | memoryview, deadline: float) -> str:
        descriptor = os.memfd_create("tapscan")
        try:
            os.write(descriptor, memory)
            os.lseek(descriptor, 0, os.SEEK_SET)
            with self._connected(deadline) as connection:
                socket.send_fds(
                    connection, [b"zFILDES\0\0"], [descriptor]
                )  # it travels with the byte after the command
                return _answer(connection)
        finally:
            os.close(descriptor)

    def _send(self, target: Object, deadline: float) -> str:
        with self._connected(deadline) as connection:
            try:
                connection.sendall(b"zINSTREAM\0")
                for chunk in target.content.chunks(CHUNK) if target.size else ():
                    connection.sendall(len(chunk).to_bytes(4, "big"))
                    connection.sendall(chunk)
                    connection.settimeout(max(deadline - monotonic(), 0.001))
                connection.sendall(bytes(4))
            except (BrokenPipeError, ConnectionResetError):
                pass  # over its size limit clamd answers and hangs up while we still send
            return _answer(connection)

    @property
    def _is_unix(self) -> bool:
        return "/" in self.address or ":" not in self.address

    @contextmanager
    def _connected(self, deadline: float) -> Iterator[socket.socket]:
        host, _, port = self.address.rpartition(":")
        is_unix = self._is_unix
        family = socket.AF_UNIX if is_unix else socket.AF_INET6 if ":" in host.strip("[]") else socket.AF_INET
        if not is_unix and not port.isdecimal():
            raise OSError(f"{self.address} is neither the path of a socket nor HOST:PORT")
        with socket.socket(family, socket.SOCK_STREAM) as connection:
            connection.settimeout(max(deadline - monotonic(), 0.001))
            connection.connect(self.address if is_unix else (host.strip("[]"), int(port)))
            yield connection

    def _verdict(self, answer: str) -> Verdict:
        said = re.sub(r"^(?:stream|fd\[\d+\]): ", "", answer)
        if said == "OK":
            return Verdict(self.name, "clean")
        if said.endswith(" FOUND"):
            signature = said.removesuffix(" FOUND")
            return Verdict(self.name, "malicious", signature, (signature,), rule={"name": signature})
        if "size limit exceeded" in said:
            return Verdict(self.name, "skipped", reason="limit: larger than clamd's StreamMaxLength")
        raise OSError(said[:200] or "closed the connection without an answer")


def _answer(connection: socket.socket) -> str:
    """What comes up to the terminating zero, or to the end."""
    answer = bytearray()
    while not answer.endswith(b"\0") and len(answer) < ANSWER_BYTES:
        try:
            piece = connection.recv(4096)
        except ConnectionResetError:
            break
        if not piece:
            break
        answer += piece
    return answer.rstrip(b"\0\n").decode("utf-8", "replace").strip()


def _age(built: str | None) -> float | None:
    """Seconds since the database was built (`Tue Nov  3 09:31:12 2026`)."""
    try:
        when = datetime.strptime(built or "", "%a %b %d %H:%M:%S %Y").replace(tzinfo=UTC)
    except ValueError:
        return None
    return (datetime.now(UTC) - when).total_seconds()
