"""Which host scans which object: the queues, the placement, the batches and the second tries of a cluster.

The third arrow of the walk, when engines run on many hosts. Nothing here knows Ray, sockets, threads or clocks:
`engines.cluster` calls it from one thread and does what it says. Seconds are monotonic.

- Work goes to the host with the least outstanding bytes for that engine.
- Objects travel together only when there is a queue, and only as many as take a few milliseconds to scan.
- What was with an engine that died, or answered nothing in time, is scanned again, each object alone: the one that is
  there when it dies again is the one that kills it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence

from engines.lane import Job
from engines.verdicts import CRASHED, Status, Verdict
from sensor.noun import noun

TOGETHER = 256  # objects in one call, at most
TOGETHER_BYTES = 1 << 20  # bytes of them
TOGETHER_SECONDS = 0.05  # that a call may take for being shared, where there is a queue anyway
QUICK = 0.05  # seconds of a scan, below which a host has its next objects before it asks
CRASHES = 2  # of an engine on one object alone, before it isn't tried again
PATIENCE = 60.0  # seconds that an object waits for a host that runs the engine
WIRE = 10.0  # seconds for the way to a host and back, beside the scan

Fatal = tuple[Status, str]  # what is said of an object that ends its engine
KILLED: Fatal = "error", CRASHED
STOPPED: Fatal = "timeout", "the engine stopped answering"


@noun
class Post:
    """One engine on one host, as that host describes it."""

    engine: str
    host: str  # its node's identity
    slots: int
    timeout: float  # seconds an object


class Task:
    """One object on its way to one engine."""

    __slots__ = ("crashes", "job", "number", "since", "suspect", "wish")

    def __init__(self, job: Job, number: int, since: float, wish: Seat | None = None) -> None:
        self.job = job
        self.wish = wish  # where parts of it are already
        self.number = number  # of the engine
        self.since = since  # when it began to wait
        self.crashes = 0
        self.suspect = False  # an engine died with it; until it is scanned, nothing shares a seat with it


class Call:
    """Objects sent to one seat together."""

    __slots__ = ("before", "begun", "bytes", "number", "seat", "tasks")

    def __init__(self, number: int, seat: Seat, tasks: list[Task], begun: float) -> None:
        self.number = number
        self.seat = seat
        self.tasks = tasks
        self.begun = begun
        self.bytes = sum(task.job.target.size for task in tasks)
        self.before = seat.open + len(tasks)  # objects that are scanned by the time this is

    def deadline(self) -> float:
        """When its host must have answered."""
        rounds = -(-self.before // max(self.seat.post.slots, 1))
        return self.begun + self.seat.post.timeout * rounds + WIRE


class Seat:
    """A post that is taken: how much is there, and how fast it goes."""

    __slots__ = ("alone", "bytes", "calls", "coming", "open", "pace", "paused", "post")

    def __init__(self, post: Post) -> None:
        self.post = post
        self.calls: dict[int, Call] = {}
        self.open = 0  # objects there
        self.coming = 0  # objects of which parts are there
        self.bytes = 0  # of these
        self.pace: float | None = None  # seconds an object takes in the engine, lately
        self.paused = False  # its host is silent or leaves: nothing new
        self.alone = False  # a suspect is there, or to come: nothing else meanwhile

    def free(self) -> int:
        """Objects that may be sent. Quick engines get some in advance, so that they needn't wait for the wire.

        Calls are bounded as well: what comes while they are on their way waits, and travels together.
        """
        if self.paused or self.alone or len(self.calls) >= self.post.slots * (1 + self.quick()):
            return 0
        return (2 * max(self.post.slots, self.together()) if self.quick() else self.post.slots) - self.open

    def takes(self, share: int) -> bool:
        """Whether some of so many that wait go there now. What has enough in advance waits for as many as a call takes:
        few at a time would cost more than their scans.
        """
        return self.free() >= (min(self.together(), share) if self.quick() else 1)

    def quick(self) -> bool:
        """Whether its scans take less time than the way there."""
        return self.pace is not None and self.pace < QUICK

    def note(self, seconds: float) -> None:
        """Learns how long a scan takes."""
        self.pace = seconds if self.pace is None else self.pace * 0.8 + seconds * 0.2

    def together(self) -> int:
        """Objects that may share a call."""
        if self.pace is None:
            return 1
        return max(1, min(TOGETHER, int(TOGETHER_SECONDS * self.post.slots / max(self.pace, 1e-6))))


def _burden(seat: Seat) -> tuple[int, int]:
    return seat.bytes, seat.open + seat.coming


class Desk:
    """All there is of one engine: what waits for it, and where it runs."""

    __slots__ = ("name", "number", "seats", "suspects", "trouble", "waiting")

    def __init__(self, number: int, name: str) -> None:
        self.number = number
        self.name = name
        self.waiting: deque[Task] = deque()
        self.suspects: deque[Task] = deque()
        self.seats: list[Seat] = []
        self.trouble: str | None = None  # why it can't be made anywhere


NO_WISHES: Mapping[int, Seat] = {}

Send = Callable[[Call], None]
Say = Callable[[Task, Verdict], None]


class Dispatch:
    """`send` brings a call on its way; `say` takes a verdict. Neither may come back in here at once."""

    def __init__(self, send: Send, say: Say) -> None:
        self.desks: list[Desk] = []
        self._by_name: dict[str, Desk] = {}
        self._send = send
        self._say = say
        self._calls: dict[int, Call] = {}
        self._count = 0

    def desk(self, name: str) -> Desk:
        """The desk of an engine; a new one for a new name."""
        if name not in self._by_name:
            self._by_name[name] = Desk(len(self.desks), name)
            self.desks.append(self._by_name[name])
        return self._by_name[name]

    def queue(self, engine: str) -> int:
        """How many objects wait for an engine."""
        desk = self.desk(engine)
        return len(desk.waiting) + len(desk.suspects)

    def seats(self) -> Iterator[Seat]:
        """All seats of all engines."""
        for desk in self.desks:
            yield from desk.seats

    def seat(self, post: Post, now: float) -> Seat:
        """An engine has come up on a host."""
        desk = self.desk(post.engine)
        seat = Seat(post)
        desk.seats.append(seat)
        desk.trouble = None
        self._move(desk, now)
        return seat

    def expect(self) -> dict[int, Seat]:
        """Where an object that arrives now may go when it is complete, by the numbers of engines without a queue."""
        idle = [desk for desk in self.desks if not desk.waiting]
        here = {desk.number: [seat for seat in desk.seats if not seat.paused] for desk in idle}
        wishes = {number: min(seats, key=_burden) for number, seats in here.items() if seats}
        for seat in wishes.values():
            seat.coming += 1
        return wishes

    @staticmethod
    def expected(wishes: Mapping[int, Seat]) -> None:
        """It is complete, or won't be any more."""
        for seat in wishes.values():
            seat.coming -= 1

    def ask(self, job: Job, now: float, wishes: Mapping[int, Seat] = NO_WISHES) -> None:
        """Queues an object for all engines. `wishes`: where parts of it have gone."""
        for desk in self.desks:
            if desk.number in job.verdicts:
                continue
            desk.waiting.append(Task(job, desk.number, now, wishes.get(desk.number)))
            self._move(desk, now)

    def refuse(self, engine: str, why: str) -> None:
        """No host can make this engine, as long as none is seated: its objects needn't wait."""
        desk = self.desk(engine)
        desk.trouble = why
        self._refuse(desk)

    def answered(self, number: int, verdicts: Sequence[Verdict | None], now: float) -> None:
        """A host has answered a call; one that was given up meanwhile isn't waited for any more.

        None: parts that had gone ahead are missing there, and the object goes again, as a whole.
        """
        if (call := self._calls.pop(number, None)) is None:
            return
        seat = self._off(call)
        desk = self.desk(seat.post.engine)
        if said := [verdict for verdict in verdicts if verdict is not None and verdict.seconds]:
            seat.note(sum(verdict.seconds for verdict in said) / len(said))
        for task, verdict in zip(call.tasks, verdicts, strict=True):
            if verdict is not None:
                self._say(task, verdict)
            else:
                self._again(desk, [task], now)
        self._move(desk, now)

    def broken(self, number: int, now: float) -> None:
        """A call came to nothing, though its engine is still there; its objects wait again."""
        if (call := self._calls.pop(number, None)) is None:
            return
        seat = self._off(call)
        desk = self.desk(seat.post.engine)
        self._again(desk, call.tasks, now)
        self._move(desk, now)

    def unseat(self, seat: Seat, now: float, crashed: bool) -> None:
        """An engine is gone. `crashed`: it died while its host lives, so one of its objects may have killed it.

        One that owed an answer for too long may have been stopped by an object as well.
        """
        desk = self.desk(seat.post.engine)
        if seat in desk.seats:
            desk.seats.remove(seat)
        calls = list(seat.calls.values())
        fatal = KILLED if crashed else STOPPED if self._overdue(seat, now) else None
        left = self._suspect(calls, fatal) if fatal else [task for call in calls for task in call.tasks]
        for call in calls:
            self._calls.pop(call.number, None)
            self._off(call)
        self._again(desk, left, now)
        self._move(desk, now)

    def pause(self, seat: Seat, now: float) -> None:
        """Its host is silent: nothing new goes there, and what is there goes elsewhere as well."""
        seat.paused = True
        desk = self.desk(seat.post.engine)
        if any(not other.paused for other in desk.seats):
            for call in list(seat.calls.values()):
                self._calls.pop(call.number, None)
                self._off(call)
                self._again(desk, call.tasks, now)
        self._move(desk, now)

    def resume(self, seat: Seat, now: float) -> None:
        """Its host is heard again."""
        seat.paused = False
        self._move(self.desk(seat.post.engine), now)

    def late(self, now: float) -> list[Seat]:
        """Seats that owe an answer for too long."""
        return [seat for seat in self.seats() if self._overdue(seat, now)]

    def expire(self, now: float) -> None:
        """Objects for which no host was found in time are told so."""
        for desk in self.desks:
            for queue in (desk.waiting, desk.suspects):
                while queue and now - queue[0].since > PATIENCE and not any(not seat.paused for seat in desk.seats):
                    task = queue.popleft()
                    self._say(task, Verdict(desk.name, "error", reason="no host runs it at present"))

    @staticmethod
    def _overdue(seat: Seat, now: float) -> bool:
        return any(now > call.deadline() for call in seat.calls.values())

    def _suspect(self, calls: list[Call], fatal: Fatal) -> list[Task]:
        """An engine ended with these: to be tried again, but not what it was all alone with for the second time."""
        tasks = [task for call in calls for task in call.tasks]
        for task in tasks:
            task.suspect = True
            task.crashes += len(tasks) == 1
        for task in (guilty := [task for task in tasks if task.crashes >= CRASHES]):
            self._say(task, Verdict(self.desks[task.number].name, fatal[0], reason=fatal[1]))
        return [task for task in tasks if task not in guilty]

    def _again(self, desk: Desk, tasks: list[Task], now: float) -> None:
        for task in reversed(tasks):
            task.since, task.wish = now, None
            (desk.suspects if task.suspect else desk.waiting).appendleft(task)

    def _off(self, call: Call) -> Seat:
        seat = call.seat
        seat.calls.pop(call.number, None)
        seat.bytes -= call.bytes
        seat.open -= len(call.tasks)
        if not seat.calls:
            seat.alone = False
        return seat

    def _move(self, desk: Desk, now: float) -> None:
        """Sends what can be sent."""
        self._move_suspects(desk, now)
        self._refuse(desk)
        while desk.waiting:
            share = self._share(desk)
            seats = [seat for seat in desk.seats if seat.takes(share)]
            if not seats:
                return
            wish = desk.waiting[0].wish
            seat = wish if wish in seats else min(seats, key=_burden)
            self._put(seat, self._batch(desk, seat), now)

    def _refuse(self, desk: Desk) -> None:
        while desk.trouble is not None and not desk.seats and (queue := desk.suspects or desk.waiting):
            self._say(queue.popleft(), Verdict(desk.name, "error", reason=desk.trouble))

    def _move_suspects(self, desk: Desk, now: float) -> None:
        """One suspect at a time, to a seat where nothing else is; a busy one is kept from new work until it is idle."""
        seats = [seat for seat in desk.seats if not seat.paused]
        if desk.suspects and seats and not any(seat.alone and seat.calls for seat in seats):
            seat = min(seats, key=lambda one: (not one.alone, len(one.calls)))
            seat.alone = True
            if not seat.calls:
                self._put(seat, [desk.suspects.popleft()], now)

    @staticmethod
    def _share(desk: Desk) -> int:
        """Of what waits, for each seat."""
        return -(-len(desk.waiting) // max(sum(not seat.paused for seat in desk.seats), 1))

    def _batch(self, desk: Desk, seat: Seat) -> list[Task]:
        """The next to travel together: no more than a fair share of the queue."""
        share = min(seat.together(), seat.free(), self._share(desk))
        tasks = [desk.waiting.popleft()]
        size = tasks[0].job.target.size
        while len(tasks) < share and (size := size + desk.waiting[0].job.target.size) <= TOGETHER_BYTES:
            tasks.append(desk.waiting.popleft())
        return tasks

    def _put(self, seat: Seat, tasks: list[Task], now: float) -> None:
        self._count += 1
        call = Call(self._count, seat, tasks, now)
        self._calls[call.number] = seat.calls[call.number] = call
        seat.bytes += call.bytes
        seat.open += len(tasks)
        self._send(call)
