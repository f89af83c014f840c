"""Objects that are still arriving are shown: all of them, soon, and at little more than the price of one look."""

from __future__ import annotations

import os

from hypothesis import given
from hypothesis import strategies as st
from session import flow

from reassembly.builder import Memory, Origin
from reassembly.growing import PART
from reassembly.limits import Limits
from reassembly.windows import FIRST_WINDOW, OVERLAP, WINDOW, Windows


class Shown:
    """Keeps what it is shown."""

    def __init__(self):
        self.windows, self.parts = [], []

    def window(self, target):
        self.windows.append(target)

    def part(self, key, begin, piece):
        self.parts.append((begin, piece))

    def forget(self, key):
        pass


def opened(shown, kind="file", ahead=None, **limits):
    memory = Memory(Limits(**limits), windows=Windows(shown.window), ahead=ahead)
    return Origin(flow(), memory).open(1, kind, "http", 7, name="a.bin", facts={"url.original": "/a.bin"})


def write(builder, payload):
    """A batch in which this came."""
    builder.write(payload)
    builder.origin.memory.windows.show()


def begin(window):
    return window.missing[0][1] if window.missing else 0


sizes = st.lists(st.integers(min_value=1, max_value=3 * WINDOW), max_size=12)


@given(sizes, st.sampled_from([WINDOW // 2, 100 * WINDOW]), st.booleans())
def test_every_byte_is_shown_in_its_place_and_few_twice(written, in_memory, parted):
    shown = Shown()
    builder = opened(shown, ahead=shown if parted else None, object_memory=in_memory)
    whole = b""
    for size in written:
        chunk = os.urandom(size)
        write(builder, chunk)
        whole += chunk
    end = 0
    for window in shown.windows:
        first, payload = begin(window), bytes(window.content.view())
        assert first <= end
        assert payload == whole[first : first + len(payload)]
        assert first == max(end - OVERLAP, 0)
        end = first + len(payload)
    assert len(whole) - end < max(WINDOW, FIRST_WINDOW)
    price = sum(window.size for window in shown.windows)
    assert price <= len(whole) + OVERLAP * len(shown.windows)
    assert price < 2 * len(whole) or not whole
    assert b"".join(piece for _, piece in shown.parts) == whole[: sum(len(piece) for _, piece in shown.parts)]
    assert not parted or len(whole) - sum(len(piece) for _, piece in shown.parts) < PART


def test_the_first_look_comes_soon():
    shown = Shown()
    builder = opened(shown)
    for _ in range(64):
        write(builder, bytes(1024))
    assert [begin(window) + window.size for window in shown.windows] == [1 << 10, 4 << 10, 16 << 10, 64 << 10]


def test_what_is_shown_says_what_it_is():
    shown = Shown()
    builder = opened(shown)
    write(builder, bytes(5000))
    (window,) = shown.windows
    done = builder.finish(9)
    assert (window.id, window.flow, window.direction, window.name) == (done.id, done.flow, 1, "a.bin")
    assert (window.cut, window.complete, window.facts) == ("window", False, {"url.original": "/a.bin"})


def test_it_has_the_time_of_the_packet():
    shown = Shown()
    builder = opened(shown)
    builder.origin.memory.now = 12345
    write(builder, bytes(5000))
    assert shown.windows[0].time == 12345


def test_of_a_mail_the_parts_are_shown_and_not_the_mail():
    shown = Shown()
    mail = opened(shown, kind="email")
    write(mail, bytes(5000))
    assert shown.windows == []
    part = mail.origin.inside(mail).open(1, "email_part", "smtp", 0)
    write(part, bytes(5000))
    assert [window.id for window in shown.windows] == [part.id]


def test_members_of_a_finished_object_are_not_shown():
    shown = Shown()
    builder = opened(shown)
    builder.write(b"x")
    member = Origin.of(builder.finish(0), builder.origin.memory).open(1, "member", "http", 0)
    write(member, bytes(1 << 20))
    assert shown.windows == []


def test_nobody_looks_where_nobody_asked():
    builder = Origin(flow(), Memory(Limits())).open(1, "file", "http", 0)
    builder.write(bytes(1 << 20))
    assert builder.finish(0).size == 1 << 20


def test_much_at_a_time_is_shown_once():
    shown = Shown()
    builder = opened(shown)
    for _ in range(64):
        builder.write(bytes(WINDOW))
    builder.origin.memory.windows.show()
    builder.origin.memory.windows.show()
    assert [(begin(window), window.size) for window in shown.windows] == [(0, 64 * WINDOW)]


def test_what_ends_meanwhile_is_not_shown():
    shown = Shown()
    done, dropped = opened(shown), opened(shown)
    for builder in (done, dropped):
        builder.write(bytes(5000))
    done.finish(9)
    dropped.drop()
    for builder in (done, dropped):
        builder.origin.memory.windows.show()
    assert shown.windows == []
