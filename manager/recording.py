"""The recorder as the manager has it: a sink that asks for the packets of each alarm's flow.

Nobody waits for the recorder but at the end. What it was asked for and has not answered is asked of its successor, who
reads on in the same ring of the kernel, and has what is on the disk.
"""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import pwd
import select
import time
from collections import Counter, deque
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from manager.alarms import Alarm
from manager.children import Start, how
from manager.options import Stop
from manager.privileges import UNPRIVILEGED
from manager.recorder import MESSAGE, Recording, Tally
from sensor.packets import TCP, UDP
from sensor.picked import Wanted

if TYPE_CHECKING:
    from manager.pipeline import Item

log = logging.getLogger(__name__)

START, FAREWELL = 60.0, 60.0  # seconds
PAUSE = 0.2  # seconds before one that died is started again; twice as long each time, until one records
LONGEST = 30.0
MOST = 10_000  # alarms that wait for their packets
ENDED = object()


class Recorded:
    """`around`: seconds before and after an alarm. `start`: who starts it.

    Raises Stop where the folder can't be written to.
    """

    def __init__(self, task: Recording, around: float, start: Start) -> None:
        self.counters: Counter[str] = Counter()
        self._around = int(around * 1e9)
        self._begin = start
        self._who = task.user or UNPRIVILEGED
        self._task = replace(task, holder=_prepared(Path(task.folder), self._who))
        self._next: Recording | None = None  # the task that comes when this one has ended
        self._untold: deque[Wanted] = deque()
        self._asked: dict[str, Wanted] = {}  # and not yet answered
        self._pause, self._retry_at = PAUSE, 0.0
        self._start()
        select.select([self._channel], [], [], START)
        if (trouble := self._heard()) is not None:
            self._process.kill()
            self._process.wait()
            raise Stop(f"--record {task.folder}: {self._why(trouble)}")
        self._up = True

    def take(self, item: Item) -> None:
        """Asks for the packets of an alarm."""
        if isinstance(item, Alarm):
            if len(self._asked) + len(self._untold) < MOST:
                self._untold.append(self._wanted(item))
            else:
                self.counters["record.failed"] += 1
            self.look()

    def look(self) -> None:
        """Called again and again: tells what is to be told, hears what came of it, starts one that died again."""
        now = time.monotonic()
        if self._retry_at and now >= self._retry_at:
            self._start()
        if self._retry_at:
            return
        if self._leave_by and now > self._leave_by:
            self._process.kill()
        self._tell()
        while (said := self._heard()) is not self._channel:
            if said is ENDED:
                self._ended()
                return
            self._take(said)

    def renew(self, task: Recording) -> None:
        """With other sockets: an interface is there again. What is asked for is still written, of what there is."""
        if self._next is not None:
            _close(self._next)
        self._next = replace(task, holder=self._task.holder)
        if self._retry_at:
            self._change()
        else:
            self._leave()
            self.look()

    def close(self) -> None:
        """What is asked for is still written."""
        if not self._retry_at:
            self._next = None
            self._leave()
            while not self._retry_at and not self._over:
                self.look()
                select.select([self._channel] if not self._over and not self._retry_at else [], [], [], 0.05)
            self._channel.close()
        if left := len(self._asked) + len(self._untold):
            self.counters["record.failed"] += left

    def _start(self) -> None:
        numbers = [self._task.holder, *(number for _, number in self._task.interfaces)]
        self._process, self._channel = self._begin("manager.recorder", self._task, numbers)
        self._channel.setblocking(False)
        self._up = self._over = self._told_to_leave = False
        self._tally, self._retry_at, self._leave_by = Tally(), 0.0, 0.0
        self._untold.extendleft(reversed(self._asked.values()))
        self._asked = {}

    def _leave(self) -> None:
        self._leave_by = time.monotonic() + FAREWELL

    def _tell(self) -> None:
        if not self._up or self._told_to_leave:  # who is told to leave hears no more
            return
        with contextlib.suppress(OSError):  # no room for now; or it has died, which is heard
            while self._untold:
                self._channel.send(pickle.dumps(self._untold[0]))
                told = self._untold.popleft()
                self._asked[told.id] = told
            if self._leave_by:
                self._channel.send(pickle.dumps(None))
                self._told_to_leave = True

    def _heard(self) -> Any:
        """What it says; the channel itself where it says nothing."""
        try:
            said = self._channel.recv(MESSAGE)
        except BlockingIOError:
            return self._channel
        except OSError:
            return ENDED
        return pickle.loads(said) if said else ENDED

    def _take(self, said: Any) -> None:
        if isinstance(said, Tally):
            self._tally = said
            for one in said.done:
                self._asked.pop(one, None)
        elif said is None:
            self._up, self._pause = True, PAUSE
            self._tell()
        else:
            log.error("--record %s: %s", self._task.folder, self._why(said))

    def _ended(self) -> None:
        code = self._process.wait()
        self._channel.close()
        names = "saved", "incomplete", "failed", "lost"
        self.counters.update({f"record.{name}": count for name in names if (count := getattr(self._tally, name))})
        if self._leave_by and self._tally.last:
            self._over = True
        else:
            self.counters["record.died"] += 1
            text = "the recorder died (%s): packets that it had not written are lost; %d alarms wait for theirs"
            log.error(text, how(code), len(self._asked))
        if self._next is not None or not self._over:
            self._retry_at = time.monotonic() + (0.0 if self._over else self._pause)
            self._pause = min(self._pause * 2, LONGEST)
            self._change()

    def _change(self) -> None:
        """The next task, if there is one, is that of the next recorder."""
        if self._next is not None:
            _close(self._task)
            self._task, self._next = self._next, None

    def _why(self, said: Any) -> str:
        why = said if isinstance(said, str) else "can't be started"
        return f"{why}; it has to belong to {self._who}"

    def _wanted(self, alarm: Alarm) -> Wanted:
        flow = alarm.flow
        ends = (flow.orig_ip, flow.orig_port), (flow.resp_ip, flow.resp_port)
        protocol = TCP if flow.transport == "tcp" else UDP
        begin, end = min(flow.time, alarm.time - self._around), alarm.time + self._around
        ftp = alarm.worst.target.protocol.startswith("ftp")
        return Wanted(alarm.id, ends, protocol, begin, end, flow.time, ftp, f"tapscan alarm {alarm.id}")


def _close(task: Recording) -> None:
    for _, number in task.interfaces:
        os.close(number)


def _prepared(folder: Path, user: str) -> int:
    """The folder, of who writes to it, opened: parents may be closed to that user."""
    try:
        if folder.exists() and not folder.is_dir():
            raise Stop(f"--record {folder}: is not a directory")
        if not folder.exists():
            folder.mkdir(parents=True, mode=0o750)
            if os.geteuid() == 0:
                known = pwd.getpwnam(user)
                os.chown(folder, known.pw_uid, known.pw_gid)
        return os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except (OSError, KeyError) as error:
        raise Stop(f"--record {folder}: {getattr(error, 'strerror', None) or error}") from None
