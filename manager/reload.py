"""SIGHUP: settings, rules and lists are read again while packets go on to be read.

It is done in a thread of its own, since rules take seconds. What holds a mistake changes nothing: the mistake is said,
and all stays as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING

from manager.assembly import build_engines
from manager.effective import flat
from manager.options import Stop
from manager.progress import Silence
from manager.settings import Settings
from manager.summary import Summary
from sensor.noun import noun

if TYPE_CHECKING:
    from engines.verdicts import Engine

# What takes effect without a restart; all else is of processes and sockets that go on.
AT_ONCE = (
    "engine", "sensor.name", "sensor.home", "sensor.hashes", "elasticsearch.namespace", "limits", "reassembly.overlap",
)  # fmt: skip


@noun
class Fresh:
    """What was read. `later`: keys that have changed, but take effect only with a restart."""

    settings: Settings
    engines: Sequence[Engine]
    later: tuple[str, ...]


class Reload:
    """`read`: the settings as they stand now; raises Stop. `running`: those that hold."""

    def __init__(self, read: Callable[[], Settings], running: Settings) -> None:
        self._read = read
        self.running = running
        self._asked = False
        self._reading = False
        self._outcome: SimpleQueue[Fresh | str] = SimpleQueue()

    def ask(self) -> None:
        """May be called by a signal's handler. Asked while it is under way, it is done once more."""
        self._asked = True

    def begins(self) -> bool:
        """Whether it is to be done; it has begun then."""
        if not self._asked or self._reading:
            return False
        self._asked, self._reading = False, True
        Thread(target=self._do, name="reload", daemon=True).start()
        return True

    def outcome(self) -> Fresh | str | None:
        """What came of it, once: something fresh, or what was wrong; None: nothing yet."""
        if self._outcome.empty():
            return None
        self._reading = False
        outcome = self._outcome.get()
        if isinstance(outcome, Fresh):
            self.running = outcome.settings
        return outcome

    def _do(self) -> None:
        outcome: Fresh | str = "something went wrong"
        try:
            outcome = self._fresh()
        except Stop as stop:
            outcome = str(stop)
        except (OSError, ValueError, MemoryError) as error:
            outcome = f"{type(error).__name__}: {error}"
        finally:  # whatever it was, all stays as it was, and it can be asked for again
            self._outcome.put(outcome)

    def _fresh(self) -> Fresh:
        settings = self._read()
        engines = checked_engines(settings) if self.running.pool.kind == "local" else []
        return Fresh(_joined(self.running, settings), engines, tuple(_later(self.running, settings)))


def checked_engines(settings: Settings) -> list[Engine]:
    """The engines of the settings. Raises Stop when there is a mistake in what one of them reads."""
    engines, mistakes = _built(settings)
    if mistakes:
        for engine in engines:
            engine.close()
        raise Stop("\n".join(mistakes))
    return engines


def engine_mistakes(settings: Settings) -> list[str]:
    """What is wrong with rules, lists and programs that the settings name."""
    engines, mistakes = _built(settings)
    for engine in engines:
        engine.close()
    return mistakes


def _built(settings: Settings) -> tuple[list[Engine], list[str]]:
    told = Summary()
    engines = build_engines(settings, told, Silence())
    return engines, [*(f"engine {name}: {why}" for name, why in told.unusable_engines.items()), *told.warnings]


def _later(before: Settings, after: Settings) -> list[str]:
    old, new = dict(flat(before)), dict(flat(after))
    keys = [key for key in old | new if not key.startswith(AT_ONCE)]
    return [key for key in keys if old.get(key) != new.get(key)]


def _joined(before: Settings, after: Settings) -> Settings:
    """What holds now: the new of what takes effect at once, the old of all else."""
    own = after.sensor
    sensor = replace(before.sensor, name=own.name, home=own.home, hashes=own.hashes)
    elastic = replace(before.elasticsearch, namespace=after.elasticsearch.namespace)
    assembly = replace(after.reassembly, track_vlan=before.reassembly.track_vlan)  # keys of flows that go on
    return replace(
        before, engine=after.engine, sensor=sensor, elasticsearch=elastic, limits=after.limits, reassembly=assembly
    )
