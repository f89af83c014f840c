"""What an output sends: of the documents in the spool those that it wants, in the form that it wants."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TypeAlias

import orjson

from manager.bulk import Dead, Outcome
from manager.cef import cef, leef
from manager.ecs import Document
from manager.eve import eve
from manager.output_settings import Dataset, Format
from manager.spool import Record
from sensor.noun import noun

# Gives a line without its end; nothing, where the form has none for such a document.
Form: TypeAlias = Callable[[Document], bytes | None]

FORMS: dict[Format, Form | None] = {"ecs": None, "eve": eve, "cef": cef, "leef": leef}
INDEX = re.compile(rb'"_index":"[a-z]+-tapscan\.(\w+)-')


@noun
class Item:
    """A document to be sent."""

    record: Record
    document: Document
    text: bytes


class Chosen:
    """The documents of some datasets, in a form."""

    def __init__(self, datasets: Sequence[Dataset], form: Format) -> None:
        self._datasets = None if "all" in datasets else {name.encode() for name in datasets}
        self._form = FORMS[form]

    def of(self, records: Sequence[Record], outcome: Outcome) -> list[Item]:
        """What can't be read is a dead letter of the outcome; what isn't wanted is passed over."""
        made = (self._item(record, outcome) for record in records if self._wanted(record))
        return [item for item in made if item is not None]

    def _wanted(self, record: Record) -> bool:
        if self._datasets is None:
            return True
        found = INDEX.search(record.action)
        return found is not None and found[1] in self._datasets

    def _item(self, record: Record, outcome: Outcome) -> Item | None:
        try:
            document = orjson.loads(record.document)
        except ValueError as error:
            outcome.dead.append(Dead(record, 400, f"no JSON: {error}"))
            return None
        if self._form is None:
            return Item(record, document, record.document)
        text = self._form(document)
        return None if text is None else Item(record, document, text)
