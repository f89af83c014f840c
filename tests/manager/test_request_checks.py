"""Bytes that a worker may send: whatever they are, they are a request without a flaw, or refused."""

import contextlib
import pickle
import resource
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nouns import FLOW

from manager.action import Request
from manager.channel import REFUSED
from manager.injector import unpickled
from manager.request_checks import NOT_A_REQUEST, flaw, key_of, macs_of
from sensor.frames import Frame, Notice
from sensor.framing import built
from sensor.marks import Mark

LINK = bytes.fromhex("0200000000010200000000020800")
FRAME = Frame(LINK, FLOW.orig_ip, FLOW.orig_port, FLOW.resp_ip, FLOW.resp_port, 64, 0x14, 1, 2)
REQUEST = Request("one", replace(FLOW, orig_mac=b"abcdef"), (FRAME, FRAME), "eth0")
MARK = Mark(b"secret")
SAID = pickle.dumps(REQUEST)
PAGED = replace(
    REQUEST,
    frames=(FRAME, replace(FRAME, flags=0x19, stamp=(5, (1 << 32) - 1))),
    notice=Notice("ac7", "a sinkhole", "http://a/setup.exe"),
)
SAID_PAGED = pickle.dumps(PAGED)
each_said = pytest.mark.parametrize("whole", [SAID, SAID_PAGED], ids=["resets", "page"])


@pytest.fixture(autouse=True, scope="module")
def little_memory():
    """As the injector has: a few bytes of a pickle may ask for all that there is (LONG_BINPUT)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + (512 << 20), hard))
    yield
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def test_what_is_said_arrives():
    got = unpickled(SAID)
    assert isinstance(got, Request)
    assert flaw(got) is None
    assert key_of(got) == key_of(REQUEST) == ("f00f", FLOW.orig_ip, 40000, FLOW.resp_ip, 80)
    assert macs_of(got) == {b"abcdef", b"", LINK[:6], LINK[6:12]}
    assert [built(one, MARK) for one in got.frames] == [built(one, MARK) for one in REQUEST.frames]


def test_what_a_page_is_to_say_arrives():
    got = unpickled(SAID_PAGED)
    assert flaw(got) is None
    assert (got.notice.incident, got.notice.reason, got.notice.url) == ("ac7", "a sinkhole", "http://a/setup.exe")
    assert [built(one, MARK) for one in got.frames] == [built(one, MARK) for one in PAGED.frames]


def test_every_protocol_of_pickle_arrives():
    for protocol in range(3, pickle.HIGHEST_PROTOCOL + 1):
        assert flaw(unpickled(pickle.dumps(REQUEST, protocol))) is None
        assert flaw(unpickled(pickle.dumps(PAGED, protocol))) is None


def test_what_is_no_notice_of_ours_is_none():
    """A class of the same name, or a noun that is known in another place."""
    assert flaw(unpickled(pickle.dumps(replace(PAGED, notice=FRAME)))) == NOT_A_REQUEST
    with pytest.raises(REFUSED):
        unpickled(SAID_PAGED.replace(b"Notice", b"Notica"))


def sendable(said):
    """Whether it would be sent. Raises whatever would end the injector."""
    with contextlib.suppress(*REFUSED):
        got = unpickled(said)
        if flaw(got) is not None:
            return False
        key_of(got), macs_of(got), got.flow.ip(0), got.flow.ip(1)
        return all(built(one, MARK) for one in got.frames)
    return False


@each_said
@given(changes=st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(0, 255)), min_size=1, max_size=4))
def test_changed_bytes_never_raise(whole, changes):
    said = bytearray(whole)
    for at, value in changes:
        said[at % len(said)] = value
    sendable(bytes(said))


@each_said
def test_all_cuts_are_refused(whole):
    assert sendable(whole)
    assert not any(sendable(whole[:cut]) for cut in range(len(whole)))


@given(st.binary(max_size=200))
def test_any_bytes_are_refused(said):
    assert not sendable(said)


@given(
    st.recursive(
        st.none() | st.binary() | st.text(max_size=99) | st.integers() | st.booleans(), lambda some: st.tuples(some)
    )
)
def test_any_value_in_any_place_has_a_flaw_or_is_built(value):
    for name in ("link", "source", "hops", "flags", "seq", "payload", "stamp"):
        sendable(pickle.dumps(replace(REQUEST, frames=(replace(FRAME, **{name: value}),))))
    for name in ("incident", "reason", "url"):
        made = replace(PAGED, notice=replace(PAGED.notice, **{name: value}))
        assert flaw(made) == (None if isinstance(value, str) else NOT_A_REQUEST)
    for name in ("action", "flow", "frames"):
        made = replace(REQUEST, **{name: value})
        assert name == "action" or flaw(made) in (NOT_A_REQUEST, "0 frames: 1 to 16 are sent", "not a frame")
        sendable(pickle.dumps(made))
