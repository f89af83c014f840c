"""What is known to be bad is met wherever it is asked for, and nothing else is."""

import hashlib
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from session import bytewise, flow, run, whole

from reassembly.builder import Memory, Origin
from reassembly.events import ORIG, RESP, Flow
from reassembly.known import MOST, Known, Listed, host_key, url_key
from reassembly.limits import Limits
from reassembly.protocols import http1, tls

WHY = Listed("1", "a sinkhole")
FLOW = flow()
each_way = pytest.mark.parametrize("feed", [whole, bytewise], ids=["whole", "bytewise"])


def asked(known, host, target="/"):
    """What is met when somebody asks for this; alone."""
    known.met.clear()
    known.requested(FLOW, host, target, 7, True)
    return [one.listed for one in known.met]


def greeted(known, host):
    known.met.clear()
    known.greeted(FLOW, host, 7)
    return [one.listed for one in known.met]


@pytest.mark.parametrize(
    ("host", "key"),
    [
        ("Example.ORG", "example.org"),
        ("example.org.", "example.org"),
        ("example.org:80", "example.org"),
        ("example.org.:80", "example.org"),
        ("example.org:8080", "example.org:8080"),
        ("example.org.:8080", "example.org:8080"),
        ("user:word@example.org", "example.org"),
        ("192.0.2.1:80", "192.0.2.1"),
        ("[2001:DB8::1]:80", "[2001:db8::1]"),
        ("[2001:db8::80]", "[2001:db8::80]"),
        ("[2001:db8::1]:81", "[2001:db8::1]:81"),
        ("2001:db8::80", "[2001:db8::80]"),
        ("", ""),
    ],
)
def test_a_host_is_compared_as(host, key):
    assert host_key(host) == key


@pytest.mark.parametrize(
    ("host", "target", "key"),
    [
        ("A.example", "/", "a.example/"),
        ("a.example", "", "a.example/"),
        ("a.example:8080", "/x?q=%41#part", "a.example:8080/x?q=%41"),
        ("a.example", "/%61%2e%65xe", "a.example/a.exe"),
        ("a.example", "/%2561", "a.example/%61"),  # decoded once
        ("a.example", "/a?b=http://c/", "a.example/a?b=http://c/"),
        ("a.example", "http://b.example:80/x", "b.example/x"),
        ("a.example", "HTTP://u@B.example", "b.example/"),
        ("a.example", "http:///x", "a.example/x"),
        ("a.example", "http://b.example?x", "b.example/?x"),
        ("", "https://[2001:db8::1]:443/x", "[2001:db8::1]:443/x"),
        ("a.example", "//b.example/x", "a.example//b.example/x"),
        ("a.example", "*", "a.example*"),
    ],
)
def test_an_address_is_compared_as(host, target, key):
    assert url_key(host, target) == key


@pytest.mark.parametrize(
    ("listed", "met", "passed"),
    [
        ("a.example", ["a.example", "A.example.", "a.example:8080", "a.example:80"], ["b.a.example", "xa.example"]),
        (".a.example", ["a.example", "b.a.example", "c.b.a.example:81", "a.example.:81"], ["xa.example", "example"]),
        ("a.example:8080", ["a.example:8080", "a.example.:8080"], ["a.example", "a.example:80", "a.example:8081"]),
        ("192.0.2.1", ["192.0.2.1", "192.0.2.1:8080"], ["192.0.2.10", "2.1"]),
        ("[2001:db8::1]", ["[2001:DB8::1]", "[2001:db8::1]:8080"], ["[2001:db8::11]", "[2001:db8::]", "::1"]),
        ("[2001:db8::1]:81", ["[2001:db8::1]:81"], ["[2001:db8::1]", "[2001:db8::1]:80"]),
    ],
)
def test_hosts(listed, met, passed):
    known = Known(hosts={listed: WHY})
    assert [host for host in met if asked(known, host) != [WHY]] == []
    assert [host for host in passed if asked(known, host)] == []
    assert [host for host in met if greeted(known, host) != [WHY]] == []
    assert [host for host in passed if greeted(known, host)] == []


def test_a_hosts_labels_have_an_end():
    known = Known(hosts={".example": WHY})
    assert asked(known, "x." * 100 + "example") == [WHY]
    assert asked(known, "example." + "x." * 31 + "y") == []


def test_urls_with_and_without_a_query():
    known = Known(urls={"a.example/x": WHY, "a.example/y?id=1": WHY})
    assert asked(known, "a.example", "/x") == asked(known, "a.example", "/x?any=1") == [WHY]
    assert asked(known, "a.example", "/%78") == asked(known, "b", "http://A.example:80/x#y") == [WHY]
    assert asked(known, "a.example", "/y?id=1") == [WHY]
    for target in ("/y", "/y?id=2", "/", "/X", "/x/"):
        assert asked(known, "a.example", target) == []
    assert asked(known, "b.example", "/x") == []
    assert greeted(known, "a.example") == []


def test_the_address_counts_before_the_host():
    other = Listed("2", "the host")
    known = Known({"a.example": other}, {"a.example/x": WHY})
    assert asked(known, "a.example", "/x?y") == [WHY]
    assert asked(known, "a.example", "/y") == [other]


def test_who_names_no_host_asks_the_server():
    known = Known(urls={"10.0.0.2/x": WHY})
    assert asked(known, "", "/x") == [WHY]
    six = Flow("six", bytes(16), 1, bytes.fromhex("20010db8" + "00" * 11 + "80"), 80, "tcp", (), b"", b"", 0, "", False)
    known = Known(hosts={"[2001:db8::80]": WHY})
    known.requested(six, "", "/x", 7, True)
    assert [one.what for one in known.met] == ["http://[2001:db8::80]/x"]


def test_what_was_met_says_what():
    known = Known({"a.example": WHY}, {"a.example/x": WHY}, {hashlib.sha256(b"head").digest(): WHY})
    known.requested(FLOW, "a.example", "/x?q", 7, True)
    known.requested(FLOW, "a.example", "/x", 8, False)
    known.greeted(FLOW, "A.example", 9)
    known.begun(FLOW, ORIG, "smtp", b"head", 10)
    known.begun(FLOW, ORIG, "smtp", b"heads", 11)
    digest = hashlib.sha256(b"head").hexdigest()
    assert [(one.direction, one.protocol, one.what, one.asked, one.time) for one in known.met] == [
        (RESP, "http", "http://a.example/x?q", True, 7),
        (RESP, "http", "http://a.example/x", False, 8),
        (RESP, "tls", "A.example", False, 9),
        (ORIG, "smtp", digest, False, 10),
    ]
    assert {(one.flow, one.listed) for one in known.met} == {(FLOW, WHY)}


def test_what_is_known_changes():
    known = Known()
    assert not known
    known.change(Known(prefixes={b"": WHY}))
    assert known
    known.change(Known({"a.example": WHY}))
    assert asked(known, "a.example") == [WHY]
    known.change(Known())
    assert not known
    assert asked(known, "a.example") == []


def test_so_many_are_met_in_a_batch():
    known = Known({"a.example": WHY}, {}, {hashlib.sha256(b"").digest(): WHY})
    for _ in range(MOST):
        known.requested(FLOW, "a.example", "/", 7, True)
        known.greeted(FLOW, "a.example", 7)
        known.begun(FLOW, RESP, "http", b"", 7)
    assert len(known.met) == MOST


ODD = st.text() | st.text(alphabet=".:/@[]?#%a*", max_size=40)


@given(ODD, ODD)
def test_any_host_and_target(host, target):
    known = Known({".nowhere.example": WHY}, {"nowhere.example/": WHY})
    assert asked(known, host, target) == []
    assert greeted(known, host) == []
    assert len(host_key(host)) <= 302


@given(st.text(alphabet="abc.-", min_size=1, max_size=20), st.text(max_size=20))
def test_an_address_is_met_however_it_is_encoded(host, path):
    coded = "/" + quote(path)
    known = Known(urls={url_key(host, coded): WHY})
    everything = "/" + "".join(f"%{one:02x}" for one in path.encode())
    assert asked(known, host, coded) == asked(known, host.upper() + ":80", everything) == [WHY]


def parsed(parser, session, feed, known):
    """What is met when this is read."""
    memory = Memory(Limits(), known=known, now=7)
    run(parser(Origin(FLOW, memory)), feed(session))
    return known.met


def get(target=b"/a%2eexe?q=1", host=b"A.example"):
    return b"GET %b HTTP/1.1\r\nHost: %b\r\n\r\n" % (target, host)


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@each_way
def test_a_request_that_is_read(feed):
    known = Known(urls={"a.example/a.exe": WHY})
    (met,) = parsed(http1.Parser, [(0, get()), (1, OK)], feed, known)
    assert (met.what, met.asked, met.time) == ("http://a.example/a.exe?q=1", True, 7)


@each_way
def test_a_request_for_a_proxy_and_one_of_http_1_0(feed):
    known = Known({".b.example": WHY}, {"10.0.0.2/x": WHY})
    session = [(0, get(b"http://www.b.example/")), (1, OK), (0, b"GET /x HTTP/1.0\r\n\r\n"), (1, OK)]
    assert [one.what for one in parsed(http1.Parser, session, feed, known)] == [
        "http://www.b.example/",
        "http://10.0.0.2/x",
    ]


@each_way
def test_one_that_waits_behind_others_is_not_alone(feed):
    known = Known(urls={"a.example/bad": WHY})
    good, bad = get(b"/good"), get(b"/bad")
    one_by_one = [(0, good), (1, OK), (0, bad), (1, OK)]
    assert [one.asked for one in parsed(http1.Parser, one_by_one, feed, known)] == [True]
    known.met.clear()
    pipelined = [(0, good + bad + bad), (1, OK + OK + OK)]
    assert [one.asked for one in parsed(http1.Parser, pipelined, feed, known)] == [False, False]


@each_way
def test_what_nobody_knows_is_not_met(feed):
    known = Known({"b.example": WHY}, {"a.example/b": WHY})
    assert parsed(http1.Parser, [(0, get()), (1, OK)], feed, known) == []


def hello(name):
    """A TLS 1.2 hello with a server's name (RFC 5246, 7.4.1.2; RFC 6066, 3)."""

    def vector(body, size=2):
        return len(body).to_bytes(size, "big") + body

    body = b"\x03\x03" + bytes(32) + b"\0" + vector(b"\x13\x01") + b"\x01\0"
    body += vector(b"\0\0" + vector(vector(b"\0" + vector(name))))
    return b"\x16\x03\x01" + vector(b"\x01" + vector(body, 3))


@each_way
def test_a_hello_that_is_read(feed):
    known = Known(hosts={".example.org": WHY})
    (met,) = parsed(tls.Parser, [(0, hello(b"www.Example.org"))], feed, known)
    assert (met.protocol, met.direction, met.asked, met.time) == ("tls", RESP, False, 7)
    assert met.what.lower() == "www.example.org"
    known.met.clear()
    assert parsed(tls.Parser, [(0, hello(b"example.com"))], feed, known) == []
