"""`tapscan elastic setup`: gives Elasticsearch the templates of `schema` and the role of who writes, once or again.

What is there already and right is left alone. Streams whose newest index was made by older templates are rolled over,
so that what comes from now on is indexed by the new ones; what is stored stays as it is.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from manager import schema
from manager.effective import effective
from manager.options import Stop
from manager.schema import Body, Dynamic, Template
from manager.visible import visible
from sensor.noun import noun

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch

# Where a kind of template is, and what an answer wraps it in
PATHS = {"component": "/_component_template", "index": "/_index_template", "role": "/_security/role"}
JSON = {"accept": "application/json", "content-type": "application/json"}
# What a server adds to what it was given
ADDED = "created_date_millis", "modified_date_millis", "data_stream", "template.lifecycle.enabled"
ABSENT = "(nothing)"


@noun
class Asked:
    """`retention`: days by dataset; of those not named, what the server has stays. `policy`: of ILM, likewise."""

    url: str | None = None
    config: str | None = None
    dry_run: bool = False
    check: bool = False
    retention: tuple[tuple[str, int], ...] = ()
    policy: str | None = None

    @property
    def optional(self) -> list[Template]:
        """What a server may refuse."""
        return [*schema.better(), *([schema.lifecycle(self.policy)] if self.policy else [])]


def set_up(asked: Asked, dynamic: Dynamic = "false") -> int:
    """The command. Raises Stop when the server can't be reached, or refuses. `dynamic`: tests are strict."""
    if asked.dry_run:
        sys.stdout.write(schema.text(_dry(asked)))
        return 0
    settings = effective(asked.config)[0].elasticsearch
    if asked.url is not None:
        settings = replace(settings, urls=(asked.url,))
    if not settings.urls:
        raise Stop("no Elasticsearch: name its URL, or urls in [elasticsearch] of --config FILE")
    from elasticsearch import ApiError, TransportError

    from manager.elastic_client import client

    try:
        with client(settings) as server:
            wanted = [*schema.templates(dynamic, _kept(server) | dict(asked.retention))]
            if asked.check:
                return _check(server, wanted, asked.optional)
            _say(_done(server, wanted, asked.optional))
    except ApiError as error:
        raise Stop(f"{settings.urls[0]}: {refusal(error.status_code, error.body)}") from None
    except TransportError as error:
        raise Stop(f"{settings.urls[0]}: can't be reached: {error.message}") from None
    return 0


def refusal(status: int, body: Any) -> str:
    """Why a server said no, in a line."""
    reason = body.get("error", body) if isinstance(body, dict) else body
    if isinstance(reason, dict):
        reason = reason.get("reason", reason)
    if status == 401:
        return "it doesn't know who we are: [elasticsearch] api_key_file, or username and password_file"
    if status == 403:
        return f"who we are there may not do this: {reason}"
    return f"it answered {status}: {reason}"


def _dry(asked: Asked) -> Body:
    """Everything that a server would be given, as the requests that do it."""
    every = [*schema.templates(retention=dict(asked.retention)), *asked.optional, schema.role()]
    return {f"PUT {_path(one)}": one.body for one in every}


def _path(template: Template) -> str:
    return f"{PATHS[template.kind]}/{template.name}"


def _ask(server: Elasticsearch, method: str, path: str, body: Body | None = None) -> Any:
    """The answer; None where there is no such thing. Raises ApiError and TransportError."""
    from elasticsearch import NotFoundError

    try:
        return server.perform_request(method, path, headers=JSON, body=body).body
    except NotFoundError:
        return None


def _there(server: Elasticsearch, template: Template) -> Body | None:
    """What the server has in the place of a template."""
    answer = _ask(server, "GET", _path(template))
    if template.kind == "role":
        return _role_as_put((answer or {}).get(template.name))
    every: list[Body] = (answer or {}).get(f"{template.kind}_templates", [])
    return every[0][f"{template.kind}_template"] if every else None


def _role_as_put(there: Body | None) -> Body | None:
    """A role without what a server says of each of its privileges by itself."""
    if there is None:
        return None
    own = "names", "privileges"
    return there | {"indices": [{key: one[key] for key in own if key in one} for one in there.get("indices", ())]}


def _kept(server: Elasticsearch) -> dict[str, int]:
    """How many days the server keeps what: an operator's choice outlives the next setup."""
    kept = {}
    for template in schema.templates():
        lifecycle = (_there(server, template) or {}).get("template", {}).get("lifecycle", {})
        days = str(lifecycle.get("data_retention", "")).removesuffix("d")
        if template.kind == "index" and days.isdecimal():
            kept[template.name.rpartition(".")[2]] = int(days)
    return kept


def _done(server: Elasticsearch, wanted: list[Template], optional: list[Template]) -> Iterator[str]:
    """Puts what isn't there or differs; a line for each."""
    yield from (_put(server, template) for template in wanted if template.kind == "component")
    yield from (_tried(server, template) for template in optional)
    yield from (_put(server, template) for template in wanted if template.kind == "index")
    yield _role(server)
    for name, _ in _outdated(server):
        _ask(server, "POST", f"/{name}/_rollover")
        yield f"{name}: rolled over, so that the new templates hold from now on"


def _put(server: Elasticsearch, template: Template) -> str:
    there = _there(server, template)
    if there is not None and not [*differences(template, there)]:
        return f"{template.name}: left as it is"
    _ask(server, "PUT", _path(template), template.body)
    return f"{template.name}: {'made' if there is None else 'changed'}"


def _tried(server: Elasticsearch, template: Template) -> str:
    from elasticsearch import BadRequestError

    try:
        return _put(server, template)
    except BadRequestError:
        return f"{template.name}: left out, this server does not take it"


def _role(server: Elasticsearch) -> str:
    """The role is a convenience: a server without security needs none, and others may have their own way to make it."""
    from elasticsearch import ApiError

    role = schema.role()
    try:
        return _put(server, role)
    except ApiError as error:
        if "no handler found" in str(error.body):
            return f"role {role.name}: left out, this server has no security"
        return f"role {role.name}: not made, {refusal(error.status_code, error.body)}"


def _check(server: Elasticsearch, wanted: list[Template], optional: list[Template]) -> int:
    """Prints what differs."""
    if _say(_differing(server, wanted, optional)):
        return 2
    sys.stdout.write("no difference\n")
    return 0


def drift(server: Elasticsearch) -> list[str]:
    """How a server differs from what it is given. Raises ApiError and TransportError."""
    return [*_differing(server, [*schema.templates(retention=_kept(server))], [*schema.better()])]


def _differing(server: Elasticsearch, wanted: list[Template], optional: list[Template]) -> Iterator[str]:
    """How the server differs from what it should have. What only some servers take may be missing."""
    for template in wanted:
        if (there := _there(server, template)) is None:
            yield f"{template.name}: missing"
        else:
            yield from differences(template, there)
    for template in optional:
        if (there := _there(server, template)) is not None:
            yield from differences(template, there)
    for name, fields in _outdated(server):
        shown = ", ".join(fields[:5]) + (f" and {len(fields) - 5} more" if len(fields) > 5 else "")
        yield f"{name}: its newest index was made by other templates: {shown}"


def differences(template: Template, there: Body) -> Iterator[str]:
    """What stands in a template of ours and otherwise, or not at all, in the server's; and the other way round."""
    ours, theirs = flat(template.body), flat(there)
    for key in sorted(ours.keys() | theirs.keys()):
        if key.startswith(ADDED) or (template.kind == "role" and key not in ours):
            continue
        if ours.get(key) != theirs.get(key):
            yield f"{template.name}: {key}: {theirs.get(key, ABSENT)} there, {ours.get(key, ABSENT)} here"


def flat(body: Mapping[str, Any], under: str = "") -> dict[str, str]:
    """Every value by its dotted key, as a text: servers answer "1024" and 1024 as they like."""
    found: dict[str, str] = {}
    for key, value in body.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{under}{key}.")
        else:
            found[f"{under}{key}"] = value if isinstance(value, str) else json.dumps(value)
    return found


def _outdated(server: Elasticsearch) -> Iterator[tuple[str, list[str]]]:
    """Streams whose newest index has another mapping than the next would have, with the keys that differ."""
    found = _ask(server, "GET", f"/_resolve/index/{','.join(schema.STREAMS)}") or {}
    for stream in found.get("data_streams", ()):
        name, newest = stream["name"], max(stream["backing_indices"], key=lambda one: int(one.rpartition("-")[2]))
        if (next_one := _ask(server, "POST", f"/_index_template/_simulate_index/{name}")) is None:
            continue
        old = _ask(server, "GET", f"/{newest}/_mapping")[newest]["mappings"]
        if keys := mapped_otherwise(old, next_one["template"]["mappings"]):
            yield name, keys


def mapped_otherwise(old: Body, new: Body) -> list[str]:
    """The keys that differ; not the `value` that the first document gives a constant_keyword."""
    before, after = flat(old), flat(new)
    keys = (key for key in before.keys() | after.keys() if before.get(key) != after.get(key))
    return sorted(
        key.replace("properties.", "")
        for key in keys
        if not (key.endswith(".value") and before.get(f"{key[:-5]}type") == "constant_keyword")
    )


def _say(lines: Iterator[str]) -> int:
    """Prints lines as they come; how many there were."""
    count = 0
    for text in lines:
        sys.stdout.write(f"{visible(text)}\n")
        sys.stdout.flush()
        count += 1
    return count
