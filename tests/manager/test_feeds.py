"""Lists of bad things, as they are published: whatever is in them, what is an item counts and the rest is said."""

import hashlib
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manager import feeds
from manager.blocklist import Entry, known_of
from manager.feeds import SHOWN, read_feeds

DIGEST = hashlib.sha256(b"head").hexdigest()


@pytest.fixture
def feed(tmp_path):
    """The path of a feed with this text, or these bytes."""

    def written(text, name="bad.txt"):
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        return str(tmp_path / name)

    return written


@pytest.fixture
def said(caplog):
    """What was logged, a message each."""
    caplog.set_level(logging.WARNING, feeds.__name__)
    return lambda: caplog.messages


@pytest.mark.parametrize(
    ("line", "kind", "what"),
    [
        ("http://Example.org/setup.exe", "url", "example.org/setup.exe"),
        ("https://example.org:8443/%61?b", "url", "example.org:8443/a?b"),
        ("http://example.org", "url", "example.org/"),
        ("http://[2001:db8::1]/x", "url", "[2001:db8::1]/x"),
        ("Example.org", "host", "example.org"),
        ("example.org.", "host", "example.org"),
        (".example.org", "host", ".example.org"),
        ("example.org:8080", "host", "example.org:8080"),
        ("under_score.example.org", "host", "under_score.example.org"),
        ("192.0.2.1", "host", "192.0.2.1"),
        ("[2001:DB8::1]", "host", "[2001:db8::1]"),
        ("[2001:db8::1]:8080", "host", "[2001:db8::1]:8080"),
        ("2001:db8::80", "host", "[2001:db8::80]"),
        ("0.0.0.0 example.org", "host", "example.org"),
        ("127.0.0.1\texample.org", "host", "example.org"),
        (":: \t example.org", "host", "example.org"),
        ("::1 example.org", "host", "example.org"),
        (DIGEST, "prefix", DIGEST),
        (DIGEST.upper(), "prefix", DIGEST),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n", "  \n", ""])
def test_each_kind_of_line(feed, said, line, kind, what, end):
    assert read_feeds([feed(line + end)]) == [Entry(kind, what, "listed in bad")]
    assert said() == []


@pytest.mark.parametrize(
    "line",
    [
        "word", "localhost", "two words.example", "192.0.2.7 example.org", "0.0.0.0 a.example b.example", "||a^",
        "http://", "http:///x", "://", "http://a.example/with space", DIGEST[1:], DIGEST + "0", ".", "..", "[", "[]",
        "a.example:123456", "a.example/x", "a..example", "\0", "\N{SNOWMAN}.example", "[abc]",
    ],
)  # fmt: skip
def test_what_is_no_item_is_said(feed, said, line):
    path = feed(f"# a list\n\n{line}\nexample.org\n")
    assert [one.what for one in read_feeds([path])] == ["example.org"]
    (message,) = said()
    assert message == f"{path}: line 3 is no address, host or SHA-256: {line:.60}"


def test_reasons(feed):
    text = (
        "# by nobody\n  # nor this\na.example # a sinkhole\nb.example#two # signs\nc.example #\n   \nhttp://d/x # why\n"
    )
    assert [(one.what, one.reason) for one in read_feeds([feed(text, "list.of.txt")])] == [
        ("a.example", "a sinkhole"),
        ("b.example", "two # signs"),
        ("c.example", "listed in list.of"),
        ("d/x", "why"),
    ]


def test_wrong_lines_of_each_file_are_said_a_few_times(feed, said):
    path, other = feed("wrong\n" * 10 + "a.example\n"), feed("wrong\n", "other.txt")
    assert [one.what for one in read_feeds([path, other])] == ["a.example"]
    assert said() == [
        *(f"{path}: line {number} is no address, host or SHA-256: wrong" for number in range(1, SHOWN + 1)),
        f"{path}: 10 lines are no items",
        f"{other}: line 1 is no address, host or SHA-256: wrong",
    ]


def test_a_wrong_line_is_said_shortened(feed, said):
    path = feed("x" * 100_000)
    assert read_feeds([path]) == []
    assert said() == [f"{path}: line 1 is no address, host or SHA-256: {'x' * 60}"]


def test_what_cannot_be_read_costs_only_itself(feed, said, tmp_path):
    assert [one.what for one in read_feeds([f"{tmp_path}/none", str(tmp_path), feed("a.example")])] == ["a.example"]
    assert said() == [
        f"{tmp_path}/none: the feed can't be read: No such file or directory",
        f"{tmp_path}: the feed can't be read: Is a directory",
    ]


@pytest.mark.parametrize(("count", "kept"), [(4, 4), (5, 5), (6, 5)])
def test_of_too_many_the_rest_is_not_used(feed, said, monkeypatch, count, kept):
    monkeypatch.setattr(feeds, "MOST", 5)
    names = [f"{number}.example" for number in range(count)]
    paths = feed("\n".join(names[:3])), feed("\n".join(names[3:]), "other.txt")
    assert [one.what for one in read_feeds(paths)] == names[:kept]
    assert said() == (["feeds have more than 5 items: the rest is not used"] if count > kept else [])


def test_odd_encodings(feed, said):
    bom, latin = feed(b"\xef\xbb\xbfa.example # \xc3\xa4\n"), feed(b"b.example # \xe4\n\xe4.example\n", "latin.txt")
    wide = feed("c.example\n".encode("utf-16"), "wide.txt")
    assert [(one.what, one.reason) for one in read_feeds([bom, latin, wide])] == [
        ("a.example", "ä"),
        ("b.example", "\N{REPLACEMENT CHARACTER}"),
    ]
    assert said()[0].startswith(f"{latin}: line 2 ")
    assert said()[1].startswith(f"{wide}: line 1 ")


@given(text=st.text() | st.text(alphabet="a.:/[]#0 \n\t\x1c", max_size=60) | st.binary())
def test_any_text(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "any.txt"
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    entries = read_feeds([str(path)])
    known = known_of(entries)
    assert len(known.hosts) + len(known.urls) + len(known.prefixes) <= len(entries)
    assert all(one.what and one.reason for one in entries)
