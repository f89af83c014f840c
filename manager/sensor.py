"""`tapscan sensor`: the main job on what passes a TAP or SPAN port, until it is ended."""

from __future__ import annotations

import errno
import signal
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from manager import pools
from manager.alarms import Alarm, Alarms
from manager.assembly import build_engines, exact_engines, flow_table, fragment_limits, overlap_policies
from manager.ecs import Document, line
from manager.effective import effective
from manager.logs import one_line_logs
from manager.minutes import Minutes
from manager.options import Stop
from manager.pipeline import Item, Source, Watch, rest, scanned
from manager.progress import Silence
from manager.report import alarm_line, console, report
from manager.run import documents, say
from manager.settings import Settings
from manager.sinks import JsonLines, Lines, Sink, to_descriptor
from manager.summary import Summary
from reassembly.builder import Memory
from sensor.noun import noun

if TYPE_CHECKING:
    from engines.verdicts import Engine
    from sensor.ring import Ring

NO_RIGHT = """capturing on {interface} needs CAP_NET_RAW: run as root, or
setcap cap_net_raw+ep {python}
or AmbientCapabilities=CAP_NET_RAW in the systemd unit"""


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


def watch(asked: Asked) -> int:
    """Does the command; returns its exit code. Raises Stop when nothing can be done."""
    settings, _ = effective(asked.config, asked.rules)
    one_line_logs(asked.verbose)
    made = Summary()
    engines = build_engines(settings, made, Silence()) if settings.pool.kind == "local" else []
    summary = Summary()
    source = _replay(asked, settings) if asked.replay is not None else _interfaces(asked, settings)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: source.stop())
    if not asked.quiet:
        say(f"watching {source.path}")
    _pass_on(asked, settings, source, engines, summary)
    summary.merge(made)
    summary.settle_engines(engines)
    if not asked.json and not asked.quiet:
        report(summary, scanning=True, everything=asked.verbose > 0)
    for name, why in summary.unusable_engines.items():
        say(f"engine {name} could not be used: {why}")
    return 2 if summary.unusable_engines else 0


def _pass_on(asked: Asked, settings: Settings, source: Source, engines: Sequence[Engine], summary: Summary) -> None:
    """The walk, from packets to sinks, until the source ends."""
    memory = Memory(settings.limits, settings.sensor.temporary)
    table = flow_table(settings, memory, overlap_policies(settings), None)
    alarms = Alarms(exact_engines(settings))
    pool = pools.room(settings, pools.pool(settings, engines, asked.config, asked.rules), alarms.goes_on)
    memory.ahead = pool.ahead
    lines = Lines(to_descriptor(1))
    made = documents(settings, live=asked.replay is None)
    minutes = Minutes(made, source, lambda: {"flows": len(table), "open_flows": len(alarms)})
    sinks: list[Sink] = [summary, minutes, JsonLines(made, lines.write) if asked.json else Told()]

    def tell(said: Iterable[Document]) -> None:
        for document in said if asked.json else ():
            lines.write(line(document))
        lines.flush()

    walk = Watch(source, table, memory, lambda: tell(minutes.due()))
    try:
        for items in scanned(walk.products(), pool, alarms), rest(pool, alarms):
            for item in items:
                for sink in sinks:
                    sink.take(item)
    finally:
        pool.close()
    tell(minutes.rest())
    summary.packets, summary.bytes, summary.captures = source.packets, source.bytes, 1
    summary.counters.update(source.counters)
    summary.counters.update(table.counters)


class Told:
    """A sink: each alarm in a line, as it is raised."""

    def __init__(self) -> None:
        self._out = console()

    def take(self, item: Item) -> None:
        if isinstance(item, Alarm):
            alarm_line(self._out, item)


def _replay(asked: Asked, settings: Settings) -> Source:
    from sensor.captures import CaptureError
    from sensor.replay import Replay

    assert asked.replay is not None
    try:
        return Replay(asked.replay, asked.speed, fragment_limits(settings))
    except CaptureError as error:
        raise Stop(str(error)) from None


def _interfaces(asked: Asked, settings: Settings) -> Source:
    from sensor.live import Live

    names = asked.interfaces or settings.sensor.interfaces
    if not names:
        raise Stop("no interface to watch: -i IFACE, or interfaces = [...] under [sensor] in the settings")
    return Live([_ring(name, asked.filter or "") for name in names])


def _ring(interface: str, expression: str) -> Ring:
    from sensor.bpf import FilterError, compiled
    from sensor.ring import Ring

    try:
        return Ring(interface, program=compiled(expression, 1))
    except FilterError as error:
        raise Stop(f"--filter: {error}") from None
    except PermissionError:
        raise Stop(NO_RIGHT.format(interface=interface, python=sys.executable)) from None
    except OSError as error:
        if error.errno == errno.ENODEV:
            raise Stop(f"{interface}: no such interface (ip link shows those that are there)") from None
        raise Stop(f"{interface}: can't be watched: {error.strerror}") from None
