"""What is blocked reaches the workers as soon as it changes, whoever changes it."""

import logging
import time

import pytest

from manager import blocking
from manager.blocking import Blocking
from manager.blocklist import NAME, Blocklist, Entry

NS = 1_000_000_000
HOST = Entry("host", "a.example", "a sinkhole")
URL = Entry("url", "a.example/x", "Marker (yara)")


class Told:
    """Keeps what the workers are told."""

    def __init__(self):
        self.known = []

    def __call__(self, known):
        self.known.append(known)

    @property
    def last(self):
        """All that the workers know."""
        return [*self.known[-1].hosts, *self.known[-1].urls] if self.known else []


@pytest.fixture
def told(monkeypatch):
    monkeypatch.setattr(blocking, "LOOK", 0.0)  # whenever it is called
    return Told()


@pytest.fixture
def feed(tmp_path):
    """The path of a feed with these lines."""

    def written(*lines):
        (tmp_path / "bad.txt").write_text("\n".join(lines))
        return str(tmp_path / "bad.txt")

    return written


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "actions"
    made.mkdir()
    return made


def test_nothing_to_block_is_nothing_to_tell(folder, told):
    one = Blocking(folder, (), told)
    one.look()
    assert told.known == []


def test_what_is_added_is_told_at_once_and_once(folder, told):
    one = Blocking(folder, (), told)
    assert one.add([HOST, URL]) is None
    assert told.last == ["a.example", "a.example/x"]
    one.look()
    assert len(told.known) == 1
    assert one.add([HOST]) is None
    assert sorted(told.last) == ["a.example", "a.example/x"]


def test_what_is_added_is_told_though_it_has_just_looked(folder):
    told = Told()
    one = Blocking(folder, (), told)
    one.look()
    assert one.add([HOST]) is None
    assert told.last == ["a.example"]


def test_it_looks_now_and_then(folder):
    """Its first look is just over: what somebody else writes is seen later."""
    told = Told()
    one = Blocking(folder, (), told)
    one.look()
    Blocklist(folder).add([HOST])
    one.look()
    assert told.known == []


def test_what_was_blocked_is_after_a_restart(folder, told):
    Blocklist(folder).add([HOST])
    Blocking(folder, (), told).look()
    assert told.last == ["a.example"]


def test_what_somebody_else_lifts_is_let_through(folder, told):
    one = Blocking(folder, (), told)
    one.add([HOST, URL])
    Blocklist(folder).lift([HOST])
    one.look()
    assert told.last == ["a.example/x"]
    Blocklist(folder).lift([URL])
    one.look()
    assert told.last == []
    assert len(told.known) == 3


def test_what_is_over_is_let_through(folder, told):
    one = Blocking(folder, (), told)
    until = time.time_ns() + NS // 5
    one.add([Entry("host", "short.example", "", until=until), HOST])
    assert told.last == ["short.example", "a.example"]
    while "short.example" in told.last and time.time_ns() < until + 20 * NS:
        one.look()
    assert told.last == ["a.example"]
    assert time.time_ns() >= until


def test_feeds_are_told_at_the_start_and_the_list_comes_before_them(folder, told, feed):
    one = Blocking(folder, [feed("a.example # of the feed", "b.example")], told)
    assert told.last == ["a.example", "b.example"]
    one.add([HOST])
    assert told.last == ["a.example", "b.example"]
    assert told.known[-1].hosts["a.example"].reason == "a sinkhole"
    Blocklist(folder).lift([HOST])
    one.look()
    assert told.known[-1].hosts["a.example"].reason == "of the feed"


def test_feeds_are_read_again(folder, told, feed):
    path = feed("a.example")
    one = Blocking(folder, [path], told)
    one.add([URL])
    before = len(told.known)
    one.renew([path])
    assert len(told.known) == before
    feed("b.example")  # under the same name
    one.renew([path])
    assert told.last == ["b.example", "a.example/x"]
    one.renew([])
    assert told.last == ["a.example/x"]


def test_what_cannot_be_written_is_said(folder, told):
    one = Blocking(folder / "none", (), told)
    assert one.add([HOST]) == "it can't be written down: No such file or directory"
    assert told.known == []


def test_a_list_that_cannot_be_read_changes_nothing(folder, told, caplog):
    one = Blocking(folder, (), told)
    one.add([HOST])
    (folder / NAME).unlink()
    (folder / NAME).mkdir()
    with caplog.at_level(logging.WARNING, blocking.__name__):
        one.look()
    assert caplog.messages == [f"what is blocked can't be read: [Errno 21] Is a directory: '{folder / NAME}'"]
    assert told.last == ["a.example"]
