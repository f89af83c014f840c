import pytest
from hypothesis import given
from hypothesis import strategies as st
from session import bytewise, flow, holed, origin, packed, run, whole

from reassembly.events import ORIG, RESP, Data, Expect, Gap, Note, Switch
from reassembly.protocols import Answer
from reassembly.protocols.ftp import Parser, probe

C, S = ORIG, RESP
CLIENT, SERVER = packed("10.0.0.1"), packed("10.0.0.2")
FLOW = flow(resp=("10.0.0.2", 21))
LOGIN = [
    (S, b"220-Welcome\r\n220 to the FTP server\r\n"),
    (C, b"USER anonymous\r\n"),
    (S, b"331 password\r\n"),
    (C, b"PASS me@example.org\r\n"),
    (S, b"230-Hello\r\n 331 not a reply\r\n230 in\r\n"),
    (C, b"TYPE I\r\n"),
    (S, b"200 I\r\n"),
]
PASSIVE = [(C, b"PASV\r\n"), (S, b"227 Entering Passive Mode (10,0,0,2,195,80)\r\n")]
EXTENDED = [(C, b"EPSV\r\n"), (S, b"229 Entering Extended Passive Mode (|||50001|)\r\n")]
ACTIVE = [(C, b"PORT 10,0,0,1,200,10\r\n"), (S, b"200 ok\r\n")]
DONE = [(S, b"150 here it comes\r\n"), (S, b"226 done\r\n")]
CUTS = pytest.mark.parametrize("cut", [whole, bytewise])


def get(path, verb=b"RETR"):
    return [(C, verb + b" " + path + b"\r\n"), *DONE]


def expected(session, cut=whole, of=FLOW):
    return [one for one in run(Parser(origin(of)), cut(session)) if isinstance(one, Expect)]


def told(session, cut=whole, of=FLOW):
    """Address, port, command and path of each announced connection, as it stands in the end."""
    return [
        (one.ip, one.port, one.facts.get("tapscan.ftp.command"), one.facts.get("tapscan.ftp.path"))
        for one in expected(session, cut, of)
    ]


SESSIONS = {
    "passive": ([*LOGIN, *PASSIVE, *get(b"a.txt")], [(SERVER, 50000, "RETR", "a.txt")]),
    "extended": ([*LOGIN, *EXTENDED, *get(b"a.txt")], [(SERVER, 50001, "RETR", "a.txt")]),
    "extended, its form given": ([(C, b"EPSV 1\r\n"), EXTENDED[1], *get(b"x")], [(SERVER, 50001, "RETR", "x")]),
    "EPSV ALL opens nothing": (
        [*LOGIN, (C, b"EPSV ALL\r\n"), (S, b"200 ok\r\n"), *EXTENDED, *get(b"x")],
        [(SERVER, 50001, "RETR", "x")],
    ),
    "active": ([*LOGIN, *ACTIVE, *get(b"up.zip", b"STOR")], [(CLIENT, 51210, "STOR", "up.zip")]),
    "active, extended": (
        [*LOGIN, (C, b"EPRT |1|10.0.0.1|6275|\r\n"), (S, b"200 ok\r\n"), *get(b"log", b"APPE")],
        [(CLIENT, 6275, "APPE", "log")],
    ),
    "two transfers, two ports": (
        [*LOGIN, *PASSIVE, *get(b"a"), *EXTENDED, *get(b"b")],
        [(SERVER, 50000, "RETR", "a"), (SERVER, 50001, "RETR", "b")],
    ),
    "two transfers, one port": (
        [*LOGIN, *ACTIVE, *get(b"a"), *get(b"b")],
        [(CLIENT, 51210, "RETR", "a"), (CLIENT, 51210, "RETR", "b")],
    ),
    "a refused transfer leaves its port": (
        [*LOGIN, *PASSIVE, (C, b"RETR no\r\n"), (S, b"550 no such file\r\n"), *get(b"yes")],
        [(SERVER, 50000, "RETR", "yes")],
    ),
    "a refused passive command": (
        [*LOGIN, (C, b"EPSV\r\n"), (S, b"500 what?\r\n"), *PASSIVE, *get(b"a")],
        [(SERVER, 50000, "RETR", "a")],
    ),
    "pipelined": (
        [
            *LOGIN,
            (C, b"PASV\r\nRETR a\r\nPASV\r\nRETR b\r\n"),
            (S, b"227 (10,0,0,2,0,21)\r\n150 a\r\n226 ok\r\n227 (10,0,0,2,0,22)\r\n150 b\r\n226 ok\r\n"),
        ],
        [(SERVER, 21, "RETR", "a"), (SERVER, 22, "RETR", "b")],
    ),
    "listing": ([*LOGIN, *PASSIVE, *get(b"-la /pub", b"LIST")], [(SERVER, 50000, "LIST", None)]),
    "STOU, named by the server": (
        [*LOGIN, *PASSIVE, (C, b"STOU\r\n"), (S, b"150 FILE: up.7\r\n"), (S, b"226 ok\r\n")],
        [(SERVER, 50000, "STOU", "up.7")],
    ),
    "ABOR behind telnet's signals": (
        [
            *LOGIN,
            *PASSIVE,
            (C, b"RETR a\r\n"),
            (S, b"150 go\r\n"),
            (C, b"\xff\xf4\xff\xf2ABOR\r\n"),
            (S, b"426 cut\r\n226 ok\r\n"),
            *EXTENDED,
            *get(b"b"),
        ],
        [(SERVER, 50000, "RETR", "a"), (SERVER, 50001, "RETR", "b")],
    ),
    "lower case, spaces, LF": (
        [(C, b"pasv\n"), PASSIVE[1], (C, b"retr my file.txt\n")],
        [(SERVER, 50000, "RETR", "my file.txt")],
    ),
    "227 without brackets": (
        [(C, b"PASV\r\n"), (S, b"227 =10,0,0,2,1,2\r\n"), *get(b"x")],
        [(SERVER, 258, "RETR", "x")],
    ),
    "nonsense for an address": (
        [
            (C, b"PORT 300,0,0,1,1,1\r\n"),
            (C, b"PORT 1,2\r\n"),
            (C, b"EPRT |1|x|1|\r\n"),
            (C, b"EPRT |1|10.0.0.1|99999|\r\n"),
            (C, b"PASV\r\n"),
            (S, b"227 somewhere\r\n"),
            (C, b"EPSV\r\n"),
            (S, b"229 (|||99999|)\r\n"),
        ],
        [],
    ),
    "server alone": (
        [
            (S, b"220 FTP\r\n331 p\r\n230 in\r\n227 (10,0,0,2,195,80)\r\n"),
            (S, b"150 Opening BINARY mode data connection for a.txt (5 bytes).\r\n226 ok\r\n"),
        ],
        [(SERVER, 50000, None, "a.txt")],
    ),
}


@CUTS
@pytest.mark.parametrize("name", SESSIONS)
def test_what_is_announced(name, cut):
    session, announced = SESSIONS[name]
    assert told(session, cut) == announced


@CUTS
@pytest.mark.parametrize("name", SESSIONS)
def test_sides_change_when_the_server_was_seen_first(name, cut):
    session, announced = SESSIONS[name]
    turned = flow(orig=("10.0.0.2", 21), resp=("10.0.0.1", 40000))
    assert told([(1 - side, piece) for side, piece in session], cut, turned) == announced


@CUTS
def test_facts_go_on_growing(cut):
    session = [*LOGIN, *PASSIVE, (C, b"REST 100\r\n"), (S, b"350 ok\r\n"), *get(b"/pub/big.iso")]
    (one,) = expected(session, cut)
    assert one.protocol == "ftp-data"
    assert one.facts == {
        "tapscan.ftp.command": "RETR",
        "tapscan.ftp.path": "/pub/big.iso",
        "tapscan.ftp.user": "anonymous",
        "tapscan.ftp.rest": 100,
        "tapscan.ftp.reply_code": 226,
    }


def test_rest_holds_for_one_transfer():
    session = [*LOGIN, *PASSIVE, (C, b"REST 100\r\n"), (S, b"350 ok\r\n"), *get(b"a"), *EXTENDED, *get(b"b")]
    assert [one.facts.get("tapscan.ftp.rest") for one in expected(session)] == [100, None]


def test_the_announcement_comes_with_the_address():
    parser = Parser(origin(FLOW))
    (one,) = [
        emitted for event in whole([*LOGIN, *PASSIVE]) for emitted in parser.feed(event) if isinstance(emitted, Expect)
    ]
    assert one.facts == {}
    parser.feed(Data(C, b"STOR a\r\n", 1, 1))
    assert one.facts["tapscan.ftp.path"] == "a"


def test_names_in_any_charset():
    session = [*PASSIVE, *get("grün.txt".encode()), *EXTENDED, *get(b"gr\xfcn.txt")]
    assert [one.facts["tapscan.ftp.path"] for one in expected(session)] == ["grün.txt", "grün.txt"]


def test_ipv6():
    six = b"\xfe\x80" + bytes(13) + b"\x01", b"\xfe\x80" + bytes(13) + b"\x02"
    of = flow()
    of = type(of)("f", six[0], 40000, six[1], 21, "tcp", (), b"", b"", 1, "t", False)
    session = [*EXTENDED, *get(b"a"), (C, b"EPRT |2|fe80::1|6275|\r\n"), (S, b"200 ok\r\n"), *get(b"b", b"STOR")]
    assert told(session, of=of) == [(six[1], 50001, "RETR", "a"), (six[0], 6275, "STOR", "b")]


@CUTS
def test_behind_nat_both_addresses_are_expected(cut):
    session = [(C, b"PASV\r\n"), (S, b"227 (192,168,0,9,1,0)\r\n"), *get(b"a")]
    parser = Parser(origin(FLOW))
    emitted = [one for one in run(parser, cut(session)) if isinstance(one, Expect)]
    assert [(one.ip, one.port) for one in emitted] == [(SERVER, 256), (packed("192.168.0.9"), 256)]
    assert emitted[0].facts is emitted[1].facts
    assert list(parser._origin.findings) == ["ftp.pasv_address"]


def test_a_port_that_is_not_the_client():
    parser = Parser(origin(FLOW))
    run(parser, whole([(C, b"PORT 192,0,2,1,1,0\r\n")]))
    assert list(parser._origin.findings) == ["ftp.port_address"]


@CUTS
def test_auth_tls(cut):
    session = [LOGIN[0], (C, b"AUTH TLS\r\n"), (S, b"234 go\r\n"), (C, b"\x16\x03\x01"), *PASSIVE]
    parser = Parser(origin(FLOW))
    emitted = run(parser, cut(session))
    assert [type(one) for one in emitted] == [Note, Switch]
    assert emitted[0].facts == {"tapscan.ftp.auth_tls": True}


def test_what_stands_behind_the_answer_is_handed_over():
    emitted = run(Parser(origin(FLOW)), whole([(C, b"AUTH TLS\r\n"), (S, b"234 go\r\n\x16\x03")]))
    assert [(data.direction, data.payload) for data in emitted[-1].rest] == [(S, b"\x16\x03")]


def test_auth_refused():
    session = [LOGIN[0], (C, b"AUTH TLS\r\n"), (S, b"500 no\r\n"), *LOGIN[1:], *PASSIVE, *get(b"a")]
    assert told(session) == [(SERVER, 50000, "RETR", "a")]


# Holes.

LONG = [*LOGIN, *PASSIVE, *get(b"a"), *EXTENDED, *get(b"b")]


def test_a_lost_command_costs_its_transfer_alone():
    stream = b"".join(piece for side, piece in LONG if side == C)
    start = stream.index(b"PASV")
    announced = [one for one in run(Parser(origin(FLOW)), holed(LONG, C, start, start + 11)) if isinstance(one, Expect)]
    assert (announced[-1].port, announced[-1].facts["tapscan.ftp.path"]) == (50001, "b")


@pytest.mark.parametrize("side", [C, S])
def test_any_hole_leaves_the_last_transfer_or_the_first(side):
    stream = b"".join(piece for one, piece in LONG if one == side)
    for start in range(len(stream)):
        events = holed(LONG, side, start, start + 5)
        paths = [
            one.facts.get("tapscan.ftp.path") for one in run(Parser(origin(FLOW)), events) if isinstance(one, Expect)
        ]
        assert "a" in paths or "b" in paths


# Anything at all.

PIECES = st.sampled_from(
    [piece for session, _ in SESSIONS.values() for _, piece in session]
    + [b"\r\n", b"227", b"PORT ", b"1,2,3,4,5,6", b"150-x\r\n"]
)
EVENTS = st.lists(
    st.tuples(st.sampled_from([C, S]), PIECES | st.binary(min_size=1, max_size=20) | st.integers(1, 30)), max_size=30
)


@given(EVENTS)
def test_anything_is_survived(pieces):
    events = [
        Gap(side, piece, at) if isinstance(piece, int) else Data(side, piece, at, at)
        for at, (side, piece) in enumerate(pieces)
    ]
    for one in run(Parser(origin(FLOW, command_bytes=64, pending_requests=5)), events):
        assert not isinstance(one, Expect) or (len(one.ip) in (4, 16) and 0 < one.port < 65536)


@given(st.lists(st.tuples(st.sampled_from([C, S]), PIECES), max_size=25))
def test_cuts_change_nothing(pieces):
    assert told(pieces, whole) == told(pieces, bytewise)


@pytest.mark.parametrize(
    "line", [b"PASV\r\n", b"RETR a\r\n", b"PORT 1,2,3,4,5,6\r\n", b"227 (1,2,3,4,5,6)\r\n", b"150-\r\n"]
)
def test_floods(line):
    parser = Parser(origin(FLOW))
    run(parser, whole([(C, line * 20_000), (S, line * 20_000)]))
    assert len(parser._asked) <= 1000
    assert len(parser._open) <= 1000


# Whose flow it is.

YES, NO, MORE = Answer.YES, Answer.NO, Answer.MORE


@pytest.mark.parametrize(
    ("orig", "resp", "answer"),
    [
        (b"", b"", MORE),
        (b"", b"220 ProFTPD 1.3.8 Server\r\n", YES),
        (b"", b"220 (vsFTPd 3.0.5)\r\n", YES),
        (b"", b"220 FTP server ready\r\n", YES),
        (b"", b"220-FileZilla Server\r\n", YES),
        (b"", b"220 hello\r\n", MORE),
        (b"", b"22", MORE),
        (b"", b"220 mx ESMTP\r\n", NO),
        (b"", b"+OK\r\n", NO),
        (b"USER a\r\n", b"220 hello\r\n", YES),
        (b"USER a\r\n", b"", MORE),
        (b"USER a\r\nPASS b\r\n", b"", YES),
        (b"USER a\r\n", b"+OK pop\r\n", NO),
        (b"USER a b c :d\r\n", b"", NO),
        (b"AUTH TLS\r\n", b"220 hello\r\n", YES),
        (b"EHLO a\r\n", b"220 hello\r\n", MORE),
        (b"PORT 1,2,3,4,5,6\r\n", b"200 ok\r\n", YES),
        (b"GET / HTTP/1.1\r\n", b"", MORE),
        (b"\x16\x03\x01", b"", NO),
    ],
)
def test_probe(orig, resp, answer):
    assert probe(orig, resp) is answer


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_probe_takes_anything(orig, resp):
    assert probe(orig, resp) in Answer
