"""What the header of one part says: its type, boundaries, encodings and name. Between its header and its body."""

from __future__ import annotations

from reassembly.events import Fact
from reassembly.mime.charsets import text
from reassembly.mime.delimiters import LONGEST_BOUNDARY
from reassembly.mime.encodings import PLAIN, candidates
from reassembly.mime.headers import Fields
from reassembly.mime.names import names
from reassembly.mime.parameters import FieldValue, parse
from reassembly.mime.reading import Reading
from sensor.noun import noun

MOST_BOUNDARIES = 8  # readings of one boundary parameter
PLAIN_TEXT = "text/plain"  # RFC 2045, section 5.2: without a Content-Type
_MOST_FIELDS = 4  # of one name that are looked at
_MESSAGES = ("message/rfc822", "message/global", "message/news", "message/rfc2822")
_LONGEST_FACT = 256


@noun
class Part:
    """A part before its body."""

    type: str  # lower case, as declared or by default: `multipart/mixed`
    declared: bool
    boundaries: tuple[bytes, ...]
    encoding: str
    name: str | None
    facts: dict[str, Fact]

    @property
    def multipart(self) -> bool:
        return self.type.startswith("multipart")

    @property
    def text(self) -> bool:
        """Whether its line ends are those of text."""
        return not self.declared or self.type.startswith(("text", "multipart", "message"))

    @property
    def message(self) -> bool:
        return self.type.startswith(_MESSAGES)


def described(fields: Fields, reading: Reading, default: str, path: str) -> Part:
    """The part whose header this is. `default`: its type when it names none (RFC 2045, section 5.2)."""
    types = [parse(value) for value in _few(fields.all(b"content-type"))]
    kind = _kind(types, reading)
    dispositions = [parse(value) for value in _few(fields.all(b"content-disposition"))]
    called = names(dispositions, types)
    encoding = _encoding(fields, reading)
    facts: dict[str, Fact] = {"tapscan.mime.path": path}
    if encoding != PLAIN:
        facts["tapscan.mime.encoding"] = encoding
    if dispositions and dispositions[0].value:
        facts["tapscan.mime.disposition"] = dispositions[0].value[:_LONGEST_FACT]
    identity = fields.first(b"content-id")
    if identity:
        facts["tapscan.mime.content_id"] = text(identity.strip(b"<> \t\r"))[:_LONGEST_FACT]
    if len(called) > 1:
        facts["tapscan.mime.names"] = called
    return Part(
        kind or default,
        bool(kind) or default != PLAIN_TEXT,
        _boundaries(types),
        encoding,
        called[0] if called else None,
        facts,
    )


def _few(values: list[bytes]) -> list[bytes]:
    """The first and the last ones of too many."""
    return values if len(values) <= _MOST_FIELDS else values[:2] + values[-2:]


def _kind(types: list[FieldValue], reading: Reading) -> str:
    """Two fields: some clients take the first, some the last."""
    kinds = list(dict.fromkeys(one.value for one in types if one.value))
    if len(kinds) < 2:
        return kinds[0][:_LONGEST_FACT] if kinds else ""
    return kinds[-1 if reading.turn("content_type") else 0][:_LONGEST_FACT]


def _boundaries(types: list[FieldValue]) -> tuple[bytes, ...]:
    """All readings of the boundary parameter."""
    found: dict[bytes, None] = {}
    for one in types:
        for boundary in one.readings(b"boundary"):
            if boundary.strip() and len(boundary) <= LONGEST_BOUNDARY:
                found[boundary] = None
    return tuple(found)[:MOST_BOUNDARIES]


def _encoding(fields: Fields, reading: Reading) -> str:
    """Turn `encoding`: which of the encodings that these fields may mean."""
    found = candidates(_few(fields.all(b"content-transfer-encoding")))
    if len(found) < 2:
        return found[0]
    choice = reading.turn("encoding")
    return found[choice] if choice < len(found) else found[0]
