"""The sockets of the interfaces that are watched: opened where there is the right to, and again when one returns."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import socket
import sys
from collections.abc import Sequence

from manager.options import Stop
from manager.settings import SensorSettings
from sensor import stamps
from sensor.bpf import FilterError, compiled
from sensor.fanout import NEW_GROUP, group_of
from sensor.packets import ETHERNET
from sensor.plain import opened_plain
from sensor.ring import RingRefused, RingSize, SocketOptions, opened

log = logging.getLogger(__name__)

NO_RIGHT = """capturing on {interface} needs CAP_NET_RAW: run as root, or
setcap cap_net_raw+ep {python}
or AmbientCapabilities=CAP_NET_RAW in the systemd unit"""

Descriptors = tuple[tuple[str, int], ...]  # an interface's name, and its socket


def card_time(names: Sequence[str]) -> str:
    """Why not all cards give packets their time from now on; empty where they do."""
    for name in names:
        try:
            stamps.switch_on(name)
        except OSError as error:
            if error.errno != errno.ENODEV:  # that it isn't there is said when it is opened
                return ": ".join(filter(None, (name, error.filename, error.strerror)))
    return ""


class Interfaces:
    """For each of some workers a socket on every interface. `expression`: a filter, pcap-filter(7). Raises Stop.

    `hardware`: the cards give packets their time.
    """

    def __init__(self, own: SensorSettings, workers: int, expression: str, *, hardware: bool) -> None:
        if not own.interfaces:
            raise Stop("no interface to watch: -i IFACE, or interfaces = [...] under [sensor] in the settings")
        blocks = max(own.ring // RingSize().block, 2) if own.ring else RingSize().blocks
        self.size = RingSize(blocks=blocks, timeout=own.block_timeout)
        self.hardware = hardware
        self._ring = own.ring > 0
        self._names = own.interfaces
        self._workers = workers
        try:
            program = compiled(expression, ETHERNET)
        except FilterError as error:
            raise Stop(f"--filter: {error}") from None
        self._options = SocketOptions(program, promiscuous=own.promiscuous, hardware=hardware, fanout=own.fanout)
        self._open: list[int] = []
        self._indices = self._present()
        self.descriptors = self._opened()

    def returned(self) -> bool:
        """Whether an interface that was gone is there again: then all sockets are new, and `descriptors` too."""
        if (present := self._present()) == self._indices or set(present) != set(self._names):
            return False
        for number in self._open:
            os.close(number)
        self._open, self._indices = [], present
        if self.hardware and (why := card_time(self._names)):
            log.warning("the kernel's time is taken: %s", why)
        self.descriptors = self._opened()
        return True

    def _present(self) -> dict[str, int]:
        """The interfaces that are there, with their numbers, which a new one of the same name has not."""
        found = {}
        for name in self._names:
            with contextlib.suppress(OSError):
                found[name] = socket.if_nametoindex(name)
        return found

    def _opened(self) -> list[Descriptors]:
        groups: dict[str, int | None] = dict.fromkeys(self._names, NEW_GROUP if self._workers > 1 else None)
        return [tuple((name, self._socket(name, groups)) for name in self._names) for _ in range(self._workers)]

    def _made(self, interface: str, group: int | None) -> socket.socket:
        if not self._ring:
            return opened_plain(interface, self.size, self._options, group=group)
        try:
            return opened(interface, self.size, self._options, group=group)
        except RingRefused as error:
            log.warning("%s: no ring (%s): packets are fetched one by one, which takes more time", interface, error)
            return opened_plain(interface, self.size, self._options, group=group)

    def _socket(self, interface: str, groups: dict[str, int | None]) -> int:
        try:
            made = self._made(interface, groups[interface])
        except PermissionError:
            raise Stop(NO_RIGHT.format(interface=interface, python=sys.executable)) from None
        except OSError as error:
            if error.errno == errno.ENODEV:
                raise Stop(f"{interface}: no such interface (ip link shows those that are there)") from None
            raise Stop(f"{interface}: can't be watched: {error.strerror}") from None
        if groups[interface] is not None:
            groups[interface] = group_of(made)
        self._open.append(made.detach())
        return self._open[-1]
