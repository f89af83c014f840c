"""How fast documents get to the disk and back: the spool, and the same bytes written plainly."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from shutil import rmtree

from bench import measure
from bench.collection import Captures
from bench.figures import Figure
from manager.cursor import Cursor
from manager.spool import Record, Spool

RUNS = 7
BATCHES, EACH, SIZE = 100, 500, 1500  # appends, their records, and the bytes of a document
ALL = BATCHES * EACH
GOAL, MUST = 50_000, 20_000  # documents/s
MOST = 1 << 30

Step = Callable[[Path], None]


def figures(_places: Captures, home: Path) -> list[Figure]:
    """In turns, on the disk of temporary files."""
    batches = _batches()
    plain = [b"".join(one.action + one.document for one in records) for records in batches]
    steps: dict[str, Step] = {"append": partial(_append, batches), "plain": partial(_plain, plain), "read": _read}
    costs = measure.turns(RUNS, {name: partial(_timed, step, home) for name, step in steps.items()})
    append, written, read = (costs[name] for name in steps)
    what = f"{EACH} documents of {SIZE / 1000:g} kB, each batch on the disk (fdatasync)"
    return [
        Figure("spool, append", _rate(append), "/s", GOAL, MUST, f"{what}; {_cpu(append)}", rising=True),
        Figure("spool, append / plain write", measure.ratio(append, written, "wall"), how=_against(append, written)),
        Figure("spool, read and commit", _rate(read), "/s", GOAL, MUST, f"the same; {_cpu(read)}", rising=True),
    ]


def _rate(costs: list[measure.Cost]) -> float:
    return ALL / measure.median(costs, "wall")


def _cpu(costs: list[measure.Cost]) -> str:
    return f"{measure.median(costs) / ALL * 1e6:.1f} us CPU a document"


def _against(ours: list[measure.Cost], theirs: list[measure.Cost]) -> str:
    bytes_ = f"{ALL * SIZE / 1e6:.0f} MB in {BATCHES} writes and fdatasyncs"
    return f"{measure.median(ours, 'wall'):.2f} s against {measure.median(theirs, 'wall'):.2f} s; {bytes_}"


def _timed(step: Step, home: Path) -> measure.Cost:
    began, cpu = time.perf_counter(), time.process_time()
    step(home)
    return measure.Cost(time.process_time() - cpu, time.perf_counter() - began)


def _batches() -> list[list[Record]]:
    action = b'{"create":{"_index":"logs-tapscan.object-default","_id":"%032x"}}'
    document = b'{"message":"' + os.urandom(SIZE // 2).hex().encode() + b'"}'
    made = [Record(action % number, document) for number in range(ALL)]
    return [made[at : at + EACH] for at in range(0, ALL, EACH)]


def _append(batches: list[list[Record]], home: Path) -> None:
    rmtree(home / "spool", ignore_errors=True)
    spool = Spool(home / "spool", MOST)
    for records in batches:
        spool.append(records)
    spool.close()


def _plain(batches: list[bytes], home: Path) -> None:
    descriptor = os.open(home / "plain", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for data in batches:
        os.write(descriptor, data)
        os.fdatasync(descriptor)
    os.close(descriptor)


def _read(home: Path) -> None:
    cursor = Cursor(home / "spool", "bench")
    if not cursor.acquire():
        raise measure.Failed("another process reads")
    count = 0
    while (batch := cursor.read(EACH, MOST)).records:
        count += len(batch.records)
        cursor.commit(batch.end)
    cursor.close()
    if count != ALL:
        raise measure.Failed(f"{count} of {ALL} documents came back")
