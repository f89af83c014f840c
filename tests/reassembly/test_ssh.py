import pytest
from hypothesis import given
from hypothesis import strategies as st
from session import bytewise, holed, origin, run, whole

from reassembly.events import ORIG, RESP
from reassembly.protocols import Answer
from reassembly.protocols.ssh import Parser, probe

SESSION = [
    (RESP, b"SSH-2.0-OpenSSH_9.6 Debian\r\n"),
    (ORIG, b"SSH-2.0-client\n\0\0\x01\x02binary"),
    (RESP, b"\0\0binary\r\n"),
]


def facts(events):
    told = {}
    for note in run(Parser(origin()), events):
        told |= note.facts
    return told


@pytest.mark.parametrize("cut", [whole, bytewise])
def test_software_of_both_sides(cut):
    expected = {"tapscan.ssh.orig": "SSH-2.0-client", "tapscan.ssh.resp": "SSH-2.0-OpenSSH_9.6 Debian"}
    assert facts(cut(SESSION)) == expected


def test_a_hole_costs_its_side():
    assert facts(holed(SESSION, RESP, 3, 8)) == {"tapscan.ssh.orig": "SSH-2.0-client"}


@pytest.mark.parametrize("end", [b"", b"\r\n"])
def test_long_and_unended(end):
    told = facts(whole([(ORIG, b"SSH-" + b"x" * 100_000 + end)]))
    assert max((len(value) for value in told.values()), default=0) <= 255


@given(st.lists(st.tuples(st.sampled_from([ORIG, RESP]), st.binary(min_size=1, max_size=30)), max_size=6))
def test_anything_is_survived(session):
    assert facts(whole(session)) == facts(bytewise(session))


@pytest.mark.parametrize(
    ("orig", "resp", "answer"),
    [
        (b"", b"", Answer.MORE),
        (b"", b"SSH-2.0-x", Answer.YES),
        (b"SSH-1.99-x", b"", Answer.YES),
        (b"SS", b"", Answer.MORE),
        (b"SSL", b"", Answer.NO),
        (b"GET /", b"", Answer.NO),
    ],
)
def test_probe(orig, resp, answer):
    assert probe(orig, resp) is answer
