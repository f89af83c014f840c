"""A process that keeps the packets of the last minutes on disk, and picks out those of an alarm's flow.

It has sockets of its own, so that it costs nothing unless asked for, and gives up the rights that capture workers do,
all but writing to its folder. What takes long, picking, is done by a child, so that the kernel's ring is emptied
meanwhile.
"""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import select
import signal
import socket
import time
from collections.abc import Iterator
from dataclasses import replace

from manager.capture_worker import load_all
from manager.logs import one_line_logs
from manager.privileges import give_up, named
from sensor.captures import Capture
from sensor.noun import noun, state
from sensor.picked import Picker, Wanted, marked
from sensor.plain import Plain, reader
from sensor.ring import Ring, RingSize
from sensor.segments import FOLDER, Chunk, Segments

log = logging.getLogger(__name__)

TICK = 50  # ms
SETTLED = 200_000_000  # ns by which what passed has come out of the kernel's ring, however it is set
MESSAGE = 1 << 16
SILENCE = 600.0  # seconds between two complaints of the disk: small blocks may still fit in
HERE = "."  # the folder


@noun
class Recording:
    """What is recorded: the sockets of interfaces, each with its name; or a capture, that is there already."""

    folder: str
    interfaces: tuple[tuple[str, int], ...] = ()
    ring: RingSize = RingSize()
    replay: str | None = None
    most: int = 2 << 30  # bytes of the ring on disk
    user: str | None = None
    verbose: int = 0
    holder: int = -1  # descriptor of the folder: its parents needn't be open to who we become


@state
class Tally:
    """Alarms whose packets were written, those that lack the beginning, those that failed; packets not recorded.

    `done`: the alarms that are new in it, by their ids. `last`: the recorder has ended in order.
    """

    saved: int = 0
    incomplete: int = 0
    failed: int = 0
    lost: int = 0
    done: tuple[str, ...] = ()
    last: bool = False


def main(descriptor: int) -> None:
    """The life of the recorder. `descriptor`: its end of the manager's socket, on which the task comes first."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    channel = socket.socket(fileno=descriptor)
    task: Recording = pickle.loads(channel.recv(MESSAGE))  # from the manager
    one_line_logs(task.verbose)
    named("tapscan-record")
    os.umask(0o077)
    capture = Capture(task.replay) if task.replay is not None else None
    os.fchdir(task.holder)
    os.close(task.holder)
    rings = [reader(name, socket.socket(fileno=number), task.ring) for name, number in task.interfaces]
    load_all()
    give_up(task.user, HERE)
    try:
        FOLDER.mkdir(exist_ok=True)
        recorder = Recorder(channel, rings, Segments(task.most), capture)
    except OSError as error:
        channel.send(pickle.dumps(error.strerror or str(error)))
        return
    channel.send(pickle.dumps(None))
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the manager is gone
        recorder.run()
        recorder.say(last=True)


class Recorder:
    """Records until the manager says that it is over."""

    def __init__(
        self, channel: socket.socket, rings: list[Ring | Plain], segments: Segments, capture: Capture | None = None
    ) -> None:
        self.tally = Tally()
        self._channel = channel
        self._rings = rings
        self._segments = segments
        self._capture = capture
        self._wanted: list[Wanted] = []
        self._child: int | None = None
        self._silent_until = 0.0
        self._poll = select.poll()
        for number in (channel.fileno(), *(ring.fileno() for ring in rings)):
            self._poll.register(number, select.POLLIN)

    def run(self) -> None:
        going = True
        while going:
            for number, event in self._poll.poll(TICK):
                going &= number != self._channel.fileno() or self._hear()
                if event & select.POLLERR:
                    self._trouble()
            self._record()
            self._save(time.time_ns() - SETTLED)
        self._record()
        while self._child is not None:
            self._reap(0)
        self._save(None)
        while self._child is not None:
            self._reap(0)

    def say(self, done: tuple[str, ...] = (), last: bool = False) -> None:
        """Tells the manager how it stands."""
        self._channel.send(pickle.dumps(replace(self.tally, done=done, last=last)))

    def _hear(self) -> bool:
        """A flow that is wanted; whether there may be more."""
        if not (said := self._channel.recv(MESSAGE)) or (wanted := pickle.loads(said)) is None:
            return False
        self._wanted.append(wanted)
        return True

    def _trouble(self) -> None:
        """An interface is down: who captures says so. One that comes up again delivers again."""
        for ring in self._rings:
            ring.trouble()

    def _record(self) -> None:
        for ring in self._rings:
            for block, records in ring.blocks():
                self._write(Chunk(ring.interface, block, records))
            self.tally.lost += ring.lost()

    def _write(self, chunk: Chunk) -> None:
        try:
            self._segments.write(chunk)
        except OSError as error:
            self.tally.lost += len(chunk.records)
            if time.monotonic() > self._silent_until:
                log.error("packets are not recorded: %s", error.strerror)
                self._silent_until = time.monotonic() + SILENCE

    def _save(self, now: int | None) -> None:
        """The flows whose time is over; None: all. Of a capture all at its end, since it is read once."""
        if self._child is not None:
            self._reap(os.WNOHANG)
        live = self._capture is None
        due = [one for one in self._wanted if now is None or (live and one.end < now)]
        if not due or self._child is not None:
            return
        self._wanted = [one for one in self._wanted if one not in due]
        oldest = self._segments.oldest if live else 0
        self._due = [marked(one, oldest) for one in due]
        if (pid := os.fork()) == 0:
            os._exit(self._pick([one for one, _ in self._due]))
        self._child = pid

    def _reap(self, how: int) -> None:
        assert self._child is not None
        pid, status = os.waitpid(self._child, how)
        if not pid:
            return
        self._child = None
        if status:
            self.tally.failed += len(self._due)
        else:
            self.tally.saved += len(self._due)
            self.tally.incomplete += sum(lacking for _, lacking in self._due)
        self.say(tuple(wanted.id for wanted, _ in self._due))

    def _pick(self, wanted: list[Wanted]) -> int:
        """The child: its exit code."""
        try:
            os.nice(5)
            begin, end = min(one.begin for one in wanted), max(one.end for one in wanted)
            played = None if self._capture is None else _of_capture(self._capture)
            Picker(wanted).pick(played or self._segments.between(begin, end))
        except OSError as error:
            log.error("packets of %d alarms can't be written: %s", len(wanted), error.strerror)
            return 1
        return 0


def _of_capture(capture: Capture) -> Iterator[Chunk]:
    for buffer, found in capture.chunks():
        for records in found:
            yield Chunk(os.path.basename(capture.path), buffer, records)  # noqa: PTH119 - a name, "-" as well
