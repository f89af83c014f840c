"""The file name of a part, out of everything that may hold one.

RFC 2183, section 2.3 (filename), RFC 2045 (name), RFC 2231 and RFC 2047. When readings differ, no one knows which
client will open the mail: the name that can do harm counts.
"""

from __future__ import annotations

import re

from reassembly.mime.parameters import FieldValue

LONGEST_NAME = 1024
MOST_NAMES = 16
_EXTENSION = re.compile(r"\.([A-Za-z0-9]{1,8})$")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")
# Shown and never run by the programs that open them.
_HARMLESS = frozenset((
    "png", "gif", "jpg", "jpeg", "jpe", "jfif", "bmp", "tif", "tiff", "webp", "ico", "txt", "text", "log", "csv", "md",
    "mp3", "wav", "ogg", "mp4", "ics",
))  # fmt: skip


def names(disposition: list[FieldValue], content_type: list[FieldValue]) -> list[str]:
    """All readings of a part's name, the one to take first. A disposition's come before a type's."""
    found: list[str] = []
    for fields, key in (
        (disposition, b"filename"),
        (content_type, b"name"),
        (disposition, b"name"),
        (content_type, b"filename"),
        (disposition + content_type, b"filename"),
        (content_type + disposition, b"name"),
    ):
        for value in _joined(fields):
            found += value.texts(key)
    cleaned = [name for name in dict.fromkeys(_cleaned(one) for one in found) if name][:MOST_NAMES]
    return sorted(cleaned, key=_harmlessness)


def _joined(fields: list[FieldValue]) -> list[FieldValue]:
    """The fields; of several, first all their parameters together: a name may go on in the next field."""
    if len(fields) < 2:
        return fields
    together = tuple(one for field in fields for one in field.parameters)
    return [FieldValue(fields[0].value, together, b""), *fields]


def _cleaned(name: str) -> str:
    """The last segment of a path, one line."""
    return _CONTROL.sub("", re.split(r"[/\\]", name)[-1]).strip()[:LONGEST_NAME]


def _harmlessness(name: str) -> int:
    match = _EXTENSION.search(name)
    if match is None:
        return 2
    return int(match[1].lower() in _HARMLESS)
