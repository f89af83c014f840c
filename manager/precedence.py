"""Which threads of a live sensor go first where processors are short: those that take packets, since those don't wait.

setpriority(2), and sched(7), "The reset-on-fork flag": engines, and the programs that they start, are not among them.
"""

from __future__ import annotations

import os


def go_first(precedence: int, thread: int = 0) -> bool:
    """Whether the calling thread, or another of ours, goes before others now. `precedence`: 0, as usual, to 20."""
    if os.getpriority(os.PRIO_PROCESS, thread) > -precedence:
        try:
            os.setpriority(os.PRIO_PROCESS, thread, -precedence)
        except PermissionError:
            return False
    return True


def alone() -> None:
    """Threads and processes that the calling thread starts from here on have the usual priority."""
    os.sched_setscheduler(0, os.SCHED_OTHER | os.SCHED_RESET_ON_FORK, os.sched_param(0))
