"""How often the interpreter looks for rings of objects that nobody holds any more."""

from __future__ import annotations

import gc


def collect_seldom() -> None:
    """Reference counts free what the walk makes; looking for rings of objects is mostly lost time."""
    gc.freeze()  # what is here now stays, also for processes that are forked
    gc.set_threshold(100_000, 20, 100)
    gc.enable()
