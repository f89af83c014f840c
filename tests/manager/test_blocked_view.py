"""`tapscan actions blocked` and `lift`, as somebody calls them while the sensor runs, or not."""

import json
import time

import pytest

from manager.blocklist import NAME, Blocklist, Entry

NS = 1_000_000_000
UNTIL = 4_102_444_800 * NS  # 2100-01-01
HOST = Entry("host", "a.example", "a sink\x1bhole", until=UNTIL)
URL = Entry("url", "a.example/x\n", "Marker (yara)", False, 0, "ac7")
PREFIX = Entry("prefix", "ab" * 32, "Marker (yara)")
OVER = Entry("host", "over.example", "of long ago", until=5)


@pytest.fixture
def folder(tmp_path):
    """Of the list that `tapscan` has."""
    made = tmp_path / "state" / "tapscan" / "actions"
    made.mkdir(parents=True)
    return made


@pytest.fixture
def blocked(folder):
    one = Blocklist(folder)
    one.add([HOST, URL, PREFIX, OVER])
    return one


def left(folder):
    """What holds yet."""
    one = Blocklist(folder)
    one.changed()
    return one.live(time.time_ns())


def said(done):
    """A command that went well."""
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout.decode()


@pytest.mark.usefixtures("blocked")
def test_what_is_blocked(tapscan):
    assert said(tapscan("actions", "blocked")).splitlines() == [
        f"{HOST.id}  until 2100-01-01 00:00  page  host a.example",
        "  a sink\\x1bhole",
        f"{URL.id}  for good  reset  url a.example/x\\x0a",
        "  Marker (yara)",
        f"{PREFIX.id}  for good  page  prefix {'ab' * 32}",
        "  Marker (yara)",
        "3 items blocked",
    ]


@pytest.mark.usefixtures("blocked")
def test_as_json(tapscan):
    first, second, _ = map(json.loads, said(tapscan("actions", "blocked", "--json")).splitlines())
    assert first == {
        "id": HOST.id, "kind": "host", "what": "a.example", "reason": "a sink\x1bhole", "page": True, "until": UNTIL,
        "action": "",
    }  # fmt: skip
    assert (second["id"], second["page"], second["until"], second["action"]) == (URL.id, False, 0, "ac7")


def test_where_nothing_is(tapscan, tmp_path):
    assert said(tapscan("actions", "blocked")) == "nothing is blocked\n"
    assert said(tapscan("actions", "blocked", "--json")) == ""
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize(
    ("item", "kept"),
    [
        (HOST.id, [URL, PREFIX]),
        ("a.example", [URL, PREFIX]),
        ("http://a.example", [URL, PREFIX]),
        ("a.example/x\n", [HOST, PREFIX]),
        ("http://a.example/x\n", [HOST, PREFIX]),
        ("ab" * 32, [HOST, URL]),
    ],
)
@pytest.mark.usefixtures("blocked")
def test_one_is_lifted(tapscan, folder, item, kept):
    assert said(tapscan("actions", "lift", item)) == "1 item lifted\n"
    assert left(folder) == kept


@pytest.mark.usefixtures("blocked")
def test_all_are_lifted(tapscan, folder):
    assert said(tapscan("actions", "lift", "all")) == "3 items lifted\n"
    assert left(folder) == []
    assert said(tapscan("actions", "blocked")) == "nothing is blocked\n"
    wrong(tapscan("actions", "lift", "all"), "all: is not blocked")


def wrong(done, start):
    """Said in one line."""
    assert (done.returncode, done.stdout) == (2, b"")
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith(f"tapscan: {start}")


@pytest.mark.parametrize("item", ["b.example", "over.example", OVER.id, "a.example/", "x\x1b\n"])
@pytest.mark.usefixtures("blocked")
def test_what_is_not_blocked_is_not_lifted(tapscan, folder, item):
    shown = item.replace("\x1b", "\\x1b").replace("\n", "\\x0a")
    wrong(tapscan("actions", "lift", item), f"{shown}: is not blocked (tapscan actions blocked shows what is")
    assert left(folder) == [HOST, URL, PREFIX]


def test_nothing_to_lift(tapscan):
    wrong(tapscan("actions", "lift"), "lift: name what is to be let through")
    wrong(tapscan("actions", "lift", "all"), "all: is not blocked")


def test_a_list_that_cannot_be_read(tapscan, folder):
    (folder / NAME).mkdir()
    for words in (("blocked",), ("lift", "all")):
        wrong(tapscan("actions", *words), f"{folder / NAME}: can't be read: Is a directory")


def test_a_list_that_cannot_be_written(tapscan, folder, blocked):
    kept = folder / "kept"
    (folder / NAME).rename(kept)
    (folder / NAME).symlink_to(kept)
    wrong(tapscan("actions", "lift", "all"), f"{folder / NAME}: can't be written: ")
    assert left(folder) == [HOST, URL, PREFIX]
    assert blocked.changed()
