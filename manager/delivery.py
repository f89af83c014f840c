"""Gets documents to one receiver, whatever it answers: tries again for ever, halves, sets aside, waits to be let in."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Sequence
from threading import Event
from typing import Protocol

from manager.bulk import Dead, Later, Outcome, Refused, TooLarge
from manager.dead_letters import DeadLetters
from manager.spool import Record
from sensor.noun import state

log = logging.getLogger(__name__)

MOST = 1000  # documents of a request
GROWTH = 16  # by this part requests grow after one that was too large: to grow is to waste one request, again and again
MOST_DOUBLED = 10  # times: an outage may last for days
SHORTEST, LONGEST = 0.5, 10.0  # seconds between two tries
REFUSED = 60.0  # seconds until it looks whether we may write now


class Target(Protocol):
    """What takes documents. Raises Later, TooLarge, Refused."""

    def send(self, records: Sequence[Record]) -> Outcome: ...

    def close(self) -> None: ...


@state
class Progress:
    """How it goes; `tapscan elastic status` shows it."""

    stored: int = 0
    before: int = 0  # of them, those that the receiver had already
    dead: int = 0
    lost: int = 0  # fell off the spool before they were sent
    tries: int = 0  # that failed
    rate: float = 0.0  # documents/s, of the last seconds
    trouble: str = ""  # why it waits
    refused: bool = False  # it waits until somebody changes something


class Delivery:
    """`receiver`: its name; `tell`: what the operator has to know; `look`: called before it waits."""

    def __init__(
        self, receiver: str, target: Target, dead: DeadLetters, tell: Callable[[str], None], ending: Event
    ) -> None:
        self.progress = Progress()
        self.look: Callable[[], None] = lambda: None
        self._receiver = receiver
        self._target = target
        self._dead = dead
        self._tell = tell
        self._ending = ending
        self._many = MOST

    def deliver(self, records: Sequence[Record]) -> bool:
        """Whether all of them are settled; not, when it is to end. Raises OSError when a letter can't be written."""
        left, tries = list(records), 0
        while left and not self._ending.is_set():
            part = left[: self._many]
            try:
                outcome = self._target.send(part)
            except TooLarge:
                left = self._smaller(left)
            except Refused as error:
                self._refuse(str(error))
            except Later as error:
                tries += 1
                self.pause(tries, str(error))
            else:
                self._count(outcome)
                left[: len(part)] = outcome.again
                tries = tries + 1 if outcome.again and not outcome.stored else bool(outcome.again)
                self.pause(tries, outcome.why) if outcome.again else self._well()
        return not left

    def _count(self, outcome: Outcome) -> None:
        self._dead.add(outcome.dead)
        self.progress.stored += outcome.stored
        self.progress.before += outcome.before
        self.progress.dead += len(outcome.dead)
        for dead in outcome.dead[:1]:
            log.warning("%s: %d dead letters: %s", self._receiver, len(outcome.dead), dead.reason)

    def _smaller(self, left: list[Record]) -> list[Record]:
        """A request was too large: the next one is half of it; what is alone too large is a dead letter."""
        count = len(left[: self._many])
        if count > 1:
            self._many = count // 2
            return left
        self._count(Outcome(dead=[Dead(left[0], 413, "larger than it takes")]))
        return left[1:]

    def _refuse(self, why: str) -> None:
        self.progress.trouble = why
        if not self.progress.refused:
            self.progress.refused = True
            self._tell(f"{self._receiver} takes no documents from us, they wait in the spool: {why}")
        self.look()
        self._ending.wait(REFUSED)

    def pause(self, tries: int, why: str) -> None:
        """`tries`: that failed, one after the other."""
        if not self.progress.trouble:
            log.error("%s: documents wait in the spool: %s", self._receiver, why)
        self.progress.trouble = why
        self.progress.tries += 1
        self.look()
        self._ending.wait(min(SHORTEST * 2 ** min(tries - 1, MOST_DOUBLED), LONGEST) * random.uniform(0.5, 1.5))

    def _well(self) -> None:
        if self.progress.trouble:
            log.warning("%s takes documents again", self._receiver)
        self.progress.trouble, self.progress.refused = "", False
        self._many = min(self._many + max(self._many // GROWTH, 1), MOST)
