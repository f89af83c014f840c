"""Commands and webhooks of the policy, while they are under way."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace

from manager.action import Action
from manager.actions import Actions
from manager.ecs import Document
from manager.settings import PolicySettings


class Errands:
    """`told`: called, by any thread, when one is over."""

    def __init__(self, rules: Sequence[PolicySettings], told: Callable[[], None]) -> None:
        self._told = told
        self._rules = tuple(rules)
        self._actions = Actions(rules, self._over)
        self._open: dict[str, Action] = {}
        self._results: deque[tuple[str, str | None]] = deque()

    def passed(self, actions: list[Action], made: Callable[[Action], Document]) -> list[Action]:
        """Those that are settled, with errands that are over by now; those that have begun are sent on their way."""
        settled = [action for action in actions if action.outcome != "begun"]
        for action in actions:
            if action.outcome == "begun" and (why := self._begin(action, made)) is not None:
                settled.append(replace(action, outcome="failed", reason=why))
        while self._results:
            key, why = self._results.popleft()
            settled.append(replace(self._open.pop(key), outcome="failed" if why else "done", reason=why))
        return settled

    def change(self, rules: Sequence[PolicySettings]) -> None:
        """Other rules hold. What the old ones have begun is finished beside."""
        if tuple(rules) != self._rules:
            threading.Thread(target=self._actions.close, name="errands", daemon=True).start()
            self._rules, self._actions = tuple(rules), Actions(rules, self._over)

    def close(self) -> None:
        """What waits is done as long as there is time."""
        self._actions.close()

    def _begin(self, action: Action, made: Callable[[Action], Document]) -> str | None:
        self._open[action.id] = action
        if (why := self._actions.take(action.rule, action.kind, made(action))) is not None:
            del self._open[action.id]
        return why

    def _over(self, document: Document, why: str | None) -> None:
        self._results.append((document["tapscan"]["action"]["id"], why))
        self._told()
