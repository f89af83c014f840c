"""Lines of the text protocols (SMTP, FTP): cut out of one direction, however it was segmented.

Both ends may use LF alone, as real servers accept it (RFC 5321, section 2.3.8, forbids it, RFC 959 has telnet's CRLF).
"""

from __future__ import annotations

import re

from reassembly.events import ORIG, Data, Gap
from reassembly.partial import Partial, Place

# A reply: three digits, and a hyphen when more lines follow (RFC 5321, section 4.2; RFC 959, section 4.2).
_REPLY = re.compile(rb"([1-6][0-9]{2})(-|[ \t]|\r?\n?$)")


class Sides:
    """Which side the client is: it speaks in letters and its server in digits.

    The originator, unless a flow that was picked up midstream began with a reply. Bytes behind a gap tell nothing.
    """

    __slots__ = ("_known", "client")

    def __init__(self) -> None:
        self.client = ORIG
        self._known = False

    def learn(self, event: Data | Gap) -> None:
        """Looks at the first event of the flow."""
        if not self._known:
            self._known = True
            if isinstance(event, Data) and event.payload[:1].isdigit() == (event.direction == ORIG):
                self.client = 1 - self.client


class Lines:
    """One direction's lines, each with its line end. A line over the named limit comes without its excess."""

    __slots__ = ("_limit", "_memory", "_name", "_partial")

    def __init__(self, place: Place, limit: str = "command_bytes") -> None:
        self._memory = place.memory
        self._name = limit
        self._limit: int = getattr(self._memory.limits, limit)
        self._partial = Partial(place)

    def take(self, payload: bytes, start: int) -> tuple[bytes | None, int]:
        """The line that goes on at `start` and the offset after it; None while its end is not here."""
        end = payload.find(b"\n", start) + 1
        if end and not self._partial and end - start <= self._limit:
            return payload[start:end], end
        self._keep(payload, start, end or len(payload))
        if not end:
            return None, len(payload)
        return self.torn(), end

    def torn(self) -> bytes:
        """What has come of a line that may never end; it is taken out."""
        line = bytes(self._partial)
        self._partial.clear()
        return line

    def _keep(self, payload: bytes, start: int, end: int) -> None:
        room = self._limit - len(self._partial)
        if 0 <= room < end - start:
            self._memory.counters[self._name] += 1
        if room >= 0 and not self._partial.full:
            self._partial += payload[start : min(end, start + room + 1)]


def reply(line: bytes) -> tuple[int, bool] | None:
    """The code of a reply line, and whether it is the last of its reply; None when it is no reply line."""
    match = _REPLY.match(line)
    return (int(match[1]), match[2] != b"-") if match else None


def words(raw: bytes) -> str:
    """Text as people typed it: UTF-8 (RFC 6531, RFC 2640), and Latin-1 where it is not; control characters escaped."""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    return text if text.isprintable() else "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)
