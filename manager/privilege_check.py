"""`tapscan sensor --check-privileges`: gives up what capture workers do, tries what can still be done, and says so."""

from __future__ import annotations

import os
import pickle
import sys

from manager.effective import effective
from manager.privileges import Step, give_up, held
from sensor.noun import noun

NEEDED = "write temporary files"


@noun
class Tried:
    """What was given up, and what can still be done."""

    steps: tuple[Step, ...]
    can: tuple[tuple[str, bool], ...]


def check(config: str | None) -> int:
    """Prints it. Exit code 0 when all is given up that can be, 2 when something could not."""
    settings, _ = effective(config)
    tried = _elsewhere(settings.sensor.user, settings.sensor.temporary)
    for step in tried.steps:
        sys.stdout.write(f"given up: {step.name}{f' - NOT: {step.refused}' if step.refused else ''}\n")
    for name, can in tried.can:
        sys.stdout.write(f"can {name}: {'yes' if can else 'no'}\n")
    wrong = any(step.refused for step in tried.steps) or any(can != (name == NEEDED) for name, can in tried.can)
    return 2 if wrong else 0


def _elsewhere(user: str | None, folder: str | None) -> Tried:
    """Does it in a process of its own."""
    reading, writing = os.pipe()
    if (pid := os.fork()) == 0:
        os.write(writing, pickle.dumps(Tried(give_up(user, folder), tuple(held(folder)))))
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        tried: Tried = pickle.load(pipe)  # from our own child
    os.waitpid(pid, 0)
    return tried
