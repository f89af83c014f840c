"""Mail text between DATA and the lone dot (RFC 5321, section 4.5.2): dots taken out, the end found, as the bytes come.

What a lone dot after a bare LF means depends on the server (SMTP smuggling), so it is told apart from the real end.
"""

from __future__ import annotations

from enum import Enum


class Found(Enum):
    """Why `DottedText.feed` stopped."""

    NOTHING = "nothing"  # the bytes are used up
    END = "end"  # CRLF . CRLF
    BARE = "bare"  # a line of one dot, with a bare LF before or after it


class DottedText:
    """One message on the wire. `bare_ends`: a dot between bare LFs ends it too, as many servers have it.

    `bare_stops`: where it does not end it, reading stops there; else it is text like any other.
    """

    __slots__ = ("_before", "_held", "_lone", "bare_ends", "bare_stops")

    def __init__(self, *, bare_ends: bool = False) -> None:
        self.bare_ends = bare_ends
        self.bare_stops = True
        self._before = b"\n" if bare_ends else b"\r\n"  # the last bytes; a message begins at the start of a line
        self._held = b""  # a dot at the start of a line, and what else was too short to tell
        self._lone = b""  # the last lone dot that was found, if it should be text

    def feed(self, payload: bytes, start: int) -> tuple[bytes, int, Found]:
        """The text from `start` on, the offset after it, and why it stops there."""
        raw, begin, shift = self._joined(payload, start)
        at = begin - len(self._before)
        self._held = b""
        pieces: list[bytes] = []
        while (at := raw.find(b"\n.", at)) >= 0:
            at += 2
            crlf = at > 2 and raw[at - 3] == 13
            after = raw[at : at + 2]
            if after in (b"", b"\r"):
                self._held = raw[at - 1 :]
                break
            alone = after == b"\r\n" or after[0] == 10
            ends = alone and (self.bare_ends or (crlf and after[0] == 13))
            if ends or (alone and self.bare_stops):
                end = at + (2 if after[0] == 13 else 1)
                pieces.append(raw[begin : at - 1])
                found = Found.END if ends else Found.BARE
                self._lone = raw[at if crlf else at - 1 : end]
                self._before = raw[end - 2 : end]
                return b"".join(pieces), end + shift, found
            # "When a line of mail text is received by the SMTP server, [...] If the first character is a period and
            # there are other characters on the line, the first character is deleted."
            if crlf or self.bare_ends:
                pieces.append(raw[begin : at - 1])
                begin = at
        stop = len(raw) - len(self._held)
        self._before = raw[max(0, stop - 2) : stop]
        pieces.append(raw[begin:stop])
        return pieces[0] if len(pieces) == 1 else b"".join(pieces), len(payload), Found.NOTHING

    def _joined(self, payload: bytes, start: int) -> tuple[bytes, int, int]:
        """What to search, where the new text begins in it, and how far `payload` is shifted against it.

        Copies only where the bytes before `start` are not the last ones seen: many messages may lie in one payload.
        """
        context = len(self._before)
        if not self._held and start >= context and payload.startswith(self._before, start - context):
            return payload, start, 0
        raw = b"".join((self._before, self._held, memoryview(payload)[start:]))
        return raw, context, start - context - len(self._held)

    def lone_dot(self) -> bytes:
        """The lone dot that was found last, as text: for a server that took it for such."""
        return self._lone

    def gap(self) -> bytes:
        """Bytes are missing here; gives what was held before them. Where lines start is unknown until the next end."""
        held, self._held, self._before = self._held, b"", b""
        return held
