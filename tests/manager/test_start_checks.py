"""What a sensor looks at before it begins."""

import ctypes
import time
from typing import get_args

import pytest

from manager import start_checks
from manager.options import Stop
from manager.settings import Fanout
from manager.start_checks import clock, fanout, free_memory, memory, synchronised
from sensor.fanout import WAYS

MB = 1 << 20


def test_every_way_to_deal_packets_out_can_be_set():
    assert {*get_args(Fanout)} == {*WAYS}


@pytest.mark.parametrize(("ring", "workers", "interfaces"), [(128, 1, 1), (128, 2, 2), (512, 1, 1)])
def test_rings_that_fit_are_not_talked_of(ring, workers, interfaces):
    assert [*memory(ring * MB, workers, interfaces, 1024 * MB)] == []


def test_rings_that_take_more_than_half_say_what_would_be_right():
    (line,) = memory(128 * MB, 3, 2, 1000 * MB)
    assert line == (
        "warning: 6 rings of 128 MiB (workers x interfaces) of 1000 MiB that are free: "
        f"ring = {83 * MB} under [sensor] takes half of it"
    )
    assert [*memory(83 * MB, 3, 2, 1000 * MB)] == []


def test_rings_that_can_not_be_end_it():
    with pytest.raises(Stop, match=f"ring = {25 * MB} under"):
        [*memory(128 * MB, 2, 1, 100 * MB)]


def test_it_ends_before_memory_is_taken(tapscan, tmp_path):
    before = free_memory()
    (tmp_path / "huge.toml").write_text(f"[sensor]\nring = {4 * before}\n")
    done = tapscan("sensor", "-i", "lo", "--config", "huge.toml")
    assert done.returncode == 2
    assert done.stderr.startswith(b"tapscan: 1 rings of ")
    assert done.stderr.count(b"\n") == 1


def test_an_interface_that_is_not_there_is_one_line_whatever_clock_it_has(tapscan, tmp_path):
    (tmp_path / "hardware.toml").write_text('[sensor]\nclock = "hardware"\n')
    done = tapscan("sensor", "-i", "nosuch0", "--config", "hardware.toml")
    assert done.returncode == 2
    said = [line for line in done.stderr.splitlines() if not line.startswith(b"tapscan: hint: ")]
    assert said == [b"tapscan: nosuch0: no such interface (ip link shows those that are there)"]


def test_a_clock_that_nobody_keeps_right_is_a_hint():
    assert [*clock(time.time(), True)] == []
    (line,) = clock(time.time(), False)
    assert line.startswith("hint: the clock is not synchronised")


@pytest.mark.parametrize("known", [True, False])
def test_a_clock_that_stands_before_the_program_is_a_warning(known):
    (line,) = clock(5 * 86400, known)
    assert line.startswith("warning: the clock says 1970-01-06")


def test_the_kernel_says_whether_the_clock_is_kept_right():
    class Timex(ctypes.Structure):
        _fields_ = (
            ("modes", ctypes.c_uint), ("offset", ctypes.c_long), ("frequency", ctypes.c_long),
            ("most", ctypes.c_long), ("about", ctypes.c_long), ("status", ctypes.c_int), ("rest", ctypes.c_byte * 400),
        )  # fmt: skip

    told = Timex()
    ctypes.CDLL(None).adjtimex(ctypes.byref(told))
    assert synchronised() is not bool(told.status & 0x40)  # STA_UNSYNC
    assert start_checks.free_memory() > 0


def test_what_tears_flows_apart_is_said_where_there_are_several_workers():
    for way in ("flow", "hash", "hash+defrag", "hash+rollover", "cpu"):
        assert [*fanout(way, 1)] == []
        assert [line.startswith(f'warning: fanout = "{way}": ') for line in fanout(way, 2)] == [True] * (way != "flow")
