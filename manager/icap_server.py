"""`tapscan icap-server`: engines, policy and documents in this thread, and beside it one for each connection."""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from manager import pools
from manager.action import Action
from manager.action_log import ActionLog, actions_folder
from manager.action_stop import stop_file, stopped
from manager.alarms import Alarms
from manager.assembly import build_engines, exact_engines, observer
from manager.block_page import BlockPage
from manager.effective import effective
from manager.errands import Errands
from manager.garbage import collect_seldom
from manager.icap_inspection import Inspection
from manager.icap_listener import Listener
from manager.icap_service import Serving
from manager.injection_limits import Lists
from manager.listening import Listened, Told
from manager.logs import one_line_logs
from manager.options import Stop
from manager.policy import Policy
from manager.progress import Silence
from manager.run import documents, outlets, say
from manager.settings import Settings
from manager.sinks import Documented, Lines, Receiver, Sink, printed
from manager.summary import Summary
from reassembly.builder import Memory
from reassembly.events import Flow
from sensor.noun import noun

if TYPE_CHECKING:
    from engines.verdicts import Engine

log = logging.getLogger(__name__)

FAREWELL = 10.0  # seconds at the end for messages that are held


@noun
class Asked:
    """Of the command line."""

    config: str | None = None
    json: bool = False
    quiet: bool = False
    verbose: int = 0
    rules: tuple[str, ...] = ()


def serve(asked: Asked) -> int:
    """Does the command; returns its exit code. Raises Stop when it can't begin."""
    settings, _ = effective(asked.config, asked.rules)
    one_line_logs(asked.verbose)
    page = BlockPage(settings.block_page)
    engines = _engines(settings)
    server = Server(asked, settings, engines)
    pool = pools.pool(settings, engines, asked.config, asked.rules, server.inspection.wake)
    listener = Listener(settings.icap, Serving(settings.icap, page, engines, server.inspection, _memory(settings)))
    server.heed(listener)
    collect_seldom()
    if not asked.quiet:
        say(f"listening on {listener.address}, mode {settings.icap.mode}")
    try:
        server.inspection.run(pool, server.sinks)
    finally:
        listener.close()
        server.close()
        pool.close()
    return 0


def _engines(settings: Settings) -> list[Engine]:
    """Those of this host. What is wrong with them is said; with none nothing could ever be called clean."""
    if settings.pool.kind != "local":
        return []
    made = Summary()
    engines = build_engines(settings, made, Silence())
    for name, why in made.unusable_engines.items():
        say(f"engine {name} could not be used: {why}")
    for engine in engines:
        if (trouble := engine.check()) is not None:
            say(f"warning: engine {engine.name} can't be used at present: {trouble}")
    if not engines:
        raise Stop("no engine can be used: see `tapscan engines`")
    return engines


def _memory(settings: Settings) -> Callable[[], Memory]:
    """Of one message; what all of them hold in memory together is bounded."""
    own = settings.limits
    share = min(own.object_memory, own.total_memory // settings.icap.max_connections)
    limits = replace(own, object_memory=share)
    return lambda: Memory(limits, settings.sensor.temporary)


class Server:
    """What comes out of the inspection, and where it goes."""

    def __init__(self, asked: Asked, settings: Settings, engines: list[Engine]) -> None:
        exact = exact_engines(settings)
        policy = Policy(settings.policy, observer(settings), exact)
        spared = _spared(settings)
        self.inspection = Inspection(policy, Alarms(exact), settings.icap.mode, spared, self._act, self._look)
        self._documents = documents(settings, live=True)
        self._outlets = outlets(settings, self._documents)
        self._patience = settings.elasticsearch.flush_timeout
        self._errands = Errands(settings.policy, self.inspection.wake)
        self._log = ActionLog(actions_folder())
        self._out = Listened(lambda: None)
        self._lines = Lines(self._out)
        self._receivers: list[Receiver] = [printed(self._lines.write)] if asked.json else []
        if self._outlets is not None:
            self._receivers.append(self._outlets.take)
        self.sinks: list[Sink] = [Documented(self._documents, self._receivers)] if self._receivers else []
        if not asked.json:
            self.sinks.append(Told(self._out))
        self._actions: list[Action] = []
        self._listener: Listener | None = None
        self._ending: float | None = None

    def heed(self, listener: Listener) -> None:
        """The first signal lets those finish that are held, the second doesn't wait for it."""
        self._listener = listener

        def end(*_: object) -> None:
            if self._ending is not None:
                raise KeyboardInterrupt
            self._ending = time.monotonic()
            listener.stop()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, end)

    def _act(self, action: Action) -> None:
        self._actions.append(action)

    def _look(self) -> bool:
        actions, self._actions = self._actions, []
        for action in self._errands.passed(actions, self._documents.action):
            document = self._documents.action(action)
            self._log.write(document)
            for receive in self._receivers:
                receive(document)
        self._lines.flush()
        self._out.look()
        if self._ending is None:
            return True
        held = self._listener is not None and self._listener.busy
        return held and time.monotonic() - self._ending < FAREWELL

    def close(self) -> None:
        """What was found and done is still told."""
        self._errands.close()
        self._look()
        if self._outlets is not None:
            self._outlets.end(self._patience)


def _spared(settings: Settings) -> Callable[[Flow], str | None]:
    """Why nothing is done: the stop file, or an address of the allowlist."""
    path, own = stop_file(settings), settings.countermeasures

    def why(flow: Flow) -> str | None:
        return f"{path} exists" if stopped(path) else lists.of_ends(flow)

    lists = Lists.of(replace(own, allow_ports=(), allow_macs=()))  # a proxy says neither
    return why
