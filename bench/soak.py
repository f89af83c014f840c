"""Memory of the live sensor while connections begin at a rate and half of them never close.

`make soak` takes ten minutes (MINUTES); the resident memory of all the sensor's processes is printed each minute.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from bench import live, peers
from bench.conversations import answers
from bench.figures import Figure
from bench.measure import ENVIRONMENT, Failed, daemon_cpu
from bench.traffic import inside

ROOT = Path(__file__).parents[1]
RATE = 2000  # new connections a second
MINUTES = 10
FLAT_FROM = 3  # minutes
GOAL, MUST = 1.02, 1.05  # the last minute against that one
LARGEST = 1000, 1500  # MB: goal, must


def figures(home: Path, minutes: int = MINUTES) -> Iterator[Figure]:
    """Memory at the end, how much of it came after FLAT_FROM minutes, and whether anything was missed for it."""
    name = f"soak, memory, minute {minutes} / minute {FLAT_FROM}"
    if why := live.lacks():
        yield Figure(name, None, "x", GOAL, MUST, why)
        return
    with live.link():
        sizes, objects = soak(home, minutes)
    flat = sizes[-1] / sizes[min(FLAT_FROM, minutes) - 1]
    yield Figure(name, flat, "x", GOAL, MUST, f"{RATE:,} new flows/s, half of them never closed")
    by_minute = ", ".join(f"{size / 1e6:.0f}" for size in sizes)
    how = f"all processes together, by minute: {by_minute}"
    yield Figure(f"soak, memory, minute {minutes}", sizes[-1] / 1e6, "MB", *LARGEST, how)
    answered = answers(RATE, 60 * minutes)
    yield Figure("soak, objects missing", answered - objects, "", 0, 0, f"of {answered:,}")


def soak(home: Path, minutes: int) -> tuple[list[int], int]:
    """Bytes of memory at the end of each minute, and how many objects came."""
    (home / "known").write_text("")
    (home / "soak.toml").write_text(f'[[engine]]\nkind = "hashes"\nbad = ["{home}/known"]\n')
    words = [peers.TAPSCAN, "sensor", "-i", live.PORT, "--config", str(home / "soak.toml")]
    own = ENVIRONMENT | {"XDG_STATE_HOME": str(home / "state")}
    sensor = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=own)
    assert sensor.stdout is not None
    if not any("watching" in line for line in sensor.stdout):
        raise Failed(f"{' '.join(words)}: did not start")
    rate = sys.executable, "-m", "bench.conversations", live.OTHER, str(RATE), str(60 * minutes)
    source = subprocess.Popen(inside(live.SPACE, *rate), cwd=ROOT)
    try:
        sizes = list(_each_minute(sensor.pid, minutes))
        source.wait()
    finally:
        source.kill()
        sensor.send_signal(signal.SIGTERM)
        said = sensor.stdout.read()
        sensor.wait()
    print(said)
    found = re.search(r"([0-9,]+) objects in ", said)
    return sizes, int(found[1].replace(",", "")) if found else 0


def _each_minute(sensor: int, minutes: int) -> Iterator[int]:
    begun = time.monotonic()
    for minute in range(1, minutes + 1):
        time.sleep(max(begun + 60 * minute - time.monotonic(), 0))
        there = family(sensor)
        sizes = [resident(process) for process in there]
        cpu = sum(daemon_cpu(process) for process in there)
        told = " + ".join(f"{size / 1e6:.0f}" for size in sizes)
        print(f"   minute {minute}: {sum(sizes) / 1e6:.0f} MB ({told}), {cpu:.0f} s CPU so far", flush=True)
        yield sum(sizes)


def family(process: int) -> list[int]:
    """A process and all that came of it (proc(5))."""
    parents = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(entry.parent.name)] = int(entry.read_text().rsplit(")", 1)[1].split()[1])
        except OSError:
            continue  # it has ended meanwhile
    found = [process]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found


def resident(process: int) -> int:
    """Bytes of memory that a process has (proc(5), /proc/PID/statm)."""
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
