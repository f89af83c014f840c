"""`tapscan sensor --check-privileges`: gives up what the manager and workers do, tries what is left, says it."""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Callable, Iterator

from manager.effective import effective
from manager.ownership import owner_of
from manager.privileges import Step, give_up, held, settle
from sensor.noun import noun

NEEDED = "write temporary files"
NEVER = ("write to /", "be root")  # of the manager


@noun
class Tried:
    """What was given up, and what can still be done."""

    steps: tuple[Step, ...]
    can: tuple[tuple[str, bool], ...]

    def lines(self, who: str) -> Iterator[str]:
        for step in self.steps:
            yield f"{who}: given up: {step.name}{f' - NOT: {step.refused}' if step.refused else ''}\n"
        for name, can in self.can:
            yield f"{who}: can {name}: {'yes' if can else 'no'}\n"

    @property
    def refused(self) -> bool:
        return any(step.refused for step in self.steps)


def check(config: str | None) -> int:
    """Prints it. Exit code 0 when all is given up that can be, 2 when something could not. Raises Stop."""
    settings, _ = effective(config)
    own, owner = settings.sensor, owner_of(settings)
    manager = _elsewhere(lambda: settle(None if owner is None else owner.name), own.temporary)
    worker = _elsewhere(lambda: give_up(own.user, own.temporary), own.temporary)
    for line in (*manager.lines("manager"), *worker.lines("worker")):
        sys.stdout.write(line)
    can = dict(manager.can)
    wrong = manager.refused or not can[NEEDED] or any(can[name] for name in NEVER)
    wrong |= worker.refused or any(can != (name == NEEDED) for name, can in worker.can)
    return 2 if wrong else 0


def _elsewhere(less: Callable[[], tuple[Step, ...]], folder: str | None) -> Tried:
    """Does it in a process of its own."""
    reading, writing = os.pipe()
    if (pid := os.fork()) == 0:
        os.write(writing, pickle.dumps(Tried(less(), tuple(held(folder)))))
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        tried: Tried = pickle.load(pipe)  # from our own child
    os.waitpid(pid, 0)
    return tried
