"""A clock that somebody sets while packets come: it is said once, and times are those of the new one."""

import numpy as np
import pytest

from sensor.clock import JUMP, Clock, Jump, boot_time

YEAR = 365 * 86_400 * 1_000_000_000
NOW = 1_700_000_000_000_000_000


class Time:
    """Two clocks, of which one can be set."""

    def __init__(self):
        self.passed, self.set = 0, 0

    def wall(self):
        return NOW + self.passed + self.set

    def steady(self):
        return self.passed


@pytest.mark.parametrize("by", [YEAR, -YEAR, JUMP + 1, -JUMP - 1])
def test_it_is_said_once(by):
    time = Time()
    clock = Clock(time.wall, time.steady)
    time.passed += 10 * JUMP
    assert clock.jumped() is None
    time.set += by
    assert clock.jumped() == Jump(by)
    assert clock.jumped() is None


def test_small_corrections_are_none():
    time = Time()
    clock = Clock(time.wall, time.steady)
    for _ in range(10):
        time.set += JUMP // 2
        assert clock.jumped() is None


@pytest.mark.parametrize("by", [YEAR, -YEAR])
def test_packets_from_before_get_the_time_of_those_after(by):
    time = Time()
    clock = Clock(time.wall, time.steady)
    time.set += by
    jump = clock.jumped()
    told = clock.corrected(np.array([NOW - 3, NOW - 1, NOW + by - 1]), jump)
    assert told.tolist() == [NOW + by - 3, NOW + by - 1, NOW + by - 1]


def test_the_system_clocks_go_together():
    assert Clock().jumped() is None
    assert boot_time() > 0
