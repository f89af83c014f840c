"""Budgets: what is admitted rises and falls with them, and neither for a moment's trouble."""

from __future__ import annotations

import pytest

from manager.overload import HOLD, LEVELS, Overload
from manager.settings import OverloadSettings


def levels(looks, **budgets):
    overload = Overload(OverloadSettings(**budgets))
    return [LEVELS[overload.look({name: share}, at * 0.1)] for at, (name, share) in enumerate(looks)]


@pytest.mark.parametrize(("share", "level"), [(0.49, "all"), (0.5, "important"), (0.74, "important"), (0.75, "none")])
def test_low_ports_go_first_and_half_way_from_there_all(share, level):
    assert levels([("packets", share)] * 2, packets=0.5) == ["all", level]


def test_one_look_says_nothing():
    assert levels([("packets", 1.0), ("packets", 0.0), ("packets", 1.0), ("packets", 0.4)]) == ["all"] * 4


@pytest.mark.parametrize("name", ["packets", "flows", "bytes", "queue"])
def test_every_budget_counts(name, caplog):
    assert levels([(name, 0.97)] * 2) == ["all", "none"]
    assert f"overload ({name} 97%): new flows are not read" in caplog.text


def test_the_worst_decides():
    overload = Overload(OverloadSettings())
    assert [overload.look({"packets": 0.1, "flows": 0.91}, 0) for _ in range(2)] == [0, 1]


def test_a_budget_of_nothing_is_always_over():
    assert levels([("packets", 0.0)] * 2, packets=0.0) == ["all", "important"]


def test_it_ends_step_by_step_when_there_has_been_no_cause_for_a_while(caplog):
    overload, now = Overload(OverloadSettings()), 0.0
    assert [overload.look({"packets": 0.9}, now) for _ in range(2)] == [0, 2]
    assert overload.look({"packets": 0.1}, now + HOLD) == 2
    assert overload.look({"packets": 0.1}, now := now + HOLD + 0.1) == 1
    assert overload.look({"packets": 0.6}, now + HOLD) == 1  # cause for just this
    assert overload.look({"packets": 0.1}, now + 2 * HOLD) == 1
    assert overload.look({"packets": 0.1}, now + 2 * HOLD + 0.1) == 0
    assert "overload is over" in caplog.text
