"""`tapscan cluster status` and `drain`: what the hosts of a cluster do, and how one of them leaves."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING

from rich.console import Group
from rich.live import Live
from rich.text import Text

from manager.access import access
from manager.assembly import observer
from manager.ecs import line
from manager.effective import effective
from manager.events import Documents
from manager.hosts import HostEngines
from manager.options import Stop
from manager.report import console, plain_table
from manager.visible import visible
from sensor.noun import noun

if TYPE_CHECKING:
    from rich.table import Table

    from engines.status import EngineStatus, HostStatus, Status

PAUSE = 2.0  # seconds between two looks
PATIENCE = 40.0  # seconds for the head; Ray itself would end the process after a minute
SEEN = 2.0  # seconds in which all sensors have heard that a host is drained
RATES = ">scanned", ">/s", ">MB/s", ">errors"
COLUMNS = "engine", "version", ">actors", *RATES, ">waiting", ">queue", ">median", ">99 %"


@noun
class Asked:
    """How the cluster is reached."""

    address: str
    token: str | None = None
    tls: str | None = None
    config: str | None = None


def show_status(asked: Asked, as_json: bool, once: bool) -> int:
    """Prints hosts, engines and what runs on them: again and again on a terminal. Raises Stop without a cluster."""
    with _status(asked) as status:
        if as_json:
            return _print_json(status.look(), asked.config)
        if once or not sys.stdout.isatty():
            hosts = status.look()
            console().print(_shown(hosts))
            return code(hosts)
        return _watch(status)


def drain(asked: Asked, named: str, undo: bool) -> int:
    """Lets a host finish what it has, and waits for that; or lets it work again. Raises Stop when there is none."""
    with _status(asked) as status:
        nodes = status.find(named)
        if not nodes:
            raise Stop(f"{named}: no host of the cluster has this name or address")
        for node in nodes:
            status.drain(node, undo)
        if undo:
            sys.stderr.write(f"tapscan: {named} gets work again\n")
            return 0
        sys.stderr.write(f"tapscan: {named} gets nothing new; waiting until what it has is finished\n")
        _wait(lambda: any(map(status.actors, nodes)))
    sys.stderr.write(f"tapscan: {named} is drained: tapscan cluster join can be ended there\n")
    return 0


def code(hosts: Sequence[HostStatus]) -> int:
    """The exit code: 2 when a host is refused."""
    return 2 if any(host.refused for host in hosts) else 0


@contextlib.contextmanager
def _status(asked: Asked) -> Iterator[Status]:
    """A connection to the cluster."""
    os.environ |= access(asked.token, asked.tls)
    from engines.cluster import ClusterError
    from engines.status import Status

    try:
        with _hushed():
            status = Status(HostEngines(), asked.address)
    except ClusterError as error:
        raise Stop(f"{asked.address}: {error}") from None
    try:
        yield status
    finally:
        status.close()


@contextlib.contextmanager
def _hushed() -> Iterator[None]:
    """Ray writes a line at each vain try; what we say at the end is enough."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _print_json(hosts: Sequence[HostStatus], config: str | None) -> int:
    """Metrics documents: one for each engine of each host, and one for a host that runs none."""
    documents = Documents(observer(effective(config)[0]))
    for host in hosts:
        for engine in host.engines or (None,):
            sys.stdout.buffer.write(line(documents.scan_host(host, engine)))
    return code(hosts)


def _watch(status: Status) -> int:
    """Until Ctrl-C. Looks in a thread of its own: where the head is gone, Ray waits long, and is deaf meanwhile."""
    looks: SimpleQueue[Sequence[HostStatus]] = SimpleQueue()

    def look() -> None:
        while True:
            looks.put(status.look())
            time.sleep(PAUSE)

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the terminal is put in order again
    with contextlib.suppress(KeyboardInterrupt), Live(console=console(), screen=True, auto_refresh=False) as live:
        Thread(target=look, daemon=True).start()
        while True:
            try:
                live.update(_shown(looks.get(timeout=PATIENCE)), refresh=True)
            except Empty:
                raise Stop("the head of the cluster doesn't answer") from None
    return 0


def _wait(busy: Callable[[], bool]) -> None:
    """Until nothing is there any more: sensors hear of it within a second, one that starts just now a little later."""
    seen = time.monotonic() + SEEN
    while busy() or time.monotonic() < seen:
        time.sleep(0.2)


def _shown(hosts: Sequence[HostStatus]) -> Group:
    rows = [part for host in hosts for part in (_host(host), "")]
    for engine, databases in sorted(differing(hosts).items()):
        told = ", ".join(f"{visible(version)} on {visible(', '.join(where))}" for version, where in databases.items())
        rows.append(Text(f"{visible(engine)} does not know the same everywhere: {told}"))
    return Group(*rows)


def _host(host: HostStatus) -> Table | Text:
    title = f"{visible(host.name or '')} {host.address}".strip() + (" (drained)" if host.drained else "")
    if not host.engines:
        idle = "its sensors use the others" if host.drained else "ready, no sensor uses it"
        return Text(f"{title}: {visible(host.refused or idle)}")
    table = plain_table(title, *COLUMNS)
    table.title_justify = "left"
    for engine in host.engines:
        known = "\n".join(visible(text or "") for text in (engine.version, engine.database))
        table.add_row(visible(engine.name), known, *_figures(engine))
    return table


def _figures(engine: EngineStatus) -> Iterator[str]:
    yield f"{engine.actors}" + (f" ({engine.silent} silent)" if engine.silent else "")
    yield f"{engine.scanned:,}"
    yield f"{engine.objects_s:,.1f}"
    yield f"{engine.mb_s:,.2f}"
    yield f"{engine.errors:,}"
    yield f"{engine.waiting:,}"
    yield f"{engine.queue:,}"
    yield from ("" if ms is None else f"{ms:,.2f} ms" for ms in (engine.median_ms, engine.p99_ms))


def differing(hosts: Sequence[HostStatus]) -> dict[str, dict[str, list[str]]]:
    """Engines whose databases are not the same on all hosts: engine -> database -> hosts."""
    found: dict[str, dict[str, list[str]]] = {}
    for host in hosts:
        for engine in host.engines:
            found.setdefault(engine.name, {}).setdefault(engine.database or "none", []).append(
                host.name or host.address
            )
    return {engine: databases for engine, databases in found.items() if len(databases) > 1}
