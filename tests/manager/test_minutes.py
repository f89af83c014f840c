"""What is said of each minute, also when the clock is set."""

import pytest

from manager.channel import Said
from manager.coverage import MINUTE
from manager.events import Documents
from manager.minutes import Minutes
from manager.observer import Observer


class Workers:
    """What they have said."""

    def __init__(self):
        self.said = Said(now=1_700_000_000_000_000_000 // MINUTE * MINUTE)

    def now(self):
        return self.said.now

    def goes_on(self, by):
        self.said = Said(packets=self.said.packets + 10, now=self.said.now + by)


@pytest.mark.parametrize("jump", [1_000_000, -1_000_000])
def test_a_clock_that_is_set_ends_nothing(jump):
    workers = Workers()
    minutes = Minutes(Documents(Observer()), workers, dict)
    told = []
    for by in (1, 1, jump, 1, 1):
        workers.goes_on(by * MINUTE)
        told += minutes.due()
    figures = [one["tapscan"]["sensor"]["packets"] for one in told if one["event"]["dataset"] == "tapscan.sensor"]
    assert figures == [10] * 5
