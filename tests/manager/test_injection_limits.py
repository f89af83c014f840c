"""What the injector refuses, with the time handed in."""

import os
from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nouns import FLOW

from manager.action import Request
from manager.injection_limits import FOLLOW_UPS, KNOWN_FLOWS, KNOWN_HOSTS, Limits, mac
from manager.request_checks import LONG, TEXT, flaw
from manager.settings import CountermeasureSettings
from manager.stop_file import StopFile
from sensor.frames import Frame, Notice

NS = 1_000_000_000
LINK = bytes.fromhex("0200000000010200000000020800")
NOTICE = Notice("ac7", "a sinkhole", "http://a/")
PAGE = 0x19  # PSH, ACK and FIN
LINK6 = LINK[:12] + b"\x86\xdd"


@pytest.fixture
def stop(tmp_path):
    holder = os.open(tmp_path, os.O_RDONLY)
    yield tmp_path / "stop", holder
    os.close(holder)


@pytest.fixture
def limits(stop):
    """Made of settings; each with the same stop file."""
    return lambda **settings: Limits(CountermeasureSettings(**{"mode": "enforce"} | settings), StopFile(*stop))


def request(number=0, action="one", flow=FLOW, **more):
    """A request for one flow of many: its frame goes to the responder, in the name of the originator."""
    flow = replace(flow, id=f"{number:x}", **more)
    frame = Frame(LINK, flow.orig_ip, flow.orig_port, flow.resp_ip, flow.resp_port, 64, 0x14, 1, 2)
    return Request(action, flow, (frame,), "eth0")


def from_host(number):
    return request(number, orig_ip=(10 << 24 | number).to_bytes(4, "big"))


def paged(notice=NOTICE, **more):
    """The responder is gone, and a page goes to the originator in its name."""
    made = request()
    gone = made.frames[0]
    said = replace(
        gone, source=gone.target, source_port=80, target=gone.source, target_port=40000, flags=PAGE, stamp=(1, 2)
    )
    return replace(made, frames=(gone, replace(said, **more)), notice=notice)


def with_frame(**more):
    made = request()
    return replace(made, frames=(replace(made.frames[0], **more),))


def test_a_first_request_is_let_through_in_dry_run_as_well(limits):
    assert limits().check(request(), 0) is None
    assert limits(mode="dry_run").check(request(), 0) is None


def test_nothing_passes_when_we_only_observe(limits):
    assert limits(mode="observe").check(request(), 0) == "the mode is observe"


def test_the_stop_file_is_looked_at_each_time(limits, stop):
    one, (file, _) = limits(), stop
    assert one.check(request(1), 0) is None
    file.touch()
    assert one.check(request(2), 1) == f"{file} exists"
    assert one.check(request(1), 1) == f"{file} exists"  # a follow-up
    file.unlink()
    assert one.check(request(2), 2) is None


def test_a_stop_file_that_cannot_be_looked_for_stops(tmp_path):
    file = tmp_path / "plain"
    file.touch()
    holder = os.open(file, os.O_RDONLY)
    limits = Limits(CountermeasureSettings(mode="enforce"), StopFile(tmp_path / "stop", holder))
    assert limits.check(request(), 0) == f"can't look for {tmp_path / 'stop'}: Not a directory"
    os.close(holder)


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"allow": ("192.0.2.0/24",)}, "192.0.2.10 is allowed"),
        ({"allow": ("198.51.100.80/32",)}, "198.51.100.80 is allowed"),
        ({"allow": ("198.51.100.1/24", "::/0")}, "198.51.100.80 is allowed"),  # bits of a host
        ({"allow_ports": (80,)}, "port 80 is allowed"),
        ({"allow_ports": (40000,)}, "port 40000 is allowed"),
        ({"allow_macs": ("02:00:00:00:00:01",)}, "02:00:00:00:00:01 is allowed"),
        ({"allow_macs": ("02-00-00-00-00-02",)}, "02:00:00:00:00:02 is allowed"),
    ],
)
def test_either_end_on_a_list_is_spared(limits, settings, why):
    assert limits(**settings).check(request(), 0) == why


def test_the_hardware_address_of_the_flow_counts_as_well(limits):
    made = request(orig_mac=bytes.fromhex("02000000ff00"))
    assert limits(allow_macs=("02:00:00:00:ff:00",)).check(made, 0) == "02:00:00:00:ff:00 is allowed"


def test_ssh_dns_and_bgp_are_spared_unless_said_otherwise(limits):
    for port in (22, 53, 179):
        assert limits().check(request(resp_port=port), 0) == f"port {port} is allowed"


@pytest.mark.parametrize("text", ["02:00:00:00:00", "nonsense", "", "02:00:00:00:00:01:02"])
def test_what_is_no_hardware_address(text):
    with pytest.raises(ValueError, match=r"hexadecimal|hardware address"):
        mac(text)


@pytest.mark.parametrize("settings", [{"allow": ("10.0.0.0/99",)}, {"allow_macs": ("x",)}])
def test_lists_that_cannot_be_read_are_said_at_the_start(limits, settings):
    with pytest.raises(ValueError, match=r"network|hexadecimal"):
        limits(**settings)


def test_so_many_flows_a_second(limits):
    one = limits(per_second=3, hosts=1000)
    told = [one.check(from_host(number), 0) for number in range(5)]
    assert told == [None] * 3 + ["more than 3 flows a second"] * 2
    assert one.check(from_host(3), NS // 3 + 1) is None
    assert one.check(from_host(4), NS // 3 + 1) == "more than 3 flows a second"
    assert [one.check(from_host(number), 9 * NS) for number in range(10, 15)] == told


def test_so_many_flows_a_minute_and_receiver(limits):
    one = limits(per_host=2)
    told = [one.check(request(number), 0) for number in range(3)]
    assert told == [None, None, "more than 2 flows a minute of this host"]
    assert one.check(from_host(3), 0) is None
    assert one.check(request(4), 30 * NS) is None
    assert one.check(request(5), 31 * NS) == "more than 2 flows a minute of this host"


def test_the_sender_may_be_the_same_for_many(limits):
    one = limits(per_host=1)
    assert all(one.check(from_host(number), 0) is None for number in range(20))


def test_a_rate_of_less_than_one_lets_one_through_now_and_then(limits):
    one = limits(per_second=0.5)
    assert one.check(from_host(1), 0) is None
    assert one.check(from_host(2), NS) is not None
    assert one.check(from_host(2), 2 * NS) is None


@pytest.mark.parametrize("settings", [{"per_second": 0}, {"per_host": 0}, {"hosts": 0}])
def test_none_at_all(limits, settings):
    assert limits(**settings).check(request(), 0) is not None


def test_a_clock_that_goes_back_gives_nothing(limits):
    one = limits(per_second=1)
    assert one.check(from_host(1), 100 * NS) is None
    assert one.check(from_host(2), 0) is not None
    assert one.check(from_host(2), 100 * NS) is not None


def test_a_flow_has_one_action_and_so_many_follow_ups(limits):
    one = limits(per_second=1, per_host=1)
    told = [one.check(request(), number) for number in range(FOLLOW_UPS + 2)]
    assert told == [None] * (FOLLOW_UPS + 1) + ["the flow had its follow-ups already"]
    assert one.check(request(action="another"), 1) == "the flow was acted on already"


def test_follow_ups_come_within_two_seconds(limits):
    one = limits()
    assert one.check(request(), 5 * NS) is None
    assert one.check(request(), 7 * NS) is None
    assert one.check(request(), 7 * NS + 1) == "the flow had its follow-ups already"


def test_a_flow_that_was_refused_may_be_asked_for_again(limits):
    one = limits(per_second=1)
    one.check(from_host(1), 0)
    assert one.check(from_host(2), 0) is not None
    assert one.check(from_host(2), NS) is None


def test_the_name_of_another_flow_opens_no_way_around(limits):
    """A worker that lies says the same id of others: they are first requests, under all limits."""
    one = limits(per_second=1)
    assert one.check(request(1), 0) is None
    assert one.check(request(1, orig_ip=b"\1\2\3\4"), 0) == "more than 1 flows a second"


def test_the_circuit_breaker_stays_until_somebody_resumes(limits, stop):
    file, _ = stop
    one = limits(hosts=3)
    assert [one.check(from_host(number), number * NS) for number in range(3)] == [None] * 3
    assert one.check(request(9, orig_ip=(10 << 24).to_bytes(4, "big")), 4 * NS) is None  # one of them
    why = "more than 3 hosts within five minutes"
    assert one.check(from_host(5), 5 * NS) == why
    assert file.read_text() == why + "\n"
    assert limits().check(from_host(6), 9000 * NS) == f"{file} exists"  # after a restart as well
    assert one.check(from_host(6), 9000 * NS) == f"{file} exists"
    file.unlink()
    assert one.check(from_host(6), 9000 * NS) is None


def test_hosts_of_longer_ago_do_not_count(limits):
    one = limits(hosts=2)
    assert all(one.check(from_host(number), number * 151 * NS) is None for number in range(20))


def test_a_breaker_whose_file_cannot_be_written_stays_too(tmp_path):
    gone = tmp_path / "gone"
    gone.mkdir()
    holder = os.open(gone, os.O_RDONLY)
    gone.rmdir()
    one = Limits(CountermeasureSettings(mode="enforce", hosts=1), StopFile(gone / "stop", holder))
    assert one.check(from_host(1), 0) is None
    assert one.check(from_host(2), 0) == "more than 1 hosts within five minutes"
    why = f"more than 1 hosts within five minutes ({gone / 'stop'} can't be written: No such file or directory)"
    assert one.check(from_host(1), 9000 * NS) == why
    os.close(holder)


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (request(midstream=True), "the flow was picked up midstream"),
        (request(transport="udp"), "not TCP"),
        (replace(request(), frames=()), "0 frames: 1 to 16 are sent"),
        (replace(request(), frames=request().frames * 17), "17 frames: 1 to 16 are sent"),
        (with_frame(link=b""), "the flow is inside of a tunnel"),
        (with_frame(link=LINK + b"\x45"), "a link header that isn't known"),
        (with_frame(link=LINK6), "a link header that isn't known"),
        *((with_frame(flags=flags), "a frame that is no reset") for flags in (0, 2, 4, 0x10, 0x15, 0x18, PAGE, 0x94)),
        (with_frame(payload=b"p"), "not a frame"),
        (paged(payload=b"p"), "not a frame"),
        (paged(flags=0x14), "a frame that is no reset"),
        (paged(flags=0x18), "a frame that is no reset"),
        (replace(paged(), frames=paged().frames[::-1]), "a frame that is no reset"),
        (replace(paged(), frames=paged().frames[1:]), "not a request"),
        (replace(paged(), notice=None), "a frame that is no reset"),
        (replace(request(), notice=paged().notice), "not a request"),
        (replace(paged(), frames=(*paged().frames[:1] * 16, paged().frames[1])), "17 frames: 1 to 16 are sent"),
        *((with_frame(**{name: value}), "a frame between others than the ends of the flow") for name, value in (
            ("source", bytes(4)), ("source_port", 1), ("target", bytes(4)), ("target_port", 1), ("source", bytes(16)),
            ("source", FLOW.resp_ip),
        )),
    ],
)  # fmt: skip
def test_what_is_not_about_its_flow(limits, made, why):
    assert limits().check(made, 0) == why


def test_both_directions_and_sixteen_frames_pass(limits):
    made = request()
    up = made.frames[0]
    down = replace(up, source=up.target, source_port=80, target=up.source, target_port=40000)
    assert limits().check(replace(made, frames=(up, down) * 8), 0) is None


def test_a_page_passes_behind_resets(limits):
    assert limits().check(paged(), 0) is None
    assert limits().check(paged(stamp=None), 0) is None
    reset, page = paged().frames
    assert limits().check(replace(paged(), frames=(*(reset,) * 15, page)), 0) is None


@pytest.mark.parametrize(("name", "most"), [("incident", TEXT), ("reason", TEXT), ("url", LONG)])
def test_what_a_page_says_has_an_end(limits, name, most):
    notice = paged().notice
    assert limits().check(paged(replace(notice, **{name: "x" * most})), 0) is None
    assert limits().check(paged(replace(notice, **{name: "x" * (most + 1)})), 0) == "not a request"
    assert limits().check(paged(replace(notice, **{name: None})), 0) == "not a request"


@pytest.mark.parametrize(
    ("stamp", "why"),
    [
        (None, None),
        ((0, (1 << 32) - 1), None),
        *((odd, "not a frame") for odd in (
            (1, 1 << 32), (-1, 1), (1,), (1, 2, 3), [1, 2], (1, None), (True, 1), (1.0, 2), 5, b"ab", "ab",
        )),
    ],
)  # fmt: skip
def test_a_stamp_is_none_or_two_numbers(limits, stamp, why):
    assert limits().check(with_frame(stamp=stamp), 0) == why
    assert limits().check(paged(stamp=stamp), 0) == why


def test_ipv6(limits):
    made = request(orig_ip=bytes(15) + b"\1", resp_ip=bytes(15) + b"\2")
    made = replace(made, frames=(replace(made.frames[0], link=LINK6),))
    assert limits().check(made, 0) is None
    assert limits(allow=("::2/128",)).check(made, 0) == "::2 is allowed"


ODD = [None, True, -1, 1 << 32, 1.5, "x" * 201, b"", b"abc", (), [], {}, Frame, FLOW, bytearray(4)]
FIELDS = [(Request, one.name) for one in fields(Request)]
OF_FLOW = ("id", "orig_ip", "orig_port", "resp_ip", "resp_port", "transport", "orig_mac", "midstream")
FIELDS += [(type(FLOW), name) for name in OF_FLOW]
FIELDS += [(Frame, one.name) for one in fields(Frame)]


@pytest.mark.parametrize(("kind", "name"), FIELDS, ids=lambda value: value if type(value) is str else "")
def test_a_field_of_another_kind_never_raises(limits, kind, name):
    for value in ODD:
        made = request()
        if kind is Request:
            made = replace(made, **{name: value})
        elif kind is Frame:
            made = replace(made, frames=(replace(made.frames[0], **{name: value}),))
        else:
            made = replace(made, flow=replace(FLOW, **{name: value}))
        fits = (name == "orig_mac" and type(value) is bytes) or (name == "flow" and value is FLOW)
        fits = fits or (name in ("notice", "stamp") and value is None) or (name == "payload" and value == b"")
        assert (limits().check(made, 0) is None) == fits, value


@given(st.recursive(st.none() | st.integers() | st.text() | st.binary(), st.lists))
def test_what_is_no_request_is_refused(thing):
    assert flaw(thing) == "not a request"


@pytest.mark.parametrize("kind", [Request, Frame, Notice, type(FLOW)])
def test_what_lacks_its_fields_is_refused(limits, kind):
    hollow = kind.__new__(kind)
    for made in (hollow, replace(request(), flow=hollow), replace(request(), frames=(hollow,)), paged(hollow)):
        assert limits().check(made, 0) in ("not a request", "not a frame")


def test_a_flood_of_flows_and_hosts_is_forgotten_again(limits):
    one = limits(per_second=1e9, per_host=1e9, hosts=1 << 20)
    for number in range(KNOWN_FLOWS + 100):
        assert one.check(from_host(number), number * NS) is None
    assert len(one._flows) == KNOWN_FLOWS
    assert len(one._each) == KNOWN_HOSTS
    assert len(one._hosts) <= 301  # one a second, within five minutes
