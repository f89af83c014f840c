"""Processes of our own: each begins with a task, and has a channel to us."""

from __future__ import annotations

import pickle
import socket
import subprocess
import sys
from collections.abc import Sequence

CHILD = "import {0} as one, sys; one.main(int(sys.argv[1]))"


def started(
    module: str, task: object, sockets: Sequence[tuple[str, int]], buffer: int | None = None
) -> tuple[subprocess.Popen[bytes], socket.socket]:
    """A process that runs `main` of a module, and our end of its channel (unix(7), SOCK_SEQPACKET), on which the task
    comes first.

    `sockets`: of interfaces, each with its name, that it has as well. `buffer`: bytes that may be on their way to us,
    where the system lets us.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        if buffer is not None:
            theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", CHILD.format(module), str(theirs.fileno())],
            pass_fds=[theirs.fileno(), *(number for _, number in sockets)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        ours.send(pickle.dumps(task))  # it can't be gone: we hold its end
    return process, ours
