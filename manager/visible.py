"""Text from the wire made harmless for a person's screen: no control, escape or direction-changing characters.

A file name may hold ANSI escapes (ECMA-48) that rewrite a terminal, or U+202E that shows `exe.fdp` as `pdf.exe`.
"""

from __future__ import annotations

from unicodedata import combining, east_asian_width

MARKS = 2  # combining marks kept on one character: enough for every living language, too few to smear over other lines


def visible(text: str, width: int | None = None) -> str:
    """The text with whatever isn't printable as an escape (`\\x1b`, `\\u202e`), cut in the middle to `width` cells."""
    if not text.isprintable():
        text = "".join(character if character.isprintable() else _escape(character) for character in text)
    if not text.isascii():
        text = _few_marks(text)
    return text if width is None else shorten(text, width)


def cells(text: str) -> int:
    """How many columns of a terminal the printable text takes."""
    return len(text) if text.isascii() else sum(map(_cell, text))


def shorten(text: str, width: int) -> str:
    """The text in at most `width` cells: head and tail, since a file's name ends in its kind."""
    if cells(text) <= width:
        return text
    if width <= 1:
        return "…"[:width]
    tail = (width - 1) // 3
    return _head(text, width - 1 - tail) + "…" + _head(text[::-1], tail)[::-1]


def _head(text: str, width: int) -> str:
    taken = used = 0
    for character in text:
        used += _cell(character)
        if used > width:
            break
        taken += 1
    return text[:taken]


def _cell(character: str) -> int:
    if combining(character):
        return 0
    return 2 if east_asian_width(character) in "WF" else 1


def _escape(character: str) -> str:
    point = ord(character)
    return f"\\x{point:02x}" if point < 0x100 else f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}"


def _few_marks(text: str) -> str:
    kept, marks = [], 0
    for character in text:
        marks = marks + 1 if combining(character) else 0
        if marks <= MARKS:
            kept.append(character)
    return "".join(kept)
