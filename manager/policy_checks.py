"""What is wrong with `[countermeasures]` and a `[[policy]]` beyond the types of their values."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from ipaddress import ip_network

from manager.output_checks import OUTPUT_CHECKS
from manager.policy import span
from manager.settings import CountermeasureSettings, PolicySettings, PolicyWhen

MAC = re.compile(r"[0-9a-fA-F]{2}(?:([:-])[0-9a-fA-F]{2})(?:\1[0-9a-fA-F]{2}){4}")
Wrong = Iterator[tuple[str, str]]  # key, and what is wrong


def policy_mistakes(rules: Sequence[PolicySettings]) -> Wrong:
    """Of all rules."""
    for number, rule in enumerate(rules):
        under = f"policy[{number}]"
        yield from ((f"{under}.when.{key}", text) for key, text in _of_when(rule.when))
        if not rule.do:
            yield f"{under}.do", 'is empty; "observe" is for what shall only be noted'
        if "command" in rule.do and not rule.argv:
            yield f"{under}.argv", 'is missing; with "command" it is a program and its arguments'
        if "webhook" in rule.do and not rule.url:
            yield f"{under}.url", 'is missing; with "webhook" it is where to'
        yield from ((f"{under}.url", text) for text in OUTPUT_CHECKS["url"](rule.url))


def countermeasure_mistakes(given: CountermeasureSettings) -> Wrong:
    """Lists of those to whom nothing is done: what is no network or address there would protect nobody."""
    yield from (("countermeasures.allow", text) for text in _networks(given.allow))
    for port in given.allow_ports:
        if not 0 <= port < 1 << 16:
            yield "countermeasures.allow_ports", f"{port} is no port: 0 to 65535"
    for mac in given.allow_macs:
        if not MAC.fullmatch(mac):
            yield "countermeasures.allow_macs", f"{mac!r} is no hardware address; write 00:00:5e:00:53:01"
    if given.gateway_mac is not None and not MAC.fullmatch(given.gateway_mac):
        yield "countermeasures.gateway_mac", f"{given.gateway_mac!r} is no hardware address; write 00:00:5e:00:53:01"


def _of_when(when: PolicyWhen) -> Wrong:
    if when.severity is not None and not 1 <= when.severity <= 99:
        yield "severity", f"{when.severity} won't do: 21 low, 47 medium, 73 high, 99 critical"
    if when.agree is not None and when.agree < 1:
        yield "agree", f"{when.agree} won't do: it has to be 1 or more"
    yield from (("signature", text) for text in _pattern(when.signature))
    yield from (("type", text) for text in _pattern(when.type))
    yield from (("networks", text) for text in _networks(when.networks))
    if when.hours is not None:
        yield from (("hours", text) for text in _hours(when.hours))


def _pattern(text: str | None) -> Iterator[str]:
    try:
        re.compile(text or "")
    except re.error as error:
        yield f"{text!r} is no pattern: {error}"


def _networks(texts: Sequence[str]) -> Iterator[str]:
    for text in texts:
        try:
            ip_network(text, strict=False)
        except ValueError:
            yield f"{text!r} is no network; write 10.0.0.0/8 or 2001:db8::/32"


def _hours(text: str) -> Iterator[str]:
    try:
        begin, end = span(text)
    except ValueError:
        yield f"{text!r} won't do: write 08:00-18:00, or 22:00-06:00 for the night"
        return
    if begin == end:
        yield f"{text!r} won't do: it ends when it begins; leave it away for the whole day"
