"""The manager's end of the injector: started while there is the right to send, heard again and again."""

from __future__ import annotations

import contextlib
import os
import pickle
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from manager.action import Report
from manager.action_log import actions_folder
from manager.action_stop import stop_file
from manager.children import Start, ours_and_theirs
from manager.countering import Countering
from manager.injector import InjectorTask, renew, sending
from manager.options import Stop
from manager.ownership import Owner, handed_over, is_action_log

if TYPE_CHECKING:
    from manager.children import Process
    from manager.settings import Settings

MESSAGE = 1 << 16


class Injection:
    """`countering`: what workers need. Raises Stop where nothing can be sent."""

    def __init__(self, settings: Settings, owner: Owner | None, start: Start) -> None:
        own, self._dead = settings.countermeasures, False
        name = own.interface or settings.sensor.interfaces[0]
        try:
            out = sending(name)
        except OSError as error:
            raise Stop(f"[countermeasures] interface: {name}: nothing can be sent: {error.strerror}") from None
        secret = os.urandom(32)
        self._ours, theirs = ours_and_theirs(None)
        audit, stop = Path(own.audit or actions_folder()), stop_file(settings)
        for folder in {audit, stop.parent}:
            handed_over(folder, owner, is_action_log)
        numbers = out.fileno(), theirs.fileno()
        there, sensor = ((name, numbers[0]),), settings.sensor
        task = InjectorTask(
            own, secret, there, numbers[1], str(audit), str(stop), sensor.user, sensor.precedence, settings.block_page
        )
        with out, theirs:
            self._process: Process
            self._process, self._channel = start("manager.injector", task, numbers)
        if (why := self._first()) is not None:
            raise Stop(f"[countermeasures]: nothing can be sent: {why}")
        self.countering = Countering(self._ours.fileno(), secret, name)

    def _first(self) -> str | None:
        """Why it can't begin."""
        if not (said := self._channel.recv(MESSAGE)):
            return "the process that sends has ended"
        why: str | None = pickle.loads(said)
        return why

    def fileno(self) -> int:
        return self._channel.fileno()

    def reports(self) -> list[Report]:
        """Since the last call."""
        some: list[Report] = []
        while True:
            try:
                said = self._channel.recv(MESSAGE, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return some
            if not said:
                return some
            some.append(pickle.loads(said))

    def renew(self) -> None:
        """The interface where frames go out may have returned. Where it hasn't, what is sent is refused, with why."""
        with contextlib.suppress(OSError):
            renew(self._channel, self.countering.interface)

    def ended(self) -> bool:
        """Whether it has died; said once."""
        if self._dead or self._process.poll() is None:
            return False
        self._dead = True
        return True

    def close(self) -> None:
        """It ends with its channels."""
        self._channel.close()
        self._ours.close()
        self._process.wait()
