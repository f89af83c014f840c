"""The engines of a cluster: which of its hosts runs what, and what this host does when the cluster is lost."""

from __future__ import annotations

import os
from dataclasses import replace

from engines.failover import Failover, NoCluster
from engines.outcome import Outcome
from engines.pool import Pool
from engines.verdicts import Engine
from manager.access import access
from manager.assembly import build_engines
from manager.effective import effective
from manager.options import Stop
from manager.progress import Silence
from manager.settings import Settings
from manager.summary import Summary
from sensor.noun import noun


@noun
class HostEngines:
    """The engines of the host on which it is asked: those of its own settings file, `$TAPSCAN_CONFIG`, as everywhere.

    `rules` are more of them, where all hosts are this one.
    """

    rules: tuple[str, ...] = ()

    def names(self) -> tuple[str, ...]:
        """What the host is to run. Raises Stop for a file that can't be used."""
        return tuple(engine.name for engine in self._settings().engine)

    def make(self, name: str) -> Engine:
        """One of them. Raises ValueError when it can't be made."""
        settings = self._settings()
        asked = tuple(engine for engine in settings.engine if engine.name == name)
        summary = Summary()
        made = build_engines(replace(settings, engine=asked), summary, Silence())
        if not made:
            raise ValueError(summary.unusable_engines.get(name, "no longer in the settings of its host"))
        return made[0]

    def _settings(self) -> Settings:
        return effective(os.environ.get("TAPSCAN_CONFIG") or None, self.rules)[0]


def cluster(settings: Settings, config: str | None, rules: tuple[str, ...]) -> Failover:
    """The pool of `kind = "ray"`. Raises Stop when there is no cluster to begin with."""
    address = settings.pool.address or "auto"
    if rules and address != "new":
        raise Stop("--rules: each host of a cluster has rules of its own; name them in its settings file")
    os.environ |= access(settings.pool.token, settings.pool.tls)
    if config is not None:
        os.environ["TAPSCAN_CONFIG"] = os.path.abspath(config)  # noqa: PTH100 - as the user wrote it

    def local(outcome: Outcome) -> Pool:
        return Pool(build_engines(settings, Summary(), Silence()), outcome=outcome)

    try:
        return Failover(HostEngines(rules), address, local, max_bytes=settings.pool.max_bytes)
    except NoCluster as error:
        raise Stop(f"pool.address {address}: {error}") from None
