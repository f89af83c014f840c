"""Costs of real processes."""

import subprocess
import sys

import pytest

from bench import measure
from bench.measure import Cost, Failed, ratio, run, turns

BUSY = "import time\nend = time.process_time() + 0.2\nwhile time.process_time() < end: pass"
PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {BUSY!r}])"


@pytest.mark.parametrize("program", [BUSY, PARENT], ids=["itself", "its child"])
def test_cpu_of_the_whole_tree(program):
    cost = run([sys.executable, "-c", program])
    assert cost.cpu >= 0.2
    assert cost.wall >= 0.2


def test_memory_is_the_largest():
    """Measured by a process of its own: what is started counts the memory of who starts it, too (exec(2))."""
    program = "import sys; from bench.measure import run; print(run([sys.executable, '-c', sys.argv[1]]).memory)"
    small, large = (
        int(
            subprocess.run(
                [sys.executable, "-c", program, f"x = b'a' * {size}"], capture_output=True, check=True
            ).stdout
        )
        for size in (1, 200_000_000)
    )
    assert large > 200_000_000 > small


def test_codes_that_are_good():
    argv = [sys.executable, "-c", "raise SystemExit(1)"]
    assert run(argv, good=(0, 1)).wall > 0
    with pytest.raises(Failed, match="exit code 1"):
        run(argv)


def test_what_hangs_is_ended(monkeypatch):
    monkeypatch.setattr(measure, "SECONDS", 1)
    with pytest.raises(Failed, match="over 1 s"):
        run([sys.executable, "-c", "import signal; signal.pause()"])


def test_turns_alternate_and_go_on_without_what_fails(capsys):
    order = []

    def step(name, fails=False):
        order.append(name)
        if fails:
            raise Failed("broken")
        return Cost(1, 1)

    costs = turns(2, {"a": lambda: step("a"), "b": lambda: step("b", fails=True), "c": lambda: step("c")})
    assert order == ["a", "b", "c", "a", "c"]
    assert {name: len(each) for name, each in costs.items()} == {"a": 2, "c": 2}
    assert "b failed: broken" in capsys.readouterr().out


def test_ratio_is_of_each_turn():
    ours, theirs = [Cost(2, 1), Cost(30, 1), Cost(3, 1)], [Cost(1, 1), Cost(10, 1), Cost(3, 1)]
    assert ratio(ours, theirs) == 2
    assert ratio(ours, theirs, "wall") == 1
