"""A message whose framing is in doubt, read in every way that some client reads it. The body says which is likely.

RFC 9112, section 11.2, is about what happens where two recipients read the same message in two ways.
"""

from __future__ import annotations

from dataclasses import field

from reassembly.http.broken import Way, doubtful_framing, response_ways
from reassembly.http.head import Framing, Head, Response, chunked_last
from reassembly.http.loose import dechunk
from sensor.noun import state

MOST = 4  # readings of one message that are worth an object
_MOST_TRIED = 16
_CHUNKED, _EXACT, _NEXT, _LOOSE, _PART, _INSIDE, _REST, _SHORT, _COMING = 90, 85, 84, 80, 60, 50, 40, 30, 45
_STEP = 2  # off for each oddity of the head


@state
class Reading:
    """One way to read a message: its head, its body without framing, and where it ends."""

    head: Head
    body: bytes
    end: int
    score: int
    cut: str | None = None
    findings: list[str] = field(default_factory=list)
    framing: Framing = "none"  # how it goes on, if it does
    start: int = 0
    left: int = 0

    @property
    def ended(self) -> bool:
        return self.framing == "none"


def readings(raw: bytes, head: Head | None, ended: str | None, live: bool) -> list[Reading]:
    """The readings of `raw`, the best first, no two with the same body.

    `head`: the one before `raw`, or None where `raw` begins with a head in doubt. `ended`: None if the stream ended in
    order or more messages follow, else why `raw` stops. `live`: more bytes of this message come.
    """
    if head is None:
        ways = response_ways(raw)
    else:
        way = Way(head, 0)
        lines = b"".join(b"\r\n%b: %b" % pair for pair in head.fields.items())
        doubtful_framing(way, lines)
        ways = [way]
    found = [reading for way in ways for reading in _framings(raw, way, ended, live)][:_MOST_TRIED]
    found.sort(key=lambda reading: -reading.score)
    unlike: dict[tuple[bytes, bytes], Reading] = {}
    for reading in found:
        unlike.setdefault((reading.body, reading.head.fields.get(b"content-encoding", b"")), reading)
    return list(unlike.values())[:MOST]


def after_message(raw: bytes, head: Head, ended: str | None) -> list[Reading]:
    """A body whose length said that it was over, for clients that read to the end of the stream."""
    return [Reading(head, raw, len(raw), _REST, ended, ["http.data_after_message"], "close")]


def _framings(raw: bytes, way: Way, ended: str | None, live: bool) -> list[Reading]:
    found: list[Reading] = []
    if way.chunked:
        found += _dechunked(raw, way, ended)
    for length in way.lengths:
        found.append(_by_length(raw, way, length, ended, live))
    # Nobody reads to the end of the stream what is clearly chunked and keeps to it.
    clear = bool(found) and found[0].score == _CHUNKED and chunked_last(way.head.fields.get(b"transfer-encoding", b""))
    if isinstance(way.head, Response) and not clear:
        found.append(Reading(way.head, raw[way.start :], len(raw), _REST, ended, framing="close", start=way.start))
    for reading in found:
        reading.score -= way.doubt * _STEP
    return found


def _dechunked(raw: bytes, way: Way, ended: str | None) -> list[Reading]:
    found: list[Reading] = []
    for by_lines in (False, True):
        read = dechunk(raw, way.start, by_lines)
        if read is None:
            continue
        score = (_CHUNKED if read.strict else _LOOSE) if read.whole else _PART
        finding = [] if read.strict else ["http.invalid_chunk"]
        if not read.whole:
            finding.append("http.missing_last_chunk")
        cut = None if read.whole else ended or "fin"
        reading = Reading(way.head, read.body, read.end, score - by_lines, cut, finding, start=way.start)
        reading.framing = "none" if read.whole else "chunked"
        found.append(reading)
        if read.strict and read.whole:
            break
    return found


def _by_length(raw: bytes, way: Way, length: int, ended: str | None, live: bool) -> Reading:
    end = way.start + length
    if end > len(raw):
        short = Reading(way.head, raw[way.start :], len(raw), _COMING if live else _SHORT, ended or "fin")
        short.framing, short.start, short.left = "length", way.start, end - len(raw)
        return short
    score = _EXACT if end == len(raw) else _NEXT if raw.startswith(b"HTTP/1.", end) else _INSIDE
    return Reading(way.head, raw[way.start : end], end, score)
