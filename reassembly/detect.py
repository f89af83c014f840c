"""Which parser reads a flow: by its first bytes, in either direction, never by its port alone.

A `Conversation` holds what came while nobody was sure, asks each protocol of the table, and replays to the one that
says yes. It is also the edge where our own faults stop: an exception of a parser costs its flow, and is counted.
"""

from __future__ import annotations

import logging
from collections import Counter

from reassembly.builder import Origin
from reassembly.events import ORIG, Close, Data, Expect, Fact, FlowEnd, Gap, Note, Switch
from reassembly.objects import Object
from reassembly.partial import CUT
from reassembly.protocols import Answer, Emitted, Parser, Speaker, ftp_data, http1, speakers

log = logging.getLogger(__name__)

EXPECTED: dict[str, type[ftp_data.Parser]] = {ftp_data.NAME: ftp_data.Parser}
_NO_HEADS = (b"", b"")
READERS = ((http1.NAME, http1.whole),)


def at_once(origin: Origin, turns: list[Data]) -> tuple[str, list[Object]] | None:
    """The protocol and the objects of a flow in which this was said and no more; None: it takes a `Conversation`."""
    for name, whole in READERS:
        try:
            objects = whole(origin, turns)
        except Exception:
            log.exception("%s failed on flow %s at once", name, origin.flow.id)
            return None  # a parser that fails as well is counted
        if objects is not None:
            return name, objects
    return None


class Conversation:
    """What is said in one flow, and who understands it. Objects and announcements go into the lists given."""

    __slots__ = (
        "_announced",
        "_counters",
        "_heads",
        "_held",
        "_held_bytes",
        "_opaque",
        "_parser",
        "_products",
        "_retry",
        "facts",
        "objects",
        "origin",
        "service",
        "undecided",
    )  # fmt: skip

    def __init__(
        self, origin: Origin, products: list[Object | FlowEnd], announced: list[Expect], counters: Counter[str]
    ) -> None:
        self.origin = origin
        self._products = products
        self._announced = announced
        self.service = "unknown"
        self.facts: dict[str, Fact] | None = None
        self.objects = 0
        self.undecided = True
        self._counters = counters
        self._parser: Parser | None = None
        self._opaque = True  # who reads it gives no objects, or nobody does
        self._heads = _NO_HEADS
        self._held: list[Data | Gap | Close] | None = None
        self._held_bytes = 0
        self._retry = origin.flow.midstream  # any run may be the start of a message we can read

    def take(self, event: Data | Gap | Close) -> None:
        """The next event of the flow."""
        if self._parser is not None:
            self._run(self._parser, event)
        elif self.undecided:
            self._hold(event)
            if type(event) is Data:
                self._decide(event)
            elif type(event) is Gap:
                self._retry = True
        elif self._retry and type(event) is Data:
            self._try_again(event)
        elif self._held:
            self._hold(event)

    def claim(self, expected: Expect) -> None:
        """Another flow announced this one; what was held is read as the announced protocol."""
        self.service = expected.protocol
        self._opaque = False
        self._adopt(EXPECTED[expected.protocol](self.origin, expected.facts))

    @property
    def listening(self) -> bool:
        """Somebody reads this flow, or may yet."""
        return self._parser is not None or self.undecided or self._retry

    @property
    def claimable(self) -> bool:
        """Nobody reads this flow, and all its bytes are still here."""
        return self._parser is None and bool(self._held)

    @property
    def unscanned(self) -> str | None:
        """Why bytes of this flow gave no object, if so."""
        if self.objects:
            return None
        if self._opaque:
            return self.service
        return "limit:total_partial" if CUT in self.origin.findings else None

    def settle(self) -> None:
        """The flow is over: who might have read it, and is at home on its port, does so now."""
        if self.undecided and any(self._heads):
            _, more = self._ask(*self._heads)
            chosen = self._by_port(more) or (more[0] if len(more) == 1 else None)
            self.undecided = False
            if chosen is not None:
                self._start(chosen)

    def slim(self) -> None:
        """The flow is silent: a parser that knows how lets go of what it needs only soon after a message."""
        if (slim := getattr(self._parser, "slim", None)) is not None:
            slim()

    @property
    def leads(self) -> bool:
        """Other flows depend on this one, so it is read first."""
        return self.service == "ftp"

    def _hold(self, event: Data | Gap | Close) -> None:
        if self._held is None:
            self._held = []
        self._held.append(event)
        if type(event) is Data:
            self._held_bytes += len(event.payload)
            self.origin.memory.unclaimed += len(event.payload)
            if not self.undecided:
                self._bound()

    def _bound(self) -> None:
        """Nobody knows what this is: as much is kept as may be."""
        memory, limits = self.origin.memory, self.origin.limits
        if memory.unclaimed > limits.total_unclaimed:
            self._counters["total_unclaimed"] += 1
            self.forget()
        elif self._held_bytes > limits.unclaimed_bytes:
            self.forget()

    def forget(self) -> None:
        """Lets go of what was held."""
        self.origin.memory.unclaimed -= self._held_bytes
        self._held, self._heads, self._held_bytes = None, _NO_HEADS, 0

    def _decide(self, event: Data) -> None:
        (orig, resp), size = self._heads, self.origin.limits.probe_bytes
        if event.direction == ORIG:
            orig = (orig + event.payload[:size])[:size]
        else:
            resp = (resp + event.payload[:size])[:size]
        self._heads = orig, resp
        chosen, more = self._ask(orig, resp)
        if chosen is None and self._retry:
            chosen, _ = self._ask(resp, orig)
        full = len(orig) >= size or len(resp) >= size or self._held_bytes > 4 * size
        if chosen is None and more and full:
            chosen = self._by_port(more)
        if chosen is not None:
            self._start(chosen)
        elif not more or full:
            self.undecided = False
            self._heads = _NO_HEADS
            self._bound()

    def _ask(self, orig: bytes, resp: bytes) -> tuple[Speaker | None, list[Speaker]]:
        more: list[Speaker] = []
        for speaker in speakers(self.origin.flow.transport):
            answer = speaker.probe(orig, resp)
            if answer is Answer.YES:
                return speaker, more
            if answer is Answer.MORE:
                more.append(speaker)
        return None, more

    def _by_port(self, candidates: list[Speaker]) -> Speaker | None:
        port = self.origin.flow.resp_port
        return next((speaker for speaker in candidates if port in speaker.PORTS), None)

    def _try_again(self, event: Data) -> None:
        head = event.payload[: self.origin.limits.probe_bytes]
        for heads in ((head, b""), (b"", head)):
            chosen, _ = self._ask(*heads)
            if chosen is not None:
                self.forget()
                self._held = [event]
                self._start(chosen)
                return

    def _start(self, speaker: Speaker) -> None:
        self.service = speaker.NAME
        self._opaque = not getattr(speaker, "OBJECTS", True)
        self._adopt(speaker.Parser(self.origin))

    def _adopt(self, parser: Parser) -> None:
        self._parser = parser
        self.undecided = False
        held = self._held or ()
        self.forget()
        for event in held:
            self.take(event)

    def _run(self, parser: Parser, event: Data | Gap | Close) -> None:
        try:
            emitted = parser.close(event) if type(event) is Close else parser.feed(event)  # type: ignore[arg-type]
        except Exception:
            log.exception("parser %s failed on flow %s", self.service, self.origin.flow.id)
            self._counters["internal.parser_error"] += 1
            self.origin.findings["internal.parser_error"] = None
            self._parser = None
            self._retry = False
            return
        if emitted:
            self._sort(emitted)

    def _sort(self, emitted: list[Emitted]) -> None:
        for one in emitted:
            if type(one) is Object:
                self.objects += 1
                self._products.append(one)
            elif type(one) is Expect:
                self._announced.append(one)
            elif type(one) is Note:
                self.facts = {**(self.facts or {}), **one.facts}
            elif type(one) is Switch:
                self._switch(one)

    def _switch(self, switch: Switch) -> None:
        """CONNECT, Upgrade, STARTTLS: the rest of the flow is looked at as if it were new."""
        self._parser = None
        self.undecided = True
        self._retry = False
        for data in switch.rest:
            self.take(data)
