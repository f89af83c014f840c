"""Captures written in columns, read back with dpkt."""

import dpkt
import pytest

from bench import packets


def segments(path):
    """(time, source, destination, ports, TCP segment) of each packet; its checksums are looked at."""
    with path.open("rb") as file:
        for time, frame in dpkt.pcap.Reader(file):
            ip = dpkt.ethernet.Ethernet(frame).data
            assert ip.len == len(frame) - 14
            wire = bytes(ip)
            ip.sum = ip.data.sum = 0  # dpkt then makes both anew
            assert bytes(ip) == wire
            yield time, ip.src, ip.dst, ip.data


def test_all_flows_are_open_and_none_ends(tmp_path, monkeypatch):
    monkeypatch.setattr(packets, "ROWS", 40)
    packets.open_flows(tmp_path / "flows.pcap", 100)
    found = list(segments(tmp_path / "flows.pcap"))
    assert len(found) == 400
    assert len({(source, tcp.sport) for _, source, _, tcp in found if tcp.dport == 80}) == 100
    assert [time for time, *_ in found] == sorted(time for time, *_ in found)
    assert not any(tcp.flags & (dpkt.tcp.TH_FIN | dpkt.tcp.TH_RST) for *_, tcp in found)
    bodies = [dpkt.http.Request(tcp.data).body for *_, tcp in found if tcp.data]
    assert len(bodies) == 100
    assert all(len(body) == 100 for body in bodies)


@pytest.mark.parametrize("size", [0, 1, 1447, 1448, 4000, 400_000])
def test_download_is_whole(tmp_path, size):
    packets.download(tmp_path / "one.pcap", size)
    sent, expected, times = b"", None, []
    for time, _, _, tcp in segments(tmp_path / "one.pcap"):
        times.append(time)
        if tcp.sport == 80 and tcp.data:
            assert expected in (None, tcp.seq)
            expected = tcp.seq + len(tcp.data)
            sent += tcp.data
    assert len(dpkt.http.Response(sent).body) == size
    assert times == sorted(times)
