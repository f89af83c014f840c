import pytest
from hypothesis import given
from hypothesis import strategies as st
from session import holed, origin, run, whole

from reassembly.events import ORIG, RESP
from reassembly.protocols import Answer
from reassembly.protocols.quic import Parser, probe


def initial(version, destination=bytes(8), source=bytes(5), first=0xC3):
    ids = bytes([len(destination)]) + destination + bytes([len(source)]) + source
    return bytes([first]) + version.to_bytes(4, "big") + ids + b"\0\x44\xd0" + bytes(1200)


VERSIONS = {
    "1": initial(1),
    "2": initial(0x6B3343CF),
    "draft-29": initial(0xFF00001D),
    "Q050": initial(int.from_bytes(b"Q050", "big")),
    "negotiation": b"\x80\0\0\0\0\x02ab\x01c" + b"\0\0\0\x01\x6b\x33\x43\xcf",
}


@pytest.mark.parametrize("name", VERSIONS)
def test_versions(name):
    wire = VERSIONS[name]
    assert probe(wire, b"") is Answer.YES
    notes = run(Parser(origin()), whole([(ORIG, wire), (RESP, wire)]))
    assert [note.facts for note in notes] == [{"tapscan.quic.version": name}]


@pytest.mark.parametrize(
    "wire",
    [
        initial(5),
        initial(1, first=0x83),
        initial(1, first=0x43),
        initial(1, destination=bytes(21)),
        initial(1, source=bytes(21)),
        initial(1)[:6],
        b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x03www",
    ],
)
def test_not_quic(wire):
    assert probe(wire, b"") is Answer.NO


def test_nothing_yet():
    assert probe(b"", b"") is Answer.MORE


def test_a_hole_is_passed_over():
    assert len(run(Parser(origin()), holed([(ORIG, b"x" * 9), (RESP, VERSIONS["1"])], ORIG, 2, 4))) == 1


@given(st.binary(max_size=40))
def test_anything_is_survived(wire):
    assert probe(wire, b"") in Answer
    assert len(run(Parser(origin()), whole([(ORIG, wire)]))) <= 1
