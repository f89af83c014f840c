"""`tapscan engines`: is each engine there, how old is what it knows, how long does it take for clean and for EICAR."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter
from typing import Any

from engines.verdicts import Engine, Verdict
from manager.assembly import build_engines
from manager.effective import effective
from manager.progress import watcher
from manager.summary import Summary
from manager.visible import visible
from reassembly.events import Flow
from reassembly.objects import Content, Object
from sensor.noun import noun

# The EICAR test file (eicar.org), put together at run time so that no scanner takes this file, or its bytecode, for it.
EICAR = b"-".join((rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR", b"STANDARD", b"ANTIVIRUS", b"TEST", b"FILE!$H+H*"))
CLEAN = b"Nothing to see here.\n"

_NOWHERE = Flow("check", bytes(4), 0, bytes(4), 0, "tcp", (), b"", b"", 0, "", midstream=False)


@noun
class Health:
    """How an engine does. Milliseconds; None where it had no verdict. `trouble`: why it isn't usable, or None."""

    name: str
    version: str | None
    database_version: str | None
    database_age: float | None  # seconds
    trouble: str | None
    clean_ms: float | None = None
    eicar_ms: float | None = None
    eicar: str | None = None  # what it says of EICAR


def check_engines(config: str | None, rules: tuple[str, ...], json: bool) -> int:
    """Tries all of them and prints how they do; returns the exit code."""
    settings, _ = effective(config, rules)
    summary = Summary()
    watch = watcher(1, quiet=json)
    engines = build_engines(settings, summary, watch)
    watch.stop()
    with ThreadPoolExecutor(max(1, len(engines))) as threads:
        healths = list(threads.map(_check, engines))
    healths += [Health(name, None, None, None, why) for name, why in summary.unusable_engines.items()]
    for engine in engines:
        engine.close()
    for warning in summary.warnings:
        sys.stderr.write(f"tapscan: {visible(warning)}\n")
    _print_json(healths) if json else _print_table(healths)
    return 2 if any(health.trouble for health in healths) else 0


def sample(content: bytes, name: str) -> Object:
    """An object that came from nowhere."""
    digest = hashlib.sha256(content).hexdigest()
    whole = Content(len(content), content)
    return Object(name, _NOWHERE, 0, "file", "http", whole, digest, "text/plain", 0, 0, name)


def _check(engine: Engine) -> Health:
    if why := engine.check():
        return _health(engine, why)
    engine.scan(sample(CLEAN, "warm-up.txt"))  # what happens once, loading or connecting, isn't what a scan costs
    clean, clean_ms = _timed(engine, sample(CLEAN, "clean.txt"))
    found, eicar_ms = _timed(engine, sample(EICAR, "eicar.com"))
    why = next(
        (verdict.reason or verdict.status for verdict in (clean, found) if verdict.status in ("error", "timeout")), None
    )
    return _health(engine, why, clean_ms, eicar_ms, found.signature or found.status)


def _timed(engine: Engine, target: Object) -> tuple[Verdict, float]:
    begun = perf_counter()
    verdict = engine.scan(target)
    return verdict, (perf_counter() - begun) * 1000


def _health(engine: Engine, trouble: str | None, *times: Any) -> Health:
    age = getattr(engine, "database_age", None)
    return Health(engine.name, engine.version, engine.database_version, age, trouble, *times)


def _rows(healths: list[Health]) -> Iterator[dict[str, Any]]:
    for health in healths:
        fields = {name: getattr(health, name) for name in Health.__match_args__}
        yield {"usable": health.trouble is None} | {name: value for name, value in fields.items() if value is not None}


def _print_json(healths: list[Health]) -> None:
    import orjson

    for row in _rows(healths):
        sys.stdout.write(orjson.dumps(row).decode() + "\n")


def _print_table(healths: list[Health]) -> None:
    from rich.text import Text

    from manager.report import console, plain_table

    table = plain_table("", "engine", "version", "database", ">age", ">clean", ">EICAR", "says of EICAR, or why not")
    for health in healths:
        times = (f"{ms:.1f} ms" if ms is not None else "" for ms in (health.clean_ms, health.eicar_ms))
        words = visible(health.trouble or health.eicar or "")
        said = Text(words, "red" if health.trouble else "")
        table.add_row(health.name, health.version, health.database_version, age(health.database_age), *times, said)
    console().print(table)


def age(seconds: float | None) -> str:
    """`3 h`, `12 d`; empty when unknown."""
    if seconds is None:
        return ""
    return f"{seconds / 3600:.0f} h" if seconds < 172_800 else f"{seconds / 86_400:.0f} d"
