"""Sessions written as lists of (direction, bytes), for tests of parsers: fed whole, byte by byte, or with a hole."""

from __future__ import annotations

from reassembly.builder import Memory, Origin
from reassembly.events import ORIG, RESP, Close, Data, Flow, Gap
from reassembly.limits import Limits
from reassembly.objects import Object

SECOND = 1_000_000_000


def flow(orig=("10.0.0.1", 40000), resp=("10.0.0.2", 25), *, midstream=False, transport="tcp"):
    """A flow between two IPv4 ends."""
    (orig_ip, orig_port), (resp_ip, resp_port) = orig, resp
    ends = packed(orig_ip), orig_port, packed(resp_ip), resp_port
    return Flow("flow", *ends, transport, (), b"", b"", SECOND, "test", midstream)


def packed(address):
    """Four bytes of a dotted address."""
    return bytes(map(int, address.split(".")))


def origin(of=None, **limits):
    """Where a parser's objects come from."""
    return Origin(of or flow(), Memory(Limits(**limits)))


def whole(session):
    """The session as events, a run each."""
    return [Data(direction, payload, at * SECOND, at * SECOND) for at, (direction, payload) in enumerate(session, 1)]


def bytewise(session):
    """The session, a byte an event."""
    return [
        Data(event.direction, event.payload[at : at + 1], event.began, event.time)
        for event in whole(session)
        for at in range(len(event.payload))
    ]


def holed(session, direction, start, end):
    """The session without the bytes from `start` to `end` of one direction."""
    events, position = [], [0, 0]
    for event in whole(session):
        begin = position[event.direction]
        position[event.direction] += len(event.payload)
        if event.direction != direction or begin >= end or begin + len(event.payload) <= start:
            events.append(event)
            continue
        before, after = event.payload[: max(0, start - begin)], event.payload[max(0, end - begin) :]
        lost = len(event.payload) - len(before) - len(after)
        pieces = [Data(direction, before, event.began, event.time)] if before else []
        pieces.append(Gap(direction, lost, event.time))
        pieces += [Data(direction, after, event.began, event.time)] if after else []
        events += pieces
    return events


def run(parser, events, how="fin"):
    """What a parser emits for these events and the end of both directions."""
    emitted = []
    for event in events:
        emitted += parser.feed(event)
    last = max((event.time for event in events), default=SECOND)
    for direction in (ORIG, RESP):
        emitted += parser.close(Close(direction, how, last))
    return emitted


def objects(emitted, kind=None):
    """The objects among what was emitted."""
    return [one for one in emitted if isinstance(one, Object) and kind in (None, one.kind)]


def content(thing):
    """The bytes of an object."""
    return bytes(thing.content.view())
