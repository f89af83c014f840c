"""All engines on each object at once, as Ray actors on any number of hosts.

The third arrow of the walk, `Object -> Verdict`, the same as `engines.pool`: this is the only file that knows Ray. One
thread (`_run`) owns all that changes; Ray's answers come to it over a queue. Where work goes is decided in
`engines.dispatch`. On each host an actor an engine holds that engine's lane (`engines.lane`), with its threads,
deadline and health.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from threading import Event, Thread
from time import monotonic, monotonic_ns, sleep
from typing import Any, Self, cast

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_max_direct_call_object_size", f"{2 << 20}")  # bytes of an argument: a call is less
import ray
from ray.experimental import internal_kv
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from engines.dispatch import Call, Dispatch, Seat, Task
from engines.lane import Job
from engines.large import Large, NoRoom
from engines.outcome import MAX_BYTES, MAX_OBJECTS, Outcome, Scanned
from engines.places import FIRST_PAUSE, Host, NoHead, Place, reach
from engines.roster import SILENCE, Roster
from engines.scanner import Recipe, Scanner, describe
from engines.verdicts import Verdict
from reassembly.objects import Object

log = logging.getLogger(__name__)

NAMESPACE = "tapscan"  # of the actors' names
DRAINED = "tapscan-drained"  # namespace of the nodes that are, at the head
TICK = 0.05  # seconds between two looks at deadlines
CONNECT = 5.0  # seconds for the head to take a connection
AGAIN = 0.5  # seconds between two tries
ROUND = 1.0  # seconds between two looks at the hosts
MEET = 20.0  # seconds for the first host that has engines to be seen
FULL = ray.exceptions.ObjectStoreFullError, ray.exceptions.OutOfDiskError
START = 60.0  # seconds for the engines of the hosts seen by then to come up


class ClusterError(Exception):
    """There is no cluster to work with; the text says why."""


def connect(address: str) -> None:
    """To be done first; `disconnect` ends it. Raises ClusterError."""
    own: dict[str, Any] = {"address": address}
    if address == "new":
        own = {"address": "local", "num_cpus": os.cpu_count() or 1, "include_dashboard": False}
    before = signal.getsignal(signal.SIGTERM)
    try:
        if address not in ("auto", "new"):
            reach(address, CONNECT)
        _enter(own)
    except NoHead as error:
        raise ClusterError(str(error)) from None
    except (ConnectionError, RuntimeError, ValueError) as error:
        asked = "" if address == "new" else "; are token and TLS those of the cluster?"
        raise ClusterError(f"{str(error).splitlines()[0]}{asked}") from None
    finally:
        with contextlib.suppress(ValueError):  # not the main thread: Ray leaves it alone
            signal.signal(signal.SIGTERM, before)


def _enter(own: dict[str, Any]) -> None:
    """A head that has just been started answers before it lets anyone in."""
    until = monotonic() + CONNECT
    while True:
        try:
            ray.init(log_to_driver=False, configure_logging=False, namespace=NAMESPACE, **own)
        except ConnectionError:
            if monotonic() > until:
                raise
            sleep(AGAIN)
        else:
            return


disconnect = ray.shutdown


class _Actor(Scanner):
    @ray.method(concurrency_group="health")
    def ping(self, queue: int) -> None:
        """Answers as long as the host can be reached. `queue`: objects that wait at the sensor for such an engine."""
        self.queue = queue

    @ray.method(concurrency_group="health")
    def hold(self, key: str, begin: int, part: bytes) -> None:
        """A part of an object that isn't complete yet."""
        self.held.part(key, begin, part)

    @ray.method(concurrency_group="health")
    def forget(self, key: str) -> None:
        """An object of which parts are there won't come."""
        self.held.forget(key)

    @ray.method(concurrency_group="health")
    def report(self) -> dict[str, Any]:
        """What it has done: `Scanner.done`."""
        return self.done()


class Cluster:
    """Runs the engines of all hosts side by side. Made, used and closed by one thread.

    `address`: HOST:PORT of a cluster's head, "auto" for the one that this host belongs to, "new" for one of its own.
    `heard`: called each time the head has answered. Raises ClusterError when there is none, or when none of its hosts
    can be used.
    """

    def __init__(
        self,
        recipe: Recipe,
        address: str,
        *,
        max_bytes: int = MAX_BYTES,
        max_objects: int = MAX_OBJECTS,
        outcome: Outcome | None = None,
        heard: Callable[[], None] = lambda: None,
    ) -> None:
        self.counters: Counter[str] = Counter()
        self._recipe = recipe
        self._heard = heard
        self._outcome = outcome or Outcome(max_bytes, max_objects)
        self._inbox: SimpleQueue[tuple[Callable[..., object], tuple[Any, ...]]] = SimpleQueue()
        self._dispatch = Dispatch(self._send, self._say)
        self._large = Large(self, self._dispatch)
        self._roster = Roster(self, self._dispatch, self.counters)
        self.hosts, self.places = self._roster.hosts, self._roster.places
        self._stop = Event()
        self._ready = self._roster.settled
        connect(address)
        self._actor = ray.remote(concurrency_groups={"health": 1})(_Actor)  # type: ignore[call-overload]
        work = (self._run, "cluster"), (self._look, "cluster-hosts")
        self._threads = [Thread(target=one, name=name, daemon=True) for one, name in work]
        for thread in self._threads:
            thread.start()
        if not (self._ready.wait(MEET) or self.places):
            why = "; ".join(host.refused or f"{host.address}: no engine" for host in self.hosts.values())
            self.close()
            raise ClusterError(f"no host of the cluster can scan: {why or 'it has none'}")
        self._ready.wait(START)

    @property
    def ahead(self) -> Self:
        """Takes parts of large objects."""
        return self

    def part(self, key: str, begin: int, piece: bytes) -> None:
        """Bytes from `begin` on of the object with the id `key`, which is still arriving; the caller bounds them."""
        self._post(self._large.part, key, begin, piece)

    def forget(self, key: str) -> None:
        """An object of which parts are there won't come."""
        self._post(self._large.forget, key)

    def submit(self, target: Object, arrived: int) -> None:
        """Hands an object to all engines. `arrived`: monotonic ns of its last byte. Waits while too much is open."""
        self._outcome.enter(target)
        self._post(self._ask, target, arrived, monotonic_ns())

    def results(self, wait: bool = False) -> Iterator[Scanned]:
        """What is finished, in the order in which it was; with `wait`, at least one if any is open."""
        return self._outcome.results(wait)

    def drain(self) -> Iterator[Scanned]:
        """All that is open, as it finishes."""
        return self._outcome.drain()

    def close(self) -> None:
        """Ends the actors and leaves the cluster."""
        self._stop.set()
        for thread in self._threads:
            thread.join(SILENCE)
        for place in self.places.values():
            if place.actor is not None:
                ray.kill(place.actor)
        ray.shutdown()

    def _post(self, what: Callable[..., object], *given: Any) -> None:
        self._inbox.put((what, given))

    def _run(self) -> None:
        ticked = 0.0
        while not self._stop.is_set():
            try:
                what, given = self._inbox.get(timeout=TICK)
                what(*given)
            except Empty:
                pass
            if monotonic() - ticked > TICK:
                ticked = monotonic()
                self._tick(ticked)

    def _look(self) -> None:
        """Asks the head which hosts there are. Its own thread: where the head is gone, Ray waits long."""
        while not self._stop.wait(ROUND if self._ready.is_set() else 0.1):
            there = {node["NodeID"]: node["NodeManagerAddress"] for node in alive()}, drained()
            self._heard()
            self._post(self._seen, *there)

    def _ask(self, target: Object, arrived: int, submitted: int) -> None:
        job = Job(target, arrived, submitted, len(self._dispatch.desks))
        self._dispatch.ask(job, monotonic(), self._large.complete(job))

    def _send(self, call: Call) -> None:
        place = self.places[call.seat.post.host, call.seat.post.engine]
        apart: list[Any] = []  # Ray hands these over itself, once to each host
        rows, full = [], {}
        for at, task in enumerate(call.tasks):
            try:
                rows.append(self._large.row(task, call.seat, apart))
            except NoRoom as error:
                full[at] = Verdict(place.engine, "error", reason=f"no room for it in the cluster: {error}")
        if full:  # the others go without
            told = [full.get(at) for at in range(len(call.tasks))]
            self._post(self._dispatch.answered, call.number, told, monotonic())
            return
        future = place.actor.scan.remote(rows, *apart).future()
        future.add_done_callback(lambda done: self._post(self._answer, place, call, done))

    def _say(self, task: Task, verdict: Verdict) -> None:
        if task.job.say(task.number, verdict):
            self._large.done(task.job)
            self._outcome.finish(task.job)

    def _answer(self, place: Place, call: Call, done: Any) -> None:
        now = monotonic()
        error = done.exception()
        if error is None:
            verdicts, stuck = done.result()
            waited = [max(call.begun - task.job.submitted / 1e9, 0.0) for task in call.tasks]
            told = [one and one.after(more) for one, more in zip(verdicts, waited, strict=True)]
            self._dispatch.answered(call.number, told, now)
            place.pause = FIRST_PAUSE
            if stuck:
                self._roster.replace(place, now)
        elif isinstance(error, ray.exceptions.RayActorError):
            if place.seat is call.seat:
                self._roster.fell(place, now, str(error), crashed="worker process has died" in str(error))
        elif isinstance(error, FULL):  # where it was to be scanned
            self.counters["cluster.store_full"] += 1
            for task in call.tasks:
                self._large.unstored(task.job)
            self._dispatch.broken(call.number, now)
        else:
            self.counters["cluster.call_failed"] += 1
            reason = f"{type(error).__name__}: {str(error).splitlines()[0]}"
            failed = [Verdict(place.engine, "error", reason=reason) for _ in call.tasks]
            self._dispatch.answered(call.number, failed, now)

    def _seen(self, there: dict[str, str], drained: set[str]) -> None:
        self._roster.seen(there, drained, monotonic())

    def meet(self, host: Host) -> None:
        """Asks a host who it is."""
        asked = ask_host(self._recipe, host.node)
        asked.add_done_callback(lambda done: self._post(self._met, host, done))

    def _met(self, host: Host, done: Any) -> None:
        if error := done.exception():
            self._roster.unmet(host, monotonic(), f"{type(error).__name__}: {str(error).strip().splitlines()[-1]}")
        else:
            self._roster.met(host, done.result())

    def start(self, place: Place) -> Any:
        """Starts the actor of a place."""
        assert place.host.facts is not None
        there = NodeAffinitySchedulingStrategy(place.host.node, soft=False)
        name = f"{place.engine}@{place.host.node}#{secrets.token_hex(4)}"  # for `engines.status`
        actor = self._actor.options(name=name, num_cpus=0, max_concurrency=64, scheduling_strategy=there).remote(
            self._recipe, place.engine, place.host.facts.name
        )
        actor.describe.remote().future().add_done_callback(lambda done: self._post(self._up, place, actor, done))
        return actor

    def _up(self, place: Place, actor: Any, done: Any) -> None:
        if place.actor is not actor or self.places.get((place.host.node, place.engine)) is not place:
            return
        if error := done.exception():
            self._roster.unmade(place, monotonic(), str(error), for_good="creation task" in str(error))
        else:
            self._roster.up(place, monotonic(), *done.result())

    def hold(self, seat: Seat, key: str, begin: int, part: bytes) -> None:
        """A part of a large object goes where an engine is."""
        for place in self._sat(seat):
            place.actor.hold.remote(key, begin, part)

    def forget_at(self, seat: Seat, key: str) -> None:
        """What is held there isn't needed."""
        for place in self._sat(seat):
            place.actor.forget.remote(key)

    def store(self, data: bytes) -> Any:
        """Puts bytes where all hosts can get them. Raises NoRoom."""
        try:
            return ray.put(data)
        except FULL as error:
            self.counters["cluster.store_full"] += 1
            raise NoRoom(type(error).__name__) from None

    def _sat(self, seat: Seat) -> Iterator[Place]:
        place = self.places.get((seat.post.host, seat.post.engine))
        if place is not None and place.seat is seat:
            yield place

    def end(self, place: Place) -> None:
        """Ends the actor of a place."""
        ray.kill(place.actor)

    def ping(self, place: Place) -> None:
        """Asks whether the host of a place is there."""
        actor = place.actor
        asked = actor.ping.remote(self._dispatch.queue(place.engine)).future()
        asked.add_done_callback(lambda done: self._post(self._pong, place, actor, done))

    def _pong(self, place: Place, actor: Any, done: Any) -> None:
        if place.actor is actor:
            place.asked = False
        if done.exception() is None:
            place.host.heard = monotonic()

    def _tick(self, now: float) -> None:
        self._roster.tick(now)
        self._dispatch.expire(now)


def alive() -> list[dict[str, Any]]:
    """The hosts that are there, as Ray describes them."""
    return [node for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]


def drained() -> set[str]:
    """Nodes that shall get nothing new, whichever sensor asks: `set_drained`, or `ray start` is told to end there."""
    asked = {key.decode() for key in internal_kv._internal_kv_list(b"", namespace=DRAINED)}
    return asked | set(ray._private.state.state.get_draining_nodes())


def set_drained(node: str, holds: bool) -> None:
    """Kept at the head, for all sensors, as long as the node is one: who joins again is a new one."""
    if holds:
        internal_kv._internal_kv_put(node, b"1", namespace=DRAINED)
    else:
        internal_kv._internal_kv_del(node, namespace=DRAINED)


def ask_host(recipe: Recipe, node: str) -> Future[Any]:
    """Asks a host for its `Facts`."""
    there = NodeAffinitySchedulingStrategy(node, soft=False)
    asked = ray.remote(describe).options(num_cpus=0, scheduling_strategy=there, max_retries=0)
    return cast("Future[Any]", asked.remote(recipe).future())


def ask_actors() -> Iterator[tuple[str, Future[Any]]]:
    """The name of each actor of the cluster, ENGINE@NODE#ANY, and what it will answer about what it has done."""
    for name in ray.util.list_named_actors():
        with contextlib.suppress(ValueError):  # it ends meanwhile
            yield name, ray.get_actor(name).report.remote().future()
