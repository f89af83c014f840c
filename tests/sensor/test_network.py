import struct

import pytest
from capturefile import BEGAN, ether, ipv4, ipv6, pcap, segment, tcp
from hypothesis import given
from hypothesis import strategies as st

from sensor.network import MOST_EXTENSIONS
from sensor.packets import address

HOP, ROUTING, FRAGMENT, AH, DESTINATION, MOBILITY = 0, 43, 44, 51, 60, 135


def six(payload, **more):
    return ether(ipv6(payload, **more), 0x86DD)


def extension(following, units=0):
    return bytes([following, units]) + bytes(6 + 8 * units)


def test_addresses(read):
    found = read(
        pcap([ether(ipv4(tcp(), "192.168.1.254", "255.0.0.1")), six(tcp(), src=1 << 127 | 5, dst=(1 << 128) - 1)])
    )
    (batch,) = found.batches
    ends = [
        (
            address(int(batch.src_hi[row]), int(batch.src_lo[row])),
            address(int(batch.dst_hi[row]), int(batch.dst_lo[row])),
        )
        for row in range(2)
    ]
    assert ends == [("192.168.1.254", "255.0.0.1"), ("8000::5", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")]


def test_order_of_the_capture_is_kept_between_versions(read):
    frames = [ether(ipv4(tcp(b"%d" % n))) if n % 3 else six(tcp(b"%d" % n)) for n in range(20)]
    assert read(pcap(frames)).payloads == [b"%d" % n for n in range(20)]


@pytest.mark.parametrize("size", [4, 8, 40])
def test_ipv4_options(read, size):
    assert read(pcap([ether(ipv4(tcp(b"data"), options=b"\1" * size)), segment(b"x")])).payloads == [b"data", b"x"]


@pytest.mark.parametrize(
    ("frame", "counter"),
    [
        (ether(b"\x44" + ipv4(tcp(b"x"))[1:]), "ip.bad_header"),  # a header of 16 bytes
        (ether(ipv4(tcp(b"x"), total=19)), "ip.bad_header"),
        (ether(ipv4(tcp(b"x"), total=400)), "ip.longer_than_frame"),
        (ether(ipv4(tcp(b"x"), total=39)), "transport.header_cut"),
        (six(tcp(b"x"), length=400), "ip.longer_than_frame"),
        (six(tcp(b"x"), length=10), "transport.header_cut"),
    ],
)
def test_lengths_that_lie(read, frame, counter):
    found = read(pcap([frame, segment(b"next")]))
    assert found.payloads == [b"next"]
    assert found.counters == {counter: 1}


def test_padding_is_no_payload(read):
    assert read(pcap([segment(b"ab") + bytes(20), six(tcp(b"cd")) + b"\0" * 9])).payloads == [b"ab", b"cd"]


def test_length_zero_is_that_of_the_frame(read):
    """Segmentation offload: Linux leaves 0 in packets larger than 64 KiB."""
    large = b"x" * 100_000
    found = read(pcap([ether(ipv4(tcp(large), total=0)), six(tcp(large), length=0)]))
    assert found.payloads == [large, large]
    assert found.column("wire_length") == [100_000, 100_000]


@pytest.mark.parametrize("captured", range(14, 54))
def test_headers_cut_by_the_snap_length(read, captured):
    frame = segment(b"payload")
    found = read(pcap([(BEGAN, frame[:captured], len(frame)), segment(b"next")]))
    assert found.payloads == [b"next"]
    assert sum(found.counters.values()) == (1 if captured > 14 else 0)
    assert len(found.capture.warnings) == 1


CHAINS = [
    [HOP],
    [DESTINATION],
    [HOP, ROUTING, DESTINATION],
    [HOP, DESTINATION, ROUTING, AH, DESTINATION],
    [MOBILITY],
    [DESTINATION] * MOST_EXTENSIONS,
]


def chained(kinds, payload, last=6):
    for position in range(len(kinds) - 1, -1, -1):
        following = kinds[position + 1] if position + 1 < len(kinds) else last
        if kinds[position] == AH:
            payload = bytes([following, 4]) + bytes(22) + payload  # (4 + 2) * 4 bytes
        else:
            payload = extension(following, position % 3) + payload
    return payload


@pytest.mark.parametrize("kinds", CHAINS, ids=str)
def test_extension_headers(read, kinds):
    found = read(pcap([six(chained(kinds, tcp(b"inside")), following=kinds[0]), segment(b"x")]))
    assert found.payloads == [b"inside", b"x"]
    assert found.counters == {}


def test_too_many_extension_headers(read):
    kinds = [DESTINATION] * (MOST_EXTENSIONS + 1)
    found = read(pcap([six(chained(kinds, tcp(b"inside")), following=DESTINATION)]))
    assert found.payloads == []
    assert found.counters["ip6.extensions_left"] == 1


def test_extension_header_behind_which_nothing_is(read):
    found = read(pcap([six(extension(6, 200)[:8], following=DESTINATION), segment(b"next")]))
    assert found.payloads == [b"next"]
    assert found.counters == {"transport.header_cut": 1}


def test_icmp6_behind_hop_by_hop_is_counted(read):
    assert read(pcap([six(extension(58) + bytes(20), following=HOP)])).counters == {"decode.icmp6": 1}


@pytest.mark.parametrize("inner", [[], [DESTINATION]])
def test_atomic_fragment_is_whole(read, inner):
    """RFC 6946: offset 0 and no more fragments to come."""
    behind = chained(inner, tcp(b"atom"))
    header = struct.pack(">BBHI", inner[0] if inner else 6, 0, 0, 77)
    found = read(pcap([six(header + behind, following=FRAGMENT)]))
    assert found.payloads == [b"atom"]
    assert found.counters == {}


def with_sum(good, bad, zero=0):
    frames = [segment(b"good")] * good + [ether(ipv4(tcp(b"bad"), sum_=0xBEEF))] * bad
    return pcap(frames + [ether(ipv4(tcp(b"zero"), sum_=0))] * zero)


def test_bad_checksum_among_good_ones_costs_the_packet(read):
    found = read(with_sum(20, 2))
    assert found.payloads == [b"good"] * 20
    assert found.counters == {"ip.bad_checksum": 2}


def test_bad_checksums_everywhere_are_the_capturing_hosts(read):
    found = read(with_sum(10, 10))
    assert len(found.payloads) == 20
    assert found.counters == {"ip.bad_checksum": 10}


def test_checksum_of_zero_is_left_to_the_network_card(read):
    found = read(with_sum(20, 0, 2))
    assert len(found.payloads) == 22
    assert found.counters == {}


def test_checksum_with_options(read):
    frames = [ether(ipv4(tcp(b"good"), options=b"\1" * 8))] * 20
    frames += [ether(ipv4(tcp(b"bad"), options=b"\1" * 8, sum_=0xBEEF))]
    assert read(pcap(frames)).payloads == [b"good"] * 20


@given(st.lists(st.sampled_from([HOP, ROUTING, FRAGMENT, AH, DESTINATION, 6, 59]), max_size=30), st.binary(max_size=90))
def test_any_chain_ends(readers, check_bounds, kinds, rest):
    payload = b"".join(bytes([kind, 0]) + bytes(6) for kind in kinds) + rest
    for batch in readers(pcap([six(payload, following=0)])).batches:
        check_bounds(batch)
