"""Runs commands and says what they took: CPU of the whole process tree, wall time, largest resident memory.

Two things are compared in one run only, in turns (A B A B), so that what else the machine does falls on both.
"""

from __future__ import annotations

import os
import resource
import signal
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

SECONDS = 180  # that one run may take
TICK = os.sysconf("SC_CLK_TCK")
# Modules compiled once and kept, as an installed package has them, whatever the shell that runs the bench sets.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one run. Times are seconds; `memory` is bytes, of the largest process of the tree."""

    cpu: float
    wall: float
    memory: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.cpu + other.cpu, self.wall + other.wall, max(self.memory, other.memory))


class Failed(Exception):
    """Something that can't be measured here, with the reason."""


def run(argv: Sequence[str], good: tuple[int, ...] = (0,), output: Path = Path(os.devnull)) -> Cost:
    """One run of a command. Raises Failed when its exit code is none of `good`, or after SECONDS."""
    with output.open("wb") as out:
        began = time.perf_counter()
        process = subprocess.Popen(argv, stdout=out, stderr=subprocess.DEVNULL, env=ENVIRONMENT, start_new_session=True)
        status, usage = _wait(process)
        wall = time.perf_counter() - began
    process.returncode = code = os.waitstatus_to_exitcode(status)
    if code not in good:
        raise Failed(f"{' '.join(argv)}: " + (f"over {SECONDS} s" if wall >= SECONDS else f"exit code {code}"))
    return Cost(usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss << 10)


def _wait(process: subprocess.Popen[bytes]) -> tuple[int, resource.struct_rusage]:
    """What wait4 says of it and of all children that it waited for itself."""

    def late(_signal: int, _frame: object) -> None:
        os.killpg(process.pid, signal.SIGKILL)

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    try:
        _, status, usage = os.wait4(process.pid, 0)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    return status, usage


def daemon_cpu(process: int) -> float:
    """Seconds of CPU that a process that goes on has taken (proc(5), /proc/PID/stat, utime and stime)."""
    fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def turns(runs: int, steps: Mapping[str, Callable[[], Cost]]) -> dict[str, list[Cost]]:
    """Each step once a turn, for `runs` turns. What fails is left out, and said on the terminal."""
    costs: dict[str, list[Cost]] = {name: [] for name in steps}
    for _ in range(runs):
        for name in [name for name in steps if name in costs]:
            try:
                costs[name].append(steps[name]())
            except Failed as failed:
                print(f"   {name} failed: {failed}")
                del costs[name]
    return costs


def ratio(ours: Sequence[Cost], theirs: Sequence[Cost], field: str = "cpu") -> float:
    """Median of the ratios of the turns."""
    pairs = zip(ours, theirs, strict=True)
    return float(statistics.median(getattr(one, field) / getattr(two, field) for one, two in pairs))


def median(costs: Sequence[Cost], field: str = "cpu") -> float:
    """Median of one field."""
    return float(statistics.median(getattr(cost, field) for cost in costs))
