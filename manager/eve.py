"""Documents as the lines that Suricata writes (EVE, version 7), for tools that eat those: an object is a `fileinfo`, an
alarm an `alert`. Others have no counterpart there.

What Suricata counts and we don't know is left away (`pkts_toserver`, `pcap_cnt`), but for `tx_id`, which is always 0.
"""

from __future__ import annotations

from typing import Any
from zlib import crc32

import orjson

from manager.ecs import Document
from manager.leaves import at, ends, filled, number, texts

LOCAL = 1_000_000  # the signature ids from here to twice as many are for local use: ours are made from names
# As in Suricata's classification.config: what it is called, and how grave (1 is the gravest)
CLASSES = {"malicious": ("A Network Trojan was detected", 1), "suspicious": ("Potentially Bad Traffic", 2)}
SMTP, HTTP = ("smtp", "lmtp"), ("http", "http2")
MAIL = (*SMTP, "imap", "pop3")


def eve(document: Document) -> bytes | None:
    """The line; None when there is none for such a document."""
    own: Document
    match at(document, "event.dataset"):
        case "tapscan.object":
            own = {"event_type": "fileinfo", "fileinfo": _file(document)}
        case "tapscan.alarm":
            own = {"event_type": "alert", "tx_id": 0, "alert": _alert(document), "files": [_file(document)]}
            own["direction"] = "to_client" if at(document, "tapscan.flow.direction") == "resp" else "to_server"
        case _:
            return None
    return orjson.dumps(_flow(document) | own | _protocol(document))


def _flow(document: Document) -> Document:
    """What all have in common. As there, `src_ip` is who sent the file."""
    sender, receiver = ends(document)
    return filled(
        {
            "timestamp": str(at(document, "@timestamp") or "").replace("Z", "+0000"),
            "flow_id": _flow_id(document),
            "in_iface": at(document, "observer.ingress.interface.name"),
            "vlan": [int(one) for one in _vlans(document) if one.isdecimal()],
            "src_ip": sender.get("ip"),
            "src_port": sender.get("port"),
            "dest_ip": receiver.get("ip"),
            "dest_port": receiver.get("port"),
            "proto": str(at(document, "network.transport") or "").upper(),
            "community_id": at(document, "network.community_id"),
            "app_proto": at(document, "network.protocol"),
        }
    )


def _flow_id(document: Document) -> int:
    """Theirs are numbers of up to 53 bits, so that JavaScript reads them right."""
    text = str(at(document, "tapscan.flow.id") or "")
    return crc32(text.encode()) if not _hexadecimal(text[:13]) else int(text[:13], 16)


def _hexadecimal(text: str) -> bool:
    return bool(text) and all(one in "0123456789abcdef" for one in text)


def _vlans(document: Document) -> list[str]:
    return texts(document, "network.vlan.id") + texts(document, "network.inner.vlan.id")


def _file(document: Document) -> Document:
    """`tx_id`: which transaction of the flow it was isn't known."""
    cut = at(document, "tapscan.object.complete") is False or _worst(document).get("complete") is False
    hashes = {name: at(document, f"file.hash.{name}") for name in ("sha256", "sha1", "md5")}
    own = {
        "filename": _filename(document),
        "magic": at(document, "file.mime_type"),
        **hashes,
    }
    return filled(own) | {
        "gaps": number(document, "tapscan.object.missing_bytes") > 0,
        "state": "TRUNCATED" if cut else "CLOSED",
        "stored": False,
        "size": number(document, "file.size"),
        "tx_id": 0,
    }


def _filename(document: Document) -> str:
    """Theirs is the path of the URL, where no name was given."""
    path, name = (str(at(document, key) or "") for key in ("url.path", "file.name"))
    return path if path.endswith(f"/{name}") else name or path


def _worst(document: Document) -> Document:
    objects = at(document, "tapscan.alarm.objects")
    return objects[0] if isinstance(objects, list) and objects and isinstance(objects[0], dict) else {}


def _alert(document: Document) -> Document:
    name, ruleset = (str(at(document, f"rule.{key}") or "") for key in ("name", "ruleset"))
    category, severity = CLASSES.get(str(at(document, "tapscan.verdict")), CLASSES["malicious"])
    denied = "denied" in texts(document, "event.type")
    return {
        "action": "blocked" if denied else "allowed",
        "gid": 1,
        "signature_id": LOCAL + crc32(f"{ruleset}\0{name}".encode()) % LOCAL,
        "rev": 1,
        "signature": name,
        "category": category,
        "severity": severity,
        "metadata": filled(_metadata(document)),
    }


def _metadata(document: Document) -> Document:
    """Lists of texts, as rules have them."""
    return {
        "engine": texts(document, "tapscan.engines.malicious") or texts(document, "tapscan.engines.suspicious"),
        "ruleset": texts(document, "rule.ruleset"),
        "reference": texts(document, "rule.reference"),
        "tapscan_severity": texts(document, "tapscan.alarm.severity"),
        "tapscan_alarm": texts(document, "tapscan.alarm.id"),
        "tapscan_message": texts(document, "message"),
    }


def _protocol(document: Document) -> Document:
    protocol = at(document, "network.protocol")
    parts: dict[str, Any] = {}
    if protocol in HTTP:
        parts["http"] = _http(document)
    if protocol in SMTP:
        parts["smtp"] = _smtp(document)
    if protocol in MAIL:
        parts["email"] = _email(document)
    return filled(parts)


def _http(document: Document) -> Document:
    version = at(document, "http.version")
    return filled(
        {
            "hostname": at(document, "url.domain"),
            "url": at(document, "url.original") or at(document, "url.path"),
            "http_user_agent": at(document, "user_agent.original"),
            "http_content_type": at(document, "tapscan.object.declared_type"),
            "http_refer": at(document, "http.request.referrer"),
            "http_method": at(document, "http.request.method"),
            "protocol": f"HTTP/{version}" if version else None,
            "status": at(document, "http.response.status_code"),
            "length": at(document, "http.response.body.bytes"),
        }
    )


def _smtp(document: Document) -> Document:
    """The envelope, with its brackets."""
    senders = texts(document, "tapscan.smtp.mail_from")
    return filled(
        {
            "helo": at(document, "tapscan.smtp.helo"),
            "mail_from": f"<{senders[0]}>" if senders else None,
            "rcpt_to": [f"<{one}>" for one in texts(document, "tapscan.smtp.rcpt_to")],
        }
    )


def _email(document: Document) -> Document:
    senders = texts(document, "email.from.address")
    return {"status": "PARSE_DONE"} | filled(
        {
            "from": senders[0] if senders else None,
            "to": texts(document, "email.to.address"),
            "cc": texts(document, "email.cc.address"),
            "subject": at(document, "email.subject"),
            "attachment": texts(document, "file.name"),
        }
    )
