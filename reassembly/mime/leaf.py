"""One part on its way to an object: its transfer encoding undone, its bytes to a builder and to what looks inside."""

from __future__ import annotations

from typing import Protocol

from reassembly.builder import Builder, Origin
from reassembly.mime.charsets import text
from reassembly.mime.encodings import BASE64, PLAIN, decoder, message_decoder
from reassembly.mime.names import LONGEST_NAME
from reassembly.mime.part import Part
from reassembly.mime.reading import Reading, Turns
from reassembly.mime.uuencode import Uuencode, YEnc


class Inside(Protocol):
    """What looks for objects inside the decoded bytes of a part."""

    def feed(self, data: bytes) -> None: ...

    def gap(self, length: int) -> None: ...

    def finish(self, cut: str | None) -> None: ...

    def drop(self) -> None: ...


class Leaf:
    """A part that is no multipart, or the text before the first delimiter of one."""

    __slots__ = ("_decoder", "_end", "_plain", "_reading", "builder", "inside", "turns")

    def __init__(self, reading: Reading, origin: Origin, part: Part) -> None:
        self._reading = reading
        self.builder: Builder | None = reading.open(origin, part.name, part.type if part.declared else None)
        if self.builder is not None:
            self.builder.facts.update(part.facts)
            if part.encoding != PLAIN:
                self.builder.codings = (part.encoding,)
        self.turns = Turns(reading, self.builder)
        choices = dict(reading.choices)
        if part.message and part.encoding == BASE64:
            self._decoder = message_decoder(self.turns.take, choices)
        else:
            self._decoder = decoder(part.encoding, self.turns.take, choices, not part.text)
        self._plain = part.encoding == PLAIN and not part.text
        self._end = b""  # the last line end of a plain file, which may be the mail's
        self.inside: Inside | None = None

    def feed(self, data: bytes) -> None:
        """The next bytes of the body, as they were sent."""
        self._keep(self._held_back(self._decoder.feed(data)))

    def _held_back(self, decoded: bytes) -> bytes:
        """The bytes without a line end at their end, which is kept until it is known to be the file's."""
        if not self._plain or not decoded:
            return decoded
        whole = self._end + decoded
        stop = len(whole) - (2 if whole.endswith(b"\r\n") else whole[-1:] in (b"\r", b"\n"))
        self._end = whole[stop:]
        return whole[:stop]

    def _last_end(self, last: bool) -> bytes:
        """The line end before the end of a mail: of the file that is its body, or there because lines have one.

        RFC 5321, section 4.1.1.4, lets SMTP clients add it. Turn `last_line_end` 1: it is not the file's.
        """
        end, self._end = self._end, b""
        return b"" if end and last and self.turns.take("last_line_end") else end

    def _keep(self, decoded: bytes) -> None:
        if not decoded:
            return
        if self.builder is not None:
            self.builder.write(decoded)
        if self.inside is not None:
            self.inside.feed(decoded)

    def gap(self, length: int) -> None:
        """So many bytes of the body are missing."""
        self.turns.holed = True
        left, missing = self._decoder.gap(length)
        self._keep(self._held_back(left) + self._last_end(False))
        if self.builder is not None:
            self.builder.cut = self.builder.cut or "gap"  # also if it was white space, by the lines before
            if missing:
                self.builder.gap(missing)
        if missing and self.inside is not None:
            self.inside.gap(missing)

    def finish(self, cut: str | None, empty: bool = True, last: bool = False) -> None:
        """The part is over; `cut`: why it ends early. `empty`: it is an object even so. `last`: so is the mail."""
        self._keep(self._held_back(self._decoder.finish()) + self._last_end(last))
        if self.inside is not None:
            self.inside.finish(cut)
            self.inside = None
        builder, self.builder = self.builder, None
        if builder is None:
            return
        if isinstance(self._decoder, Uuencode | YEnc) and not builder.name and self._decoder.name:
            builder.name = text(self._decoder.name)[:LONGEST_NAME]
        if empty or builder.size or builder.missing or builder.name:
            builder.findings.sort()  # not by how the bytes were cut
            self._reading.done.append(builder.finish(self._reading.time, cut))
        else:
            builder.drop()

    def drop(self) -> None:
        """There is no such part after all."""
        if self.inside is not None:
            self.inside.drop()
            self.inside = None
        if self.builder is not None:
            self.builder.drop()
            self.builder = None
