"""What was found once is asked for again, past a SPAN port: how often a client shows the page instead.

"claimed": the sensor says that it has sent the page and stopped the answer; "real": the client shows it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.collection import Captures
from bench.figures import Figure
from bench.watching import ROOT, ROOTLESS, Span, actions, watched

sys.path.insert(0, str(ROOT / "tests" / "support"))
from downloads import SIZE, download, fetched

WAITS = (0.02, 0.005)  # seconds before the server answers, as a way of that length would have it
TIMES = {"curl": 50, "chromium": 20}
SAYS = b"This was blocked"
MUST = 0.98
URL = "http://a/setup.exe"  # as it was asked for first
RATE = 32 << 20  # bytes a second, at which the first download is stopped
Client = Callable[[Path], list[str]]
CLIENTS: dict[str, Client] = {
    "curl": lambda home: ["curl", "--silent", "--max-time", "15", "--resolve", f"a:80:{Span.SERVER}", URL],
    "chromium": lambda home: [
        "timeout", "15", "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
        "--disable-background-networking", f"--host-resolver-rules=MAP a {Span.SERVER}", f"--user-data-dir={home}",
        "--dump-dom", URL,
    ],
}  # fmt: skip


def figures(_: Captures, home: Path) -> Iterator[Figure]:
    """Of each client the share of requests that show the page."""
    for name, argv in CLIENTS.items():
        for wait in WAITS:
            title = f"block page shown by {name}, answer after {1000 * wait:.0f} ms"
            lacking = ROOTLESS if os.geteuid() != 0 else f"{name} is not installed" if not shutil.which(name) else ""
            if lacking:
                yield Figure(title, None, "of all", 1.0, MUST, lacking, rising=True)
                continue
            (folder := home / f"{name}-{wait}").mkdir()
            yield _shown(title, wait, argv(folder / "profile"), TIMES[name], folder)


def _shown(title: str, wait: float, argv: list[str], times: int, folder: Path) -> Figure:
    do = "reset", "block_page"
    with Span() as span, watched(folder / "sensor", span.port, do=do) as documents, download(span, RATE, wait):
        assert fetched(span) < SIZE
        got = [subprocess.run(span.inside(span.client, *argv), capture_output=True).stdout for _ in range(times)]
    real = sum(SAYS in one for one in got)
    sent = [one for one in actions(documents) if one["kind"] == "block_page" and one["frames"]]
    claimed = sum(one["outcome"] == "confirmed" and "reason" not in one for one in sent)
    how = f"real {real} of {times}, claimed {claimed}"
    return Figure(title, real / times, "of all", 1.0, MUST, how, rising=True)
