"""What `tapscan icap-server` says of what it holds: documents, alarms on the screen, actions with their errands."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from manager.action import Action
from manager.ecs import Document
from manager.errands import Errands
from manager.listening import Listened, Told
from manager.ownership import Owner, handed_over, is_spool, with_outputs_over
from manager.response import action_log
from manager.run import documents, outlets, say
from manager.settings import Settings
from manager.sinks import Documented, Lines, Receiver, Sink, printed

if TYPE_CHECKING:
    from manager.outlets import Outlets

HEARD = 1.0  # seconds at the end for who reads standard output


class Telling:
    """`json`: documents on standard output, where else alarms are. `wake`: an errand is over. Raises Stop."""

    def __init__(self, settings: Settings, owner: Owner | None, json: bool, wake: Callable[[], None]) -> None:
        self.documents = documents(settings, live=True)
        self._patience = settings.elasticsearch.flush_timeout
        ours = with_outputs_over(settings, owner)
        self._outlets: Outlets | None = outlets(ours, self.documents, lambda there: handed_over(there, owner, is_spool))
        self._errands = Errands(settings.policy, wake)
        self._log = action_log(owner)
        self._out = Listened(lambda: None)
        self._lines = Lines(self._out)
        self._receivers: list[Receiver] = [printed(self._lines.write)] if json else []
        if self._outlets is not None:
            self._receivers.append(self._outlets.take)
        self.sinks: list[Sink] = [Documented(self.documents, self._receivers)] if self._receivers else []
        if not json:
            self.sinks.append(Told(self._out))
        self._actions: list[Action] = []

    def act(self, action: Action) -> None:
        """It was done, or is to be done by a command or webhook."""
        self._actions.append(action)

    def look(self) -> None:
        """Called again and again, by who this process is going to be: tells what there is."""
        if self._outlets is not None:
            self._outlets.begin()
        actions, self._actions = self._actions, []
        for action in self._errands.passed(actions, self.documents.action):
            self._tell(self.documents.action(action))
        self._lines.flush()
        self._out.look()

    def _tell(self, document: Document) -> None:
        self._log.write(document)
        for receive in self._receivers:
            receive(document)

    def close(self) -> None:
        """What was found and done is still told."""
        self._errands.close()
        self.look()
        self._out.end(HEARD)
        if any(self._out.left):
            say(f"{self._out.left[0]} documents are lost, and {self._out.left[1]} bytes of them could not be written")
        if self._outlets is not None:
            self._outlets.end(self._patience)
