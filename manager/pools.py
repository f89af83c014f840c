"""Which pool the settings ask for: this host's engines or a cluster's; and the room before it where nobody may wait."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from manager.settings import Settings
from reassembly.events import Flow

if TYPE_CHECKING:
    from engines.outcome import AnyPool
    from engines.room import Room
    from engines.verdicts import Engine


def pool(
    settings: Settings,
    engines: Sequence[Engine],
    config: str | None,
    rules: tuple[str, ...],
    told: Callable[[], None] | None = None,
) -> AnyPool:
    """`engines`: of this host. `told`: called when one of them has answered. Raises Stop when there is no cluster to
    begin with.
    """
    if settings.pool.kind == "ray":
        from manager.hosts import cluster

        return cluster(settings, config, rules)
    return local_pool(settings, engines, told)


def local_pool(settings: Settings, engines: Sequence[Engine], told: Callable[[], None] | None = None) -> AnyPool:
    """This host's engines."""
    from engines.outcome import MAX_OBJECTS, Outcome
    from engines.pool import Pool

    return Pool(engines, outcome=Outcome(settings.pool.max_bytes, MAX_OBJECTS, told))


def room(settings: Settings, behind: AnyPool, goes_on: Callable[[Flow], bool]) -> Room:
    """The pool with a room before it. `goes_on`: whether a flow does, so that its objects go first."""
    from engines.room import BOUNDS, Room

    names = [engine.name for engine in settings.engine]
    most = settings.pool.max_bytes
    bounds = replace(BOUNDS, engines=min(most, BOUNDS.engines), memory=most, disk=settings.pool.max_disk)
    return Room(behind, names, goes_on, bounds, settings.sensor.temporary)
