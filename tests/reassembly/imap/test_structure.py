from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from session import origin

from reassembly.imap.structure import Structures, headers
from reassembly.limits import Limits

LIMITS = Limits()
TEXT = b'("TEXT" "PLAIN" NIL NIL NIL "7BIT" 14 1)'
FORWARD = b'("MESSAGE" "RFC822" NIL NIL NIL "7BIT" 300 (NIL "subject") %b 10)'


def described(body):
    return headers(b"* 1 FETCH (UID 5 BODYSTRUCTURE " + body + b" FLAGS ())\r\n", LIMITS)


def test_a_mail_of_one_part():
    found = described(TEXT)
    assert set(found) == {"", "1"}
    assert found["1"].startswith(b"Content-Type: TEXT/PLAIN\r\nContent-Transfer-Encoding: 7BIT\r\n\r\n")


def test_parts_are_numbered_at_each_level():
    found = described(b"(" + TEXT + b"(" + TEXT + TEXT + b' "ALTERNATIVE") "MIXED" ("BOUNDARY" "x"))')
    assert set(found) == {"", "1", "2", "2.1", "2.2"}
    assert b'boundary="x"' in found[""].lower()
    assert found["2"].startswith(b"Content-Type: multipart/ALTERNATIVE")


@pytest.mark.parametrize(
    ("inner", "sections"),
    [(TEXT, {"2", "2.1", "2.TEXT"}), (b"(" + TEXT + TEXT + b' "MIXED")', {"2", "2.1", "2.2", "2.TEXT"})],
)
def test_a_forwarded_mail_is_counted_inside(inner, sections):
    found = described(b"(" + TEXT + FORWARD % inner + b' "MIXED")')
    assert set(found) == {"", "1"} | sections
    assert found["2"].startswith(b"Content-Type: MESSAGE/RFC822")
    assert not found["2.TEXT"].startswith(b"Content-Type: MESSAGE")


def test_a_disposition_keeps_its_line():
    body = b'("A" "B" ("NAME" "x\\"y") NIL NIL "BASE64" 5 NIL ("ATTACHMENT" ("FILENAME" "e\r\nvil: x")))'
    header = described(body)["1"]
    assert b'NAME="x\\"y"' in header
    assert b'Content-Disposition: ATTACHMENT;\r\n FILENAME="e"\r\n' in header


def test_nothing_comes_of_nothing():
    assert headers(b"* 1 FETCH (FLAGS ())\r\n", LIMITS) == {}
    assert described(b"()") == {}
    assert described(b"NIL") == {}


def test_depth_is_bounded():
    assert len(described(b"(" * 100_000)) < 1000
    nested = TEXT
    for _ in range(200):
        nested = b"(" + nested + b' "MIXED")'
    assert len(described(nested)) <= LIMITS.mime_depth


@given(st.lists(st.sampled_from([b"(", b")", b"NIL ", b'"TEXT" ', b'"MESSAGE" "RFC822" ', b"5 ", b'"', b"\\"])))
def test_any_structure_is_survived(pieces):
    for number, header in described(b"(" + b"".join(pieces)).items():
        assert not number.startswith(".")
        assert header.endswith(b"\r\n\r\n")


def test_the_oldest_is_forgotten_first():
    known = Structures(origin(imap_structures=1000).memory)
    for number in range(10):
        known.learn(number, {"1": bytes(30)})
    assert known.header(0, "1") is None
    assert known.header(9, "1") == bytes(30)
    known.clear()
    assert known.header(9, "1") is None


def test_all_connections_together_are_bounded():
    memory = origin(total_structures=100_000).memory
    many = [Structures(memory) for _ in range(100)]
    for known in many:
        for number in range(10):
            known.learn(number, {"1": bytes(1000)})
            assert memory.structures <= 100_000
    assert many[0].header(9, "1") == bytes(1000)
    assert many[-1].header(9, "1") is None
    assert memory.counters["total_structures"] > 0
    many[0].clear()
    many[-1].learn(1, {"1": bytes(1000)})
    assert many[-1].header(1, "1") == bytes(1000)
    known = None
    del many, known
    assert memory.structures == 0


def test_a_header_that_was_fetched_comes_before_the_structure():
    known = Structures(origin().memory)
    known.learn(1, {"2": b"told", "": b"told"})
    assert (known.header(1, "2"), known.header(1, "TEXT"), known.header(1, "3")) == (b"told", b"told", None)
    known.learn(1, {"2.MIME": b"seen", "HEADER": b"seen"})
    assert (known.header(1, "2"), known.header(1, "TEXT")) == (b"seen", b"seen")
