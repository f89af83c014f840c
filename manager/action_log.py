"""What was done, kept on disk: documents of actions (`tapscan.action`) as JSON lines, a file a day (UTC).

One process writes; `tapscan actions` reads, at any time.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import orjson

from manager.assembly import state_directory
from manager.days import Days
from manager.ecs import Document, line, timestamp
from manager.options import Stop

NAME = "actions-{}.jsonl"
MOST = 256 << 20  # bytes of all days together: some hundred thousand actions


def actions_folder() -> Path:
    """Where actions are kept."""
    return state_directory() / "actions"


class ActionLog:
    """Appends. `most`: bytes of all days together; the oldest days go first. `opened`: another path to the folder."""

    def __init__(self, folder: Path, most: int = MOST, opened: Path | None = None) -> None:
        self._days = Days(folder, NAME, most, "the log of actions", f"{most} bytes", opened)

    @property
    def failed(self) -> int:
        """Documents that could not be written."""
        return self._days.failed

    def write(self, document: Document) -> None:
        """Adds a document to the file of its day."""
        self._days.write(line(document), document["@timestamp"][:10])


def read(folder: Path, since: int) -> list[Document]:
    """The last revision of each action since then (ns since 1970), the oldest action first. Raises Stop."""
    begin = timestamp(since)
    last: dict[str, Document] = {}
    for document in _documents(folder, begin[:10]):
        own = document["tapscan"]["action"]
        if document["@timestamp"] >= begin and own["revision"] >= _revision(last.get(own["id"])):
            last[own["id"]] = document
    return sorted(last.values(), key=lambda document: str(document["@timestamp"]))


def _revision(document: Document | None) -> int:
    return document["tapscan"]["action"]["revision"] if document else 0


def _documents(folder: Path, day: str) -> Iterator[Document]:
    """Of the files from a day on; lines that were cut off or damaged are passed over."""
    try:
        paths = sorted(path for path in folder.iterdir() if path.match(NAME.format("*")))
    except FileNotFoundError:
        return
    except OSError as error:
        raise Stop(f"{folder}: can't be read: {error.strerror}") from None
    for path in paths:
        if path.name < NAME.format(day):
            continue
        try:
            with path.open("rb") as file:
                yield from filter(None, map(_document, file))
        except FileNotFoundError:  # it was the oldest, and had to go
            continue
        except OSError as error:
            raise Stop(f"{path}: can't be read: {error.strerror}") from None


def _document(text: bytes) -> Document | None:
    try:
        document: Document = orjson.loads(text)
        own = document["tapscan"]["action"]
        whole = isinstance(document["@timestamp"], str) and isinstance(own["id"], str) and type(own["revision"]) is int
        words = (own["kind"], own["mode"], own["outcome"])
        ends = (document["source"]["ip"], document["destination"]["ip"], document["network"]["protocol"])
        return document if whole and all(isinstance(word, str) for word in words + ends) else None
    except (orjson.JSONDecodeError, LookupError, TypeError):
        return None
