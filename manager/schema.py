"""What Elasticsearch is told before the first document: `kibana/fields.csv` as component and index templates.

The core uses only types that every server has (a keyword is as good as a wildcard to who searches: one family). What
some servers lack stands in components of their own, which index templates name and don't miss. `dynamic: false`: what
no field is declared for is stored and shown, but not indexed; nothing that the wire brings makes a field.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, Literal, TypeAlias

from sensor.noun import noun

Body: TypeAlias = dict[str, Any]
Dynamic: TypeAlias = Literal["false", "strict"]

PRIORITY = 500  # Elasticsearch's own logs-*-* and metrics-*-* have 100
LONGEST = 1024  # characters of a keyword that is indexed; longer ones are stored all the same
SETTINGS, ECS, OWN, ILM = "tapscan@settings", "tapscan@ecs", "tapscan@own", "tapscan@ilm"
STREAMS = "logs-tapscan.*", "metrics-tapscan.*"

# days that documents are kept, by dataset
RETENTION = {
    "object": 90,
    "alarm": 400,
    "action": 400,
    "signature": 400,
    "audit": 400,
    "health": 400,
    "coverage": 30,
    "sensor": 30,
}
METRICS = "coverage", "sensor"

# better types, where the server has them: by type, the fields that ECS gives it
BETTER = {
    "wildcard": ("url.full", "url.original", "url.path", "email.message_id"),
    "constant_keyword": ("data_stream.type", "data_stream.dataset", "data_stream.namespace"),
    "match_only_text": ("message", "error.message"),
}


@noun
class Field:
    """A row of fields.csv. `type`: as Elasticsearch calls it; `keyword/text`: a keyword, with `.text` to search in."""

    name: str
    type: str
    what: str

    @property
    def mapping(self) -> Body:
        kind, _, more = self.type.partition("/")
        mapping: Body = {"type": kind}
        if kind == "keyword":
            mapping["ignore_above"] = LONGEST
        if more:
            mapping["fields"] = {more: {"type": more}}
        return mapping


@noun
class Template:
    """Something that the server is given."""

    kind: Literal["component", "index", "role"]
    name: str
    body: Body

    @property
    def file(self) -> str:
        """What it is called in the folder `templates`."""
        return f"{self.kind}-{self.name}.json"


def data() -> Traversable:
    """The folder `kibana`."""
    return files("kibana")


@cache
def fields() -> tuple[Field, ...]:
    """All fields, in the order of fields.csv."""
    text = data().joinpath("fields.csv").read_text("utf-8")
    return tuple(Field(row["field"], row["type"], row["what"]) for row in csv.DictReader(text.splitlines()))


def templates(dynamic: Dynamic = "false", retention: dict[str, int] | None = None) -> Iterator[Template]:
    """What every server takes, components before the index templates that are made of them. `retention`: days."""
    own = [field for field in fields() if field.name.startswith("tapscan.")]
    ecs = [field for field in fields() if not field.name.startswith("tapscan.")]
    yield _component(SETTINGS, _settings(strict=dynamic == "strict"))
    yield _component(ECS, {"mappings": {"dynamic": dynamic, "properties": properties(ecs)}})
    yield _component(OWN, {"mappings": {"properties": properties(own)}})
    for dataset, days in (RETENTION | (retention or {})).items():
        yield _index(dataset, days)


def better() -> Iterator[Template]:
    """What only some servers take: each of these on its own."""
    for kind, names in BETTER.items():
        found = (Field(one.name, _in_place(one.type, kind), one.what) for one in fields() if one.name in names)
        yield _component(f"tapscan@{kind}", {"mappings": {"properties": properties(found)}})


def lifecycle(policy: str) -> Template:
    """A policy of index lifecycle management that holds for all streams, before their own retention."""
    return _component(ILM, {"settings": {"index": {"lifecycle": {"name": policy}}}})


def role() -> Template:
    """Who writes documents: may add, and neither read, change nor delete."""
    indices = [{"names": list(STREAMS), "privileges": ["create_doc", "auto_configure"]}]
    return Template("role", "tapscan_writer", {"cluster": ["monitor"], "indices": indices})


def stream(dataset: str) -> str:
    """The data streams of a dataset, without their namespace."""
    return f"{'metrics' if dataset in METRICS else 'logs'}-tapscan.{dataset}"


def properties(found: Iterable[Field]) -> Body:
    """Dotted names as nested mappings."""
    tree: Body = {}
    for field in found:
        *parents, leaf = field.name.split(".")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {}).setdefault("properties", {})
        node.setdefault(leaf, {}).update(field.mapping)
    return tree


def text(body: Body) -> str:
    """A template as it stands in its file."""
    return json.dumps(body, indent=2, ensure_ascii=False) + "\n"


def _in_place(own: str, kind: str) -> str:
    return "/".join([kind, *own.split("/")[1:]])


def _settings(strict: bool) -> Body:
    """A value of a wrong type costs its field, not its document; where tests are strict, it is refused."""
    index = {"codec": "best_compression", "auto_expand_replicas": "0-1"}
    return {"settings": {"index": index if strict else index | {"mapping": {"ignore_malformed": "true"}}}}


def _component(name: str, body: Body) -> Template:
    return Template("component", name, {"template": body, "_meta": {"managed_by": "tapscan"}})


def _index(dataset: str, days: int) -> Template:
    name = stream(dataset)
    optional = [*(f"tapscan@{kind}" for kind in BETTER), ILM, "tapscan@custom", f"{name}@custom"]
    body = {
        "index_patterns": [f"{name}-*"],
        "priority": PRIORITY,
        "data_stream": {},
        "composed_of": [SETTINGS, ECS, OWN, *optional],
        "ignore_missing_component_templates": optional,
        "template": {"lifecycle": {"data_retention": f"{days}d"}},
        "_meta": {"managed_by": "tapscan"},
    }
    return Template("index", name, body)
