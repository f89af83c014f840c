import os
import signal
import time
from pathlib import Path

import pytest

from manager.progress import Silence
from manager.summary import Summary
from manager.workers import WorkersFailed, share


def children():
    """The processes that this one has started and not yet waited for."""
    return {pid for task in Path("/proc/self/task").iterdir() for pid in (task / "children").read_text().split()}


def test_lines_and_counts_of_all_workers_come_together():
    def work(shard, send):
        number, count = shard
        send.lines(f"{number} of {count}\n".encode() * 10_000)
        return Summary(packets=number + 1, captures=1)

    written, heard = [], []
    summary = share(3, work, written.append, lambda *where: heard.append(where))
    assert (summary.packets, summary.captures) == (6, 3)
    lines = b"".join(written).decode().splitlines()
    assert sorted(set(lines)) == ["0 of 3", "1 of 3", "2 of 3"]
    assert len(lines) == 30_000
    assert heard == []


def test_workers_say_where_they_are():
    def work(shard, send):
        send.position(shard[0], "capture", 10, 20)
        return Summary()

    heard = []
    share(2, work, lambda text: None, lambda *where: heard.append(where))
    assert sorted(heard) == [(0, "capture", 10, 20), (1, "capture", 10, 20)]


@pytest.mark.parametrize("how", ["exit", "kill", "raise"])
def test_a_worker_that_is_lost_is_no_silence(how, capfd):
    def work(shard, send):
        if shard[0] == 1:
            if how == "exit":
                os._exit(7)
            if how == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            raise ValueError("our fault")
        return Summary()

    with pytest.raises(WorkersFailed, match="1 of 2 workers failed"):
        share(2, work, lambda text: None, Silence())
    assert ("our fault" in capfd.readouterr().err) is (how == "raise")


def test_workers_end_when_nobody_reads_any_more():
    def work(shard, send):
        while True:
            send.lines(b"x" * 100_000)

    def write(text):
        raise BrokenPipeError

    before = children()
    with pytest.raises(BrokenPipeError):
        share(2, work, write, Silence())
    assert children() == before


def test_an_interrupt_reaches_each_worker_once():
    def work(shard, send):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        send.lines(b"ready\n")
        signal.sigwait({signal.SIGINT})
        return Summary(packets=1 + len(signal.sigpending()))

    ready = []

    def write(text):
        ready.append(text)
        if len(ready) == 2:
            os.kill(os.getpid(), signal.SIGINT)

    assert share(2, work, write, Silence()).packets == 2


def test_a_worker_that_is_ended_as_soon_as_it_is_there_ends():
    def work(shard, send):
        if shard[0] == 0:
            send.lines(b"x")
        time.sleep(30)

    def write(text):
        raise BrokenPipeError

    before = signal.signal(signal.SIGTERM, lambda *_: None)  # of whoever uses us
    begun = time.monotonic()
    try:
        with pytest.raises(BrokenPipeError):
            share(8, work, write, Silence())
    finally:
        signal.signal(signal.SIGTERM, before)
    assert time.monotonic() - begun < 20
