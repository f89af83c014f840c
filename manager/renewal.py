"""What was read anew takes the place of what there was, while objects are on their way."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from manager import pools
from manager.alarms import Alarms
from manager.assembly import exact_engines, observer
from manager.capture_workers import Workers
from manager.events import Documents
from manager.reload import Fresh, Reload
from manager.run import say
from manager.systemd import ServiceManager
from sensor.noun import state

if TYPE_CHECKING:
    from engines.room import Room
    from engines.succession import Succession
    from engines.verdicts import Engine

log = logging.getLogger(__name__)


@state
class Renewal:
    """All that has to know of new settings. `engines`: those that are asked at present."""

    reload: Reload
    service: ServiceManager
    workers: Workers
    alarms: Alarms
    documents: Documents
    pools: Succession
    room: Room
    engines: Sequence[Engine]

    def look(self) -> None:
        """Called again and again: begins what was asked for, and takes what came of it."""
        if self.reload.begins():
            self.service.reloading()
        outcome = self.reload.outcome()
        if outcome is None:
            return
        if isinstance(outcome, Fresh):
            self._take(outcome)
        else:
            log.error("the settings stay as they were: %s", "; ".join(outcome.splitlines()))
        self.service.ready()

    def _take(self, fresh: Fresh) -> None:
        settings, said = fresh.settings, "settings have been read again"
        self.workers.change(settings)
        self.documents.change(observer(settings), settings.sensor.hashes)
        if settings.pool.kind == "local":
            self.alarms.change(exact_engines(settings))
            self.pools.succeed(pools.local_pool(settings, fresh.engines, self.workers.bell.ring))
            self.room.change([engine.name for engine in settings.engine])
            self.engines = fresh.engines
        else:
            said += "; hosts of the cluster read their rules when they are started"
        if fresh.later:
            said += f"; only a restart changes {', '.join(fresh.later)}"
        say(said)
