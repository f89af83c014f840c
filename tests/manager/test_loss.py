import pytest
from hypothesis import given
from hypothesis import strategies as st

from manager.loss import Loss, LossWatch

GOOD, BAD = Loss(packets=10_000, bytes=10_000), Loss(packets=9_900, lost_packets=100)


def said(watch, *losses):
    return [watch.minute(loss) is not None for loss in losses]


def test_an_alarm_after_so_many_minutes_and_no_second():
    assert said(LossWatch(3, 0.001), BAD, BAD, BAD, BAD, BAD) == [False, False, True, False, False]


def test_a_good_minute_begins_anew():
    assert said(LossWatch(3, 0.001), BAD, BAD, GOOD, BAD, BAD, BAD) == [False] * 5 + [True]


def test_again_after_it_has_recovered():
    assert said(LossWatch(2, 0.001), BAD, BAD, GOOD, BAD, BAD) == [False, True, False, False, True]


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        (BAD, "loss for 1 min: 1.00% of packets dropped by the kernel: raise sensor.ring or sensor.workers"),
        (
            Loss(packets=5, bytes=60, lost_bytes=40),
            "loss for 1 min: 40.00% of acknowledged bytes never came by: look at the SPAN port's load and the "
            "interface's own drops (ethtool -S)",
        ),
    ],
)
def test_it_says_which_loss_and_what_to_do(loss, words):
    assert LossWatch(1, 0.001).minute(loss) == words


def test_the_bound_itself_is_no_loss():
    assert LossWatch(1, 0.01).minute(BAD) is None


def test_nothing_seen_is_no_loss():
    assert LossWatch(1, 0.0).minute(Loss()) is None


def test_everything_lost_is():
    assert LossWatch(1, 0.5).minute(Loss(lost_packets=1)) is not None


@given(st.lists(st.booleans(), max_size=40), st.integers(1, 5))
def test_as_many_alarms_as_runs_that_are_long_enough(bad, minutes):
    alarms = sum(said(LossWatch(minutes, 0.001), *(BAD if one else GOOD for one in bad)))
    runs = "".join("x" if one else " " for one in bad).split()
    assert alarms == sum(len(run) >= minutes for run in runs)
