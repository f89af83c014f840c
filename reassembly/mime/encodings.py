"""Content-Transfer-Encoding to the decoder of a part (RFC 2045, section 6), however the field is spelt."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Protocol

from reassembly.mime.base64_text import Base64, LinewiseBase64, Turn
from reassembly.mime.charsets import decode_words
from reassembly.mime.line_ends import LineEnds
from reassembly.mime.parameters import uncommented
from reassembly.mime.quoted_printable import QuotedPrintable
from reassembly.mime.uuencode import Uuencode, YEnc

PLAIN, BASE64, QUOTED, UUENCODE, YENC = "7bit", "base64", "quoted-printable", "uuencode", "yenc"
_EXACT = {
    "base64": BASE64, "x-base64": BASE64, "base-64": BASE64, "quoted-printable": QUOTED, "x-quoted-printable": QUOTED,
    "x-uuencode": UUENCODE, "uuencode": UUENCODE, "x-uue": UUENCODE, "uue": UUENCODE, "x-uu": UUENCODE,
    "uu": UUENCODE, "7bit": PLAIN, "8bit": PLAIN, "binary": PLAIN, "7-bit": PLAIN, "8-bit": PLAIN, "none": PLAIN,
    "identity": PLAIN, "x-yencode": YENC, "yenc": YENC, "x-yenc": YENC,
}  # fmt: skip
_INSIDE = re.compile(r"(base-?64|gzip64)|(quoted|printable)|(uuencode|uue)|(yenc)|([78]-?bit|binary)")
_KINDS = (BASE64, QUOTED, UUENCODE, YENC, PLAIN)
_HEAD = 128  # enough to see that text is base64
_BASE64_HEAD = re.compile(rb"(?:[A-Za-z0-9+/][\r\n]*+){60,}=*[\r\n]*\Z")
_FIELD = re.compile(rb"\s*[!-9;-~]{1,76}[ \t]*:")
_SHORT_BASE64 = re.compile(rb"(?:[A-Za-z0-9+/]{4}[\r\n]*){4,}(?:[A-Za-z0-9+/]{2}(?:==|[A-Za-z0-9+/]=)[\r\n]*)?\Z")


class Decoder(Protocol):
    """Undoes one transfer encoding as the bytes arrive; the output does not depend on how they are cut."""

    def feed(self, data: bytes) -> bytes: ...

    def gap(self, length: int) -> tuple[bytes, int]: ...

    def finish(self) -> bytes: ...


def candidates(values: list[bytes]) -> list[str]:
    """The encodings that clients may take from these fields, the most likely first; never empty."""
    exact: list[str] = []
    inside: list[str] = []
    unknown = False
    for value in values:
        spelt = decode_words(uncommented(value)).strip(" \t\r\n\v\f\0\"'.,;:=").lower()
        if spelt in _EXACT:
            exact.append(_EXACT[spelt])
        elif spelt:
            found = [_KINDS[(match.lastindex or 1) - 1] for match in _INSIDE.finditer(spelt)]
            inside += found
            unknown = True
    return list(dict.fromkeys(exact + inside + ([PLAIN] if unknown else []))) or [PLAIN]


def decoder(kind: str, turn: Turn, choices: dict[str, int], binary: bool = False) -> Decoder:
    """What undoes `kind`; `choices` are the turns to be taken other than the likely way; `binary`: it is no text."""
    if kind == BASE64:
        linewise = {name: choice for name, choice in choices.items() if name.startswith("base64_")}
        return LinewiseBase64(turn, linewise) if linewise else Base64(turn)
    if kind == QUOTED:
        return QuotedPrintable(turn, choices, binary)
    if kind == UUENCODE:
        return Uuencode()
    if kind == YENC:
        return YEnc()
    ends = LineEnds(turn, choices) if binary else None
    return Plain(lambda: decoder(BASE64, turn, choices) if turn("encoding") else None, ends)


def message_decoder(turn: Turn, choices: dict[str, int]) -> Decoder:
    """What undoes the base64 of a message, or finds that there is none."""

    def plain() -> Decoder | None:
        return None if turn("message_encoding") else Plain(lambda: None)

    return Mislabelled(decoder(BASE64, turn, choices), plain)


class Mislabelled:
    """A message that is said to be encoded. `plain` says how to take it where its first line is plainly a field.

    RFC 2046, section 5.2.1: "No encoding other than "7bit", "8bit", or "binary" is permitted for the body of a
    "message/rfc822" entity." Clients that heed it pass over the label; some undo the encoding even so.
    """

    __slots__ = ("_decoder", "_head", "_plain")

    def __init__(self, encoded: Decoder, plain: Callable[[], Decoder | None]) -> None:
        self._decoder = encoded
        self._plain: Callable[[], Decoder | None] | None = plain
        self._head = b""

    def feed(self, data: bytes) -> bytes:
        """The bytes of the message, once the first ones were looked at."""
        if self._plain is None:
            return self._decoder.feed(data)
        self._head += data
        return self._decide() if len(self._head) >= _HEAD else b""

    def _decide(self) -> bytes:
        if self._plain is not None:
            if _FIELD.match(self._head[:_HEAD]):
                self._decoder = self._plain() or self._decoder
            self._plain = None
        head, self._head = self._head, b""
        return self._decoder.feed(head)

    def gap(self, length: int) -> tuple[bytes, int]:
        """`length` bytes are missing: what was left, and how many decoded bytes are missing."""
        left = self._decide()
        more, missing = self._decoder.gap(length)
        return left + more, missing

    def finish(self) -> bytes:
        """What is left."""
        return self._decide() + self._decoder.finish()


class Plain:
    """Bytes as they are. When they look like base64, `undeclared` says whether to take them for it."""

    __slots__ = ("_decoder", "_ends", "_head", "_held", "_undeclared")

    def __init__(self, undeclared: Callable[[], Decoder | None], ends: LineEnds | None = None) -> None:
        self._undeclared: Callable[[], Decoder | None] | None = undeclared
        self._ends = ends
        self._head = b""
        self._held = b""  # a CR that may begin a line end
        self._decoder: Decoder | None = None

    def feed(self, data: bytes) -> bytes:
        """`data`, once the first bytes were looked at."""
        if self._undeclared is not None:
            self._head += data
            if len(self._head) < _HEAD:
                return b""
            data = self._decide(_BASE64_HEAD.match(self._head[:_HEAD]) is not None)
        if self._decoder is not None:
            return self._decoder.feed(data)
        return self._bytes(data) if self._ends is not None else data

    def _bytes(self, data: bytes) -> bytes:
        assert self._ends is not None
        data = self._held + data
        self._held = b"\r" if data[-1:] == b"\r" else b""
        data = self._ends.encoded(data[:-1] if self._held else data)
        self._ends.decoded(data)
        return data

    def _decide(self, alike: bool) -> bytes:
        if alike and self._undeclared is not None:
            self._decoder = self._undeclared()
        head, self._head, self._undeclared = self._head, b"", None
        return head

    def _left(self, alike: bool) -> bytes:
        left = b"" if self._undeclared is None else self._decide(alike)
        if self._decoder is not None:
            return self._decoder.feed(left)
        if self._ends is not None:
            left = self._bytes(left) + self._held
            self._held = b""
        return left

    def gap(self, length: int) -> tuple[bytes, int]:
        """`length` bytes are missing: what was left, and how many decoded bytes are missing."""
        left = self._left(False)
        if self._decoder is None:
            return left, length
        more, missing = self._decoder.gap(length)
        return left + more, missing

    def finish(self) -> bytes:
        """What is left."""
        left = self._left(_SHORT_BASE64.match(self._head) is not None)
        return left if self._decoder is None else left + self._decoder.finish()
