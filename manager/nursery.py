"""Where the processes of a live sensor come from: one that has loaded all they need, and forks.

A program that is started has to be found and read, and Python or tapscan may lie where only root comes. What is forked
needs nothing, so the manager can give up its rights and still have a successor for who dies, at once. The nursery has
no network and is no longer root. Those it forks are children of the manager (clone(2), CLONE_PARENT), which waits for
them.
"""

from __future__ import annotations

import ctypes
import fcntl
import importlib
import os
import pickle
import platform
import signal
import socket
from collections.abc import Sequence

from manager import children
from manager.capture_worker import load_all
from manager.children import Process, ours_and_theirs
from manager.options import Stop
from manager.precedence import go_first
from manager.privileges import leave, named
from manager.settings import SensorSettings
from sensor.noun import noun

_CLONE = {"x86_64": 56, "aarch64": 220}  # its number
_CLONE_PARENT = 0x8000
POSSIBLE = platform.machine() in _CLONE  # whether there can be a nursery
MESSAGE = 1 << 16
MODULES = ("manager.capture_worker", "manager.recorder")
DESCRIPTORS = 253  # of one message (SCM_MAX_FD)


@noun
class Birth:
    """Who is to be born: its module, and the numbers under which it has the descriptors that come along.

    The first is its end of the channel.
    """

    module: str
    numbers: tuple[int, ...]


def main(descriptor: int) -> None:
    """The life of the nursery, and then of who was born. `descriptor`: its end of the manager's channel."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # until a worker is ready for it
    channel = socket.socket(fileno=descriptor)
    own: SensorSettings = pickle.loads(channel.recv(MESSAGE))  # from the manager
    go_first(own.precedence)  # so do those it forks
    for module in MODULES:
        importlib.import_module(module)
    load_all()
    leave(own.user)
    named("tapscan-nursery")
    while True:
        said, files, _, _ = socket.recv_fds(channel, MESSAGE, DESCRIPTORS)
        if not said:
            return
        if (pid := _forked()) == 0:
            channel.close()
            birth: Birth = pickle.loads(said)
            _place(files, birth.numbers)
            importlib.import_module(birth.module).main(birth.numbers[0])
            return
        for number in files:
            os.close(number)
        channel.send(pickle.dumps(pid))


def _forked() -> int:
    """As fork(2), but a child of our parent. This process has a single thread, so that nothing else is to be said."""
    libc = ctypes.CDLL(None, use_errno=True)
    pid: int = libc.syscall(_CLONE[platform.machine()], _CLONE_PARENT | signal.SIGCHLD, 0, 0, 0, 0)
    return pid


def _place(files: Sequence[int], numbers: Sequence[int]) -> None:
    """Moves descriptors to where they are expected, none over another."""
    above = [fcntl.fcntl(one, fcntl.F_DUPFD_CLOEXEC, max(numbers) + 1) for one in files]
    for number in files:
        os.close(number)
    for one, number in zip(above, numbers, strict=True):
        os.dup2(one, number)
        os.close(one)


class Child:
    """A process of the nursery, our child."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._code: int | None = None

    def poll(self) -> int | None:
        """Its exit code, negative for a signal; None while it lives."""
        return self._waited(os.WNOHANG)

    def wait(self) -> int:
        code = self._waited(0)
        assert code is not None
        return code

    def terminate(self) -> None:
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        if self._code is None:  # not waited for: the number is still its own
            os.kill(self.pid, number)

    def _waited(self, how: int) -> int | None:
        if self._code is None:
            pid, status = os.waitpid(self.pid, how)
            self._code = os.waitstatus_to_exitcode(status) if pid else None
        return self._code


class Nursery:
    """The manager's end. Who is born becomes the user of the settings, when we are root, and has their precedence."""

    def __init__(self, own: SensorSettings) -> None:
        self._process, self._channel = children.started("manager.nursery", own, ())

    def started(
        self, module: str, task: object, descriptors: Sequence[int], buffer: int | None = None
    ) -> tuple[Process, socket.socket]:
        """As `children.started`. Raises Stop when the nursery is gone."""
        ours, theirs = ours_and_theirs(buffer)
        with theirs:
            files = [theirs.fileno(), *descriptors]
            try:
                socket.send_fds(self._channel, [pickle.dumps(Birth(module, tuple(files)))], files)
                pid: int = pickle.loads(self._channel.recv(MESSAGE))
            except (OSError, EOFError):
                raise Stop("the process that starts capture workers is gone: the sensor ends") from None
        if pid < 0:
            raise Stop("no process can be started (ulimit -u, TasksMax): the sensor ends")
        ours.send(pickle.dumps(task))
        return Child(pid), ours

    def close(self) -> None:
        self._channel.close()
        self._process.wait()
