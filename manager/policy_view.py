"""`tapscan policy test`: what the policy makes of a capture, or of documents that `--json` printed. Nothing is sent."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from engines.outcome import Scanned
from manager.assembly import exact_engines, observer
from manager.ecs import Document, line
from manager.effective import effective
from manager.findings import of_documents
from manager.interrupt import Interrupt
from manager.logs import one_line_logs
from manager.options import Options, Stop
from manager.policy import Answer, Decision, Policy
from manager.progress import Silence
from manager.rows import size
from manager.sentences import count
from manager.settings import Settings
from manager.summary import Summary
from manager.visible import visible

NANO = 1e9


def show_test(path: str, config: str | None, json: bool) -> int:
    """Does the command; returns its exit code. Raises Stop."""
    settings, _ = effective(config)
    one_line_logs(0)
    policy = Policy(settings.policy, observer(settings), exact_engines(settings))
    summary = Summary()
    counted: Counter[str] = Counter()
    for one in of_documents(path) if _is_text(path) else _of_capture(path, settings, config, summary):
        now = one.target.time / NANO
        if answers := policy.explain(one, now):
            decision = policy.decide(one, now)
            counted[_done(decision)] += 1
            sys.stdout.write(
                line(_document(one, decision, answers)).decode() if json else _text(one, decision, answers)
            )
    if not json:
        sys.stdout.write(_end(counted, settings))
    return _trouble(summary)


def _is_text(path: str) -> bool:
    """Whether it holds JSON; no capture begins like that."""
    try:
        with Path(path).open("rb") as file:
            return file.read(4096).lstrip()[:1] in (b"{", b"[")
    except OSError as error:
        raise Stop(f"{path}: can't be read: {error.strerror}") from None


def _of_capture(path: str, settings: Settings, config: str | None, summary: Summary) -> Iterator[Scanned]:
    """What the engines say of it, as `tapscan scan` has them say it."""
    from manager.assembly import build_engines
    from manager.run import ALONE, Job

    with Interrupt() as interrupt:
        here = settings.pool.kind == "local"
        engines = build_engines(settings, summary, Silence()) if here else []
        job = Job(Options((path,), config), settings, True, interrupt, engines)
        for item in job.items(ALONE, summary, lambda capture: not interrupt.asked):
            summary.take(item)
            if isinstance(item, Scanned):
                yield item
        summary.settle_engines(engines)
        summary.interrupted = interrupt.asked


def _trouble(summary: Summary) -> int:
    from manager.run import say

    for text in summary.unusable_inputs:
        say(text)
    for name, why in summary.unusable_engines.items():
        say(f"engine {name} could not be used: {why}")
    for text in summary.warnings:
        say(f"warning: {text}")
    if summary.interrupted:
        say("interrupted: this is what was found until then")
    return 2 if summary.unusable_inputs or summary.unusable_engines else 0


def _done(decision: Decision | None) -> str:
    if decision is None:
        return "nothing (no policy fires)"
    return f"{', '.join(decision.do)} ({_called(decision.rule)})"


def _called(rule: int) -> str:
    return f"policy {rule}" if rule else "no policy"


def _text(one: Scanned, decision: Decision | None, answers: tuple[Answer, ...]) -> str:
    """A finding, what is done, and what each rule says."""
    target, flow = one.target, one.target.flow
    hits = [hit for hit in one.verdicts if hit.status in ("malicious", "suspicious")]
    lines = [
        f"{flow.ip(0)} port {flow.orig_port} > {flow.ip(1)} port {flow.resp_port}  "
        f"{target.name or target.sha256[:16]}  {target.mime_type}, {size(target.size)}",
        *(f"  {hit.engine}: {hit.signature or hit.status}" for hit in hits),
        f"  = {_done(decision)}",
        *(f"  {_word(answer, decision)}  {answer.why}" for answer in answers),
    ]
    return "".join(f"{visible(text)}\n" for text in lines) + "\n"


def _word(answer: Answer, decision: Decision | None) -> str:
    if not answer.fires:
        return "no   "
    return "fires" if decision is not None and decision.rule == answer.rule else "later"


def _document(one: Scanned, decision: Decision | None, answers: tuple[Answer, ...]) -> Document:
    rules = [
        {"rule": answer.rule, "fires": answer.fires, "why": answer.why}
        | ({"failed": answer.failed} if answer.failed else {})
        for answer in answers
    ]
    made: Document = {"flow": one.target.flow.id, "sha256": one.target.sha256, "rules": rules}
    if decision is not None:
        made |= {"rule": decision.rule, "do": list(decision.do), "why": decision.why}
    return made


def _end(counted: Counter[str], settings: Settings) -> str:
    """The sum, and whether a sensor with these settings would send anything."""
    if not counted:
        return "nothing was found, so there is nothing to decide\n"
    sums = "; ".join(f"{number} {what}" for what, number in counted.most_common())
    mode = settings.countermeasures.mode
    more = "" if mode == "enforce" else f"; mode is {mode}: a sensor sends no frame (countermeasures.mode)"
    return f"{count(counted.total(), 'finding')}: {visible(sums)}{more}\n"
