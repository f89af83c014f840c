"""An object goes into a parcel and comes out the same, from memory and from a file, however large it is."""

from __future__ import annotations

import hashlib
import pickle
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import object_of

from engines import parcel
from engines.parcel import label, pieces, unpacked

EVERYTHING = {
    "declared_type": "text/plain", "parent": "object-p", "depth": 2, "cut": "gap", "missing": ((3, 5),),
    "codings": ("gzip",), "kind": "member", "protocol": "ftp", "mime_type": "text/html",
}  # fmt: skip


@pytest.fixture
def small_bounds(monkeypatch):
    monkeypatch.setattr(parcel, "IN_MEMORY", 1000)
    monkeypatch.setattr(parcel, "PIECE", 300)


def travelled(target):
    """As it is where it is scanned: what goes over the wire is pickled and unpickled."""
    about, given = pickle.loads(pickle.dumps((label(target), list(pieces(target)))))
    return unpacked(about, iter(given))


def bytes_of(target):
    with target.content.view() as view:
        return bytes(view)


@pytest.mark.parametrize("on_disk", [False, True], ids=["memory", "disk"])
@pytest.mark.parametrize("size", [1, 299, 300, 301, 1000, 1001, 5000])
def test_bytes_are_the_same(size, on_disk, small_bounds):
    payload = bytes(number * 7 % 256 for number in range(size))
    arrived = travelled(object_of(payload, on_disk=on_disk))
    assert bytes_of(arrived) == payload
    assert arrived.size == size
    assert hashlib.sha256(bytes_of(arrived)).hexdigest() == arrived.sha256
    with arrived.content.named() as path:
        assert Path(path).read_bytes() == payload


@given(payload=st.binary(max_size=3000), on_disk=st.booleans())
def test_any_bytes_are_the_same(payload, on_disk):
    target = object_of(payload, on_disk=on_disk and bool(payload))
    assert bytes_of(travelled(target)) == payload


def test_an_empty_object_has_no_pieces():
    target = object_of(b"")
    assert list(pieces(target)) == []
    arrived = travelled(target)
    assert (bytes_of(arrived), arrived.size) == (b"", 0)


def test_an_empty_object_on_disk_has_no_pieces():
    target = object_of(b"", on_disk=True)
    assert list(pieces(target)) == []
    assert bytes_of(travelled(target)) == b""


def test_pieces_are_bounded_and_many_only_where_it_is_large():
    size = 2 * parcel.PIECE + 1
    assert [len(piece) for piece in pieces(object_of(bytes(size)))] == [parcel.PIECE, parcel.PIECE, 1]
    assert [len(piece) for piece in pieces(object_of(bytes(100)))] == [100]


def test_a_large_object_lies_in_a_file_where_it_is_scanned_that_goes_with_it(small_bounds):
    assert travelled(object_of(bytes(1000))).content.file is None
    large = travelled(object_of(bytes(1001)))
    path = Path(large.content.file.name)
    assert path.stat().st_size == 1001
    del large
    assert not path.exists()


def test_a_part_of_something_larger_takes_only_itself_along():
    target = object_of(b"")
    target.content.kept, target.content.size = memoryview(bytes(1 << 20))[10:20], 10
    assert len(pickle.dumps((label(target), list(pieces(target))))) < 2000
    assert bytes_of(travelled(target)) == bytes(10)


def test_the_label_has_what_engines_ask_and_no_bytes():
    more = EVERYTHING | {"findings": ("http.te_and_cl",), "facts": {"http.request.method": "GET"}}
    target = object_of(b"x" * 100_000, "näme", **more)
    about = label(target)
    assert len(pickle.dumps(about)) < 2000
    left_out = {"content", "findings", "facts"}
    same = {field.name for field in fields(target)} - left_out
    assert {name: getattr(about, name) for name in same} == {name: getattr(target, name) for name in same}
    assert (about.content.memory, about.findings, about.facts) == (None, (), None)
    assert target.findings  # it is a copy
    assert bytes_of(target) == b"x" * 100_000
    assert about.size == 100_000
    assert not about.complete
