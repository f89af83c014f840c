"""The live sensor's countermeasures as a whole: what was found goes in, documents of what was done come out."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from manager import beginning
from manager.action import Action
from manager.action_log import ActionLog, actions_folder
from manager.assembly import exact_engines, observer
from manager.blocking import Blocking
from manager.capture_worker import Task
from manager.countermeasures import Countermeasures
from manager.early import Early
from manager.ecs import Document
from manager.errands import Errands
from manager.ownership import Owner, handed_over, is_action_log
from manager.pipeline import Arrived, Item
from manager.policy import Policy
from manager.settings import Settings

if TYPE_CHECKING:
    from manager.injection import Injection
    from manager.renewal import Renewal


DEAD = "the process that sends frames has ended: no flow is reset until the sensor is started again"


class Response:
    """`injection`: None where frames are never sent; then what would be done is only said. `log`: keeps what was.
    `folder`: of the list of what is blocked."""

    def __init__(self, renewal: Renewal, injection: Injection | None, log: ActionLog | None, folder: Path) -> None:
        self._renewal = renewal
        self._injection = injection
        self._settings = renewal.reload.running
        mode = "observe" if injection is None else self._settings.countermeasures.mode
        reports = tuple if injection is None else injection.reports
        ends = renewal.workers.end, renewal.alarms.goes_on
        feeds = self._settings.countermeasures.feeds
        self._blocking = None if injection is None else Blocking(folder, feeds, renewal.workers.know)
        block = (lambda entries: None) if self._blocking is None else self._blocking.add
        self._acts = Countermeasures(mode, _policy(self._settings), *ends, reports, block)
        self._engines = renewal.engines
        self._log = log
        self._errands = None if injection is None else Errands(self._settings.policy, renewal.workers.bell.ring)
        precedence = self._settings.sensor.precedence
        self._early = None if injection is None else Early(self._engines, renewal.workers.bell.ring, precedence)

    def watch(self, walk: Iterator[Arrived]) -> Iterator[Arrived]:
        """Passes on what workers say, and follows flows on which something is being done."""
        return self._acts.watch(walk)

    def take(self, item: Item) -> None:
        """A sink: acts on what engines found."""
        self._acts.take(item)

    def look(self) -> Iterator[Document]:
        """Called again and again: what has been done since."""
        self._renew()
        if self._early is not None:
            windows, self._renewal.workers.windows = self._renewal.workers.windows, []
            for window in windows:
                self._early.take(window)
            for sighting in self._early.found():
                self._acts.sighted(sighting)
        if self._blocking is not None:
            self._blocking.look()
            met, self._renewal.workers.met = self._renewal.workers.met, []
            for action, one in met:
                self._acts.met(action, one)
        self._acts.hear()
        if self._injection is not None and self._injection.ended():
            yield self._renewal.documents.health(time.time_ns(), DEAD)
        yield from self._documents(self._acts.finished())

    def rest(self) -> Iterator[Document]:
        """At the end: actions on flows that were still open."""
        yield from self.look()
        yield from self._documents(self._acts.rest())

    def renewed(self, tasks: list[Task]) -> list[Task]:
        """An interface has returned: workers get these tasks, and frames can go out there again."""
        if self._injection is not None:
            self._injection.renew()
        return beginning.countering(tasks, self._injection)

    def close(self) -> None:
        """Ends what it has started."""
        if self._early is not None:
            self._early.close()
        if self._errands is not None:
            self._errands.close()
        if self._injection is not None:
            self._injection.close()

    def _documents(self, actions: list[Action]) -> Iterator[Document]:
        """Of all that is settled; what is to be done by a command or webhook begins."""
        documents = self._renewal.documents
        if self._errands is not None:
            actions = self._errands.passed(actions, documents.action)
        for action in actions:
            document = documents.action(action)
            if self._log is not None:
                self._log.write(document)
            yield document

    def _renew(self) -> None:
        """Settings were read again."""
        if self._settings is not self._renewal.reload.running:
            self._settings = self._renewal.reload.running
            self._acts.policy = _policy(self._settings)
            if self._blocking is not None:
                self._blocking.renew(self._settings.countermeasures.feeds)
            if self._errands is not None:
                self._errands.change(self._settings.policy)
        if self._early is not None and self._engines is not self._renewal.engines:
            self._engines = self._renewal.engines
            self._early.change(self._engines)


def action_log(owner: Owner | None) -> ActionLog:
    """Where actions are kept, as the owner can write to it."""
    folder = actions_folder()
    return ActionLog(folder, opened=handed_over(folder, owner, is_action_log))


def block_folder(owner: Owner | None) -> Path:
    """Where the list of what is blocked is, as the owner can write to it."""
    return handed_over(actions_folder(), owner, is_action_log)


def _policy(settings: Settings) -> Policy:
    return Policy(settings.policy, observer(settings), exact_engines(settings))
