"""SSH: recognised, never read. The version exchange of RFC 4253, section 4.2, is all that is in the clear."""

from __future__ import annotations

from reassembly.builder import Origin
from reassembly.events import Close, Data, Gap, Note
from reassembly.lines import Lines, words
from reassembly.protocols import Answer, Emitted

NAME = "ssh"
PORTS = frozenset({22})
OBJECTS = False


def probe(orig: bytes, resp: bytes) -> Answer:
    """By `SSH-` at the start of either direction."""
    for head in (orig, resp):
        if head.startswith(b"SSH-"):
            return Answer.YES
        if head and not b"SSH-".startswith(head):
            return Answer.NO
    return Answer.MORE


class Parser:
    """Notes the software of both sides."""

    __slots__ = ("_lines",)

    def __init__(self, origin: Origin) -> None:
        self._lines: list[Lines | None] = [Lines(origin), Lines(origin)]

    def feed(self, event: Data | Gap) -> list[Emitted]:
        """What a side calls itself, once: `SSH-protoversion-softwareversion SP comments CR LF`."""
        lines = self._lines[event.direction]
        if lines is None:
            return []
        line = lines.take(event.payload, 0)[0] if isinstance(event, Data) else b""
        if line is None:
            return []
        self._lines[event.direction] = None
        software = words(line.rstrip(b"\r\n")[:255])
        side = "resp" if event.direction else "orig"
        return [Note({f"tapscan.ssh.{side}": software})] if software.startswith("SSH-") else []

    def close(self, event: Close) -> list[Emitted]:
        """Nothing is open."""
        return []
