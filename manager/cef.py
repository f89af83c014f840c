"""Documents in a line for SIEMs that want key=value: CEF (ArcSight Common Event Format, version 0, its guide revision
25) and LEEF (IBM QRadar, version 2.0).

A field is left away where the document has nothing for it. Control characters never get through, so that no value can
end the line or begin a field.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from manager import VERSION
from manager.ecs import Document
from manager.leaves import at, ends, filled, number, texts

LONGEST = 4000  # characters of a value; receivers cut lines that are too long in the middle of a field
CONTROL = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]+")


def cef(document: Document) -> bytes:
    """`CEF:0|vendor|product|version|event class|name|severity|key=value ...`."""
    head = ("tapscan", "tapscan", VERSION, event_class(document), _name(document), str(_severity(document)))
    pairs = (f"{key}={_escaped(value, '=')}" for key, value in filled(_cef_fields(document)).items())
    text = "CEF:0|" + "|".join(_escaped(one, "|") for one in head) + "|" + " ".join(pairs)
    return text.encode("utf-8", "replace")


def leef(document: Document) -> bytes:
    """`LEEF:2.0|vendor|product|version|event id|x09|key=value<TAB>...`."""
    head = ("tapscan", "tapscan", VERSION, event_class(document))
    fields = (f"{key}={_plain(value)}" for key, value in filled(_leef_fields(document)).items())
    text = "LEEF:2.0|" + "|".join(_plain(one).replace("|", "_") for one in head) + "|x09|" + "\t".join(fields)
    return text.encode("utf-8", "replace")


def event_class(document: Document) -> str:
    """What kind of event it is: the rule of an alarm, else the kind of document."""
    return str(at(document, "rule.name") or at(document, "event.dataset") or "tapscan")


def _name(document: Document) -> str:
    """What a person reads; the same for the same kind of event, since SIEMs count by it."""
    verdict, rule = at(document, "tapscan.verdict"), at(document, "rule.name")
    return f"{verdict}: {rule}" if rule else str(at(document, "event.dataset") or "tapscan")


def _severity(document: Document) -> int:
    """1 to 10: Kibana's steps of 1 to 99 by tens."""
    return max(1, min(10, -(-number(document, "event.severity") // 10)))


def _cef_fields(document: Document) -> dict[str, Any]:
    sender, receiver = ends(document)
    return {
        "rt": _milliseconds(document),
        "externalId": at(document, "event.id"),
        "cat": at(document, "event.dataset"),
        "dvchost": at(document, "observer.hostname"),
        "deviceInboundInterface": at(document, "observer.ingress.interface.name"),
        "src": sender.get("ip"),
        "spt": sender.get("port"),
        "dst": receiver.get("ip"),
        "dpt": receiver.get("port"),
        "proto": at(document, "network.transport"),
        "app": at(document, "network.protocol"),
        "request": at(document, "url.full"),
        "requestMethod": at(document, "http.request.method"),
        "requestClientApplication": at(document, "user_agent.original"),
        "suser": _mail(document, "tapscan.smtp.mail_from", "email.from.address"),
        "duser": _mail(document, "tapscan.smtp.rcpt_to", "email.to.address"),
        "fname": at(document, "file.name"),
        "fsize": at(document, "file.size"),
        "fileType": at(document, "file.mime_type"),
        "fileHash": at(document, "file.hash.sha256"),
        "act": "blocked" if "denied" in texts(document, "event.type") else None,
        **_labelled("cs1", "verdict", at(document, "tapscan.verdict")),
        **_labelled("cs2", "engines", at(document, "tapscan.engines.agreement")),
        **_labelled("cs3", "communityId", at(document, "network.community_id")),
        **_labelled("cs4", "alarm", at(document, "tapscan.alarm.id")),
        "msg": at(document, "message"),
    }


def _leef_fields(document: Document) -> dict[str, Any]:
    """QRadar's own names; its address of an event is `src` and `dst`."""
    sender, receiver = ends(document)
    return {
        "devTime": _milliseconds(document),
        "cat": at(document, "event.dataset"),
        "sev": _severity(document),
        "identHostName": at(document, "observer.hostname"),
        "src": sender.get("ip"),
        "srcPort": sender.get("port"),
        "dst": receiver.get("ip"),
        "dstPort": receiver.get("port"),
        "proto": at(document, "network.transport"),
        "app": at(document, "network.protocol"),
        "url": at(document, "url.full"),
        "sender": _mail(document, "tapscan.smtp.mail_from", "email.from.address"),
        "recipients": _mail(document, "tapscan.smtp.rcpt_to", "email.to.address"),
        "fileName": at(document, "file.name"),
        "fileSize": at(document, "file.size"),
        "fileType": at(document, "file.mime_type"),
        "sha256": at(document, "file.hash.sha256"),
        "verdict": at(document, "tapscan.verdict"),
        "engines": at(document, "tapscan.engines.agreement"),
        "communityId": at(document, "network.community_id"),
        "alarm": at(document, "tapscan.alarm.id"),
        "eventId": at(document, "event.id"),
        "msg": at(document, "message"),
    }


def _labelled(key: str, label: str, value: Any) -> dict[str, Any]:
    """A field of CEF that is for anything, and what it is used for."""
    return {f"{key}Label": label, key: value} if value else {}


def _mail(document: Document, *names: str) -> str:
    return next((",".join(found) for name in names if (found := texts(document, name))), "")


def _milliseconds(document: Document) -> int | None:
    try:
        return round(datetime.fromisoformat(str(at(document, "@timestamp"))).timestamp() * 1000)
    except ValueError:
        return None


def _plain(value: Any) -> str:
    return CONTROL.sub(" ", str(value))[:LONGEST]


def _escaped(value: Any, separator: str) -> str:
    """CEF: a backslash before backslash and separator; line ends are `\\n` in values, nothing in the head."""
    text = str(value)[:LONGEST].replace("\\", "\\\\").replace(separator, "\\" + separator)
    if separator == "=":
        text = re.sub(r"\r\n?|\n", r"\\n", text)
    return CONTROL.sub(" ", text)
