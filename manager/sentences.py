"""An alarm as a sentence that a person can act on: who sent what to whom, what it is, who says so, what to do."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from engines.verdicts import Verdict
from manager.visible import visible
from reassembly.objects import Object

NAMED = 5  # recipients and engines named in a sentence; the document has them all
WIDTH = 100  # characters of a name, an address or a URL in a sentence

_KINDS = {"web_page": "the page", "email": "an e-mail", "email_part": "an e-mail with", "member": "an archive with"}


def sentence(
    target: Object,
    hit: Verdict,
    verdicts: Collection[Verdict],
    sender: str,
    recipients: Sequence[str],
    objects: int,
) -> str:
    """The `message` of an alarm. `verdicts` one an engine, `objects` how many of the flow were found bad."""
    found = sorted(verdict.engine for verdict in verdicts if verdict.status == hit.status)
    named = f"{short(hit.signature)}, " if hit.signature else ""
    others = f" Of this flow {objects} objects are bad." if objects > 1 else ""
    return (
        f"{short(sender)} sent {thing(target)} to {listed(recipients)}{place(target)}: {hit.status} ({named}"
        f"{listed(found)}; {len(found)} of {count(len(verdicts), 'engine')}).{others} {advice(target, hit.status)}"
    )


def thing(target: Object) -> str:
    """The object in words, with its article."""
    kind = _KINDS.get(target.kind, "the file")
    if kind.endswith("with"):
        return f"{kind} {short(target.name) if target.name else 'a nameless part'}"
    return f"{kind} {short(target.name)}" if target.name else kind


def place(target: Object) -> str:
    """What helps to find it again: subject or address; empty when nothing is known."""
    facts = target.facts or {}
    if isinstance(subject := facts.get("email.subject"), str):
        return f", subject “{short(subject)}”"
    if isinstance(url := facts.get("url.full") or facts.get("url.original"), str):
        return f", {short(url)}"
    return f" over {target.protocol}"


def advice(target: Object, status: str) -> str:
    """The next step for the person who reads the alarm."""
    sender, receiver = target.flow.ip(target.direction), target.flow.ip(1 - target.direction)
    seen = "" if target.complete else " Parts of it weren't seen, so it may hold more."
    if status == "suspicious":
        return f"Have a closer look at it before somebody opens it.{seen}"
    if target.protocol in ("smtp", "lmtp"):
        return f"Remove it from the mailboxes and look at what else {sender} sent.{seen}"
    if target.direction == 0:  # sent by who opened the flow: an upload comes from an infected host as often as not
        return f"Check {sender}, which had it, and remove it from {receiver}.{seen}"
    return f"Check {receiver}, which received it.{seen}"


def short(text: str | None) -> str:
    """Text from the wire, printable and not too long."""
    return visible(text or "", WIDTH)


def listed(names: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and 7 more`."""
    shown = [short(name) for name in names[:NAMED]]
    if len(names) > NAMED:
        shown.append(f"{len(names) - NAMED} more")
    return shown[0] if len(shown) == 1 else ", ".join(shown[:-1]) + " and " + shown[-1] if shown else "nobody"


def count(number: int, noun: str) -> str:
    """`1 engine`, `3 engines`, `12,000 objects`."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
