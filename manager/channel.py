"""From a capture worker to the manager: products as they are made, large ones in shared memory.

A sequenced-packet socket (unix(7)) carries messages of what is small, and descriptors of what isn't: sealed memory that
both map (memfd_create(2)), or the temporary file in which an object lies already. The worker reads hostile bytes, so
what it says is unpickled into our nouns and nothing else.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import mmap
import os
import pickle
import socket
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import field, replace
from typing import IO, Any, cast

from reassembly.events import Flow, FlowEnd
from reassembly.known import Listed, Met
from reassembly.objects import Content, Object
from sensor.files import write_all
from sensor.noun import noun

INLINE = 32 << 10  # bytes of an object that travel within the message
MESSAGE = 96 << 10  # bytes of one, about; the system's default for sockets is twice that
_INT = 4  # bytes of a descriptor
_ONE_FILE = socket.CMSG_SPACE(_INT)
DESCRIPTORS = 128  # of one message; the kernel takes 253 (SCM_MAX_FD)


@noun
class Said:
    """What a worker says of itself, now and then."""

    packets: int = 0
    bytes: int = 0
    lost: int = 0  # packets that the kernel had no room for
    flows: int = 0  # open
    now: int = 0  # ns since 1970
    counters: Counter[str] = field(default_factory=Counter)
    warnings: tuple[str, ...] = ()
    last: bool = False  # it has ended in order

    def __add__(self, other: Said) -> Said:
        return Said(
            self.packets + other.packets,
            self.bytes + other.bytes,
            self.lost + other.lost,
            self.flows + other.flows,
            max(self.now, other.now),
            self.counters + other.counters,
            self.warnings + other.warnings,
        )


class Sender:
    """The worker's end. What is written goes out with `flush`, or when it is enough for a message."""

    def __init__(self, out: socket.socket) -> None:
        self._out = out
        self._rows: list[Any] = []
        self._size = 0
        self._files: list[int] = []
        self.handed: list[Any] = []

    def product(self, arrived: int, product: Object | FlowEnd) -> None:
        """An object, with its bytes; or the end of a flow."""
        if isinstance(product, FlowEnd):
            self._row((arrived, product), 500)
        elif product.size <= INLINE:
            payload = b"".join(bytes(chunk) for chunk in product.content.chunks()) if product.size else b""
            self._row((arrived, _bare(product), payload), 1000 + len(payload))
        elif product.content.file is not None:
            self._attach(os.dup(product.content.file.fileno()))
            self._row((arrived, _bare(product), "file"), 1000)
        else:
            with product.content.view() as view:
                self._attach(_memory(view))
            self._row((arrived, _bare(product), "memory"), 1000)

    def part(self, key: str, begin: int, piece: bytes) -> None:
        """A part of an object that is still arriving (`reassembly.growing.Ahead`)."""
        self._attach(_memory(piece))
        self._row(("part", key, begin), 100)

    def forget(self, key: str) -> None:
        """An object of which parts are there won't come."""
        self._row(("forget", key), 100)

    def window(self, target: Object) -> None:
        """What has come of an object that is still arriving (`reassembly.windows.Windows`)."""
        with target.content.view() as view:
            self._attach(_memory(view))
        self._row(("window", _bare(target)), 1000)

    def met(self, met: Iterable[tuple[str, Met]]) -> None:
        """What is known to be bad was met, and is acted on."""
        for action, one in met:
            self._row(("met", action, one), 1000)

    def say(self, said: Said) -> None:
        """Goes out at once, with all before it."""
        self._row(said, 1000)
        self.flush()

    def flush(self) -> None:
        """Sends what there is. Raises OSError when nobody is there any more."""
        if not self._rows:
            return
        text, files = pickle.dumps(self._rows, pickle.HIGHEST_PROTOCOL), self._files
        self._rows, self._size, self._files = [], 0, []
        if len(text) > MESSAGE * 3 // 2:  # a head of a hundred kilobytes, say
            files.append(_memory(text))
            text = b""
        try:
            socket.send_fds(self._out, [b"+" + text], files)
        finally:
            for one in files:
                os.close(one)

    def ordered(self, before: int) -> int:
        """The number that the manager has said last (`Receiver.order`); `before` where it has said nothing since.

        What it has handed over (`Receiver.hand`) is in `handed`, the last one last.
        """
        with contextlib.suppress(BlockingIOError):
            # `socket.recv_fds` takes no heed of its flags (python/cpython#95876)
            while (heard := self._out.recvmsg(2 * MESSAGE, _ONE_FILE, socket.MSG_DONTWAIT))[0]:
                said, attached = heard[:2]
                if attached:
                    with _mapped(int.from_bytes(attached[0][2][:_INT], sys.byteorder)) as view:
                        self.handed.append(pickle.loads(view))
                elif len(said) > 1:
                    self.handed.append(pickle.loads(said))
                else:
                    before = said[0]
        return before

    def _row(self, row: Any, size: int) -> None:
        self._rows.append(row)
        self._size += size
        if self._size >= MESSAGE or len(self._files) >= DESCRIPTORS:
            self.flush()

    def _attach(self, number: int) -> None:
        self._files.append(number)


class Receiver:
    """The manager's end."""

    def __init__(self, given: socket.socket) -> None:
        self.socket = given

    def order(self, number: int) -> None:
        """Tells the worker a number, 0 to 255; one that is gone needs none."""
        with contextlib.suppress(OSError):
            self.socket.send(bytes((number,)), socket.MSG_DONTWAIT)

    def hand(self, what: object) -> None:
        """Gives the worker something to know."""
        text = pickle.dumps(what, pickle.HIGHEST_PROTOCOL)
        with contextlib.suppress(OSError):
            if len(text) <= MESSAGE:
                self.socket.send(text, socket.MSG_DONTWAIT)
                return
            memory = _memory(text)
            try:
                attached = socket.SOL_SOCKET, socket.SCM_RIGHTS, memory.to_bytes(_INT, sys.byteorder)
                self.socket.sendmsg([b"in memory"], [attached], socket.MSG_DONTWAIT)
            finally:
                os.close(memory)

    def heard(self) -> list[Any] | None:
        """A message: (arrived, product), `Said`, ("part", key, begin, bytes), ("forget", key), ("window", object),
        ("met", action, Met). None at the end.

        Raises one of `REFUSED` for what no worker of ours would say.
        """
        try:
            text, files, _, _ = socket.recv_fds(self.socket, 2 * MESSAGE, DESCRIPTORS + 1)
        except ConnectionResetError:
            return None
        if not text:
            return None
        if len(text) == 1:
            with _mapped(files.pop()) as view:
                text = b"+" + bytes(view)
        attached = iter(files)
        return [_whole(row, attached) for row in _Careful(io.BytesIO(text[1:])).load()]


# What unpickling, and taking apart what came of it, raise for bytes that were made to.
REFUSED = (
    pickle.UnpicklingError, ArithmeticError, AssertionError, AttributeError, EOFError, LookupError, MemoryError,
    OSError, RuntimeError, TypeError, ValueError, StopIteration,
)  # fmt: skip


class _Careful(pickle.Unpickler):
    """Knows these classes alone (docs.python.org, "Restricting Globals")."""

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _KNOWN[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"{module}.{name} is none of what workers say") from None


_KNOWN = {(one.__module__, one.__name__): one for one in (Object, Content, Flow, FlowEnd, Said, Counter, Met, Listed)}


def _bare(target: Object) -> Object:
    """The object without its bytes."""
    return replace(target, content=Content(target.size))


def _whole(row: Any, attached: Iterator[int]) -> Any:
    match row:
        case (arrived, Object() as target, "memory"):
            content = Content(target.size, _mapped(next(attached)))
        case (arrived, Object() as target, "file"):
            content = Content(target.size, None, _file(next(attached)))
        case (arrived, Object() as target, payload):
            content = Content(target.size, payload)
        case ("part", key, begin):
            with _mapped(next(attached)) as view:
                return "part", key, begin, bytes(view)
        case ("window", Object() as target):
            return "window", replace(target, content=Content(target.size, _mapped(next(attached))))
        case _:
            return row
    return arrived, replace(target, content=content)


def _memory(payload: bytes | memoryview) -> int:
    """Memory that is as it is for good: nobody can change, shrink or grow it."""
    made = os.memfd_create("tapscan", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    write_all(made, payload)
    fcntl.fcntl(made, fcntl.F_ADD_SEALS, _SEALS)
    return made


def _mapped(number: int) -> memoryview:
    """The sealed memory behind a descriptor, which is closed. Raises UnpicklingError when it isn't sealed."""
    try:
        if fcntl.fcntl(number, fcntl.F_GET_SEALS) & _SEALS != _SEALS:
            raise pickle.UnpicklingError("memory that is not sealed")
        return memoryview(mmap.mmap(number, 0, access=mmap.ACCESS_READ))
    finally:
        os.close(number)


def _file(number: int) -> IO[bytes]:
    """A file without a name, under one by which other programs can open it."""
    file = _Handed(number, "rb")
    file.name = f"/proc/{os.getpid()}/fd/{number}"
    return cast("IO[bytes]", file)


class _Handed(io.FileIO):
    """Closed with its last reference, as temporary files are."""

    def __del__(self) -> None:
        self.close()


_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW
