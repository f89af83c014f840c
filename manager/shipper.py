"""From the spool to one receiver, in a thread of its own: reads behind a cursor, and commits what has been settled.

Documents have stable ids, so sending one twice stores it once: nothing has to be remembered but the cursor. Of several
processes that have a spool in common, one ships to a receiver; when it ends, another does.
"""

from __future__ import annotations

import contextlib
import json
import logging
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from threading import Event, Thread
from typing import Any

from manager.cursor import Cursor
from manager.dead_letters import DeadLetters
from manager.delivery import MOST, MOST_DOUBLED, Delivery, Progress, Target
from manager.ecs import timestamp
from sensor.noun import noun

log = logging.getLogger(__name__)

MOST_BYTES = 5 << 20  # of a request; servers take 100 MB, proxies less
IDLE = 0.2  # seconds between two looks at an empty spool
SAID = 2.0  # seconds between two words on how it goes


@noun
class Receiver:
    """`name`: of its cursor and its files; `make`: called when it is needed, in the process that ships."""

    name: str
    make: Callable[[], Target]


class Shipper:
    """`tell`: what the operator has to know. It waits for `may`, if that is given: files that it makes are to belong to
    who this process becomes.
    """

    def __init__(self, receiver: Receiver, folder: Path, tell: Callable[[str], None], may: Event | None = None) -> None:
        self.progress = Progress()
        self._receiver = receiver
        self._folder = folder
        self._tell = tell
        self._cursor = Cursor(folder, receiver.name)
        self._may, self._ending = may, Event()
        self._said, self._stored = 0.0, 0  # the last word, and how many had been stored then
        self._silent = False  # the disk doesn't take it, which has been said
        self._thread = Thread(target=self._run, name=f"to {receiver.name}", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """It ends soon: several do so at once."""
        self._ending.set()
        if self._may is not None:
            self._may.set()

    def close(self, seconds: float = 5.0) -> None:
        """Ends it; what is on its way is sent again by who comes next."""
        self.end()
        self._thread.join(seconds)

    def _run(self) -> None:
        if self._may is not None:
            self._may.wait()
        try:
            while not self._cursor.acquire():  # another process ships
                if self._ending.wait(IDLE):
                    return
            with contextlib.closing(self._receiver.make()) as target:
                self._ship(target)
        finally:
            self._cursor.close()

    def _ship(self, target: Target) -> None:
        dead = DeadLetters(dead_letters(self._folder, self._receiver.name))
        delivery = Delivery(self._receiver.name, target, dead, self._tell, self._ending)
        self.progress, delivery.look = delivery.progress, lambda: self._say(SAID)
        while not self._ending.is_set():
            try:
                self._once(delivery)
            except OSError as error:
                delivery.pause(5, f"{error.filename or self._folder}: {error.strerror}")
            except Exception as error:  # one sink: the others, and what is captured, go on; so does this, in a while
                log.exception("%s: something went wrong", self._receiver.name)
                delivery.pause(MOST_DOUBLED, repr(error))
        self._say()

    def _once(self, delivery: Delivery) -> None:
        batch = self._cursor.read(MOST, MOST_BYTES)
        if batch.records and not delivery.deliver(batch.records):
            return
        if batch.end != self._cursor.position:
            self._cursor.commit(batch.end)
        if batch.lost:  # of what is committed, so that none counts twice
            self.progress.lost += batch.lost
            self._tell(f"{batch.lost} documents fell off the full spool before {self._receiver.name} had them")
        self._say(SAID)
        if not batch.records:
            self._ending.wait(IDLE)

    def _say(self, seconds: float = 0.0) -> None:
        """For other processes that look; not more often than once in so many seconds."""
        since = time.monotonic() - self._said
        if since < seconds:
            return
        self.progress.rate = round((self.progress.stored - self._stored) / max(since, 1e-3), 1)
        self._said, self._stored = time.monotonic(), self.progress.stored
        text = json.dumps(asdict(self.progress) | {"time": timestamp(time.time_ns())})
        path = status(self._folder, self._receiver.name)
        try:
            path.with_suffix(".part").write_text(text)
            path.with_suffix(".part").replace(path)
            self._silent = False
        except OSError as error:
            if not self._silent:
                log.error("%s can't be written: %s", path, error.strerror)
            self._silent = True


def state(folder: Path, name: str) -> dict[str, Any]:
    """What waits for a receiver, and what the process that ships to it says of itself; nothing where no spool is."""
    if not folder.is_dir():
        return {}
    said: dict[str, Any] = {}
    with contextlib.suppress(OSError, ValueError):
        said = json.loads(status(folder, name).read_bytes())
    with contextlib.closing(Cursor(folder, name)) as cursor:
        behind = cursor.behind()
    return said | {
        "waiting": behind.records,
        "waiting_bytes": behind.bytes,
        "oldest_seconds": round(behind.seconds, 1),
        "dead_letters": sum(1 for _ in DeadLetters(dead_letters(folder, name))),
    }


def dead_letters(folder: Path, name: str) -> Path:
    """The file of a receiver's dead letters."""
    return folder / f"{name}.dead-letters.jsonl"


def status(folder: Path, name: str) -> Path:
    """The file in which a shipper says how it goes."""
    return folder / f"{name}.status.json"
