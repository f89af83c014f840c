"""`tapscan sensor`: the main job on what passes a TAP or SPAN port, until it is ended."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from manager import pools, start_checks
from manager.alarms import Alarm, Alarms
from manager.assembly import build_engines, exact_engines
from manager.capture_worker import Task
from manager.capture_workers import Workers
from manager.ecs import Document, line
from manager.effective import effective
from manager.interfaces import Interfaces
from manager.logs import one_line_logs
from manager.minutes import Minutes
from manager.options import Stop
from manager.pipeline import Item, rest, scanned
from manager.progress import Silence
from manager.recorder import Recording
from manager.recording import Recorded
from manager.report import alarm_line, console, report
from manager.run import documents, say
from manager.settings import Settings
from manager.sinks import JsonLines, Lines, Sink, to_descriptor
from manager.summary import Summary
from sensor.noun import noun
from sensor.offloads import switch_off, switched_on

if TYPE_CHECKING:
    from engines.outcome import AnyPool

LOOK = 1.0  # seconds between two looks at the interfaces


@noun
class Asked:
    """Of the command line. `interfaces`: those of the settings when there are none."""

    interfaces: tuple[str, ...] = ()
    config: str | None = None
    json: bool = False
    quiet: bool = False
    verbose: int = 0
    rules: tuple[str, ...] = ()
    filter: str | None = None  # pcap-filter(7)
    replay: str | None = None  # a capture in the place of interfaces
    speed: float = 1.0
    fix_offloads: bool = False
    record: str | None = None  # a folder
    around: float | None = None  # seconds; None: that of the settings, as of the next one
    record_bytes: int | None = None


def watch(asked: Asked) -> int:
    """Does the command; returns its exit code. Raises Stop when nothing can be done."""
    settings, _ = effective(asked.config, asked.rules)
    one_line_logs(asked.verbose)
    made, summary = Summary(), Summary()
    engines = build_engines(settings, made, Silence()) if settings.pool.kind == "local" else []
    interfaces = None if asked.replay is not None else _interfaces(asked, settings)
    tasks = [_replay(asked, settings)] if interfaces is None else _tasks(asked, settings, interfaces)
    alarms = Alarms(exact_engines(settings))
    record = asked.record or settings.sensor.record
    recorded = None if record is None else _recorded(record, asked, settings)
    pool = pools.room(settings, pools.pool(settings, engines, asked.config, asked.rules), alarms.goes_on)
    workers = Workers(tasks, pool.ahead)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: workers.stop())
    try:
        _pass_on(asked, settings, workers, pool, alarms, summary, interfaces, recorded)
    finally:
        workers.close()
        if recorded is not None:
            recorded.close()
            summary.counters.update(recorded.counters)
        pool.close()
    summary.merge(made)
    summary.settle_engines(engines)
    if not asked.json and not asked.quiet:
        report(summary, scanning=True, everything=asked.verbose > 0)
    for name, why in summary.unusable_engines.items():
        say(f"engine {name} could not be used: {why}")
    return 2 if summary.unusable_engines else 0


def _pass_on(
    asked: Asked,
    settings: Settings,
    workers: Workers,
    pool: AnyPool,
    alarms: Alarms,
    summary: Summary,
    interfaces: Interfaces | None,
    recorded: Recorded | None,
) -> None:
    """The walk from what workers say to sinks, until the last of them has ended."""
    lines = Lines(to_descriptor(1))
    record = asked.record or settings.sensor.record
    made = documents(settings, live=asked.replay is None, record=record)
    minutes = Minutes(made, workers, lambda: {"open_alarms": len(alarms)})
    sinks: list[Sink] = [summary, minutes, JsonLines(made, lines.write) if asked.json else Told()]
    if recorded is not None:
        sinks.append(recorded)

    def tell(said: Iterable[Document]) -> None:
        for document in said if asked.json else ():
            lines.write(line(document))
        lines.flush()

    looked = time.monotonic()

    def after() -> None:
        nonlocal looked
        tell(minutes.due())
        if interfaces is not None and time.monotonic() - looked > LOOK:
            looked = time.monotonic()
            if interfaces.returned():
                say("an interface is there again")
                workers.renew(_tasks(asked, settings, interfaces))
                if recorded is not None:
                    recorded.renew(_recording(record or "", asked, settings))

    walk = workers.products(after)
    workers.wait()
    if not asked.quiet:
        say(f"watching {asked.replay or '+'.join(asked.interfaces or settings.sensor.interfaces)}")
    for items in scanned(walk, pool, alarms), rest(pool, alarms):
        for item in items:
            for sink in sinks:
                sink.take(item)
    tell(minutes.rest())
    said = workers.said
    summary.packets, summary.bytes, summary.captures = said.packets, said.bytes, 1
    summary.counters.update(said.counters)
    for warning in said.warnings:
        summary.warn(warning)


class Told:
    """A sink: each alarm in a line, as it is raised."""

    def __init__(self) -> None:
        self._out = console()

    def take(self, item: Item) -> None:
        if isinstance(item, Alarm):
            alarm_line(self._out, item)


def _replay(asked: Asked, settings: Settings) -> Task:
    from sensor.captures import CaptureError, open_capture

    assert asked.replay is not None
    try:
        open_capture(asked.replay)
    except CaptureError as error:
        raise Stop(str(error)) from None
    return Task(settings, replay=asked.replay, speed=asked.speed, verbose=asked.verbose)


def _recorded(folder: str, asked: Asked, settings: Settings) -> Recorded:
    around = settings.sensor.around_alarms if asked.around is None else asked.around
    return Recorded(_recording(folder, asked, settings), around)


def _recording(folder: str, asked: Asked, settings: Settings) -> Recording:
    own = settings.sensor
    most = asked.record_bytes or own.record_bytes
    task = Recording(folder, replay=asked.replay, most=most, user=own.user, verbose=asked.verbose)
    if asked.replay is not None:
        return task
    interfaces = Interfaces(asked.interfaces or own.interfaces, 1, own.ring, asked.filter or "")
    return replace(task, interfaces=interfaces.descriptors[0], ring=interfaces.size)


def _interfaces(asked: Asked, settings: Settings) -> Interfaces:
    own = settings.sensor
    names, record = asked.interfaces or own.interfaces, asked.record or own.record
    room = [
        *start_checks.memory(own.ring, own.workers + (record is not None), len(names) or 1, start_checks.free_memory())
    ]
    interfaces = Interfaces(names, own.workers, own.ring, asked.filter or "")
    for found in (*room, *start_checks.clock(time.time(), start_checks.synchronised())):
        say(found)
    for name in names:
        _check_offloads(name, asked.fix_offloads)
    return interfaces


def _tasks(asked: Asked, settings: Settings, interfaces: Interfaces) -> list[Task]:
    return [Task(settings, one, interfaces.size, verbose=asked.verbose) for one in interfaces.descriptors]


def _check_offloads(interface: str, fix: bool) -> None:
    """Packets that were glued together are not those of the wire."""
    try:
        left = switched_on(interface)
        if left and fix:
            left = switch_off(interface, left)
    except OSError:  # that it isn't there, or may not be asked, is said when it is opened
        return
    if left:
        words = " ".join(f"{name} off" for name in left)
        say(f"warning: {interface} changes packets before they are seen: ethtool -K {interface} {words}")
