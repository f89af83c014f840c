"""One `_bulk` request, and what its answer says of each document (Elasticsearch's bulk API).

2xx is stored; 409 was stored before, since ids are of the content; 429 and 5xx may succeed later; any other status is
the fault of that document alone, its neighbours are stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from typing import TYPE_CHECKING, Any

from manager.spool import Record
from sensor.noun import noun, state

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch

SHOWN = "errors,items.*.status,items.*.error"
LATER = frozenset({408, 429, 500, 502, 503, 504})
REFUSED = frozenset({401, 403})


@noun
class Dead:
    """A document that will never be stored as it is, and why."""

    record: Record
    status: int
    reason: str


@state
class Outcome:
    """What became of the documents of a request."""

    stored: int = 0
    before: int = 0  # of them, those that had been stored before
    again: list[Record] = field(default_factory=list)
    dead: list[Dead] = field(default_factory=list)
    why: str = ""  # some document has to be sent again


class Later(Exception):
    """The server can't take it now."""


class TooLarge(Exception):
    """The server takes no request of this size."""


class Refused(Exception):
    """The server takes nothing from us as we are: rights or templates are missing."""


class Bulk:
    """Sends documents to a server."""

    def __init__(self, client: Elasticsearch) -> None:
        self._client = client
        self._only_streams: bool | None = True  # servers before 8.13 can't be asked for it

    def send(self, records: Sequence[Record]) -> Outcome:
        """Raises Later, TooLarge, Refused."""
        from elasticsearch import ApiError, BadRequestError, TransportError

        lines = [text for record in records for text in (record.action, record.document)]
        try:
            answer = self._ask(lines)
        except BadRequestError as error:
            if not (self._only_streams and "require_data_stream" in str(error)):
                raise Refused(said(error)) from None
            self._only_streams = None
            return self.send(records)
        except ApiError as error:
            if error.status_code == 413:
                raise TooLarge from None
            raise (Later if error.status_code in LATER else Refused)(said(error)) from None
        except TransportError as error:
            raise Later(said(error)) from None
        return judged(records, answer)

    def close(self) -> None:
        """Its connections."""
        self._client.close()

    def _ask(self, lines: Any) -> Any:  # texts that are JSON already: the client passes them on as they are
        return self._client.bulk(operations=lines, filter_path=SHOWN, require_data_stream=self._only_streams).body


def judged(records: Sequence[Record], answer: Any) -> Outcome:
    """What an answer says. Raises Later when it says less than it should, Refused when a stream is not ours."""
    outcome = Outcome()
    items = answer.get("items", ()) if isinstance(answer, dict) else ()
    if len(items) != len(records):
        raise Later("the answer was cut off")
    for record, item in zip(records, items, strict=True):
        _judge(outcome, record, item.get("create", {}))
    return outcome


def _judge(outcome: Outcome, record: Record, said: dict[str, Any]) -> None:
    status, error = said.get("status", 500), said.get("error", {})
    reason = f"{error.get('type', status)}: {error.get('reason', '')}".rstrip(": ")
    if status < 300 or status == 409:
        outcome.stored += 1
        outcome.before += status == 409
    elif status in LATER:
        outcome.again.append(record)
        outcome.why = reason
    elif status in REFUSED or error.get("type") == "index_not_found_exception":
        raise Refused(f"{reason} (tapscan elastic setup makes templates and role)")
    else:
        cause = error.get("caused_by", {}).get("reason")
        outcome.dead.append(Dead(record, status, f"{reason} ({cause})" if cause else reason))


def said(error: Exception) -> str:
    """What went wrong, in a line."""
    status = getattr(error, "status_code", None)
    text = getattr(error, "message", None) or str(error)
    return f"{status} {text}" if status else " ".join(text.split())
