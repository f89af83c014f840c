"""`tapscan icap-server`: engines, policy and documents in this thread, and beside it one for each connection."""

from __future__ import annotations

import logging
import os
import resource
import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from engines.succession import Succession
from manager import pools
from manager.action_stop import stop_file
from manager.alarms import Alarms
from manager.assembly import build_engines, exact_engines, observer, spool_folder
from manager.block_page import BlockPage
from manager.effective import effective
from manager.garbage import collect_seldom
from manager.icap_inspection import Inspection
from manager.icap_listener import Listener
from manager.icap_service import Serving
from manager.icap_telling import Telling
from manager.injection_limits import Lists
from manager.logs import one_line_logs
from manager.options import Stop
from manager.ownership import Owner, become, check_temporary, handed_over, is_action_log, owner_of
from manager.policy import Policy
from manager.privileges import harden
from manager.progress import Silence
from manager.reload import Fresh, Reload
from manager.run import say
from manager.settings import Settings
from manager.stop_file import StopFile
from manager.summary import Summary
from manager.systemd import ServiceManager, service_manager
from reassembly.builder import Memory
from reassembly.events import Flow
from sensor.noun import noun

if TYPE_CHECKING:
    from engines.verdicts import Engine

log = logging.getLogger(__name__)

FAREWELL = 10.0  # seconds at the end for messages that are held
VERSIONS = 60.0  # seconds between two looks at what engines know: ISTag tells the proxy


@noun
class Asked:
    """Of the command line."""

    config: str | None = None
    json: bool = False
    quiet: bool = False
    verbose: int = 0
    rules: tuple[str, ...] = ()

    def settings(self) -> Settings:
        """What holds, also when the file is read again. Raises Stop."""
        return effective(self.config, self.rules)[0]


def serve(asked: Asked) -> int:
    """Does the command; returns its exit code. Raises Stop when it can't begin."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})  # until there is something to read again
    service = service_manager()
    harden()
    settings = asked.settings()
    one_line_logs(asked.verbose)
    _allow_files()
    owner = owner_of(settings)
    check_temporary(owner, settings.sensor.temporary)
    page, stop = BlockPage(settings.block_page), _stop_file(settings, owner)
    server = Server(asked, settings, owner, stop, service)
    shared = Serving(settings.icap, page, lambda: server.engines, server.inspection, _memory(settings))
    try:
        listener = Listener(settings.icap, shared)
        become(owner, spool_folder(settings), kept=0)
        if why := stop.why():
            say(f"warning: everything is let through: {why}")
        collect_seldom()
        server.run(listener)
    finally:
        server.close()
    return 0


def _stop_file(settings: Settings, owner: Owner | None) -> StopFile:
    """Looked for through its folder, whose parents may be closed to who we become."""
    path = stop_file(settings)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handed_over(path.parent, owner, is_action_log)
        return StopFile(path, os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
    except OSError as error:
        raise Stop(f"countermeasures.stop_file: {path.parent}: {error.strerror}") from None


def _allow_files() -> None:
    """A connection and what it holds are some descriptors each: as many as the system lets us have."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _engines(settings: Settings) -> list[Engine]:
    """Those of this host. What is wrong with them is said."""
    if settings.pool.kind != "local":
        return []
    made = Summary()
    engines = build_engines(settings, made, Silence())
    for name, why in made.unusable_engines.items():
        say(f"warning: engine {name} could not be used: {why}")
    for engine in engines:
        if (trouble := engine.check()) is not None:
            say(f"warning: engine {engine.name} can't be used at present: {trouble}")
    return engines


def _memory(settings: Settings) -> Callable[[], Memory]:
    """Of one message; what all of them hold in memory together is bounded."""
    own = settings.limits
    share = min(own.object_memory, own.total_memory // settings.icap.max_connections)
    limits = replace(own, object_memory=share)
    return lambda: Memory(limits, settings.sensor.temporary)


class Server:
    """Engines, policy, and where what comes out of them goes. `engines`: those that are asked at present."""

    def __init__(
        self, asked: Asked, settings: Settings, owner: Owner | None, stop: StopFile, service: ServiceManager
    ) -> None:
        self._asked = asked
        self._settings = settings
        self._service = service
        exact = exact_engines(settings)
        self._alarms = Alarms(exact)
        policy = Policy(settings.policy, observer(settings), exact)
        own = settings.icap.mode, _spared(settings, stop)
        self.inspection = Inspection(policy, self._alarms, *own, lambda action: self._telling.act(action), self._look)
        self.engines: Sequence[Engine] = _engines(settings)
        self._telling = Telling(settings, owner, asked.json, self.inspection.wake)
        self._reload = Reload(asked.settings, settings)
        self._pool = Succession(pools.pool(settings, self.engines, asked.config, asked.rules, self.inspection.wake))
        self._busy: Callable[[], bool] = lambda: False
        self._ending: float | None = None
        self._checked = time.monotonic()

    def run(self, listener: Listener) -> None:
        """Until a signal ends it."""
        self._heed(listener)
        listener.start()
        self._service.ready()
        if not self._asked.quiet:
            say(f"listening on {self._settings.icap.listen}, mode {self._settings.icap.mode}")
        try:
            self.inspection.run(self._pool, self._telling.sinks)
        finally:
            listener.close()

    def _heed(self, listener: Listener) -> None:
        """Signals: the first of those that end lets those finish that are held, the second doesn't wait for it."""
        self._busy = lambda: listener.busy

        def end(*_: object) -> None:
            if self._ending is not None:
                raise KeyboardInterrupt
            self._ending = time.monotonic()
            self._service.stopping()
            listener.stop()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, end)
        signal.signal(signal.SIGHUP, lambda *_: self._reload.ask())
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})

    def close(self) -> None:
        """What was found and done is still told."""
        self._telling.close()
        self._pool.close()

    def _look(self) -> bool:
        """Again and again; whether it goes on."""
        self._telling.look()
        self._renew()
        if (now := time.monotonic()) - self._checked > VERSIONS:
            self._checked = now
            threading.Thread(target=_ask, args=(self.engines,), name="versions", daemon=True).start()
        if self._ending is None:
            return True
        return (self.inspection.holding or self._busy()) and now - self._ending < FAREWELL

    def _renew(self) -> None:
        """SIGHUP: rules, lists and engines anew."""
        if self._reload.begins():
            self._service.reloading()
        if (outcome := self._reload.outcome()) is None:
            return
        if isinstance(outcome, Fresh):
            self._take(outcome)
        else:
            log.error("the settings stay as they were: %s", "; ".join(outcome.splitlines()))
        self._service.ready()

    def _take(self, fresh: Fresh) -> None:
        settings = fresh.settings
        self._telling.documents.change(observer(settings), settings.sensor.hashes)
        if settings.pool.kind == "local":
            self._alarms.change(exact_engines(settings))
            self._pool.succeed(pools.local_pool(settings, fresh.engines, self.inspection.wake))
            self.engines = fresh.engines
        later = f"; only a restart changes {', '.join(fresh.later)}" if fresh.later else ""
        say(f"settings have been read again{later}")


def _ask(engines: Sequence[Engine]) -> None:
    for engine in engines:
        engine.check()


def _spared(settings: Settings, stop: StopFile) -> Callable[[Flow], str | None]:
    """Why nothing is done about a flow: the stop file, or an address on the allowlist."""
    lists = Lists.of(settings.countermeasures)
    return lambda flow: stop.why() or lists.of_ends(flow)
