import pytest
from hypothesis import given
from hypothesis import strategies as st
from session import bytewise, holed, origin, run, whole

from reassembly.events import ORIG, RESP, Data
from reassembly.protocols import Answer
from reassembly.protocols.tls import Parser, probe

C, S = ORIG, RESP


def record(*messages, size=1 << 14):
    stream = b"".join(messages)
    pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
    return b"".join(b"\x16\x03\x01" + len(piece).to_bytes(2, "big") + piece for piece in pieces)


def message(kind, body):
    return bytes([kind]) + len(body).to_bytes(3, "big") + body


def extension(kind, body):
    return kind.to_bytes(2, "big") + len(body).to_bytes(2, "big") + body


def vector(body, size=2):
    return len(body).to_bytes(size, "big") + body


def client_hello(name=b"www.example.org", session=b"", padding=0):
    extensions = extension(0, vector(b"\0" + vector(name))) + extension(21, bytes(padding))
    ciphers = vector(b"\x13\x01\x13\x02")
    return message(1, b"\x03\x03" + bytes(32) + vector(session, 1) + ciphers + b"\x01\0" + vector(extensions))


def server_hello(version=b"\x03\x03", chosen=None, protocol=b"h2"):
    extensions = extension(43, chosen) if chosen else b""
    extensions += extension(16, vector(vector(protocol, 1))) if protocol else b""
    return message(2, version + bytes(32) + b"\0" + b"\x13\x01\0" + vector(extensions))


def facts(session, cut=whole, **limits):
    told = {}
    for note in run(Parser(origin(**limits)), cut(session)):
        told |= note.facts
    return told


NAME = {"tls.client.server_name": "www.example.org"}
NEW = {"tls.version": "1.3", "tls.version_protocol": "tls", "tls.next_protocol": "h2"}
OLD = {"tls.version": "1.2", "tls.version_protocol": "tls", "tls.next_protocol": "h2"}
SESSIONS = {
    "1.3": (
        [(C, record(client_hello())), (S, record(server_hello(chosen=b"\x03\x04")) + b"\x17\x03\x03\0\x01x")],
        NAME | NEW,
    ),
    "1.2": ([(C, record(client_hello())), (S, record(server_hello()))], NAME | OLD),
    "1.0, no ALPN": (
        [(C, record(client_hello())), (S, record(server_hello(b"\x03\x01", protocol=b"")))],
        NAME | {"tls.version": "1.0", "tls.version_protocol": "tls"},
    ),
    "SSL 3.0": (
        [(S, record(server_hello(b"\x03\0", protocol=b"")))],
        {"tls.version": "3.0", "tls.version_protocol": "ssl"},
    ),
    "hello over many records": ([(C, record(client_hello(), size=7))], NAME),
    "hello with a session": ([(C, record(client_hello(session=bytes(32))))], NAME),
    "a big hello": ([(C, record(client_hello(padding=20_000)))], NAME),
    "no name": ([(C, record(client_hello(name=b"")))], {}),
    "alert instead": ([(C, record(client_hello())), (S, b"\x15\x03\x03\0\x02\x02\x28")], NAME),
    "other bytes": ([(C, b"hello, this is not TLS at all")], {}),
    "odd characters": ([(C, record(client_hello(name=b"a\0b\xffc")))], {"tls.client.server_name": "a\\x00b\\xffc"}),
}


@pytest.mark.parametrize("cut", [whole, bytewise])
@pytest.mark.parametrize("name", SESSIONS)
def test_what_hellos_say(name, cut):
    session, expected = SESSIONS[name]
    assert facts(session, cut) == expected


def test_a_hole_ends_it():
    assert facts([(C, record(client_hello()))]) == NAME
    told = [
        note.facts
        for note in run(Parser(origin()), holed([(C, record(client_hello())), *SESSIONS["1.2"][0][1:]], C, 5, 9))
    ]
    assert told == [OLD]


def test_a_hello_is_bounded():
    assert facts([(C, record(client_hello(padding=5000)))], tls_hello_bytes=2000) == {}
    assert facts([(C, record(client_hello(padding=5000), size=50))], bytewise, tls_hello_bytes=2000) == {}


def test_data_after_the_hello_is_not_kept():
    parser = Parser(origin())
    parser.feed(Data(C, record(client_hello()) + bytes(100_000), 1, 1))
    for _ in range(100):
        assert parser.feed(Data(C, bytes(100_000), 1, 1)) == []
    assert parser._hellos[C] is None


@given(st.binary(max_size=80), st.integers(0, 400), st.integers(0, 255))
def test_anything_is_survived(noise, at, byte):
    hello = bytearray(record(client_hello()))
    hello[at % len(hello)] = byte
    for wire in (noise, bytes(hello), record(noise), record(message(1, noise)), record(message(2, noise))):
        assert facts([(C, wire), (S, wire)]) == facts([(C, wire), (S, wire)], bytewise)
        assert probe(wire, b"") in Answer


YES, NO, MORE = Answer.YES, Answer.NO, Answer.MORE
SSL2 = b"\x80\x2e\x01\0\x02\0\x15\0\0\0\x10" + bytes(37)


@pytest.mark.parametrize(
    ("orig", "resp", "answer"),
    [
        (b"", b"", MORE),
        (record(client_hello()), b"", YES),
        (b"", record(server_hello()), YES),
        (record(client_hello())[:5], b"", MORE),
        (b"\x16\x03", b"", MORE),
        (b"\x16\x05", b"", NO),
        (b"\x16\x03\x01\xff\xff\x01", b"", NO),
        (b"\x16\x03\x01\0\x05\x09", b"", NO),
        (b"\x17\x03\x03\0\x05hello", b"", NO),
        (b"GET / HTTP/1.1", b"", NO),
        (SSL2, b"", YES),
        (SSL2[:8], b"", MORE),
        (b"\x80\x2f" + SSL2[2:], b"", NO),
        (b"\x80\0\0\x2c" + bytes(20), b"", NO),
    ],
)
def test_probe(orig, resp, answer):
    assert probe(orig, resp) is answer
