import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manager.icap_message import LONGEST_HEAD, Chunks, Wrong, answer, chunk, parse_request

MOST = 512 << 10
RESPMOD = b"RESPMOD icap://av.example.org/respmod ICAP/1.0\r\n"


def parsed(*lines, most=MOST):
    return parse_request(b"\r\n".join(lines), most)


def test_a_request():
    request = parsed(
        b"RESPMOD icap://av.example.org/respmod ICAP/1.0",
        b"Host: av.example.org",
        b"Allow: 204, trailers",
        b"X-Client-IP: 192.0.2.7",
        b"Preview: 1024",
        b"Encapsulated: req-hdr=0, res-hdr=137, res-body=296",
    )
    assert (request.method, request.uri) == ("RESPMOD", "icap://av.example.org/respmod")
    assert request.heads == (("req-hdr", 137), ("res-hdr", 159))
    assert request.body
    assert request.allows_204
    assert request.lasting
    assert request.preview == 1024
    assert request.fields["x-client-ip"] == "192.0.2.7"


def test_requests_without_a_body_or_an_end():
    request = parsed(
        b"REQMOD icap://a/r ICAP/1.0", b"Connection: Close", b"Allow: 2040", b"Encapsulated: req-hdr=0, null-body=20"
    )
    assert request.heads == (("req-hdr", 20),)
    assert (request.body, request.allows_204, request.lasting, request.preview) == (False, False, False, None)
    assert parsed(b"OPTIONS icap://a/r ICAP/1.0", b"Host: a").heads == ()
    assert parsed(b"OPTIONS icap://a/r ICAP/1.0", b"Encapsulated: opt-body=0").body


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        ([b"GET / HTTP/1.1"], 400),
        ([b""], 400),
        ([b"RESPMOD icap://a/r ICAP/2.0"], 505),
        ([b"PATCHMOD icap://a/r ICAP/1.0"], 501),
        ([b"RESPMOD icap://a/r ICAP/1.0"], 400),
        ([RESPMOD.strip(), b"no field"], 400),
        ([RESPMOD.strip(), b" folded: x"], 400),
        ([RESPMOD.strip(), b"Encapsulated: res-hdr=0"], 400),
        ([RESPMOD.strip(), b"Encapsulated: res-hdr=5, res-body=9"], 400),
        ([RESPMOD.strip(), b"Encapsulated: res-hdr=0, res-body=-1"], 400),
        ([RESPMOD.strip(), b"Encapsulated: req-hdr=0, res-hdr=9, res-body=5"], 400),
        ([RESPMOD.strip(), b"Encapsulated: res-hdr=0, req-hdr=5, res-body=9"], 400),
        ([RESPMOD.strip(), b"Encapsulated: req-hdr=0, req-body=9"], 400),
        ([RESPMOD.strip(), b"Encapsulated: res-hdr=0, res-hdr=1, res-hdr=2, res-hdr=3, res-hdr=4, res-body=9"], 400),
        ([RESPMOD.strip(), b"Encapsulated: res-hdr=0, res-body=999999999"], 413),
        ([RESPMOD.strip(), b"Encapsulated: res-hdr=0, res-body=9999999999999"], 400),
        ([RESPMOD.strip(), b"Preview: -1", b"Encapsulated: res-body=0"], 400),
    ],
)
def test_what_is_no_request_has_a_status(lines, status):
    with pytest.raises(Wrong) as raised:
        parsed(*lines)
    assert raised.value.status == status


@given(st.binary(max_size=300) | st.binary(max_size=100).map(lambda tail: RESPMOD + b"Encapsulated: " + tail))
def test_any_bytes_are_a_request_or_wrong(head):
    heads = ()
    with contextlib.suppress(Wrong):
        heads = parse_request(head, MOST).heads
    assert sum(length for _, length in heads) <= MOST


def fed(data, size):
    chunks, out = Chunks(), []
    for at in range(0, len(data), size):
        if chunks.done:
            chunks.rest += data[at : at + size]
        else:
            out += chunks.feed(data[at : at + size])
    return chunks, b"".join(out)


BODY = b"5\r\nhello\r\n6 ; name=x\r\n world\r\n"


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize(
    ("last", "ieof"), [(b"0\r\n\r\n", False), (b"0; ieof\r\n\r\n", True), (b"0\r\nX-Trailer: 1\r\n\r\n", False)]
)
def test_chunks_whole_and_in_any_pieces(size, last, ieof):
    chunks, body = fed(BODY + last + b"OPTIONS", size)
    assert (chunks.done, chunks.ieof, chunks.rest, body) == (True, ieof, b"OPTIONS", b"hello world")


def test_a_chunk_of_any_size_is_handed_on_as_it_comes():
    chunks = Chunks()
    assert b"".join(chunks.feed(b"fffffffffffffff\r\nabc")) == b"abc"
    assert b"".join(chunks.feed(b"def")) == b"def"
    assert not chunks.done
    assert chunks.rest == b""


@pytest.mark.parametrize(
    "data",
    [
        b"x\r\n",
        b"-5\r\nhello\r\n",
        b"\r\n",
        b"3\r\nhello\r\n",
        b"1" * 17 + b"\r\n",
        b"5" + b";" * 5000,
        b"5;" + b"a" * 5000 + b"\r\n",
        b"0\r\n" + b"X-Trailer: 1\r\n" * 1000,
    ],
)
@pytest.mark.parametrize("size", [1, 1 << 16])
def test_what_are_no_chunks(data, size):
    with pytest.raises(Wrong):
        fed(data, size)


@given(st.binary(max_size=200), st.integers(1, 50))
def test_any_bytes_are_chunks_or_wrong(data, size):
    try:
        chunks, body = fed(data, size)
    except Wrong:
        return
    assert len(body) + len(chunks.rest) <= len(data)


@given(st.lists(st.binary(min_size=1, max_size=50)))
def test_what_is_made_is_read(pieces):
    chunks, body = fed(b"".join(map(chunk, pieces)) + chunk(b""), 5)
    assert (chunks.done, body) == (True, b"".join(pieces))


def test_an_answer():
    made = answer(200, {"ISTag": '"a"'}, [("res-hdr", 137), ("res-body", 0)])
    assert made == b'ICAP/1.0 200 OK\r\nISTag: "a"\r\nEncapsulated: res-hdr=0, res-body=137\r\n\r\n'
    assert len(made) < LONGEST_HEAD
