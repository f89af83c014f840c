from __future__ import annotations

import hashlib
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import object_of

from engines import hashes as hashes_module
from engines.hashes import Hashes, HashList


def write(path, lines):
    path.write_bytes(b"\n".join(line if isinstance(line, bytes) else line.encode() for line in lines) + b"\n")
    return str(path)


@pytest.mark.parametrize("kind", ["sha256", "sha1", "md5"])
@pytest.mark.parametrize("on_disk", [False, True])
def test_known_bad_by_any_kind_of_hash(tmp_path, kind, on_disk):
    digest = hashlib.new(kind, b"bad").hexdigest()
    engine = Hashes(bad=[write(tmp_path / "stolen.txt", ["# comment", "", digest.upper() + "  name.exe"])])
    verdict = engine.scan(object_of(b"bad", on_disk=on_disk))
    assert (verdict.status, verdict.signature, verdict.rule) == ("malicious", "stolen", {"ruleset": "stolen"})
    assert engine.scan(object_of(b"other")).status == "skipped"
    engine.close()


def test_known_good_is_clean_and_known_bad_wins(tmp_path):
    digest = hashlib.sha256(b"both").hexdigest()
    good = write(tmp_path / "good.txt", [digest, hashlib.sha256(b"good").hexdigest()])
    engine = Hashes(bad=[write(tmp_path / "bad.txt", [digest])], good=[good])
    assert engine.scan(object_of(b"both")).status == "malicious"
    verdict = engine.scan(object_of(b"good"))
    assert (verdict.status, verdict.reason) == ("clean", "known good: good")
    assert engine.scan(object_of(b"new")).reason == "not listed"
    assert engine.database_version == "3 hashes"
    engine.close()


def test_lines_that_are_no_hashes_are_passed_over(tmp_path):
    lines = ["zz", "abc", "a" * 31, "a" * 65, "a" * 48, "\xff\xfe", hashlib.md5(b"x").hexdigest() + ",csv,more"]
    listed = HashList(tmp_path / "l.txt") if write(tmp_path / "l.txt", lines) else None
    assert listed.size == 1
    assert listed.kinds == ("md5",)
    assert not listed.has("sha512", b"")
    listed.close()


def test_the_index_is_used_again_and_made_anew_when_the_list_changes(tmp_path):
    path = tmp_path / "bad.txt"
    write(path, [hashlib.sha256(b"one").hexdigest()])
    done = []
    HashList(path, lambda *progress: done.append(progress)).close()
    assert done[-1][0] == done[-1][1] == path.stat().st_size
    HashList(path, lambda *_: pytest.fail("made again")).close()
    write(path, [hashlib.sha256(b"two").hexdigest()])
    os.utime(path, ns=(2**62, 2**62))
    listed = HashList(path)
    assert listed.has("sha256", hashlib.sha256(b"two").digest())
    assert not listed.has("sha256", hashlib.sha256(b"one").digest())
    listed.close()


@pytest.mark.parametrize("content", [b"", b"tapscan", b"something else entirely, and long enough"])
def test_a_damaged_index_is_named(tmp_path, content):
    path = tmp_path / "bad.txt"
    write(path, [hashlib.sha256(b"one").hexdigest()])
    (tmp_path / "bad.txt.index").write_bytes(content)
    os.utime(path, ns=(1, 1))
    engine = Hashes(bad=[str(path)])
    assert "bad.txt.index: not an index of hashes" in engine.problems[0]
    assert engine.scan(object_of(b"x")).status == "error"


def test_a_missing_list_is_named_and_nothing_is_clean(tmp_path):
    engine = Hashes(bad=[str(tmp_path / "nowhere.txt")])
    assert engine.check() == f"{tmp_path / 'nowhere.txt'}: No such file or directory"
    assert engine.scan(object_of(b"x")).status == "error"


def test_no_list_at_all():
    assert Hashes().check() == "no list of hashes"


def test_a_list_is_sorted_in_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr(hashes_module, "BLOCK", 1000)
    digests = [hashlib.sha256(b"%d" % number).hexdigest() for number in range(500)]
    write(tmp_path / "bad.txt", digests)
    listed = HashList(tmp_path / "bad.txt")
    assert listed.size == 500
    assert all(listed.has("sha256", bytes.fromhex(digest)) for digest in digests)
    listed.close()


@settings(max_examples=60, deadline=None)
@given(st.sets(st.binary(min_size=16, max_size=16), max_size=60), st.lists(st.binary(min_size=16, max_size=16)))
def test_a_list_holds_what_a_set_holds(tmp_path_factory, listed, asked):
    path = tmp_path_factory.mktemp("list") / "l.txt"
    write(path, [digest.hex() for digest in listed])
    index = HashList(path)
    for digest in (*listed, *asked, bytes(16), b"\xff" * 16):
        assert index.has("md5", digest) == (digest in listed)
    index.close()
