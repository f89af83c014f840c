"""What a sensor begins with: settings with the command line over them, checks, sockets, tasks for its processes."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from manager import precedence, start_checks
from manager.capture_worker import Task
from manager.children import started
from manager.effective import effective
from manager.interfaces import Interfaces, card_time
from manager.options import Stop
from manager.recorder import Recording
from manager.run import say
from manager.settings import SensorSettings, Settings
from sensor.noun import noun
from sensor.offloads import switch_off, switched_on

if TYPE_CHECKING:
    from manager.injection import Injection
    from manager.ownership import Owner


@noun
class Asked:
    """Of the command line. What isn't given is that of the settings."""

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
    around: float | None = None  # seconds
    record_bytes: int | None = None


def settings_of(asked: Asked) -> Settings:
    """What holds, also when the file is read again. Raises Stop."""
    settings, _ = effective(asked.config, asked.rules)
    own = settings.sensor
    sensor = replace(
        own,
        interfaces=asked.interfaces or own.interfaces,
        record=asked.record or own.record,
        record_bytes=asked.record_bytes or own.record_bytes,
        around_alarms=own.around_alarms if asked.around is None else asked.around,
    )
    return replace(settings, sensor=sensor)


def place(asked: Asked, settings: Settings) -> str:
    """Where packets come from, in a word."""
    return asked.replay or "+".join(settings.sensor.interfaces)


def opened(asked: Asked, settings: Settings) -> Interfaces | None:
    """The interfaces, looked at before they are used; None where a capture is played. Raises Stop."""
    if asked.replay is not None:
        return None
    own = settings.sensor
    sockets = own.workers + (own.record is not None)
    room = [*start_checks.memory(own.ring, sockets, len(own.interfaces) or 1, start_checks.free_memory())]
    interfaces = Interfaces(own, own.workers, asked.filter or "", hardware=_card_time(own))
    scattered = start_checks.fanout(own.fanout, own.workers)
    for found in (*room, *scattered, *start_checks.clock(time.time(), start_checks.synchronised())):
        say(found)
    for name in own.interfaces:
        _check_offloads(name, asked.fix_offloads)
    return interfaces


def go_first(settings: Settings) -> None:
    """This thread, and the processes that take packets, get a processor before others."""
    if not precedence.go_first(settings.sensor.precedence):
        say("hint: other programs may take the sensor's processors (CAP_SYS_NICE; Nice=-10 in a systemd unit)")
    precedence.alone()


def tasks(asked: Asked, settings: Settings, interfaces: Interfaces | None) -> list[Task]:
    """One for each capture worker. Raises Stop where the capture can't be played."""
    if interfaces is None:
        return [_replay(asked, settings)]
    return [Task(settings, one, interfaces.size, verbose=asked.verbose) for one in interfaces.descriptors]


def recording(asked: Asked, settings: Settings, beside: Interfaces | None) -> Recording | None:
    """The recorder's, with sockets of its own `beside` the workers'; None where nothing is recorded. Raises Stop."""
    own = settings.sensor
    if own.record is None:
        return None
    task = Recording(own.record, replay=asked.replay, most=own.record_bytes, user=own.user, verbose=asked.verbose)
    if beside is None:
        return task
    interfaces = Interfaces(own, 1, asked.filter or "", hardware=beside.hardware)
    return replace(task, interfaces=interfaces.descriptors[0], ring=interfaces.size)


def injection(asked: Asked, settings: Settings, owner: Owner | None) -> Injection | None:
    """Who sends frames; None where nothing is ever sent. Raises Stop."""
    if asked.replay is not None or settings.countermeasures.mode == "observe":
        return None
    from manager.injection import Injection

    return Injection(settings, owner, started)


def countering(tasks: list[Task], injection: Injection | None) -> list[Task]:
    """The tasks, with what workers need to have flows ended."""
    return [replace(task, countering=None if injection is None else injection.countering) for task in tasks]


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


def _card_time(own: SensorSettings) -> bool:
    """Whether cards give packets their time; where one doesn't, it is the kernel's of all: they are one timeline."""
    if own.clock == "kernel":
        return False
    why = card_time(own.interfaces) if own.ring else "without a ring there is no other"
    if why:
        say(f'warning: clock = "hardware": packets have the kernel\'s time ({why})')
    return not why


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
