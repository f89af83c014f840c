"""What a service tells the service manager: that it is ready, how it goes, that it is alive. sd_notify(3).

A datagram to the socket that the environment names; without one nothing is said. What can't be sent is lost: nobody
waits long for it.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable, MutableMapping

from sensor.noun import noun

STATUS = 5.0  # seconds between two lines on how it goes
PATIENCE = 0.5  # seconds in which its queue may get room
NAMES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")


@noun
class ServiceManager:
    """`address`: of its socket, `@` begins an abstract one. `watchdog`: seconds within which it wants a sign."""

    address: str | None = None
    watchdog: float | None = None

    def ready(self) -> None:
        """The start, or the reading of settings, is done."""
        self._tell("READY=1")

    def reloading(self) -> None:
        """Settings are read again; `ready` follows."""
        self._tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        self._tell("STOPPING=1")

    def status(self, text: str) -> None:
        """A line for `systemctl status`."""
        self._tell(f"STATUS={text}")

    def alive(self) -> None:
        self._tell("WATCHDOG=1")

    def _tell(self, *lines: str) -> None:
        if self.address is None:
            return
        name = "\0" + self.address[1:] if self.address.startswith("@") else self.address
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
            out.settimeout(PATIENCE)
            out.sendto("\n".join(lines).encode(), name)


def service_manager(environment: MutableMapping[str, str] = os.environ) -> ServiceManager:
    """Who started us. What it said is taken out of the environment: it isn't for processes that we start."""
    address, every, whose = (environment.pop(name, None) for name in NAMES)
    ours = every is not None and every.isdecimal() and whose in (None, str(os.getpid()))
    return ServiceManager(address or None, int(every) / 1e6 if ours and every else None)


class Health:
    """Tells the service manager how it goes. `answer`: whether all that has to work does."""

    def __init__(self, told: ServiceManager, answer: Callable[[], bool], line: Callable[[float], str]) -> None:
        self._told = told
        self._answer = answer
        self._line = line  # of so many seconds
        self._status = self._sign = time.monotonic()

    def look(self) -> None:
        """Called again and again: who stops to call it is dead."""
        now = time.monotonic()
        if self._told.watchdog is not None and now - self._sign > self._told.watchdog / 2 and self._answer():
            self._sign = now
            self._told.alive()
        if now - self._status > STATUS:
            self._told.status(self._line(now - self._status))
            self._status = now
