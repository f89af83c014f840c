"""`tapscan sensor`: the main job on what passes a TAP or SPAN port, until it is ended."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterable
from dataclasses import replace

from engines.succession import Succession
from manager import pools, start_checks
from manager.alarms import Alarm, Alarms
from manager.assembly import build_engines, exact_engines, ledger_folder
from manager.capture_worker import Task
from manager.capture_workers import Workers
from manager.ecs import Document, line
from manager.effective import effective
from manager.interfaces import Interfaces
from manager.ledger import Ledger
from manager.logs import one_line_logs
from manager.loss import LossWatch
from manager.minutes import Kept, Minutes
from manager.options import Stop
from manager.overload import Overload
from manager.pipeline import Item, rest, scanned
from manager.privileges import harden
from manager.progress import Silence
from manager.recorder import Recording
from manager.recording import Recorded
from manager.reload import Reload
from manager.renewal import Renewal
from manager.report import alarm_line, console, report
from manager.run import documents, say
from manager.settings import Settings
from manager.sinks import JsonLines, Lines, Patient, Sink
from manager.summary import Summary
from manager.systemd import Health, ServiceManager, service_manager
from manager.trouble import Trouble
from sensor.noun import noun, state
from sensor.offloads import switch_off, switched_on

DRAIN = 10.0  # seconds more than the workers that engines have, at the end
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
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})  # until there is something to read again
    service = service_manager()
    harden()
    settings, _ = effective(asked.config, asked.rules)
    one_line_logs(asked.verbose)
    made, summary = Summary(), Summary()
    engines = build_engines(settings, made, Silence()) if settings.pool.kind == "local" else []
    interfaces = None if asked.replay is not None else _interfaces(asked, settings)
    tasks = [_replay(asked, settings)] if interfaces is None else _tasks(asked, settings, interfaces)
    alarms = Alarms(exact_engines(settings))
    record = asked.record or settings.sensor.record
    recorded = None if record is None else _recorded(record, asked, settings)
    pool = Succession(pools.pool(settings, engines, asked.config, asked.rules))
    room = pools.room(settings, pool, alarms.goes_on)
    workers = Workers(tasks, room.ahead)
    reload = Reload(lambda: effective(asked.config, asked.rules)[0], settings)
    told = documents(settings, live=asked.replay is None, record=record)
    renewal = Renewal(reload, service, alarms, told, pool, room, engines)
    _heed(workers, reload, service)
    try:
        _pass_on(asked, settings, workers, renewal, summary, interfaces, recorded)
    finally:
        workers.close()
        if recorded is not None:
            recorded.close()
            summary.counters.update(recorded.counters)
        room.close()
    summary.merge(made)
    summary.settle_engines(renewal.engines)
    if not asked.json and not asked.quiet:
        report(summary, scanning=True, everything=asked.verbose > 0)
    for name, why in summary.unusable_engines.items():
        say(f"engine {name} could not be used: {why}")
    return 2 if summary.unusable_engines else 0


def _heed(workers: Workers, reload: Reload, service: ServiceManager) -> None:
    """Signals: the first of those that end lets all finish what they have, the second doesn't wait for it."""
    ending = False

    def end(*_: object) -> None:
        nonlocal ending
        if ending:
            raise KeyboardInterrupt
        ending = True
        service.stopping()
        workers.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    signal.signal(signal.SIGHUP, lambda *_: reload.ask())
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})


def _pass_on(
    asked: Asked,
    settings: Settings,
    workers: Workers,
    renewal: Renewal,
    summary: Summary,
    interfaces: Interfaces | None,
    recorded: Recorded | None,
) -> None:
    """The walk from what workers say to sinks, until the last of them has ended."""
    out = Patient(1)
    lines = Lines(out)
    made, alarms, room, service = renewal.documents, renewal.alarms, renewal.room, renewal.service
    minutes = Minutes(made, workers, lambda: {"open_alarms": len(alarms)}, _kept(asked, settings))
    sinks: list[Sink] = [summary, minutes, JsonLines(made, lines.write) if asked.json else Told()]
    if recorded is not None:
        sinks.append(recorded)

    def tell(said: Iterable[Document]) -> None:
        for document in said:  # also where nobody reads them: the ledger is written on the way
            if asked.json:
                lines.write(line(document))
        lines.flush()

    looked, overload = time.monotonic(), Overload(settings.overload)
    trouble = Trouble(lambda: workers.said.counters)
    health = Health(service, workers.answer, Status(workers, summary).line)

    def after() -> None:
        nonlocal looked
        workers.order(overload.look({"queue": room.fullness}, time.monotonic()))
        tell(minutes.due())
        if out.waits:
            out(b"")
        trouble.look()
        renewal.look()
        health.look()
        if interfaces is not None and time.monotonic() - looked > LOOK:
            looked = time.monotonic()
            if interfaces.returned():
                say("an interface is there again")
                workers.renew(_tasks(asked, settings, interfaces))
                if recorded is not None:
                    recorded.renew(_recording(asked.record or settings.sensor.record or "", asked, settings))

    walk = workers.products(after)
    workers.wait()
    service.ready()
    if not asked.quiet:
        say(f"watching {_place(asked, settings)}")
    for items in scanned(walk, room, alarms), rest(room.finish(lambda: workers.ended_for() > DRAIN), alarms):
        for item in items:
            for sink in sinks:
                sink.take(item)
    tell(minutes.rest())
    if out.lost or out.waits:
        say(f"{out.lost} documents are lost, and {out.waits} bytes of them could not be written")
    said = workers.said
    summary.packets, summary.bytes, summary.captures = said.packets, said.bytes, 1
    summary.counters.update(said.counters)
    if said.lost:
        summary.counters["kernel_drop"] += said.lost
    for warning in said.warnings:
        summary.warn(warning)


@state
class Status:
    """How it goes, in a line."""

    workers: Workers
    summary: Summary
    packets: int = 0  # that were there the last time

    def line(self, seconds: float) -> str:
        """`seconds`: since the last time."""
        said = self.workers.said
        before, self.packets = self.packets, said.packets
        rate = max(said.packets - before, 0) / seconds
        return f"{rate:.0f} packets/s, {said.flows} flows, {said.lost} packets lost, {self.summary.alarm_count} alarms"


def _place(asked: Asked, settings: Settings) -> str:
    return asked.replay or "+".join(asked.interfaces or settings.sensor.interfaces)


def _kept(asked: Asked, settings: Settings) -> Kept:
    own = settings.sensor
    ledger = Ledger(ledger_folder(settings), own.ledger_bytes) if asked.replay is None else None
    return Kept(_place(asked, settings), ledger, LossWatch(own.loss_minutes, own.loss_share))


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
    if asked.replay == "-":
        raise Stop("--replay: what is played has to be a file; tapscan scan - reads standard input")
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
