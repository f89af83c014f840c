"""The fourth noun of the walk: what one engine says of one object."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, Protocol, TypeAlias

from reassembly.objects import Object
from sensor.noun import noun

Status: TypeAlias = Literal["clean", "malicious", "suspicious", "error", "timeout", "skipped"]

OVERLOAD = "overload"  # the reason of `skipped` when the engines can't keep up
ENDED = "the sensor ended"  # before this engine had answered
CRASHED = "crashed the engine"  # the reason of `error` when it does so each time


@noun
class Verdict:
    """`error`, `timeout` and `skipped` mean that the engine does not know; none of them is ever read as clean."""

    engine: str  # its name in the configuration
    status: Status
    signature: str | None = None  # the best hit
    signatures: tuple[str, ...] = ()  # all hits, the best first
    reason: str | None = None  # of error, timeout and skipped, in words
    engine_version: str | None = None
    database_version: str | None = None
    seconds: float = 0.0  # in the engine
    queued: float = 0.0  # seconds before it
    host: str | None = None
    rule: Mapping[str, str] | None = None  # ECS rule.* of the best hit: name, ruleset, author, description, reference

    def after(self, seconds: float) -> Verdict:
        """The same with so much more time before its engine."""
        versions = self.engine_version, self.database_version
        return Verdict(
            self.engine,
            self.status,
            self.signature,
            self.signatures,
            self.reason,
            *versions,
            self.seconds,
            self.queued + seconds,
            self.host,
            self.rule,
        )

    def given_by(self, version: str | None, database: str | None, host: str, seconds: float, queued: float) -> Verdict:
        """The same with who gave it and how long that took; versions that it names itself stay."""
        return Verdict(
            self.engine,
            self.status,
            self.signature,
            self.signatures,
            self.reason,
            self.engine_version or version,
            self.database_version or database,
            seconds,
            queued,
            host,
            self.rule,
        )


def integrate(verdicts: Iterable[Verdict], complete: bool) -> str:
    """All engines' word on one object: malicious > suspicious > unknown (no engine could say) > clean.

    One engine that says clean is enough for clean, whatever others failed at; an object of which bytes are missing is
    `clean_so_far` at best.
    """
    said = {verdict.status for verdict in verdicts}
    if "malicious" in said:
        return "malicious"
    if "suspicious" in said:
        return "suspicious"
    if "clean" not in said:
        return "unknown"
    return "clean" if complete else "clean_so_far"


class Engine(Protocol):
    """What the pool needs of an engine. A plain class; `scan` may be called from `slots` threads at once."""

    name: str
    version: str | None
    database_version: str | None
    timeout: float  # seconds
    slots: int

    def scan(self, target: Object) -> Verdict:
        """Scans one object. Returns trouble as a verdict; never raises for what an object holds."""
        ...

    def check(self) -> str | None:
        """Tries to reach the engine now: None when it is usable, else why not, in one line."""
        ...

    def close(self) -> None:
        """Lets go of connections, processes and maps."""
        ...
