"""What is told of an exchange besides its bytes: ECS `url.*`, `http.*`, `user_agent.*`, and the object's name.

RFC 3986 (URI), RFC 6266 and RFC 8187 (Content-Disposition).
"""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

from reassembly.events import Fact
from reassembly.http.head import Request, Response
from reassembly.objects import ObjectKind

_PAGES = frozenset(("text/html", "application/xhtml+xml", "application/vnd.wap.xhtml+xml"))
_PARAMETER = re.compile(rb";\s*([!#$%&'*+\-.^_`|~0-9A-Za-z]+)\s*=\s*(?:\"((?:[^\"\\]|\\.)*)\"?|([^;\s]*))", re.DOTALL)
_LONGEST_NAME = 1024


def text(value: bytes) -> str:
    """Field values and targets as text; what is no UTF-8 is kept readable."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def request_facts(request: Request) -> dict[str, Fact]:
    """The facts of a request, made once."""
    if request.facts is not None:
        return request.facts
    target, fields = text(request.target), request.fields
    facts: dict[str, Fact] = {
        "http.request.method": text(request.method),
        "http.version": request.version,
        "url.original": target,
        "url.scheme": "http",
    }
    _url(facts, target, text(fields.get(b"host", b"").strip()))
    if agent := fields.get(b"user-agent"):
        facts["user_agent.original"] = text(agent.rstrip())
    if referrer := fields.get(b"referer"):
        facts["http.request.referrer"] = text(referrer.rstrip())
    request.facts = facts
    return facts


def _url(facts: dict[str, Fact], target: str, host: str) -> None:
    """RFC 9112, section 3.2: origin-form, absolute-form, authority-form, asterisk-form."""
    if target[:1] != "/" and "://" in target:
        scheme, _, rest = target.partition("://")
        authority, slash, rest = rest.partition("/")
        facts["url.scheme"] = scheme.lower()
        host, target = authority or host, slash + rest
    if host:
        _domain(facts, host)
        if target[:1] == "/":
            facts["url.full"] = f"{facts['url.scheme']}://{host}{target}"
    if "#" in target:
        target = target.partition("#")[0]
    path, mark, query = target.partition("?")
    if path:
        facts["url.path"] = path
    if mark:
        facts["url.query"] = query


def _domain(facts: dict[str, Fact], host: str) -> None:
    host = host.rpartition("@")[2]
    name, colon, port = host.rpartition(":")
    if colon and port.isdecimal() and len(port) < 6 and "]" not in port:
        facts["url.port"] = int(port)
        host = name
    facts["url.domain"] = host.strip("[]").lower()


def response_facts(response: Response) -> dict[str, Fact]:
    """The facts of a response and of the request that it answers."""
    facts = dict(request_facts(response.request)) if response.request is not None else {}
    if response.status:
        facts["http.response.status_code"] = response.status
    if response.version:
        facts["http.version"] = response.version
    if response.status == 206 and (content_range := response.fields.get(b"content-range")):
        facts["tapscan.http.range"] = text(content_range.strip())
    return facts


def declared_type(fields: dict[bytes, bytes]) -> str | None:
    """The media type that the sender names, without parameters, lower case."""
    value = fields.get(b"content-type")
    if value is None:
        return None
    end = value.find(b";")
    name = (value if end < 0 else value[:end]).strip().lower()
    return text(name) if name else None


def kind_of(response: bool, declared: str | None, name: str | None) -> ObjectKind:
    """A page, or a file: an answer declared as HTML that isn't offered under a name of its own."""
    return "web_page" if response and name is None and declared in _PAGES else "file"


def parameter(value: bytes, name: bytes) -> bytes | None:
    """The first parameter called `name` of a field value such as `form-data; name="a"`."""
    for key, quoted, plain in _PARAMETER.findall(value):
        if key.lower() == name:
            return re.sub(rb"\\([\"\\])", rb"\1", quoted) if quoted else plain
    return None


def disposition_name(value: bytes) -> str | None:
    """The file name in a Content-Disposition; `filename*` before `filename` (RFC 6266, section 4.3)."""
    extended = parameter(value, b"filename*")
    if extended is not None:
        charset, _, rest = extended.partition(b"'")
        encoded = rest.partition(b"'")[2] or extended
        try:
            return _last(unquote_to_bytes(encoded).decode(charset.decode("ascii") or "utf-8"))
        except (LookupError, ValueError):
            return _last(text(unquote_to_bytes(encoded)))
    plain = parameter(value, b"filename")
    return None if plain is None else _last(text(plain))


def _last(name: str) -> str | None:
    """RFC 6266, section 4.3: recipients keep the last path segment only."""
    return re.split(r"[/\\]", name)[-1][:_LONGEST_NAME] or None


def url_name(request: Request) -> str | None:
    """The decoded last segment of the path."""
    target = request.target
    mark = target.find(b"?")
    if mark >= 0:
        target = target[:mark]
    segment = target[target.rfind(b"/") + 1 :].partition(b"#")[0]
    if not segment or request.method == b"CONNECT" or segment == b"*":
        return None
    return text(unquote_to_bytes(segment) if b"%" in segment else segment)[:_LONGEST_NAME]
