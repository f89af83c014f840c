"""Where documents go beside the screen: into the spool, and from there to whom the settings name.

Each process that makes documents has one of these; what several of them spool is sent by one of them.
"""

from __future__ import annotations

import encodings.idna  # noqa: F401 - for names of hosts; found when it is used first, which may be too late: see below
import logging
import time
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

from manager.assembly import spool_folder
from manager.bulk import Bulk
from manager.cursor import Cursor
from manager.dead_letters import record
from manager.ecs import Document, line
from manager.elastic_client import client
from manager.options import Stop
from manager.outputs import receiver
from manager.settings import ElasticsearchSettings, Settings
from manager.shipper import Receiver, Shipper
from manager.spool import Record, Spool
from manager.spooling import Spooler

if TYPE_CHECKING:
    from manager.events import Documents

log = logging.getLogger(__name__)

ELASTIC = "elasticsearch"  # the name of its cursor
KEPT = 64 << 20  # bytes of documents that wait for a disk that is full
LOOK = 0.05  # seconds
END = 5.0  # seconds that all of them have to end


class Outlets:
    """Takes documents at once, and sends them once it may `begin`. Raises OSError when there can't be a spool."""

    @classmethod
    def opened(cls, settings: Settings, documents: Documents, there: Path | None = None) -> Outlets:
        """What the settings name. `there`: another path to the spool. Raises Stop."""
        folder = spool_folder(settings)
        try:
            return cls(settings, there or folder, documents)
        except OSError as error:
            raise Stop(f"spool.directory: {error.filename or folder}: {error.strerror}") from None

    def __init__(self, settings: Settings, folder: Path, documents: Documents) -> None:
        found = receivers(settings)  # mistakes are said before anything begins
        self._documents = documents
        self._folder, self._shown = folder, spool_folder(settings)
        self._spooler = Spooler(Spool(folder, settings.spool.max_bytes), KEPT)
        self._may = Event()
        self._shippers = {one.name: Shipper(one, folder, self._tell, self._may) for one in found}

    def begin(self) -> None:
        """Sends from now on: this process is who it is going to be."""
        self._may.set()

    def take(self, document: Document) -> None:
        """A document; it is on disk soon."""
        made = spooled(document)
        self._spooler.take(made.action, made.document)

    def flush(self, seconds: float) -> str | None:
        """Waits until everything is stored; says what isn't after so many seconds."""
        until = time.monotonic() + seconds
        if not self._spooler.flush(seconds):
            return f"{self._spooler.waits} bytes of documents could not be written to {self._shown}"
        left = (self._left(name, until) for name in self._shippers)
        return "; ".join(text for text in left if text) or None

    def _left(self, name: str, until: float) -> str | None:
        """What one receiver doesn't have by then."""
        look, last = Cursor(self._folder, name), self._spooler.position
        while (behind := look.behind()).records and look.position < last:
            if time.monotonic() > until:
                trouble = self._shippers[name].progress.trouble
                why = f": {trouble}" if trouble else ""
                return f"{behind.records} documents for {name} stay in {self._shown} until they can be stored{why}"
            time.sleep(LOOK)
        return None

    def end(self, seconds: float) -> None:
        """Waits until everything is stored, and says what isn't."""
        self.begin()
        if left := self.flush(seconds):
            log.warning("%s", left)
        self.close()

    def close(self) -> None:
        """What isn't sent stays in the spool."""
        self._spooler.close()
        for shipper in self._shippers.values():
            shipper.end()
        until = time.monotonic() + END
        for shipper in self._shippers.values():
            shipper.close(max(until - time.monotonic(), 0.0))

    def _tell(self, message: str) -> None:
        """What the operator has to know is a document as well."""
        log.error("%s", message)
        self.take(self._documents.health(time.time_ns(), message))


def spooled(document: Document) -> Record:
    """A document as it lies in the spool."""
    where = document["data_stream"]
    index = f"{where['type']}-{where['dataset']}-{where['namespace']}"
    return record(index, document["event"]["id"], line(document)[:-1])


def elasticsearch(settings: ElasticsearchSettings) -> Receiver:
    """The server, as who takes documents."""
    made = Bulk(client(settings))
    return Receiver(ELASTIC, lambda: made)


def receivers(settings: Settings) -> list[Receiver]:
    """All that the settings name. Raises Stop.

    They are made while the process has its rights, and import all they need: later it may be a user who can read
    neither secrets nor Python's own files.
    """
    server = [elasticsearch(settings.elasticsearch)] if settings.elasticsearch.urls else []
    return [*server, *map(receiver, settings.output)]
