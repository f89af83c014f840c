"""Objects to verdicts: one file an engine and one line below; `pool` runs all of them at once on this host."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, TypeAlias

from engines.verdicts import Engine

Maker: TypeAlias = Callable[..., Engine]


def _class(module: str, name: str) -> Maker:
    """An engine's class, imported when the first of its kind is made: nobody pays for what is not configured."""

    def make(**settings: Any) -> Engine:
        engine: Engine = getattr(import_module(module), name)(**settings)
        return engine

    return make


ENGINES: dict[str, Maker] = {
    "yara": _class("engines.yara", "Yara"),
    "clamd": _class("engines.clamd", "Clamd"),
    "command": _class("engines.command", "Command"),
    "hashes": _class("engines.hashes", "Hashes"),
}
