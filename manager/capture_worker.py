"""A process that captures and reads: packets in, products out, and no right to anything else.

All that parses hostile bytes lives here. What is still to be loaded is loaded before rights are given up, since after
that no file of the installation can be read.
"""

from __future__ import annotations

import contextlib
import encodings
import importlib
import pickle
import pkgutil
import signal
import socket
import sys
import time
from collections import Counter

from manager.assembly import change, flow_table, fragment_limits, overlap_policies
from manager.channel import MESSAGE, Said, Sender
from manager.children import NO_MEMORY
from manager.countering import Countering, Hand
from manager.garbage import collect_seldom
from manager.logs import one_line_logs
from manager.overload import LEVELS, Overload
from manager.pipeline import Source, Watch
from manager.precedence import go_first
from manager.privileges import give_up, named
from manager.settings import Settings
from reassembly.acting import Order
from reassembly.builder import Memory
from reassembly.known import Known
from reassembly.protocols import ORDER, speakers
from reassembly.windows import Windows
from sensor.noun import noun
from sensor.ring import RingSize

SOON = 512  # packets of a batch where flows are to be stopped: orders come through between two of them
PAUSE = 0.2  # seconds between two words on how it goes
_SLOW_PATH = ("dpkt.ethernet", "dpkt.llc", "dpkt.ppp", "dpkt.pppoe")
LATE = ("reassembly.mime", "zstandard", "brotli", "numpy.ma", *_SLOW_PATH)  # numpy.unique asks for numpy.ma


@noun
class Task:
    """What a worker is to do: read from the sockets of interfaces, or play a capture."""

    settings: Settings
    interfaces: tuple[tuple[str, int], ...] = ()  # each with its socket's descriptor
    ring: RingSize = RingSize()
    replay: str | None = None
    speed: float = 1.0
    ahead: bool = False  # parts of large objects are wanted before they are complete
    countering: Countering | None = None  # None: nothing is done about flows
    verbose: int = 0


def main(descriptor: int) -> None:
    """The life of a worker. `descriptor`: its end of the channel, on which the task comes first."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal it reaches us all: the manager tells us
    channel = socket.socket(fileno=descriptor)
    task: Task = pickle.loads(channel.recv(2 * MESSAGE))  # from the manager
    one_line_logs(task.verbose)
    named("tapscan-worker")
    source = _source(task, descriptor)
    load_all()
    collect_seldom()
    go_first(task.settings.sensor.precedence)
    give_up(task.settings.sensor.user, task.settings.sensor.temporary)
    signal.signal(signal.SIGTERM, lambda *_: source.stop())
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    try:
        _work(source, task, Sender(channel))
    except (BrokenPipeError, ConnectionResetError):  # the manager is gone
        return
    except MemoryError:  # of the system (ulimit -v); all of it comes back to who is started next
        sys.exit(NO_MEMORY)


def _source(task: Task, channel: int) -> Source:
    limits = fragment_limits(task.settings)
    if task.replay is not None:
        from sensor.replay import Replay

        return Replay(task.replay, task.speed, limits)
    from sensor.live import PORTION, Live
    from sensor.plain import reader

    rings = [reader(name, socket.socket(fileno=number), task.ring) for name, number in task.interfaces]
    portion = PORTION if task.countering is None else SOON
    return Live(rings, limits, settled=task.ring.settled, also=channel, portion=portion)


def _work(source: Source, task: Task, sender: Sender) -> None:
    memory = Memory(task.settings.limits, task.settings.sensor.temporary, ahead=sender if task.ahead else None)
    table = flow_table(task.settings, memory, overlap_policies(task.settings), None)
    known, windows = Known(), Windows(sender.window)
    hand = None if task.countering is None else Hand(task.countering, known)
    if hand is not None:
        memory.known, memory.windows, table.acting = known, windows, hand.acting

    overload, ordered = Overload(task.settings.overload), 0
    bystanders = table.bystanders

    def say(last: bool = False) -> None:
        counters = source.counters + table.counters + Counter({"overload.flows": bystanders.flows})
        figures = source.packets, source.bytes, source.lost, len(table), source.now()
        sender.say(Said(*figures, counters, tuple(source.warnings), last))

    def after() -> None:
        windows.show()
        sender.flush()

    say()
    said = time.monotonic()
    for arrived, product in Watch(source, table, memory, after).products():
        if product is not None:
            sender.product(arrived, product)
            continue
        now = time.monotonic()
        ordered = sender.ordered(ordered)
        handed, sender.handed = sender.handed, []
        for one in handed:
            if isinstance(one, Known):
                known.change(one)
            elif not isinstance(one, Order):
                change(one, source, table, memory)
            elif hand is not None:
                hand.order(one, source.now())
        if hand is not None:
            sender.met(hand.met())
            hand.flush()
        level = overload.look({"packets": source.backlog} | table.fullness, now)
        bystanders.admitted = LEVELS[max(level, ordered)]
        if now - said > PAUSE:
            said = now
            say()
    say(last=True)


def load_all() -> None:
    """What decoding and parsers would load when it is first needed."""
    for transport in ORDER:
        list(speakers(transport))
    for name in LATE:
        importlib.import_module(name)
    for found in pkgutil.iter_modules(encodings.__path__):
        with contextlib.suppress(ImportError):  # those of another system
            importlib.import_module(f"encodings.{found.name}")
