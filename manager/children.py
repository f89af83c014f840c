"""Processes of our own: each begins with a task, and has a channel to us."""

from __future__ import annotations

import pickle
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

NO_MEMORY = 70  # exit code
CHILD = "import {0} as one, sys; one.main(int(sys.argv[1]))"


class Process(Protocol):
    """What `subprocess.Popen` and `manager.nursery.Child` have in common."""

    pid: int

    def poll(self) -> int | None: ...
    def wait(self) -> int: ...
    def terminate(self) -> None: ...
    def kill(self) -> None: ...


class Start(Protocol):
    """A way to start a process: `started`, or a nursery's."""

    def __call__(
        self, module: str, task: object, descriptors: Sequence[int], buffer: int | None = None
    ) -> tuple[Process, socket.socket]: ...


def started(
    module: str, task: object, descriptors: Sequence[int], buffer: int | None = None
) -> tuple[Process, socket.socket]:
    """A process that runs `main` of a module, and our end of its channel (unix(7), SOCK_SEQPACKET), on which the task
    comes first.

    `descriptors`: that it has as well, under the same numbers. `buffer`: bytes that may be on their way to us, where
    the system lets us.
    """
    ours, theirs = ours_and_theirs(buffer)
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", CHILD.format(module), str(theirs.fileno())],
            pass_fds=[theirs.fileno(), *descriptors],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        ours.send(pickle.dumps(task))  # it can't be gone: we hold its end
    return process, ours


def ours_and_theirs(buffer: int | None) -> tuple[socket.socket, socket.socket]:
    """Both ends of a channel."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if buffer is not None:
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
    return ours, theirs


def how(code: int, killed: bool = False) -> str:
    """How a process ended, by its exit code; negative: by a signal. `killed`: the kernel had too little memory."""
    if code == NO_MEMORY:
        return "out of memory"
    if code >= 0:
        return f"exit code {code}"
    return "out of memory: ended by the kernel" if killed and -code == signal.SIGKILL else signal.Signals(-code).name


class Kills:
    """Processes of our control group that the kernel has ended for want of memory (cgroup v2, memory.events)."""

    def __init__(self, root: Path = Path("/sys/fs/cgroup")) -> None:
        self._root = root
        self._known = self._counted()

    def more(self) -> bool:
        """Whether there are more than the last time."""
        before, self._known = self._known, self._counted()
        return self._known > before

    def _counted(self) -> int:
        try:
            own = Path("/proc/self/cgroup").read_text().rpartition("::")[2].strip("/\n")
            words = (self._root / own / "memory.events").read_text().split()
        except OSError:  # another kind of control groups, or none
            return 0
        return int(dict(zip(words[::2], words[1::2], strict=True)).get("oom_kill", 0))
