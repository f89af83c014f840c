"""`--workers N`: the flows shared among N processes on this host, each reading every capture and keeping its share.

Processes are forked, not spawned: what is imported needn't be imported again. Each sends frames over a pipe, of a kind,
a length and that many bytes: whole lines for standard output, how far it has read, and at its end its counts.
"""

from __future__ import annotations

import fcntl
import os
import pickle
import selectors
import signal
import struct
import sys
from collections.abc import Callable, Sequence
from dataclasses import field
from typing import Any

from manager.options import Stop
from manager.progress import Watcher
from manager.sinks import Write, to_descriptor
from manager.summary import Summary
from sensor.noun import noun, state

HEADER = struct.Struct("!cI")
LINES, POSITION, RESULT = b"L", b"P", b"R"
CHUNK = 1 << 20  # bytes read from a worker at once

Shard = tuple[int, int]  # k-th of n


@noun
class Send:
    """A worker's end of its pipe."""

    write: Write

    def frame(self, kind: bytes, payload: bytes) -> None:
        self.write(HEADER.pack(kind, len(payload)) + payload)

    def lines(self, text: bytes) -> None:
        self.frame(LINES, text)

    def position(self, *where: Any) -> None:
        self.frame(POSITION, pickle.dumps(where))


Work = Callable[[Shard, Send], Summary]


@state
class _Worker:
    pid: int
    number: int
    received: bytearray = field(default_factory=bytearray)
    summary: Summary | None = None


class WorkersFailed(Exception):
    """A worker ended without its counts; what it saw is lost."""


def share(count: int, work: Work, write: Write, progress: Watcher) -> Summary:
    """Runs `work` in `count` processes; passes their lines on as they come. Raises WorkersFailed, BrokenPipeError."""
    sys.stdout.flush()
    sys.stderr.flush()
    selector = selectors.DefaultSelector()
    workers = [_start((number, count), work, selector) for number in range(count)]
    before = signal.signal(signal.SIGINT, lambda *_: _tell(workers, signal.SIGINT))
    heard_all = False
    try:
        _collect(selector, write, progress)
        heard_all = True
    finally:
        if not heard_all:
            _tell(workers, signal.SIGTERM)
        signal.signal(signal.SIGINT, before)
        codes = [os.waitstatus_to_exitcode(os.waitpid(worker.pid, 0)[1]) for worker in workers]
    summaries = [worker.summary for worker in workers if worker.summary is not None]
    if len(summaries) < count:
        raise WorkersFailed(f"{count - len(summaries)} of {count} workers failed (exit {sorted(set(codes) - {0})})")
    for other in summaries[1:]:
        summaries[0].merge(other)
    return summaries[0]


def _tell(workers: Sequence[_Worker], number: int) -> None:
    for worker in workers:
        os.kill(worker.pid, number)


def _start(shard: Shard, work: Work, selector: selectors.BaseSelector) -> _Worker:
    reading, writing = os.pipe()
    fcntl.fcntl(reading, fcntl.F_SETPIPE_SZ, 1 << 20)
    masked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # until it is the worker's own
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, masked)
    if pid == 0:
        os.close(reading)
        for key in list(selector.get_map().values()):
            os.close(key.fd)
        _work(shard, work, writing)
    os.close(writing)
    worker = _Worker(pid, shard[0])
    selector.register(reading, selectors.EVENT_READ, worker)
    return worker


def _work(shard: Shard, work: Work, descriptor: int) -> None:
    """The life of a worker; never returns."""
    code = 1
    os.setpgid(0, 0)  # Ctrl-C reaches the parent alone, which passes it on once
    try:
        send = Send(to_descriptor(descriptor))
        send.frame(RESULT, pickle.dumps(work(shard, send)))
        code = 0
    except BrokenPipeError:  # the parent is gone, and has said why
        code = 0
    except KeyboardInterrupt:
        code = 130
    except (Stop, OSError) as error:
        sys.stderr.write(f"tapscan: {error}\n")
        code = 2
    finally:
        if code == 1:
            sys.excepthook(*sys.exc_info())
        sys.stderr.flush()
        os._exit(code)  # the parent's open files, locks and exit handlers aren't ours


def _collect(selector: selectors.BaseSelector, write: Write, progress: Watcher) -> None:
    while selector.get_map():
        for key, _ in selector.select():
            worker: _Worker = key.data
            if data := os.read(key.fd, CHUNK):
                worker.received += data
                _frames(worker, write, progress)
            else:
                selector.unregister(key.fd)
                os.close(key.fd)


def _frames(worker: _Worker, write: Write, progress: Watcher) -> None:
    received, at = worker.received, 0
    while len(received) - at >= HEADER.size:
        kind, length = HEADER.unpack_from(received, at)
        end = at + HEADER.size + length
        if len(received) < end:
            break
        payload = bytes(received[at + HEADER.size : end])
        if kind == LINES:
            write(payload)
        elif kind == POSITION:
            progress(*pickle.loads(payload))  # from our own child
        else:
            worker.summary = pickle.loads(payload)  # from our own child
        at = end
    del received[:at]
