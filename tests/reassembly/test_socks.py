from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from session import bytewise, flow, origin, run, whole

from reassembly.events import ORIG, RESP, Data, Gap, Note, Switch
from reassembly.protocols import Answer
from reassembly.protocols.socks import Parser, probe

CUTS = pytest.mark.parametrize("cut", [whole, bytewise])
FIVE = [
    (ORIG, b"\5\1\0"),
    (RESP, b"\5\0"),
    (ORIG, b"\5\1\0\3\x0bexample.org\0\x50"),
    (RESP, b"\5\0\0\1\x0a\0\0\1\x10\x01"),
]
LOGIN = [
    (ORIG, b"\5\2\0\2"),
    (RESP, b"\5\2"),
    (ORIG, b"\1\3bob\6secret"),
    (RESP, b"\1\0"),
    (ORIG, b"\5\1\0\4" + bytes(15) + b"\1\x01\xbb"),
    (RESP, b"\5\0\0\4" + bytes(16) + b"\0\0"),
]
FOUR = [(ORIG, b"\4\1\0\x50\xc0\0\2\1me\0"), (RESP, b"\0\x5a" + bytes(6))]
FOUR_A = [(ORIG, b"\4\1\0\x50\0\0\0\1me\0example.org\0"), (RESP, b"\0\x5a" + bytes(6))]
TARGETS = [(FIVE, "example.org:80"), (LOGIN, "[::1]:443"), (FOUR, "192.0.2.1:80"), (FOUR_A, "example.org:80")]


def parser():
    return Parser(origin(flow(resp=("10.0.0.2", 1080))))


def noted(emitted):
    return [one.facts["tapscan.socks.target"] for one in emitted if isinstance(one, Note)]


def rest(emitted):
    switches = [one for one in emitted if isinstance(one, Switch)]
    return [[(data.direction, data.payload) for data in switch.rest] for switch in switches]


@CUTS
@pytest.mark.parametrize(("session", "target"), TARGETS)
def test_what_follows_the_handshake_is_handed_on(cut, session, target):
    emitted = run(parser(), cut(session))
    assert noted(emitted) == [target]
    assert rest(emitted) == [[]]


@pytest.mark.parametrize(("session", "target"), TARGETS)
def test_what_came_with_the_handshake_is_handed_on(session, target):
    direction, last = session[-1]
    hasty = [*session[:-1], (ORIG, b"GET"), (direction, last + b"HTTP")]
    assert rest(run(parser(), whole(hasty))) == [[(ORIG, b"GET"), (RESP, b"HTTP")]]


@CUTS
@pytest.mark.parametrize("introduction", [b"", b"NZ\x8d\x08\x87\x4e", b"bot 1.0 \5\0 ready\n"])
def test_a_proxy_that_calls_home(cut, introduction):
    session = [(1 - direction, payload) for direction, payload in FIVE]
    if introduction:
        session = [(ORIG, introduction), *session]
    emitted = run(parser(), cut([*session, (ORIG, b"")]))
    assert noted(emitted) == ["example.org:80"]
    hasty = [*session[:-1], (RESP, b"GET"), (ORIG, session[-1][1] + b"HTTP")]
    assert rest(run(parser(), whole(hasty))) == [[(RESP, b"GET"), (ORIG, b"HTTP")]]
    heads = [b"".join(payload for direction, payload in session if direction == side) for side in (ORIG, RESP)]
    assert probe(*heads) is Answer.YES


@CUTS
@pytest.mark.parametrize(
    "session",
    [
        [*FIVE[:3], (RESP, b"\5\5\0\1" + bytes(6))],
        [FIVE[0], (RESP, b"\5\xff")],
        [*LOGIN[:3], (RESP, b"\1\1"), *LOGIN[4:]],
        [FOUR[0], (RESP, b"\0\x5b" + bytes(6))],
        [FIVE[0], FIVE[1], (ORIG, b"\5\1\0\7"), FIVE[3]],
        FIVE[:3],
    ],
)
def test_a_refused_handshake_leads_nowhere(cut, session):
    assert run(parser(), [*cut(session), Data(ORIG, b"GET / HTTP/1.1\r\n\r\n", 9, 9)]) == []


def test_only_connect_is_followed():
    session = [*FIVE[:2], (ORIG, b"\5\2\0\1" + bytes(6)), FIVE[3]]
    emitted = run(parser(), whole(session))
    assert noted(emitted) == ["0.0.0.0:0"]
    assert rest(emitted) == []


def test_a_hole_ends_it():
    events = whole(FIVE)
    assert run(parser(), [*events[:2], Gap(ORIG, 3, 5), *events[2:]]) == []


def test_a_handshake_is_bounded():
    reader = parser()
    run(reader, [Data(ORIG, b"\4\1\0\x50\xc0\0\2\1" + b"x" * 2000, 1, 1), Data(ORIG, b"y" * 2000, 2, 2)])
    assert len(reader._data[ORIG]) < 3000


@pytest.mark.parametrize(
    ("orig", "resp", "answer"),
    [
        (b"\5\1\0", b"\5\0", Answer.YES),
        (b"\5\2\0\2", b"\5", Answer.MORE),
        (b"\5\1\0\5\1\0", b"\5\0", Answer.YES),
        (b"\5\1\0", b"", Answer.MORE),
        (b"\5", b"", Answer.MORE),
        (b"\5\1\0", b"HT", Answer.NO),
        (b"\5\1\x60", b"\5\0", Answer.NO),
        (b"\5\x01\x00abc", b"\5\0", Answer.NO),
        (b"\5\xff", b"\5\0", Answer.NO),
        (b"\4\1\0\x50\x0a\0\0\1me\0", b"\0\x5a", Answer.YES),
        (b"\4\1\0\x50\x0a\0\0\1me\0", b"\0\0", Answer.NO),
        (b"\4\1\0\x50\x0a\0\0\1me", b"", Answer.MORE),
        (b"\4\3", b"", Answer.NO),
        (b"GET /", b"", Answer.NO),
        (b"", b"\5\0", Answer.NO),
        (b"", b"\5\1\0", Answer.MORE),
        (b"hello", b"\5\1\0", Answer.MORE),
        (b"x" * 70, b"\5\1\0", Answer.NO),
        (b"hello\5\0\5\0\0\1", b"\5\1\0\5\1\0\1", Answer.YES),
        (b"", b"", Answer.MORE),
    ],
)
def test_probe(orig, resp, answer):
    assert probe(orig, resp) is answer


PIECES = st.sampled_from([b"\5", b"\1", b"\0", b"\4", b"\3\4name", b"\0\x50", b"\0\x5a", bytes(6)])


@given(st.lists(st.tuples(st.integers(0, 1), PIECES | st.binary(min_size=1, max_size=40)), max_size=20))
def test_any_bytes_are_survived(pieces):
    assert len(run(parser(), whole(pieces))) <= 2
