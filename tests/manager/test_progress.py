import pytest

from manager import progress
from manager.progress import Bar, Silence, Telling, watcher


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_nobody_watches_a_pipe(capsys):
    assert isinstance(watcher(1, quiet=False), Silence)
    watcher(1, quiet=False)(0, "x", 1, 2)
    watcher(1, quiet=False).stop()
    assert capsys.readouterr().err == ""


def test_a_worker_tells_now_and_then(clock):
    told = []
    telling = Telling(lambda *where: told.append(where))
    for _ in range(10):
        telling(1, "x", 5, 10)
    clock[0] += 1
    telling(1, "x", 9, 10)
    assert told == [(1, "x", 5, 10), (1, "x", 9, 10)]


def test_what_is_over_soon_needs_no_bar(clock, capsys):
    bar = Bar(1)
    bar(0, "x", 1, 2)
    bar.stop()
    assert capsys.readouterr().err == ""


def test_the_worker_furthest_back_counts(clock):
    bar = Bar(2)
    shown = []
    bar._show = lambda *where: shown.append(where)
    for where in ((0, "a", 50, 100), (1, "a", 10, 100), (0, "b", 1, 100), (1, "a", 90, 100), (1, "b", 7, 100)):
        clock[0] += 1
        bar(*where)
    assert shown == [("a", 50, 100), ("a", 10, 100), ("a", 10, 100), ("a", 90, 100), ("b", 1, 100)]


def test_the_bar_draws_a_hostile_name_harmlessly(clock, capsys):
    bar = Bar(2)
    for position in (1, 2, 3):
        clock[0] += 1
        bar(0, "\x1b[31m[red]x", position, None if position == 1 else 3)
    bar.stop()
    assert "\x1b[31m" not in capsys.readouterr().err
