"""The spool: documents a second that are on disk, and that a sink reads; beside it a plain write and fdatasync."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from bench.collection import Captures
from bench.figures import Figure
from manager.cursor import Cursor
from manager.spool import Record, Spool
from sensor.files import write_all

RUNS = 5
BATCH, BATCHES = 500, 60
ACTION = b'{"create":{"_index":"logs-tapscan.object-default","_id":"0123456789abcdef0123456789abcdef"}}'
DOCUMENT = b'{"message":"%s"}' % (b"x" * 1480)
RECORDS = [Record(ACTION, DOCUMENT)] * BATCH
GOAL, MUST = 50_000, 20_000  # documents a second


def figures(_places: Captures, home: Path) -> list[Figure]:
    """In turns, each in a folder of its own."""
    spooled, plain, read = [], [], []
    for turn in range(RUNS):
        folder = home / str(turn)
        spooled.append(_seconds(lambda to=folder: _append(to)))
        plain.append(_seconds(lambda to=home / f"{turn}.plain": _plain(to)))
        read.append(_seconds(lambda of=folder: _read(of)))
    ratio = statistics.median(ours / theirs for ours, theirs in zip(spooled, plain, strict=True))
    how = f"batches of {BATCH} of {len(DOCUMENT)} bytes, one fdatasync each"
    return [
        _rate("spool, appended, documents/s", spooled, how),
        Figure("spool, append / plain write and fdatasync", ratio, how=_times(spooled, plain)),
        _rate("spool, read and committed, documents/s", read, "the same batches, a commit each"),
    ]


def _rate(name: str, seconds: list[float], how: str) -> Figure:
    rate = BATCH * BATCHES / statistics.median(seconds)
    return Figure(name, rate, "/s", GOAL, MUST, f"{rate / MUST:.2f} x the limit; {how}", rising=True)


def _times(spooled: list[float], plain: list[float]) -> str:
    ours, theirs = statistics.median(spooled), statistics.median(plain)
    return f"{ours:.2f} s against {theirs:.2f} s for {BATCH * BATCHES:,} documents of the same bytes"


def _seconds(work: Callable[[], None]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


def _append(folder: Path) -> None:
    spool = Spool(folder, 1 << 30)
    for _ in range(BATCHES):
        spool.append(RECORDS)


def _plain(path: Path) -> None:
    data = (ACTION + DOCUMENT) * BATCH
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for _ in range(BATCHES):
        write_all(descriptor, data)
        os.fdatasync(descriptor)
    os.close(descriptor)


def _read(folder: Path) -> None:
    cursor = Cursor(folder, "bench")
    cursor.acquire()
    count = 0
    while records := (batch := cursor.read(BATCH, 1 << 30)).records:
        count += len(records)
        cursor.commit(batch.end)
    cursor.close()
    if count != BATCH * BATCHES:
        raise RuntimeError(f"{count} records of {BATCH * BATCHES} were read")
