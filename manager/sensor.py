"""`tapscan sensor`: the main job on what passes a TAP or SPAN port, until it is ended."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from engines.succession import Succession
from manager import beginning, nursery, pools
from manager.alarms import Alarms
from manager.assembly import build_engines, exact_engines, ledger_folder, spool_folder
from manager.beginning import Asked
from manager.bell import Bell
from manager.capture_workers import Workers
from manager.children import started
from manager.ecs import Document
from manager.garbage import collect_seldom
from manager.interfaces import Interfaces
from manager.ledger import Ledger
from manager.listening import Listened, Told
from manager.logs import one_line_logs
from manager.loss import LossWatch
from manager.minutes import Kept, Minutes
from manager.nursery import Nursery
from manager.overload import Overload
from manager.ownership import (
    Owner,
    become,
    check_temporary,
    handed_over,
    is_ledger,
    is_spool,
    owner_of,
    with_outputs_over,
)
from manager.pipeline import rest, scanned
from manager.privileges import harden
from manager.progress import Silence
from manager.recording import Recorded
from manager.reload import Reload
from manager.renewal import Renewal
from manager.report import report
from manager.response import Response, action_log, block_folder
from manager.run import documents, outlets, say
from manager.settings import Settings
from manager.sinks import Documented, Lines, Receiver, Sink, printed
from manager.summary import Summary
from manager.systemd import Health, ServiceManager, service_manager
from manager.trouble import Trouble
from sensor.noun import state

if TYPE_CHECKING:
    from engines.verdicts import Engine
    from manager.outlets import Outlets

DRAIN = 10.0  # seconds more than the workers that engines have, at the end
HEARD = 5.0  # seconds in which who reads standard output can take what is left at the end
LOOK = 1.0  # seconds between two looks at the interfaces, and at what the workers count


def watch(asked: Asked) -> int:
    """Does the command; returns its exit code. Raises Stop when nothing can be done."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})  # until there is something to read again
    service = service_manager()
    harden()
    settings = beginning.settings_of(asked)
    one_line_logs(asked.verbose)
    owner = None if asked.replay is not None else owner_of(settings)
    if asked.replay is None:
        beginning.go_first(settings)
    check_temporary(owner, settings.sensor.temporary)
    made, summary = Summary(), Summary()
    engines = build_engines(settings, made, Silence()) if settings.pool.kind == "local" else []
    interfaces = beginning.opened(asked, settings)
    tasks = beginning.tasks(asked, settings, interfaces)
    alarms = Alarms(exact_engines(settings))
    births = None if interfaces is None or not nursery.POSSIBLE else Nursery(settings.sensor)
    start = started if births is None else births.started
    injection = beginning.injection(asked, settings, owner)
    tasks = beginning.countering(tasks, injection)
    recording = beginning.recording(asked, settings, interfaces)
    recorded = None if recording is None else Recorded(recording, settings.sensor.around_alarms, start)
    bell = Bell()
    pool = Succession(pools.pool(settings, engines, asked.config, asked.rules, bell.ring))
    room = pools.room(settings, pool, alarms.goes_on)
    workers = Workers(tasks, room.ahead, start, bell)
    reload = Reload(lambda: beginning.settings_of(asked), settings)
    told = documents(settings, live=asked.replay is None, record=settings.sensor.record)
    out = outlets(with_outputs_over(settings, owner), told, lambda folder: handed_over(folder, owner, is_spool))
    renewal = Renewal(reload, service, workers, alarms, told, pool, room, engines)
    _heed(workers, reload, service)
    log = action_log(owner) if asked.replay is None else None
    response = Response(renewal, injection, log, block_folder(owner))
    round_ = Round(asked, settings, summary, renewal, interfaces, recorded, out, owner, response)
    collect_seldom()
    try:
        _pass_on(round_)
        if out is not None:
            out.end(settings.elasticsearch.flush_timeout)
    finally:
        workers.close()
        if out is not None:
            out.close()
        response.close()
        if recorded is not None:
            recorded.close()
            summary.counters.update(recorded.counters)
        if births is not None:
            births.close()
        room.close()
    summary.merge(made)
    summary.settle_engines(renewal.engines)
    if not asked.json and not asked.quiet and not round_.out.closed:
        report(summary, scanning=True, everything=asked.verbose > 0)
    for name, why in summary.unusable_engines.items():
        say(f"engine {name} could not be used: {why}")
    return 2 if summary.unusable_engines else 128 + signal.SIGPIPE if round_.in_vain else 0


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


class Round:
    """What is looked after again and again, whether something comes or not."""

    def __init__(
        self,
        asked: Asked,
        settings: Settings,
        summary: Summary,
        renewal: Renewal,
        interfaces: Interfaces | None,
        recorded: Recorded | None,
        out: Outlets | None,
        owner: Owner | None,
        response: Response,
    ) -> None:
        self.asked = asked
        self.settings = settings
        self.summary = summary
        self.workers = workers = renewal.workers
        self.renewal = renewal
        self.response = response
        self.recorded = recorded
        self.owner = owner
        self.out = Listened(self._unheard, waiting=asked.replay is not None)
        self.lines = Lines(self.out)
        self._outlets = out
        self.receivers: list[Receiver] = [printed(self.lines.write)] if asked.json else []
        if out is not None:
            self.receivers.append(out.take)
        alarms = renewal.alarms
        self.minutes = Minutes(
            renewal.documents, workers, lambda: {"open_alarms": len(alarms)}, _kept(asked, settings, renewal, owner)
        )
        self._interfaces = interfaces
        self._overload = Overload(settings.overload)
        self._trouble = Trouble(lambda: workers.said.counters)
        self._health = Health(renewal.service, workers.answer, Status(workers, summary).line)
        self._looked = time.monotonic()

    def begin(self) -> None:
        """This process is who it is going to be."""
        if self._outlets is not None:
            self._outlets.begin()

    def look(self) -> None:
        """Once round."""
        now = time.monotonic()
        self.workers.order(self._overload.look({"queue": self.renewal.room.fullness}, now))
        self.tell(self.response.look())
        self.tell(self.minutes.due())
        self.out.look()
        self.renewal.look()
        self._health.look()
        if self.recorded is not None:
            self.recorded.look()
        if now - self._looked > LOOK:
            self._looked = now
            self._trouble.look()
            self._return()

    def tell(self, said: Iterable[Document]) -> None:
        """Documents that come of no object."""
        for document in said:  # also where nobody reads them: the ledger is written on the way
            for receive in self.receivers:
                receive(document)
        self.lines.flush()

    def sinks(self) -> list[Sink]:
        """Who takes what the walk gives."""
        sinks: list[Sink] = [self.summary, self.minutes]
        if self.asked.replay is None:
            sinks.insert(0, self.response)
        if self.receivers:
            sinks.append(Documented(self.renewal.documents, self.receivers))
        if not self.asked.json:
            sinks.append(Told(self.out))
        return sinks if self.recorded is None else [*sinks, self.recorded]

    @property
    def in_vain(self) -> bool:
        """Nobody reads what it says, and nothing else was asked for."""
        own = self.settings.sensor
        elsewhere = self._outlets is not None or own.record is not None or own.ledger is not None
        return self.out.closed and not elsewhere

    def _unheard(self) -> None:
        if self.in_vain:
            say("nobody reads standard output any more: the sensor ends")
            self.workers.stop()
        else:
            say("nobody reads standard output any more: all else goes on")

    def _return(self) -> None:
        """An interface that was gone is used again."""
        if self._interfaces is None or not self._interfaces.returned():
            return
        say("an interface is there again")
        settings = self.renewal.reload.running
        self.workers.renew(self.response.renewed(beginning.tasks(self.asked, settings, self._interfaces)))
        recording = beginning.recording(self.asked, settings, self._interfaces)
        if self.recorded is not None and recording is not None:
            self.recorded.renew(recording)


def _pass_on(round_: Round) -> None:
    """The walk from what workers say to sinks, until the last of them has ended."""
    workers, renewal = round_.workers, round_.renewal
    alarms, room, sinks = renewal.alarms, renewal.room, round_.sinks()
    walk = round_.response.watch(workers.products(round_.look))
    workers.wait()
    if round_.asked.replay is None:
        become(round_.owner, spool_folder(round_.settings))
    round_.begin()
    renewal.service.ready()
    if not round_.asked.quiet:
        say(f"watching {beginning.place(round_.asked, round_.settings)}")
    for items in scanned(walk, room, alarms), rest(room.finish(lambda: workers.ended_for() > DRAIN), alarms):
        for item in items:
            for sink in sinks:
                sink.take(item)
    round_.tell(round_.response.rest())
    round_.tell(round_.minutes.rest())
    round_.out.end(HEARD)
    if any(left := round_.out.left):
        say(f"{left[0]} documents are lost, and {left[1]} bytes of them could not be written")
    _count(round_.summary, workers)


def _count(summary: Summary, workers: Workers) -> None:
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


def _ledger(folder: Path, most: int, owner: Owner | None) -> Ledger:
    return Ledger(folder, most, handed_over(folder, owner, is_ledger))


def _kept(asked: Asked, settings: Settings, renewal: Renewal, owner: Owner | None) -> Kept:
    own = settings.sensor
    ledger = _ledger(ledger_folder(settings), own.ledger_bytes, owner) if asked.replay is None else None
    loss = LossWatch(own.loss_minutes, own.loss_share)
    return Kept(beginning.place(asked, settings), ledger, loss, lambda: database_ages(renewal.engines))


def database_ages(engines: Iterable[Engine]) -> dict[str, float]:
    """Seconds, by engine; of those that know it."""
    ages = {engine.name: getattr(engine, "database_age", None) for engine in engines}
    return {name: age for name, age in ages.items() if age is not None}
