"""What measurements of countermeasures stand on: a long cable, transfers that count truly, forged packets as said."""

from collections import Counter

from bench.packets import ACK, PSH, SYN
from bench.stopping_forged import ROUNDS, ROW, forged
from bench.watching import far, served, transfer
from sensor.captures import Capture
from sensor.checksums import tcp_checksum_ok

SIZE = 3_000_000


def test_a_long_cable_takes_its_time_and_loses_nothing(span):
    with far(span, 20), served(span, "web", SIZE, 1000) as uploads:
        assert [transfer(span, "get", "/bad"), transfer(span, "get", "/calm", 3)] == [[str(SIZE)]] * 2
        assert transfer(span, "put", SIZE, 0) == []
        (took,) = transfer(span, "rtt")
    assert uploads == [str(SIZE)]
    assert 40 <= float(took) < 80


def test_mails_that_were_handed_over_are_counted(span):
    with served(span, "mails") as accepted:
        transfer(span, "mail", 3)
    assert len(accepted) == 3
    assert all(300_000 < int(size) < 320_000 for size in accepted)


def test_forged_packets_are_as_many_and_of_all_kinds(tmp_path):
    path = tmp_path / "forged.pcap"
    forged(path, b"server", b"client", rounds=2)
    batches = [*Capture(str(path))]
    flags = Counter(flag for batch in batches for flag in batch.flags.tolist())
    assert flags == {SYN: 4 * ROW, ACK: 2 * ROW, PSH | ACK: 14 * ROW}
    assert all(tcp_checksum_ok(batch, row) for batch in batches for row in range(0, len(batch.flags), 7))
    assert ROUNDS * ROW * 10 == 1_000_000
