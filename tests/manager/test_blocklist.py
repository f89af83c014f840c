"""What is blocked, on disk: written, lifted, forgotten after a while, and read again whatever is in the file."""

import json
import os
import pwd
import time
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nouns import FLOW, an_object, another
from samples import object_of

from manager import blocklist
from manager.blocklist import NAME, Blocklist, Entry, address_of, beginnings, known_of
from reassembly.known import PREFIXES, Listed, url_key
from reassembly.objects import Content

NS = 1_000_000_000
DIGEST = sha256(b"head").hexdigest()
HOST = Entry("host", "a.example", "a sinkhole")
URL = Entry("url", "a.example/x", "Marker (yara)", False, 1000 * NS, "ac7")
PREFIX = Entry("prefix", DIGEST, "Marker (yara)", True, 2000 * NS, "ac7")


def read(folder):
    """What somebody else finds in a folder."""
    other = Blocklist(folder)
    other.changed()
    return other.entries


def test_what_is_added_is_read_after_a_restart(tmp_path):
    blocked = Blocklist(tmp_path)
    assert not blocked.changed()
    blocked.add([HOST, URL])
    blocked.add([PREFIX])
    assert blocked.changed()
    assert not blocked.changed()
    assert list(blocked.entries) == list(read(tmp_path)) == [HOST, URL, PREFIX]


def test_what_is_lifted_is_gone_and_may_be_added_again(tmp_path):
    blocked = Blocklist(tmp_path)
    blocked.add([HOST, URL, PREFIX])
    blocked.changed()
    other = Blocklist(tmp_path)
    other.lift([HOST, PREFIX, Entry("host", "never.example", "")])
    assert blocked.changed()
    assert list(blocked.entries) == [URL]
    other.add([HOST])
    assert blocked.changed()
    assert list(blocked.entries) == [URL, HOST]


def test_the_last_word_on_each_counts(tmp_path):
    longer = Entry("url", URL.what, "another reason", True, 5000 * NS)
    Blocklist(tmp_path).add([URL, HOST, longer])
    assert list(read(tmp_path)) == [HOST, longer]
    assert longer.id == URL.id != HOST.id
    assert Entry("host", URL.what, "").id != URL.id


def test_each_holds_until_its_time(tmp_path):
    blocked = Blocklist(tmp_path, (HOST, URL, PREFIX))
    assert blocked.live(1000 * NS - 1) == [HOST, URL, PREFIX]
    assert blocked.live(1000 * NS) == [HOST, PREFIX]
    assert blocked.live(2000 * NS) == [HOST]  # for good


def test_of_too_many_the_newest_hold(tmp_path, monkeypatch):
    monkeypatch.setattr(blocklist, "MOST", 3)
    blocked = Blocklist(tmp_path, tuple(Entry("host", f"{number}.example", "", until=9) for number in range(5)))
    assert [one.what for one in blocked.live(1)] == ["2.example", "3.example", "4.example"]


def test_without_a_file_nothing_is_blocked_and_when_it_goes_neither(tmp_path):
    blocked = Blocklist(tmp_path)
    blocked.add([HOST])
    blocked.changed()
    (tmp_path / NAME).unlink()
    assert blocked.changed()
    assert blocked.entries == ()


def test_a_file_that_takes_the_place_of_another_is_seen(tmp_path):
    blocked = Blocklist(tmp_path)
    blocked.add([HOST])
    blocked.changed()
    old = (tmp_path / NAME).stat()
    (tmp_path / "new").write_bytes((tmp_path / NAME).read_bytes().replace(b"a.example", b"b.example"))
    os.utime(tmp_path / "new", ns=(old.st_atime_ns, old.st_mtime_ns))
    (tmp_path / "new").rename(tmp_path / NAME)
    assert blocked.changed()
    assert [one.what for one in blocked.entries] == ["b.example"]


def test_the_file_is_its_owners_alone(tmp_path):
    """It belongs to whom the folder belongs, though root lifts something."""
    nobody = pwd.getpwnam("nobody")
    os.chown(tmp_path, nobody.pw_uid, nobody.pw_gid)
    before = os.umask(0)
    try:
        Blocklist(tmp_path).add([HOST])
    finally:
        os.umask(before)
    found = (tmp_path / NAME).stat()
    assert (found.st_mode & 0o7777, found.st_uid, found.st_gid) == (0o600, nobody.pw_uid, nobody.pw_gid)


def test_a_link_is_not_followed(tmp_path):
    (tmp_path / NAME).symlink_to(tmp_path / "other")
    with pytest.raises(OSError, match="symbolic links"):
        Blocklist(tmp_path).add([HOST])
    assert not (tmp_path / "other").exists()


def test_what_cannot_be_read_is_said_again_and_again(tmp_path):
    (tmp_path / NAME).mkdir()
    blocked = Blocklist(tmp_path)
    for _ in range(2):
        with pytest.raises(IsADirectoryError):
            blocked.changed()
    with pytest.raises(FileNotFoundError):
        Blocklist(tmp_path / "none").add([HOST])


SAID = {"kind": "host", "what": "b.example", "reason": "why"}
DAMAGED = [
    b"", b"{", b"null", b"5", b"[]", b'"lift"', b"{}", b"\xff\xfe", b"[" * 100_000, b'{"lift": []}', b'{"lift": 7}',
    *(json.dumps(SAID | odd).encode() for odd in (
        {"kind": "port"}, {"kind": []}, {"kind": "prefix"}, {"what": 5}, {"what": None}, {"reason": ["x"]},
        {"page": "no"}, {"until": "later"}, {"until": None}, {"until": 1.5}, {"action": 7}, {"more": 1},
    )),
    json.dumps({"kind": "host", "what": "b.example"}).encode(),
]  # fmt: skip


@pytest.mark.parametrize("line", DAMAGED, ids=lambda line: line[:40].decode("ascii", "replace"))
def test_a_damaged_line_costs_only_itself(tmp_path, line):
    blocked = Blocklist(tmp_path)
    blocked.add([HOST])
    with (tmp_path / NAME).open("ab") as file:
        file.write(line)  # cut off: nothing ends it
    blocked.add([URL])
    assert list(read(tmp_path)) == [HOST, URL]
    assert len(known_of(read(tmp_path)).urls) == 1


@given(cut=st.integers(0, 1 << 10), junk=st.binary(max_size=40))
def test_any_bytes_are_read(tmp_path_factory, cut, junk):
    folder = tmp_path_factory.mktemp("any")
    Blocklist(folder).add([HOST, URL, PREFIX])
    payload = (folder / NAME).read_bytes()
    (folder / NAME).write_bytes(payload[:cut] + junk + payload[cut:])
    Blocklist(folder).add([URL])
    found = Blocklist(folder)
    found.changed()
    known_of(found.live(time.time_ns()))
    assert found.entries[-1] == URL


def test_as_workers_are_told():
    first = Entry("host", HOST.what, "listed later", until=5)
    known = known_of([HOST, URL, PREFIX, first])
    assert known.hosts == {"a.example": Listed(HOST.id, "a sinkhole", True)}
    assert known.urls == {"a.example/x": Listed(URL.id, "Marker (yara)", False)}
    assert known.prefixes == {sha256(b"head").digest(): Listed(PREFIX.id, "Marker (yara)", True)}


SIX = another(resp_ip=bytes.fromhex("20010db8" + "00" * 11 + "80"))


@pytest.mark.parametrize(
    ("facts", "more", "address"),
    [
        ({"url.domain": "a.example", "url.original": "/x?q"}, {}, "a.example/x?q"),
        ({"url.domain": "a.example", "url.port": 80, "url.original": "/"}, {}, "a.example/"),
        ({"url.domain": "a.example", "url.port": 8080, "url.original": "/%61"}, {}, "a.example:8080/a"),
        ({"url.domain": "a.example", "url.original": "http://b.example/x"}, {}, "b.example/x"),
        ({"url.original": "/x"}, {}, "198.51.100.80/x"),
        ({"url.original": "/x"}, {"flow": SIX}, "[2001:db8::80]/x"),
        ({"url.domain": "2001:db8::1", "url.port": 8080, "url.original": "/x"}, {}, "[2001:db8::1]:8080/x"),
        ({"url.domain": "a.example"}, {}, None),
        ({"url.domain": "a.example", "url.original": "/x"}, {"direction": 0}, None),
        ({"url.domain": "a.example", "url.original": "/x"}, {"protocol": "smtp"}, None),
        (None, {}, None),
    ],
)
def test_the_address_of_an_object(facts, more, address):
    target = an_object(**{"flow": FLOW} | more, facts=facts)
    assert address_of(target) == address


@pytest.mark.parametrize("host", ["a.example", "a.example:8080", "A.example.:80", "[2001:db8::1]:81", "[::1]"])
def test_the_address_is_the_one_that_is_asked_for_again(host):
    name, _, port = host.rpartition(":") if "]" not in host.rpartition(":")[2] and ":" in host else (host, "", "80")
    facts = {"url.domain": name.strip("[]").lower(), "url.port": int(port), "url.original": "/x"}
    assert address_of(an_object(facts=facts)) == url_key(host, "/x")


NOISE = os.urandom(PREFIXES[2] + 1)


@pytest.mark.parametrize("on_disk", [False, True])
@pytest.mark.parametrize(
    ("size", "count"),
    [(0, 0), (PREFIXES[0] + 1, 0), (PREFIXES[1], 0), (PREFIXES[1] + 1, 1), (PREFIXES[2], 1), (PREFIXES[2] + 1, 2)],
)
def test_beginnings(size, count, on_disk):
    """Of more than a size that is compared; not of 4 KiB, and never of all of it, which is no beginning."""
    found = beginnings(object_of(NOISE[:size], on_disk=on_disk and size > 0))
    assert found == [sha256(NOISE[:one]).hexdigest() for one in PREFIXES[1:]][:count]


def test_padding_is_no_beginning():
    padded = bytes(PREFIXES[1]) + NOISE
    assert beginnings(object_of(padded)) == [sha256(padded[: PREFIXES[2]]).hexdigest()]
    assert beginnings(object_of(b"<html>" * (1 << 19))) == []


def test_what_has_holes_or_is_gone_has_no_beginning():
    assert beginnings(object_of(NOISE, missing=((1, 2),))) == []
    assert beginnings(an_object(content=Content(1 << 20))) == []
