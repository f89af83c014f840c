"""Single values of a document, by dotted name; whatever it holds, asking for one never fails."""

from __future__ import annotations

from typing import Any

from manager.ecs import Document


def at(document: Any, name: str) -> Any:
    """The value; None where there is none."""
    for part in name.split("."):
        if not isinstance(document, dict):
            return None
        document = document.get(part)
    return document


def texts(document: Document, name: str) -> list[str]:
    """A value as a list of texts."""
    value = at(document, name)
    return [str(one) for one in (value if isinstance(value, list) else [value]) if one not in (None, "")]


def number(document: Document, name: str) -> int:
    """A value that is a number; 0 otherwise."""
    value = at(document, name)
    return value if isinstance(value, int) else 0


def filled(fields: Document) -> Document:
    """Without what is None, empty text, list or table."""
    return {key: value for key, value in fields.items() if value is not None and value not in ("", [], {})}


def ends(document: Document) -> tuple[Document, Document]:
    """Who sent the object, and who received it: `source` and `destination` are who began the flow, and the other."""
    found = (at(document, name) for name in ("source", "destination"))
    orig, resp = (one if isinstance(one, dict) else {} for one in found)
    return (resp, orig) if at(document, "tapscan.flow.direction") == "resp" else (orig, resp)
