"""The one process that sends: it holds the sockets, checks each request, records its frames, and sends them.

Requests come straight from the capture workers, without a detour. They read hostile bytes, so a request is data: its
pickle knows our four nouns alone, and `Limits` looks at every field. This process has nothing else that is worth
having, and nobody can make it wait: a report that the manager has no room for is lost and counted.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import pickle
import resource
import select
import signal
import socket
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

from manager.action import Report, Request
from manager.audit import Audit
from manager.block_page import BlockPage
from manager.channel import REFUSED
from manager.injection_limits import Limits, mac
from manager.logs import one_line_logs
from manager.options import Stop
from manager.precedence import go_first
from manager.privileges import give_up, named
from manager.request_checks import NOT_A_REQUEST, PAYLOAD
from manager.settings import BlockPageSettings, CountermeasureSettings
from manager.stop_file import StopFile
from reassembly.events import Flow
from sensor.frames import Frame, Notice
from sensor.marks import Mark
from sensor.noun import noun

log = logging.getLogger(__name__)

TASK = 1 << 16  # bytes
MESSAGE = 64 << 10  # bytes of a request: 16 frames with full pages are half of that
FIRST = 10  # by so much it goes before those that it works for: it has little to do, and that at once
MORE_MEMORY = 128 << 20  # bytes of addresses beyond those at the start: a pickle can be made to ask for any number
_PACKET, _QDISC_BYPASS = 263, 20  # SOL_PACKET, PACKET_QDISC_BYPASS: packet(7)


@noun
class InjectorTask:
    """`interfaces`: each with the descriptor of its socket (`sending`). `requests`: descriptor of a sequenced-packet
    socket. `audit` and `stop`: folder of the records, and the stop file, that the settings name or that they default
    to; the folders are there."""

    settings: CountermeasureSettings
    secret: bytes
    interfaces: tuple[tuple[str, int], ...]
    requests: int
    audit: str
    stop: str
    user: str | None = None
    precedence: int = 0
    page: BlockPageSettings = BlockPageSettings()
    verbose: int = 0


def sending(interface: str) -> socket.socket:
    """A socket that sends frames there and receives none. Raises OSError."""
    out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    try:
        out.bind((interface, 0))
        with contextlib.suppress(OSError):  # it only takes longer, then
            out.setsockopt(_PACKET, _QDISC_BYPASS, 1)
    except OSError:
        out.close()
        raise
    return out


def renew(channel: socket.socket, interface: str) -> None:
    """Gives the injector a socket of an interface that has returned. Raises OSError."""
    with sending(interface) as out:
        socket.send_fds(channel, [interface.encode()], [out.fileno()])


def main(descriptor: int) -> None:
    """The life of the injector. `descriptor`: its end of the manager's socket, on which the task comes first.

    It answers None when it is ready, or why it can't be; then a `Report` for each request.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    channel = socket.socket(fileno=descriptor)
    task: InjectorTask = pickle.loads(channel.recv(TASK))  # from the manager
    one_line_logs(task.verbose)
    named("tapscan-inject")
    os.umask(0o077)
    import sensor.framing  # noqa: F401 - Scapy looks at files and interfaces, which is over after the next lines

    try:
        injector = Injector(channel, task)
    except (OSError, ValueError, Stop) as error:
        channel.send(pickle.dumps(str(error)))
        return
    _bounded()
    go_first(task.precedence and min(task.precedence + FIRST, 20))
    for step in give_up(task.user, injector.holder):
        if step.refused:
            log.warning("the injector has more rights than it needs: %s: %s", step.name, step.refused)
    channel.send(pickle.dumps(None))
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the manager is gone
        injector.run()


def _bounded() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + MORE_MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


class Injector:
    """Sends until the manager closes its end. Raises OSError and ValueError for what can't be opened or read."""

    def __init__(self, channel: socket.socket, task: InjectorTask) -> None:
        self.counters: Counter[str] = Counter()
        self._channel = channel
        self._task = task
        self._requests = socket.socket(fileno=task.requests)
        self._out = {name: socket.socket(fileno=number) for name, number in task.interfaces}
        self._mark = Mark(task.secret)
        self._gateway = None if task.settings.gateway_mac is None else mac(task.settings.gateway_mac)
        self._pages = BlockPage(task.page), BlockPage(BlockPageSettings())  # the second where the first is too long
        self._audit = Audit(Path(task.audit))
        stop = Path(task.stop)
        self.holder = os.open(stop.parent, os.O_RDONLY | os.O_DIRECTORY)  # of the stop file
        self._limits = Limits(task.settings, StopFile(stop, self.holder))

    def run(self) -> None:
        poll = select.poll()
        poll.register(self._channel, select.POLLIN)
        poll.register(self._requests, select.POLLIN)
        while True:
            for number, event in poll.poll():
                if number == self._channel.fileno():
                    if not self._renewed():
                        return
                elif not self._hear() and event & select.POLLHUP:
                    poll.unregister(number)  # all workers are gone

    def _renewed(self) -> bool:
        """An interface that has returned (`renew`); whether there may be more."""
        name, numbers, _, _ = socket.recv_fds(self._channel, TASK, 1)
        for number in numbers:
            if (before := self._out.get(name.decode())) is not None:
                before.close()
            self._out[name.decode()] = socket.socket(fileno=number)
        return bool(name)

    def _hear(self) -> bool:
        """One request; whether there was one. An empty one may come from a worker that lies."""
        try:
            said = self._requests.recv(MESSAGE, socket.MSG_DONTWAIT)
        except (BlockingIOError, ConnectionResetError):
            return False
        try:
            request = unpickled(said)
        except REFUSED:
            self._garbage()
            return bool(said)
        self._answer(request)
        return True

    def _answer(self, request: object) -> None:
        why = self._limits.check(request, time.monotonic_ns())
        if not isinstance(request, Request) or why == NOT_A_REQUEST:
            return self._garbage()
        frames, when = 0, time.time_ns()
        if why is None:
            frames, when, why = self._done(request)
        return self._report(Report(request.action, request.flow.id, frames, when, why))

    def _done(self, request: Request) -> tuple[int, int, str | None]:
        """Frames that were sent, when the first was, and why none was."""
        name = self._task.settings.interface or request.interface
        if (out := self._out.get(name)) is None:
            return 0, time.time_ns(), f"nothing is sent on {name}"
        frames = [self._built(one) for one in self._paged(request)]
        try:
            self._audit.write(request, self._task.settings.mode, name, frames)
        except OSError as error:
            return 0, time.time_ns(), f"the record can't be written: {error.strerror}"
        when = time.time_ns()
        if self._task.settings.mode != "enforce":
            return len(frames), when, None
        return _sent(out, frames, when)

    def _paged(self, request: Request) -> tuple[Frame, ...]:
        """The frames, the last one with the page, if there is to be one: what it says is ours, not the worker's."""
        if request.notice is None:
            return request.frames
        *others, last = request.frames
        said = request.notice.reason, request.notice.incident, request.notice.url
        page = next((page for one in self._pages if len(page := one.response(*said)) <= PAYLOAD), b"")
        return (*others, replace(last, payload=page))

    def _built(self, frame: Frame) -> bytes:
        from sensor.framing import built, readdressed

        made = built(frame, self._mark)
        return made if self._gateway is None else readdressed(made, self._gateway)

    def _report(self, report: Report) -> None:
        """Never waits for the manager."""
        try:
            self._channel.send(pickle.dumps(report), socket.MSG_DONTWAIT)
        except BlockingIOError:
            self._count("reports_lost", "the manager is slow: reports of frames that were sent are lost")

    def _garbage(self) -> None:
        self._count("garbage", "a worker has asked for what is no request")

    def _count(self, name: str, warning: str) -> None:
        """Said once."""
        self.counters[name] += 1
        if self.counters[name] == 1:
            log.warning("%s", warning)


def unpickled(said: bytes) -> Any:
    """What a worker says. Raises one of `channel.REFUSED`."""
    return _Careful(io.BytesIO(said)).load()


class _Careful(pickle.Unpickler):
    """Knows these classes alone, and of each a new subclass: a pickle can set the attributes of a class that it has."""

    def find_class(self, module: str, name: str) -> Any:
        if (known := _KNOWN.get((module, name))) is None:
            raise pickle.UnpicklingError(f"{module}.{name} is none of what workers say")
        return type(name, (known,), {"__slots__": ()})


_KNOWN: dict[tuple[str, str], type] = {(one.__module__, one.__name__): one for one in (Request, Frame, Flow, Notice)}


def _sent(out: socket.socket, frames: list[bytes], when: int) -> tuple[int, int, str | None]:
    """How many went out, when the first did, and why none did."""
    for count, frame in enumerate(frames):
        try:
            out.send(frame, socket.MSG_DONTWAIT)
        except OSError as error:
            return count, when, None if count else f"can't be sent: {error.strerror}"
    return len(frames), when, None
