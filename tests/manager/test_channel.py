"""What a capture worker says, as the manager hears it; and what no worker would say."""

import hashlib
import os
import pickle
import socket
import tempfile
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nouns import an_object, flow_end

from manager import channel
from manager.channel import INLINE, Receiver, Said, Sender
from reassembly.objects import Content


@pytest.fixture
def ends():
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        yield Sender(theirs), Receiver(ours), theirs


def objects_of(payloads):
    for number, payload in enumerate(payloads):
        digest = hashlib.sha256(payload).hexdigest()
        yield an_object(payload, id=f"n{number}", sha256=digest)


def heard(receiver, count):
    rows = []
    while len(rows) < count:
        rows += receiver.heard()
    return rows


def told(target):
    """All that an object is, its bytes included."""
    with target.content.view() as view:
        return bytes(view), {name: getattr(target, name) for name in ("id", "flow", "sha256", "size", "facts", "name")}


@pytest.mark.parametrize("size", [0, 1, INLINE, INLINE + 1, 1 << 20, 20 << 20])
def test_objects_arrive_whole(ends, size):
    sender, receiver, _ = ends
    (target,) = objects_of([os.urandom(size)])
    sender.product(7, target)
    sender.flush()
    ((arrived, again),) = receiver.heard()
    assert arrived == 7
    if size:
        assert told(again) == told(target)
    assert again.content.size == size


def test_what_lies_in_a_file_is_not_copied_and_can_be_read_by_programs(ends):
    sender, receiver, _ = ends
    payload = os.urandom(200_000)
    with tempfile.NamedTemporaryFile() as file:
        file.write(payload)
        file.flush()
        sender.product(1, replace(an_object(payload), content=Content(len(payload), None, file)))
        sender.flush()
        inode = os.fstat(file.fileno()).st_ino
    ((_, again),) = receiver.heard()
    assert os.fstat(again.content.file.fileno()).st_ino == inode
    with again.content.named() as path, open(path, "rb") as opened:  # noqa: PTH123 - as programs do
        assert opened.read() == payload
    assert bytes(again.content.view()) == payload


def test_all_that_is_said_comes_in_its_order(ends):
    sender, receiver, _ = ends
    said = Said(5, 600, 7, 8, 9, Counter(a=1), ("odd",))
    (large,) = objects_of([os.urandom(100_000)])
    sender.product(1, large)
    sender.product(2, flow_end())
    sender.part("key", 10, b"piece")
    sender.forget("key")
    sender.say(said)
    rows = heard(receiver, 5)
    assert told(rows[0][1]) == told(large)
    assert rows[1:] == [(2, flow_end()), ("part", "key", 10, b"piece"), ("forget", "key"), said]


@given(st.lists(st.integers(0, 3 * INLINE), max_size=30))
def test_however_many_of_whatever_size(sizes):
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 32 << 20)
    with ours, theirs:
        sender, receiver = Sender(theirs), Receiver(ours)
        targets = [*objects_of([bytes([number]) * size for number, size in enumerate(sizes)])]
        for target in targets:
            sender.product(0, target)
        sender.flush()
        assert [told(one) for _, one in heard(receiver, len(sizes)) if one.size] == [
            told(one) for one in targets if one.size
        ]


def test_a_head_larger_than_a_message(ends):
    sender, receiver, _ = ends
    target = replace(an_object(b"x"), facts={"email.subject": "s" * 1_000_000})
    sender.product(0, target)
    sender.flush()
    assert told(receiver.heard()[0][1]) == told(target)


def test_no_descriptor_is_left_open(ends):
    sender, receiver, _ = ends
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    for target in objects_of([os.urandom(100_000)] * 300):
        sender.product(0, target)
        sender.flush()
        receiver.heard()
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def test_the_end_is_none(ends):
    _, receiver, theirs = ends
    theirs.close()
    assert receiver.heard() is None


class Evil:
    def __reduce__(self):
        return os.system, ("true",)


@pytest.mark.parametrize("row", [Evil(), channel.socket.socket, (1, Evil())])
def test_other_classes_are_not_made(ends, row):
    _, receiver, theirs = ends
    theirs.send(b"+" + pickle.dumps([row]))
    with pytest.raises(pickle.UnpicklingError, match="none of what workers say"):
        receiver.heard()


def test_memory_that_can_still_change_is_refused(ends):
    _, receiver, theirs = ends
    loose = os.memfd_create("loose")
    os.write(loose, b"x" * 100)
    socket.send_fds(
        theirs, [b"+" + pickle.dumps([(1, replace(an_object(b""), content=Content(100)), "memory")])], [loose]
    )
    os.close(loose)
    with pytest.raises(pickle.UnpicklingError, match="not sealed"):
        receiver.heard()


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_in_order(noise):
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        theirs.send(b"+." + noise)
        with pytest.raises(channel.REFUSED):
            Receiver(ours).heard()


def test_the_last_order_counts(ends):
    sender, receiver, _ = ends
    assert sender.ordered(0) == 0
    receiver.order(1)
    receiver.order(2)
    assert sender.ordered(0) == 2
    assert sender.ordered(2) == 2


def test_what_is_handed_over_comes_between_orders(ends):
    sender, receiver, _ = ends
    receiver.order(1)
    receiver.hand(("first", bytes(1000)))
    receiver.hand(("last", bytes(50_000)))
    receiver.order(2)
    assert sender.handed == []
    assert sender.ordered(0) == 2
    assert sender.handed == [("first", bytes(1000)), ("last", bytes(50_000))]


def test_who_is_gone_needs_no_orders(ends):
    _, receiver, theirs = ends
    theirs.close()
    receiver.order(1)
    receiver.hand("something")
