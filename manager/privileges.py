"""What a process that reads hostile bytes gives up before the first of them: the network, the user's rights, new ones.

capabilities(7), user_namespaces(7), landlock(7), prctl(2). Each step that the kernel refuses is said, not fatal: an old
kernel or a container may lack it.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import resource
import socket
import struct
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from manager.seccomp import refuse_calls
from sensor.noun import noun

_NEW_NETWORK, _NEW_USER = 0x40000000, 0x10000000  # CLONE_
_NO_NEW_PRIVILEGES, _DUMPABLE, _KEEP_CAPABILITIES, _NAME = 38, 4, 8, 15  # PR_SET_
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446  # the same on every architecture
_PATH_BENEATH = 1
_CAPABILITY_VERSION = 0x20080522  # _LINUX_CAPABILITY_VERSION_3
_HANDLED = (1 << 13) - 1  # all that the first version knows
_HERE = _HANDLED & ~1  # everything but executing
NET_RAW = 1 << 13  # CAP_NET_RAW
UNPRIVILEGED = "nobody"

_libc = ctypes.CDLL(None, use_errno=True)


class Refused(OSError):
    """The kernel doesn't let us."""


@noun
class Step:
    """One thing given up: what it is called, and why it could not be; None: it is gone."""

    name: str
    refused: str | None = None


def give_up(user: str | None, folder: str | int | None) -> tuple[Step, ...]:
    """All of it, in this process and for good. `folder`: where files may still be written; None: the system's. It may
    be open already, where its parents are closed to who we become.

    `user`: who to become when we are root. Sockets and files that are open stay open.
    """
    steps: dict[str, Callable[[], None]] = {
        "network": _leave_network,
        "user": lambda: _become(user or UNPRIVILEGED),
        "capabilities": lambda: _capabilities(0),
        "new privileges": lambda: _prctl(_NO_NEW_PRIVILEGES, 1),
        "files": lambda: _landlock(tempfile.gettempdir() if folder is None else folder),
        "being looked into": lambda: _prctl(_DUMPABLE, 0),
        "core dumps": lambda: resource.setrlimit(resource.RLIMIT_CORE, (0, 0)),
        "system calls": refuse_calls,
    }
    return _done(steps)


def leave(user: str | None) -> tuple[Step, ...]:
    """What the nursery gives up: all but files and starting processes."""
    return _done({
        "network": _leave_network,
        "user": lambda: _become(user or UNPRIVILEGED),
        "capabilities": lambda: _capabilities(0),
        "new privileges": lambda: _prctl(_NO_NEW_PRIVILEGES, 1),
        "being looked into": lambda: _prctl(_DUMPABLE, 0),
        "core dumps": lambda: resource.setrlimit(resource.RLIMIT_CORE, (0, 0)),
    })  # fmt: skip


def settle(user: str | None, kept: int = NET_RAW) -> tuple[Step, ...]:
    """What the manager gives up once all runs. It may still open the sockets of an interface that returns.

    `user`: who to become; None: who we are. Of the capabilities, those in `kept` are left to this thread alone.
    """
    return _done({
        "user": lambda: _keeping(user),
        "capabilities": lambda: _capabilities(kept),
        "new privileges": lambda: _prctl(_NO_NEW_PRIVILEGES, 1),
        "being looked into": lambda: _prctl(_DUMPABLE, 0),
    })  # fmt: skip


def named(name: str) -> None:
    """What ps(1) and top(1) call this process: up to 15 letters."""
    _libc.prctl(_NAME, name.encode(), 0, 0, 0)


def harden() -> None:
    """What the manager can do without: rights of programs it starts, and core dumps, which would hold what passed."""
    _tried("new privileges", lambda: _prctl(_NO_NEW_PRIVILEGES, 1))
    _tried("core dumps", lambda: resource.setrlimit(resource.RLIMIT_CORE, (0, 0)))


def _done(steps: dict[str, Callable[[], None]]) -> tuple[Step, ...]:
    return tuple(_tried(name, step) for name, step in steps.items())


def _tried(name: str, step: Callable[[], None]) -> Step:
    try:
        step()
    except (OSError, KeyError, ValueError) as error:
        return Step(name, getattr(error, "strerror", None) or str(error))
    return Step(name)


def _leave_network() -> None:
    """A network of its own with nothing in it. Sockets that are open stay where they are."""
    if _libc.unshare(_NEW_NETWORK | (_NEW_USER if os.geteuid() else 0)):
        raise _refused()


def _become(user: str) -> None:
    if os.geteuid() != 0:
        return
    known = pwd.getpwnam(user)
    os.setgroups([])
    os.setresgid(known.pw_gid, known.pw_gid, known.pw_gid)
    os.setresuid(known.pw_uid, known.pw_uid, known.pw_uid)  # with it all capabilities go


def _keeping(user: str | None) -> None:
    """Becomes another user; capabilities stay as permitted (prctl(2), PR_SET_KEEPCAPS)."""
    if user is not None:
        _prctl(_KEEP_CAPABILITIES, 1)
        _become(user)


def _capabilities(kept: int) -> None:
    """Of those that are permitted, these are left, and none for programs that are started.

    Who has a network of its own has them all in there (user_namespaces(7)).
    """
    header = ctypes.create_string_buffer(struct.pack("=Ii", _CAPABILITY_VERSION, 0), 8)
    sets = ctypes.create_string_buffer(24)  # effective, permitted, inheritable: 32 capabilities, then the rest
    if _libc.capget(header, sets):
        raise _refused()
    left = struct.unpack_from("=I", sets, 4)[0] & kept
    if _libc.capset(header, ctypes.create_string_buffer(struct.pack("=6I", left, left, 0, 0, 0, 0), 24)):
        raise _refused()


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, value, 0, 0, 0):
        raise _refused()


def _landlock(folder: str | int) -> None:
    """From here on only files below `folder` are opened; what is open stays open. Linux 5.13 and newer."""
    handled = ctypes.create_string_buffer(struct.pack("=Q", _HANDLED), 8)
    rules = _libc.syscall(_LANDLOCK_CREATE, handled, 8, 0)
    if rules < 0:
        raise _refused()
    try:
        place = os.dup(folder) if isinstance(folder, int) else os.open(folder, os.O_PATH | os.O_CLOEXEC)
        try:
            beneath = ctypes.create_string_buffer(struct.pack("=Qi", _HERE, place), 12)
            if _libc.syscall(_LANDLOCK_ADD, rules, _PATH_BENEATH, beneath, 0):
                raise _refused()
        finally:
            os.close(place)
        if _libc.syscall(_LANDLOCK_RESTRICT, rules, 0):
            raise _refused()
    finally:
        os.close(rules)


def _refused() -> Refused:
    number = ctypes.get_errno()
    return Refused(number, os.strerror(number))


def held(folder: str | None) -> Iterator[tuple[str, bool]]:
    """What this process can still do, tried: a name, and whether it can. `folder`: of temporary files."""
    yield "open network connections", _can(_connect)
    yield "see network interfaces", _can(_see)
    yield "open sockets", _can(lambda: socket.socket(socket.AF_UNIX, socket.SOCK_STREAM).close())
    yield "capture packets", _can(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0).close())
    yield "read /etc/passwd", _can(lambda: Path("/etc/passwd").open("rb").close())
    yield "write to /", _can(lambda: tempfile.TemporaryFile(dir="/").close())
    yield "start programs", _can(_start)
    yield "be root", os.geteuid() == 0
    yield "write temporary files", _can(lambda: tempfile.TemporaryFile(dir=folder).close())


def _can(what: Callable[[], object]) -> bool:
    try:
        what()
    except OSError:
        return False
    return True


def _connect() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        out.connect(("192.0.2.1", 9))  # no packet is sent; without a route it fails


def _see() -> None:
    if all(name == "lo" for _, name in socket.if_nameindex()):
        raise OSError


def _start() -> None:
    pid = os.posix_spawn("/bin/true", ["/bin/true"], {})
    if os.waitpid(pid, 0)[1]:
        raise OSError
