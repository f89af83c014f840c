import pytest
from session import bytewise, content, holed, objects, origin, run, whole

from reassembly.events import ORIG, RESP, Close, Data
from reassembly.protocols import Answer
from reassembly.protocols.ftp_data import Parser, file_name, probe

FACTS = {"tapscan.ftp.command": "RETR", "tapscan.ftp.path": "/pub/a.txt", "tapscan.ftp.user": "me"}


@pytest.mark.parametrize("cut", [whole, bytewise])
@pytest.mark.parametrize("side", [ORIG, RESP])
def test_one_file_of_the_side_that_sends(cut, side):
    (file,) = objects(run(Parser(origin(), dict(FACTS)), cut([(side, b"one "), (side, b"two")])))
    assert (content(file), file.direction, file.name, file.kind, file.protocol) == (
        b"one two",
        side,
        "a.txt",
        "file",
        "ftp-data",
    )
    assert file.facts == FACTS
    assert file.complete


def test_the_name_may_come_after_the_bytes():
    facts = {}
    parser = Parser(origin(), facts)
    parser.feed(Data(RESP, b"x", 5, 6))
    facts.update(FACTS)
    (file,) = parser.close(Close(RESP, "fin", 9))
    assert (file.name, file.began, file.time) == ("a.txt", 5, 9)


def test_a_hole():
    (file,) = objects(run(Parser(origin(), dict(FACTS)), holed([(RESP, b"abcdef")], RESP, 2, 4)))
    assert (content(file), file.missing, file.cut) == (b"abef", ((2, 4),), "gap")


def test_a_hole_alone():
    (file,) = objects(run(Parser(origin(), dict(FACTS)), holed([(RESP, b"abc")], RESP, 0, 3)))
    assert (file.size, file.missing) == (0, ((0, 3),))


@pytest.mark.parametrize("how", ["reset", "timeout", "end_of_capture", "eviction"])
def test_cut_off(how):
    (file,) = objects(run(Parser(origin(), dict(FACTS)), whole([(RESP, b"abc")]), how))
    assert (file.cut, file.complete) == (how, False)


def test_nothing_sent_is_no_file():
    assert run(Parser(origin(), dict(FACTS)), []) == []


def test_no_facts():
    (file,) = objects(run(Parser(origin()), whole([(RESP, b"abc")])))
    assert (file.name, file.facts) == (None, None)


@pytest.mark.parametrize(
    ("path", "name"),
    [("a", "a"), ("/b/a.txt", "a.txt"), ("C:\\x\\a", "a"), ("dir/", "dir"), ("/", None), ("", None), ("..", "..")],
)
def test_file_name(path, name):
    assert file_name(path) == name


def test_never_by_content():
    assert probe(b"anything", b"at all") is Answer.NO
