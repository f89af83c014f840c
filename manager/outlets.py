"""Where documents go beside the screen: into the spool, and from there to whom the settings name.

Each process that makes documents has one of these; what several of them spool is sent by one of them.
"""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING

from manager.assembly import spool_folder
from manager.bulk import Bulk
from manager.cursor import Cursor
from manager.dead_letters import record
from manager.ecs import Document, line
from manager.elastic_client import client
from manager.options import Stop
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


class Outlets:
    """Raises OSError when there can't be a spool."""

    @classmethod
    def opened(cls, settings: Settings, documents: Documents, there: Path | None = None) -> Outlets:
        """What the settings name. `there`: another path to the spool. Raises Stop."""
        client(settings.elasticsearch)  # mistakes are said now
        folder = spool_folder(settings)
        try:
            return cls(settings, there or folder, documents)
        except OSError as error:
            raise Stop(f"spool.directory: {error.filename or folder}: {error.strerror}") from None

    def __init__(self, settings: Settings, folder: Path, documents: Documents) -> None:
        self._documents = documents
        self._folder, self._shown = folder, spool_folder(settings)
        self._spooler = Spooler(Spool(folder, settings.spool.max_bytes), KEPT)
        self._shipper = Shipper(elasticsearch(settings.elasticsearch), folder, self._tell)

    def take(self, document: Document) -> None:
        """A document; it is on disk soon."""
        made = spooled(document)
        self._spooler.take(made.action, made.document)

    def flush(self, seconds: float) -> str | None:
        """Waits until everything is stored; says what isn't after so many seconds."""
        until = time.monotonic() + seconds
        if not self._spooler.flush(seconds):
            return f"{self._spooler.waits} bytes of documents could not be written to {self._shown}"
        look, last = Cursor(self._folder, ELASTIC), self._spooler.position
        while (behind := look.behind()).records and look.position < last:
            if time.monotonic() > until:
                why = f": {self._shipper.progress.trouble}" if self._shipper.progress.trouble else ""
                return f"{behind.records} documents stay in {self._shown} until they can be stored{why}"
            time.sleep(LOOK)
        return None

    def end(self, seconds: float) -> None:
        """Waits until everything is stored, and says what isn't."""
        if left := self.flush(seconds):
            log.warning("%s", left)
        self.close()

    def close(self) -> None:
        """What isn't sent stays in the spool."""
        self._spooler.close()
        self._shipper.close()

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
    return Receiver(ELASTIC, lambda: Bulk(client(settings)))
