"""What a policy can have done beside frames: each kind is a class in a file and a line here.

Each has a thread and a queue of its own: a program that hangs holds up neither the sensor nor another action. "observe"
needs nobody, and "reset" is the injector's.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from queue import Full, Queue
from typing import Protocol, TypeAlias

from manager.action_command import CommandAction
from manager.action_webhook import WebhookAction
from manager.ecs import Document
from manager.settings import PolicySettings

log = logging.getLogger(__name__)

WAITING = 256  # documents that wait for one; beyond, an action has failed at once
FAREWELL = 15.0  # seconds at the end for what is under way

Told: TypeAlias = Callable[[Document, str | None], None]  # by its thread: what was done, and why it failed


class Doer(Protocol):
    """What a kind of action is."""

    def do(self, document: Document) -> str | None:
        """Does it, within seconds; why it failed, in a line."""
        ...

    def close(self) -> None:
        """Lets go of what it holds."""
        ...


ACTIONS: dict[str, Callable[[PolicySettings], Doer]] = {
    "command": CommandAction,
    "webhook": WebhookAction,
}


class Errand:
    """A doer with its queue and its thread. `told` hears of each document that was taken."""

    def __init__(self, name: str, doer: Doer, told: Told, waiting: int = WAITING) -> None:
        self._doer = doer
        self._told = told
        self._queue: Queue[Document | None] = Queue(waiting)
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def take(self, document: Document) -> str | None:
        """Has it done. Returns at once: why it won't be, or None."""
        try:
            self._queue.put_nowait(document)
        except Full:
            return f"{self._queue.maxsize} others wait already"
        return None

    def close(self, seconds: float = FAREWELL) -> None:
        """What waits is done as long as there is time; then what is left is not done."""
        try:
            self._queue.put(None, timeout=seconds)
            self._thread.join(seconds)
        except Full:
            pass
        if self._thread.is_alive():
            log.error("%s: %d actions were not done before the end", self._thread.name, self._queue.qsize())
        else:
            self._doer.close()

    def _run(self) -> None:
        while (document := self._queue.get()) is not None:
            self._told(document, self._doer.do(document))


class Actions:
    """All errands of the rules. Raises Stop when one can't be made; made before rights are given up."""

    def __init__(self, rules: Sequence[PolicySettings], told: Told) -> None:
        self._errands: dict[tuple[int, str], Errand] = {
            (number, name): Errand(f"policy {number}: {name}", ACTIONS[name](rule), told)
            for number, rule in enumerate(rules, 1)
            for name in dict.fromkeys(rule.do)
            if name in ACTIONS
        }

    def take(self, rule: int, kind: str, document: Document) -> str | None:
        """Has it done as rule number `rule` wants it. Returns at once: why it won't be, or None."""
        return self._errands[rule, kind].take(document)

    def close(self, seconds: float = FAREWELL) -> None:
        """What waits is done as long as there is time."""
        for errand in self._errands.values():
            errand.close(seconds)
