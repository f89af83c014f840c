"""Standard output of a live sensor: written to as long as somebody reads it."""

from __future__ import annotations

import contextlib
import os
import select
from collections.abc import Callable, Iterator

from manager.alarms import Alarm
from manager.pipeline import Item
from manager.report import alarm_line, console
from manager.sinks import Patient, Write

STDOUT = 1


class Listened:
    """Takes whole lines. `gone` is called once, when nobody reads any more (`| head`); then nothing is written.

    Who reads slowly is waited for if `waiting`; else what there is no room for is kept for a while.
    """

    def __init__(self, gone: Callable[[], None], descriptor: int = STDOUT, waiting: bool = False) -> None:
        self.closed = False
        self._gone = gone
        self._descriptor = descriptor
        self._patient = Patient(descriptor, waiting=waiting)
        self._poll = select.poll()
        self._poll.register(descriptor, 0)

    @property
    def left(self) -> tuple[int, int]:
        """Lines that are lost, and bytes that have found no room yet."""
        return (0, 0) if self.closed else (self._patient.lost, self._patient.waits)

    def __call__(self, text: bytes) -> None:
        if not self.closed:
            with self._heard():
                self._patient(text)

    def end(self, seconds: float) -> None:
        """Waits so long for room for what is left."""
        if not self.closed:
            with self._heard():
                self._patient.end(seconds)

    def look(self) -> None:
        """Called again and again: writes what waits, and sees that nobody reads though there is nothing to write."""
        if self.closed:
            return
        if self._patient.waits:
            self(b"")
        if any(event & (select.POLLERR | select.POLLHUP) for _, event in self._poll.poll(0)):
            self._close()

    @contextlib.contextmanager
    def _heard(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            self._close()

    def _close(self) -> None:
        if self.closed:
            return
        self.closed = True
        nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        os.dup2(nowhere, self._descriptor)
        os.close(nowhere)
        self._gone()


class Told:
    """A sink: each alarm in a line, as it is raised."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self._console = console()

    def take(self, item: Item) -> None:
        if isinstance(item, Alarm):
            with self._console.capture() as captured:
                alarm_line(self._console, item)
            self._write(captured.get().encode(errors="backslashreplace"))
