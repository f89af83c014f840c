"""What was found, read back from documents: objects and alarms as `--json` prints them, for who decides about it again.

Only what a policy asks about comes back, without bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import orjson

from engines.outcome import Latency, Scanned
from engines.verdicts import Verdict
from manager.ecs import Document
from manager.options import Stop
from reassembly.events import Flow
from reassembly.objects import Content, Object

NONE = Latency(0, 0, 0, 0, 0, 0, None)
FOUND = ("malicious", "suspicious")


def of_documents(path: str) -> Iterator[Scanned]:
    """Each object in which something was found; of flows of which there are no objects, the alarm. Raises Stop."""
    documents = list(_documents(path))
    objects = [one for one in documents if _is(one, "tapscan.object") and one["tapscan"].get("verdict") in FOUND]
    known = {one["tapscan"]["flow"]["id"] for one in objects}
    alarms = [one for one in documents if _is(one, "tapscan.alarm") and one["tapscan"]["flow"]["id"] not in known]
    try:
        yield from map(_finding, [*objects, *alarms])
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise Stop(f"{path}: isn't what --json prints: {type(error).__name__}: {error}") from None


def _is(document: Document, dataset: str) -> bool:
    try:
        return bool(document["event"]["dataset"] == dataset and document["tapscan"]["flow"]["id"])
    except (LookupError, TypeError):
        return False


def _documents(path: str) -> Iterator[Document]:
    """One document, a list of them, or one a line."""
    try:
        text = Path(path).read_bytes()
    except OSError as error:
        raise Stop(f"{path}: can't be read: {error.strerror}") from None
    try:
        whole = orjson.loads(text)
        yield from whole if isinstance(whole, list) else [whole]
        return
    except orjson.JSONDecodeError:
        pass
    for number, part in enumerate(text.splitlines(), 1):
        try:
            if part.strip():
                yield orjson.loads(part)
        except orjson.JSONDecodeError as error:
            raise Stop(f"{path}: line {number} isn't JSON: {error}") from None


def _finding(document: Document) -> Scanned:
    own = document["tapscan"]
    given = own["alarm"]["verdicts"] if "alarm" in own else own["verdicts"]
    return Scanned(_object(document), tuple(map(_verdict, given)), NONE)


def _object(document: Document) -> Object:
    file = document["file"]
    when = round(datetime.fromisoformat(document["@timestamp"]).timestamp() * 1e6) * 1000
    return Object(
        id=document["event"]["id"],
        flow=_flow(document, when),
        direction=int(document["tapscan"]["flow"]["direction"] == "resp"),
        kind="file",
        protocol=document["network"]["protocol"],
        content=Content(file["size"]),
        sha256=file["hash"]["sha256"],
        mime_type=file["mime_type"],
        began=when,
        time=when,
        name=file.get("name"),
    )


def _flow(document: Document, when: int) -> Flow:
    source, destination = document["source"], document["destination"]
    return Flow(
        id=document["tapscan"]["flow"]["id"],
        orig_ip=ip_address(source["ip"]).packed,
        orig_port=source["port"],
        resp_ip=ip_address(destination["ip"]).packed,
        resp_port=destination["port"],
        transport=document["network"]["transport"],
        vlan=(),
        orig_mac=b"",
        resp_mac=b"",
        time=when,
        capture="",
        midstream=False,
    )


def _verdict(given: Any) -> Verdict:
    signature = given.get("signature")
    names = given.get("signatures") or ([signature] if signature else [])
    return Verdict(given["engine"], given["status"], signature, tuple(names))
