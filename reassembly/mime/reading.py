"""One way to read a message. Where clients differ, the first reading takes the most likely turn and notes the doubt;
afterwards the message is read again the other ways (`reassembly.mime.message`).
"""

from __future__ import annotations

from collections.abc import Mapping

from reassembly.builder import Builder, Memory, Origin
from reassembly.events import Fact
from reassembly.objects import Object

# How many ways there are to take each turn; 0 is the most likely. Where each is asked, a comment says what they mean.
TURNS = {
    "boundary": 5,
    "boundary_space": 2,
    "nesting": 2,
    "boundary_prefix": 2,
    "boundary_in_header": 2,
    "header_end": 2,
    "blank_header": 2,
    "cr_lines": 2,
    "bare_cr": 2,
    "content_type": 2,
    "encoding": 4,
    "message_encoding": 2,
    "base64_junk": 4,
    "base64_padding": 3,
    "base64_blank": 3,
    "base64_lines": 2,
    "base64_end": 2,
    "quoted_escape": 3,
    "quoted_case": 2,
    "line_ends": 2,
    "last_line_end": 2,
}


class Reading:
    """What was chosen at each turn, what was doubtful, and what came of it."""

    __slots__ = (
        "addressed", "choices", "direction", "done", "doubts", "facts", "findings", "memory", "parts",
        "protocol", "time",
    )  # fmt: skip

    def __init__(self, direction: int, protocol: str, memory: Memory, choices: Mapping[str, int]) -> None:
        self.direction = direction
        self.protocol = protocol
        self.memory = memory
        self.choices = choices
        self.addressed = False  # the facts say already whose mail it is
        self.facts: dict[str, Fact] = {}  # of the message, for each of its parts
        self.doubts: dict[str, None] = {}
        self.done: list[Object] = []
        self.findings: dict[str, None] = {}  # of the message
        self.parts = 0
        self.time = 0  # ns since 1970 of what is being read

    def turn(self, doubt: str, builder: Builder | None = None) -> int:
        """Which way to go where clients differ; the object in doubt, if there is one yet, is marked."""
        self.doubts[doubt] = None
        if builder is not None:
            builder.find(f"mime.ambiguous_{doubt}")
        return self.choices.get(doubt, 0)

    @property
    def full(self) -> bool:
        """There are as many parts as one message may have."""
        return self.parts >= self.memory.limits.mime_parts

    def open(self, origin: Origin, name: str | None, declared_type: str | None) -> Builder | None:
        """A builder for the next part; None when there are too many."""
        if self.full:
            return None
        self.parts += 1
        if self.full:
            self.memory.counters["mime_parts"] += 1
            self.findings["mime.too_many_parts"] = None
        return origin.open(
            self.direction,
            "email_part",
            self.protocol,
            self.time,
            name=name,
            declared_type=declared_type,
            facts=self.facts,
        )

    def take(self) -> list[Object]:
        """The objects that were finished since the last call."""
        done, self.done = self.done, []
        return done


class Turns:
    """The turns of one part. What reads it keeps these, not the part."""

    __slots__ = ("_builder", "_reading", "holed")

    def __init__(self, reading: Reading, builder: Builder | None) -> None:
        self._reading = reading
        self._builder = builder
        self.holed = False  # bytes are missing, of the part or of its header

    def take(self, doubt: str) -> int:
        """As of `Reading`; but what looks odd behind a hole is no doubt about the sender."""
        if self.holed:
            return self._reading.choices.get(doubt, 0)
        return self._reading.turn(doubt, self._builder)
