"""The beginning of what is still arriving is compared with that of known files, wherever its bytes are kept."""

import hashlib
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from session import SECOND, flow

from reassembly.builder import Memory, Origin
from reassembly.growing import PART, first_due
from reassembly.known import PREFIXES, Known, Listed
from reassembly.limits import Limits
from reassembly.windows import FIRST_WINDOW, WINDOW, Windows

WHOLE = os.urandom(PREFIXES[2] + 100)
IN_MEMORY, SPILLED = 8 << 20, 1000
each_place = pytest.mark.parametrize("place", [IN_MEMORY, SPILLED], ids=["memory", "file"])


def knowing(*sizes, whole=WHOLE):
    """Known by the first so many bytes."""
    return Known(prefixes={hashlib.sha256(whole[:size]).digest(): Listed(str(size), "bad") for size in sizes})


def origin(known, place=IN_MEMORY, **more):
    return Origin(flow(), Memory(Limits(object_memory=place), known=known, now=7 * SECOND, **more))


def opened(known, place=IN_MEMORY, kind="file", **more):
    return origin(known, place, **more).open(1, kind, "http", 7, name="a.bin")


def met(known):
    return [one.listed.id for one in known.met]


@each_place
@pytest.mark.parametrize("size", PREFIXES)
@pytest.mark.parametrize("step", [1000, 4096, PREFIXES[2]])
def test_it_is_met_as_soon_as_so_much_is_there(place, size, step):
    known = knowing(size)
    builder = opened(known, place)
    for at in range(0, size - 1, step):
        builder.write(WHOLE[at : min(at + step, size - 1)])
    assert met(known) == []
    builder.write(WHOLE[size - 1 : size])
    (one,) = known.met
    assert (one.listed.id, one.flow, one.direction, one.protocol) == (str(size), flow(), 1, "http")
    assert (one.what, one.asked, one.time) == (hashlib.sha256(WHOLE[:size]).hexdigest(), False, 7 * SECOND)
    builder.write(WHOLE[size:])
    assert len(known.met) == 1
    assert builder.finish(9).sha256 == hashlib.sha256(WHOLE).hexdigest()


@each_place
def test_all_beginnings_are_compared_though_they_come_at_once(place):
    known = knowing(*PREFIXES)
    opened(known, place).write(WHOLE)
    assert met(known) == [*map(str, PREFIXES)]


@each_place
def test_another_beginning_is_not_met(place):
    known = knowing(*PREFIXES, whole=b"x" + WHOLE)
    builder = opened(known, place)
    builder.write(WHOLE)
    builder.drop()
    assert known.met == []


@each_place
def test_with_a_hole_it_is_not_met(place):
    known = knowing(*PREFIXES)
    builder = opened(known, place)
    builder.write(WHOLE[:100])
    builder.gap(10)
    builder.write(WHOLE[100:])
    assert known.met == []


@each_place
def test_what_came_before_a_hole_is_met(place):
    known = knowing(*PREFIXES)
    builder = opened(known, place)
    builder.write(WHOLE[: PREFIXES[1]])
    builder.gap(10)
    builder.write(WHOLE[PREFIXES[1] :])
    assert met(known) == [*map(str, PREFIXES[:2])]


class Looking:
    """Takes parts and windows."""

    def __init__(self):
        self.parts, self.windows = b"", []

    def part(self, key, begin, piece):
        self.parts += piece

    def forget(self, key):
        pass

    def window(self, target):
        self.windows.append(target.size)


each_ahead = pytest.mark.parametrize("more", [{}, {"ahead": Looking()}], ids=["", "ahead"])


@each_ahead
def test_of_a_mail_its_parts_are_compared(more):
    known = knowing(*PREFIXES)
    mail = opened(known, kind="email", **more)
    mail.write(WHOLE)
    assert known.met == []
    mail.origin.inside(mail).open(1, "email_part", "smtp", 0).write(WHOLE)
    assert met(known) == [*map(str, PREFIXES)]


@each_ahead
def test_members_of_a_finished_object_are_not_compared(more):
    known = knowing(*PREFIXES)
    builder = opened(known, **more)
    builder.write(b"x")
    Origin.of(builder.finish(0), builder.origin.memory).open(1, "member", "http", 0).write(WHOLE)
    assert known.met == []


def test_where_nothing_is_known_nothing_is_due():
    assert first_due(origin(None), "file") == first_due(origin(Known()), "file") == 0
    assert first_due(origin(Known({"a.example": Listed("1", "bad")})), "file") == FIRST_WINDOW


@given(
    steps=st.lists(st.integers(1, 3 * WINDOW), max_size=20),
    place=st.sampled_from([IN_MEMORY, SPILLED]),
    parted=st.booleans(),
    shown=st.booleans(),
)
def test_parts_and_windows_come_as_they_do_without(steps, place, parted, shown):
    known, seen = knowing(*PREFIXES), []
    for knows in (None, known):
        looking = Looking()
        more = {"ahead": looking} if parted else {}
        memory = more | ({"windows": Windows(looking.window)} if shown else {})
        builder, at = opened(knows, place, **memory), 0
        for step in steps:
            builder.write(WHOLE[at : at + step])
            at += step
            if shown:
                builder.origin.memory.windows.show()
        seen.append((looking.parts, looking.windows))
        size = builder.size
        builder.drop()
    assert seen[0] == seen[1]
    assert met(known) == [str(one) for one in PREFIXES if one <= size]
    assert len(looking.parts) == 0 or size - len(looking.parts) < PART
