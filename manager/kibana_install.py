"""`tapscan kibana install` and `export`: the dashboards, and the detection rules, to where they are used.

Kibana's own API: saved objects to `/api/saved_objects/_import`, rules to `/api/detection_engine/rules/_import`, both as
a file in a form. It answers 200 also when something could not be imported: what, says the body.
"""

from __future__ import annotations

import base64
import json
import re
import ssl
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from manager import schema
from manager.kibana import FLOOR, ndjson
from manager.options import Stop
from manager.secrets import read
from manager.visible import visible
from sensor.noun import noun

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

OBJECTS, RULES = "tapscan.ndjson", "rules.ndjson"
FIND = "/api/detection_engine/rules/_find?per_page=1000&filter=alert.attributes.tags:tapscan"
SECONDS = 60.0  # for an answer: an import writes and indexes
SHOWN = 5  # of what could not be imported
START = "tapscan-overview"  # the dashboard to begin with


@noun
class Asked:
    """Where to, and who we are there. `ca`: whom we believe, a file of certificates; the system's if unset."""

    url: str
    space: str | None = None
    api_key_file: str | None = None
    user: str | None = None
    password_file: str | None = None
    ca: str | None = None
    rules: bool = False


def install(asked: Asked) -> int:
    """The command. Raises Stop when the server can't be reached, is too old, or refuses."""
    server = Server(asked)
    server.check()
    _say(server.give("objects", "/api/saved_objects/_import?overwrite=true", _of_space(_data(OBJECTS), asked.space)))
    if asked.rules:
        _say(server.give("rules", "/api/detection_engine/rules/_import?overwrite=true", server.switched(_data(RULES))))
        sys.stdout.write("new rules are off until you switch them on: Security, Rules\n")
    start = _of_space(START.encode(), asked.space).decode()
    _say(iter([f"open {server.place}/app/dashboards#/view/{start}"]))
    return 0


def export(path: str, rules: bool) -> int:
    """Writes what Kibana imports to a file, for who imports by hand. Raises OSError."""
    Path(path).write_bytes(_data(RULES if rules else OBJECTS))
    return 0


def _data(name: str) -> bytes:
    return schema.data().joinpath(name).read_bytes()


def _of_space(data: bytes, space: str | None) -> bytes:
    """Ids are for one space alone: in others than the default one they begin with its name, and so do links to them."""
    if space in (None, "default"):
        return data
    return re.sub(rb"(?<![\w.-])tapscan-(?=[a-z])", f"{space}-tapscan-".encode(), data)


def _say(lines: Iterator[str]) -> None:
    for line in lines:
        sys.stdout.write(f"{visible(line)}\n")


class Server:
    """A Kibana, in one of its spaces."""

    def __init__(self, asked: Asked) -> None:
        from urllib3 import PoolManager
        from urllib3.exceptions import LocationParseError
        from urllib3.util import parse_url

        try:
            url = parse_url(asked.url)
        except LocationParseError:
            raise Stop(f"{asked.url}: no URL, as in http://kibana:5601") from None
        if url.scheme not in ("http", "https") or not url.host:
            raise Stop(f"{asked.url}: no URL, as in http://kibana:5601")
        if url.auth:
            raise Stop("the URL holds a secret, which others on this host can read: take --user and --password-file")
        self._base = asked.url.rstrip("/")
        self._space = asked.space
        self.place = self._base + (f"/s/{quote(asked.space, safe='')}" if asked.space else "")
        self._headers = {"kbn-xsrf": "tapscan", "accept": "application/json"} | _identity(asked)
        self._pool = PoolManager(ssl_context=_trust(asked.ca) if url.scheme == "https" else None)

    def check(self) -> None:
        """Whether it takes what we have: its version, and that there is the space."""
        status = self._ask("GET", f"{self._base}/api/status")
        version = str(status.get("version", {}).get("number", FLOOR))  # who isn't known isn't told
        if _numbers(version) < _numbers(FLOOR):
            raise Stop(f"{self._base}: Kibana {version} is too old, {FLOOR} is the first that takes these objects")
        if self._space:
            self._ask("GET", f"{self._base}/api/spaces/space/{quote(self._space, safe='')}", f"no space {self._space}")

    def switched(self, rules: bytes) -> bytes:
        """The rules, each as it is there: who switched one on wants it on."""
        found = self._ask("GET", self.place + FIND, f"it has no {FIND.partition('?')[0]}")
        on = {rule["rule_id"] for rule in found.get("data", ()) if rule.get("enabled")}
        every = map(json.loads, rules.splitlines())
        return ndjson(rule | {"enabled": rule["rule_id"] in on} for rule in every).encode()

    def give(self, what: str, path: str, file: bytes) -> Iterator[str]:
        """Imports a file; a line that says how much there is now. Raises Stop when something was refused."""
        form = {"file": ("tapscan.ndjson", file, "application/ndjson")}
        found = self._ask("POST", self.place + path, f"it has no {path.partition('?')[0]}", form)
        count = found.get("successCount", found.get("success_count", 0))
        if errors := found.get("errors"):
            lines = [*map(_error, errors[:SHOWN])] + ([f"and {len(errors) - SHOWN} more"] if errors[SHOWN:] else [])
            raise Stop(f"{self.place}: {len(errors)} {what} not imported: {visible('; '.join(lines))}")
        every = file.count(b"\n")
        if not found.get("success") or count != every:
            raise Stop(f"{self.place}: {count} of {every} {what} imported")
        yield f"{count} {what} imported"

    def _ask(self, method: str, url: str, absent: str | None = None, form: dict[str, Any] | None = None) -> Any:
        """The answer. `absent`: what a 404 means. Raises Stop."""
        from urllib3.exceptions import HTTPError

        try:
            answer = self._pool.request(
                method, url, fields=form, headers=self._headers, timeout=SECONDS, retries=False, redirect=False
            )
        except HTTPError as error:
            raise Stop(f"{self._base}: can't be reached: {visible(_reason(error))}") from None
        if answer.status != 200:
            raise Stop(f"{self._base}: {visible(_refusal(answer, absent))}")
        body = _body(answer)
        if not isinstance(body, dict):
            raise Stop(f"{self._base}: no Kibana: its answer is no JSON")
        return body


def _identity(asked: Asked) -> dict[str, str]:
    if asked.api_key_file and asked.user:
        raise Stop("--api-key-file and --user: give one of them")
    if asked.api_key_file:
        key = _secret(asked.api_key_file, "--api-key-file")
        if not key.isascii():
            raise Stop(f"--api-key-file: {asked.api_key_file}: no API key")
        return {"authorization": f"ApiKey {key}"}
    if not asked.user:
        return {}
    if not asked.password_file:
        raise Stop("--user needs --password-file")
    who = f"{asked.user}:{_secret(asked.password_file, '--password-file')}"
    return {"authorization": f"Basic {base64.b64encode(who.encode()).decode()}"}


def _secret(path: str, option: str) -> str:
    text = read(option, path)
    if not text or not text.isprintable():
        raise Stop(f"{option}: {path}: {'more than one line' if text else 'is empty'}")
    return text


def _trust(ca: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError) as error:
        raise Stop(f"--ca: {ca}: {'no certificates' if isinstance(error, ssl.SSLError) else error.strerror}") from None


def _numbers(version: str) -> tuple[int, ...]:
    parts = version.partition("-")[0].split(".")
    return tuple(int(part) for part in parts if part.isdecimal())


def _reason(error: Exception) -> str:
    """What is wrong with the connection, without urllib3's own names."""
    given = next((one for one in error.args if isinstance(one, Exception)), error)
    inner = getattr(error, "reason", None) or error.__cause__ or given
    return str(getattr(inner, "strerror", None) or inner).rpartition(">: ")[2].strip()


def _body(answer: BaseHTTPResponse) -> Any:
    try:
        return json.loads(answer.data)
    except ValueError:
        return None


def _refusal(answer: BaseHTTPResponse, absent: str | None) -> str:
    """Why it said no."""
    body = _body(answer)
    said = body.get("message") if isinstance(body, dict) else answer.data.decode("utf-8", "replace").strip()[:200]
    match answer.status:
        case 401:
            return "it doesn't know who we are: --api-key-file, or --user and --password-file"
        case 403:
            return f"who we are there may not do this: {said}"
        case 404:
            return absent or f"no Kibana: it answered 404: {said}"
        case 301 | 302 | 303 | 307 | 308:
            return f"it sends us to {answer.headers.get('location')}: name the address of Kibana itself"
    return f"it answered {answer.status}: {said}"


def _error(error: dict[str, Any]) -> str:
    """Why one object or rule was not imported."""
    inner = error.get("error", {})
    name = error.get("rule_id") or f"{error.get('type')} {error.get('id')}"
    missing = ", ".join(f"{one.get('type')} {one.get('id')}" for one in inner.get("references", ()))
    why = inner.get("message") or inner.get("reason") or str(inner.get("type", "no reason given")).replace("_", " ")
    return f"{name}: {why}{f' {missing}' if missing else ''}"
