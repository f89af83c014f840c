"""The recorder as the manager has it: a sink that asks for the packets of each alarm's flow."""

from __future__ import annotations

import logging
import os
import pickle
import pwd
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from manager.alarms import Alarm
from manager.children import started
from manager.options import Stop
from manager.privileges import UNPRIVILEGED
from manager.recorder import MESSAGE, Recording, Tally
from sensor.packets import TCP, UDP
from sensor.picked import Wanted

if TYPE_CHECKING:
    from manager.pipeline import Item

log = logging.getLogger(__name__)

START, FAREWELL = 60.0, 60.0  # seconds


class Recorded:
    """`around`: seconds before and after an alarm. Raises Stop where the folder can't be written to."""

    def __init__(self, task: Recording, around: float) -> None:
        self._around = int(around * 1e9)
        self.counters: Counter[str] = Counter()
        _prepare(Path(task.folder), task.user or UNPRIVILEGED)
        self._start(task)

    def renew(self, task: Recording) -> None:
        """With other sockets: an interface is there again."""
        self.close()
        self._start(task)

    def _start(self, task: Recording) -> None:
        self._process, self._channel = started("manager.recorder", task, task.interfaces)
        self._channel.settimeout(START)
        if (trouble := self._heard("can't be started")) is not None:
            self._process.wait()
            raise Stop(f"--record {task.folder}: {trouble}; it has to belong to {task.user or UNPRIVILEGED}")

    def take(self, item: Item) -> None:
        """Asks for the packets of an alarm."""
        if isinstance(item, Alarm):
            self._tell(self._wanted(item))

    def close(self) -> None:
        """What is asked for is still written."""
        self._tell(None)
        self._channel.settimeout(FAREWELL)
        tally: Tally | None = self._heard(None)
        if tally is None:
            log.error("the recorder died: packets of alarms are missing")
            self._process.kill()
        else:
            counts = {f"record.{name}": getattr(tally, name) for name in ("saved", "incomplete", "failed", "lost")}
            self.counters.update({name: count for name, count in counts.items() if count})
        self._process.wait()
        self._channel.close()

    def _wanted(self, alarm: Alarm) -> Wanted:
        flow = alarm.flow
        ends = (flow.orig_ip, flow.orig_port), (flow.resp_ip, flow.resp_port)
        protocol = TCP if flow.transport == "tcp" else UDP
        begin, end = min(flow.time, alarm.time - self._around), alarm.time + self._around
        ftp = alarm.worst.target.protocol.startswith("ftp")
        return Wanted(alarm.id, ends, protocol, begin, end, flow.time, ftp, f"tapscan alarm {alarm.id}")

    def _tell(self, what: Wanted | None) -> None:
        try:
            self._channel.send(pickle.dumps(what))
        except OSError:  # it has died: said at the end
            log.debug("the recorder doesn't listen")

    def _heard(self, otherwise: object) -> Any:
        try:
            said = self._channel.recv(MESSAGE)
        except OSError:
            return otherwise
        return pickle.loads(said) if said else otherwise


def _prepare(folder: Path, user: str) -> None:
    """The folder, of who writes to it."""
    try:
        if folder.exists() and not folder.is_dir():
            raise Stop(f"--record {folder}: is not a directory")
        if not folder.exists():
            folder.mkdir(parents=True, mode=0o750)
            if os.geteuid() == 0:
                known = pwd.getpwnam(user)
                os.chown(folder, known.pw_uid, known.pw_gid)
    except (OSError, KeyError) as error:
        raise Stop(f"--record {folder}: {getattr(error, 'strerror', None) or error}") from None
