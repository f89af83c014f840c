"""Header blocks to fields: the first step of each message and part. Any protocol with such headers can use it.

RFC 5322, section 2.2: `name: value`, folded lines go on with white space. Clients read much more than that.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

# "Field names [...] MUST be composed of printable US-ASCII characters (i.e., characters that have values between 33 and
# 126, inclusive), except colon." Space before the colon is the obsolete syntax of section 4.5.
NAMED = re.compile(rb"([!-9;-~]+)[ \t]*:")
_NO_COLON = re.compile(rb"(content-(?:type|disposition|transfer-encoding|id))[ \t]+(?=[\"A-Za-z])", re.IGNORECASE)
_WHITE = b" \t"


class Fields:
    """The fields of one header block in their order. Names are lower case, values unfolded, bytes as they were."""

    __slots__ = ("_fields", "hidden", "junk")

    def __init__(self, lines: Iterable[bytes]) -> None:
        self._fields: list[tuple[bytes, bytes]] = []
        self.hidden: list[tuple[bytes, bytes]] = []  # what only some clients take for a field
        self.junk = 0  # lines that are no field
        self._read(lines)

    def _read(self, lines: Iterable[bytes]) -> None:
        name, pieces = b"", [b""]
        before = b""  # the line before, if only some clients take what follows it for a field
        for line in lines:
            if line[:1] in (b" ", b"\t"):
                self._hidden_in(before, line.strip(_WHITE))
                pieces.append(line.strip(_WHITE))
                continue
            match = NAMED.match(line)
            before = line if match is None or match[0][-2:-1] in (b" ", b"\t") else b""
            if match is None:
                self._no_field(line)
                continue
            self._keep(name, pieces)
            name, pieces = match[1].lower(), [line[match.end() :].strip(_WHITE)]
        self._keep(name, pieces)

    def _hidden_in(self, before: bytes, line: bytes) -> None:
        """A folded line: a field of its own behind `key : value`, the rest of one behind `key` without a colon."""
        if not before:
            return
        match = NAMED.match(line)
        if match is not None and NAMED.match(before):
            self.hidden.append((match[1].lower(), line[match.end() :].strip(_WHITE)))
        elif line[:1] == b":" and NAMED.match(before + b":"):
            self.hidden.append((before.strip(_WHITE).lower(), line[1:].strip(_WHITE)))

    def _no_field(self, line: bytes) -> None:
        self.junk += 1
        match = _NO_COLON.match(line)
        if match is not None:
            self.hidden.append((match[1].lower(), line[match.end() :].strip(_WHITE)))

    def _keep(self, name: bytes, pieces: list[bytes]) -> None:
        if name:
            self._fields.append((name, b" ".join(piece for piece in pieces if piece) if len(pieces) > 1 else pieces[0]))

    def all(self, name: bytes) -> list[bytes]:
        """The values of each field called `name` (lower case); of hidden ones if there is no other."""
        return [value for key, value in self._fields if key == name] or [
            value for key, value in self.hidden if key == name
        ]

    def first(self, name: bytes) -> bytes | None:
        """The value of the first field called `name`."""
        found = self.all(name)
        return found[0] if found else None

    def __len__(self) -> int:
        return len(self._fields)


def fields_of(block: bytes) -> Fields:
    """The fields of a header block; it may end in an empty line or without. Lines end in CRLF, LF or CR."""
    text = block.replace(b"\r\n", b"\n")
    if b"\n" not in text:
        text = text.replace(b"\r", b"\n")
    return Fields(line.rstrip(b"\r") for line in text.split(b"\n") if line)
