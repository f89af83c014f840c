"""Ranges of one file in several responses, of one connection and of several: the file comes out whole."""

import gzip

import pytest
from session import bytewise, content, flow, holed, objects, run, whole

from reassembly.builder import Memory, Origin
from reassembly.events import ORIG, RESP
from reassembly.limits import Limits
from reassembly.protocols.http1 import Parser
from reassembly.protocols.http1 import whole as at_once

FILE = b"MZ" + bytes(range(256)) * 3
SIZE = len(FILE)


def get(path=b"/setup.exe", host=b"a"):
    return ORIG, b"GET %b HTTP/1.1\r\nHost: %b\r\n\r\n" % (path, host)


def part(begin, end, total=SIZE, fields=b"", body=None):
    body = FILE[begin:end] if body is None else body
    head = b"HTTP/1.1 206 Partial Content\r\nContent-Length: %d\r\nContent-Range: bytes %d-%d/%d\r\n%b\r\n"
    return RESP, head % (len(body), begin, end - 1, total, fields) + body


def beginning(size):
    """A response that breaks off."""
    return RESP, b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(FILE) + FILE[:size]


def several(several_byteranges):
    body = b"".join(
        b"--cut\r\nContent-Range: bytes %d-%d/%d\r\n\r\n%b\r\n" % (begin, end - 1, len(FILE), FILE[begin:end])
        for begin, end in several_byteranges
    )
    head = b"HTTP/1.1 206 Partial Content\r\nContent-Type: multipart/byteranges; boundary=cut\r\nContent-Length: %d\r\n"
    return RESP, head % len(body + b"--cut--") + b"\r\n" + body + b"--cut--"


def joined(*sessions, feed=whole, client="10.0.0.1"):
    """The files that were put together of the ranges of these connections."""
    memory = Memory(Limits())
    found = []
    for number, session in enumerate(sessions):
        of = flow(orig=(client, 40000 + number), resp=("10.0.0.2", 80))
        found += objects(run(Parser(Origin(of, memory)), feed(session)))
    memory.pieces.clear()
    return [one for one in found if "http.joined_ranges" in one.findings]


WAYS = {
    "one after the other": [[get(), part(0, 300), get(), part(300, 770)]],
    "side by side": [[get(), part(300, 770)], [get(), part(0, 300)]],
    "overlapping": [[get(), part(200, 770)], [get(), part(0, 300)]],
    "several in a response": [[get(), several([(0, 100), (400, 770)]), get(), several([(100, 400)])]],
    "resumed": [[get(), beginning(300)], [get(), part(300, 770)]],
    "resumed twice": [[get(), beginning(9)], [get(), (RESP, part(9, 770)[1][:-400])], [get(), part(300, 770)]],
}


@pytest.mark.parametrize("feed", [whole, bytewise], ids=["whole", "bytewise"])
@pytest.mark.parametrize("name", WAYS)
def test_the_file_comes_out(name, feed):
    (file,) = joined(*WAYS[name], feed=feed)
    assert (content(file), file.name, file.complete, file.depth) == (FILE, "setup.exe", True, 0)
    assert "tapscan.http.range" not in file.facts
    assert file.facts["url.full"] == "http://a/setup.exe"


APART = {
    "another file": [[get(), part(0, 300), get(b"/other"), part(300, 770)]],
    "another size": [[get(), part(0, 300), get(), part(300, 770, 771)]],
    "another host": [[get(), part(0, 300), get(host=b"b"), part(300, 770)]],
    "bytes are missing": [[get(), part(0, 300), get(), part(301, 770)]],
    "no bytes": [[get(), part(0, 300), get(), part(300, 770, body=b"")]],
    "more than was said": [[get(), part(0, 300), get(), part(300, 310, body=FILE[300:])]],
    "coded": [
        [get(), part(0, 300), get(), part(300, 770, fields=b"Content-Encoding: gzip\r\n", body=gzip.compress(FILE))]
    ],
    "all in one": [[get(), part(0, 770)]],
}


@pytest.mark.parametrize("name", APART)
def test_these_do_not_belong_together(name):
    assert joined(*APART[name]) == []


def test_a_range_with_a_hole_does_not_count():
    session = [get(), part(0, 300), get(), part(300, 770)]
    assert joined(session, feed=lambda one: holed(one, RESP, 150, 160)) == []


def test_ranges_take_the_long_way():
    origin = Origin(flow(), Memory(Limits()))
    assert at_once(origin, whole([get(), part(0, 300)])) is None
