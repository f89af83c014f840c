"""`[[output]] kind = "webhook"`: documents as JSON, POSTed to a URL and signed.

With a secret each request has `Tapscan-Timestamp` (seconds since 1970) and `Tapscan-Signature: v1=HEX`, where HEX is
the HMAC-SHA256 (RFC 2104) of timestamp, ".", and the body as it came. Who receives it makes the same, compares in
constant time, and refuses timestamps that are old. A request may come twice; `event.id` tells.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import time
from collections.abc import Sequence
from typing import Any

from manager import VERSION
from manager.bulk import LATER, Dead, Later, Outcome, Refused
from manager.chosen import Chosen, Item
from manager.output_settings import WebhookSettings
from manager.output_tls import tls
from manager.secrets import secret
from manager.spool import Record

log = logging.getLogger(__name__)

SECRET, TOKEN = "TAPSCAN_WEBHOOK_SECRET", "TAPSCAN_WEBHOOK_TOKEN"
# Not the fault of a document: who we are, or where we send it. All of them would be dead letters.
REFUSED = frozenset({401, 403, 404, 405, 407, 410})
HEADERS = {"Content-Type": "application/json", "User-Agent": f"tapscan/{VERSION}"}


def signature(key: bytes, timestamp: str, body: bytes) -> str:
    """What stands in `Tapscan-Signature`."""
    return "v1=" + hmac.new(key, timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


class WebhookTarget:
    """Raises Stop when a secret or a certificate can't be had."""

    def __init__(self, settings: WebhookSettings) -> None:
        from urllib3 import PoolManager, Timeout, disable_warnings
        from urllib3.exceptions import InsecureRequestWarning

        if not settings.verify:
            disable_warnings(InsecureRequestWarning)  # it was asked for
        self._settings = settings
        self._key = secret(f"output {settings.name}: secret_file", settings.secret_file, SECRET)
        self._token = secret(f"output {settings.name}: token_file", settings.token_file, TOKEN)
        self._chosen = Chosen(settings.datasets, settings.format)
        more: dict[str, Any] = {"ssl_context": tls(settings)} if settings.url.startswith("https:") else {}
        self._pool = PoolManager(1, retries=False, timeout=Timeout(total=settings.timeout), **more)

    def send(self, records: Sequence[Record]) -> Outcome:
        """Raises Later and Refused when nothing of it was taken."""
        outcome = Outcome()
        items, many = self._chosen.of(records, outcome), self._settings.batch
        left = [items[start : start + many] for start in range(0, len(items), many)]
        while left:
            try:
                left[:1] = self._settled(left[0], outcome)
            except (Later, Refused) as error:
                if not outcome.stored and not outcome.dead:
                    raise
                outcome.again, outcome.why = [item.record for some in left for item in some], str(error)
                break
        return outcome

    def _settled(self, items: list[Item], outcome: Outcome) -> list[list[Item]]:
        """What is left of a request: one that is at fault is halved until the document is alone that is."""
        status, why = self._post(items)
        if 200 <= status < 300:
            outcome.stored += len(items)
        elif status in LATER or status >= 500:
            raise Later(why)
        elif status in REFUSED or status < 400:
            raise Refused(why)
        elif len(items) == 1:
            outcome.dead.append(Dead(items[0].record, status, why))
        else:
            half = len(items) // 2
            return [items[:half], items[half:]]
        return []

    def _post(self, items: Sequence[Item]) -> tuple[int, str]:
        """Its status, and what it says in a line. Raises Later, and Refused where its certificate isn't believed."""
        from urllib3.exceptions import HTTPError

        body = self._body(items)
        try:
            answer = self._pool.request(
                "POST", self._settings.url, body=body, headers=self._headers(body), redirect=False, preload_content=True
            )
        except (HTTPError, OSError) as error:
            why = _why(error)
            raise (Refused if "CERTIFICATE_VERIFY_FAILED" in why else Later)(why) from None
        where = f" to {answer.headers['Location']}" if "Location" in answer.headers else ""
        said = answer.data[:200].decode("utf-8", "replace") if answer.status >= 400 else ""
        return answer.status, " ".join(f"{answer.status} {answer.reason or ''}{where} {said}".split())

    def _body(self, items: Sequence[Item]) -> bytes:
        texts = [item.text.rstrip(b"\n") for item in items]
        return texts[0] if self._settings.batch == 1 else b"[" + b",".join(texts) + b"]"

    def _headers(self, body: bytes) -> dict[str, str]:
        headers = dict(HEADERS)
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token}"
        if self._key is not None:
            headers["Tapscan-Timestamp"] = now = str(int(time.time()))
            headers["Tapscan-Signature"] = signature(self._key.encode(), now, body)
        return headers

    def close(self) -> None:
        """Its connections."""
        self._pool.clear()


def _why(error: Exception) -> str:
    """urllib3 wraps what went wrong, with addresses of objects in its words."""
    text = str(getattr(error, "reason", None) or error)
    return text.rpartition(">: ")[2] or type(error).__name__
