"""What is done about a flow in which something was found, and what came of it: one `Action` a flow and kind."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, TypeAlias

from engines.verdicts import Verdict
from manager.ecs import stable_id
from reassembly.events import Flow
from reassembly.objects import Content, Object
from sensor.frames import Frame, Notice
from sensor.noun import noun

if TYPE_CHECKING:
    from manager.policy import Decision

Mode: TypeAlias = Literal["observe", "dry_run", "enforce"]
# observed: nothing was to be done. confirmed: the flow ended before the last byte. late: the last byte was there before
# the frame. failed: the flow went on. refused: a limit, a list or a doubt was against it. begun, done: of a command or
# webhook, the first as it is given to them.
Outcome: TypeAlias = Literal["observed", "dry_run", "confirmed", "late", "failed", "refused", "begun", "done"]


@noun
class Action:
    """Times are ns since 1970."""

    id: str
    revision: int
    kind: str  # a name of `manager.actions`
    mode: Mode
    outcome: Outcome
    flow: Flow
    time: int  # when it was decided
    target: Object  # in which something was found; without the bytes
    hit: Verdict
    rule: int  # number of the [[policy]], from 1
    why: str  # which of its conditions held, in words
    reason: str | None = None  # of refused and failed
    frames: int = 0  # sent; in dry_run: that would have been
    sent: int | None = None  # when the first frame went out
    latency: int | None = None  # ns from the arrival of the last byte that was needed to the first frame
    bytes_delivered: int | None = None  # of the object, by the end of the flow
    bytes_total: int | None = None  # that it would have had, where that is known
    bytes_past: int | None = None  # that passed after the verdict
    evaded_by_retry: bool = False  # the same client has had it all the same, later


def decided(kind: str, mode: Mode, outcome: Outcome, target: Object, hit: Verdict, decision: Decision) -> Action:
    """The first revision of what is done about a finding."""
    now, bare, flow = time.time_ns(), replace(target, content=Content(target.size)), target.flow
    key = stable_id(flow.id, kind, str(now))
    return Action(key, 1, kind, mode, outcome, flow, now, bare, hit, decision.rule, decision.why)


@noun
class Request:
    """To the injector: these frames, for this action on this flow."""

    action: str
    flow: Flow
    frames: tuple[Frame, ...]
    interface: str  # where the flow came in
    notice: Notice | None = None  # the last frame carries the page that says this


@noun
class Report:
    """From the injector: what became of a request."""

    action: str
    flow: str  # its id
    frames: int  # sent, or that would have been
    time: int  # ns since 1970 at which the first one went out, or would have
    refused: str | None = None  # why nothing was sent
