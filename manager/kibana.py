"""What Kibana is given: `kibana/objects/` as saved objects, `kibana/rules/` as detection rules, each one NDJSON.

The sources are short and readable; what is made of them has the shape that Kibana 8.9 exports, so that it and whatever
is newer imports it. Ids are fixed and keys sorted: what is imported again replaces what was there.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from manager import lens, schema
from manager.lens import Body, Source, kuery

CORE = "8.8.0"
VERSIONS = {"index-pattern": "8.0.0", "search": "8.0.0", "lens": "8.9.0", "dashboard": "8.9.0"}
FLOOR = "8.9.0"  # the oldest Kibana that takes it
META = "kibanaSavedObjectMeta"
INDEX = f"{META}.searchSourceJSON.index"
FILTER = f"{META}.searchSourceJSON.filter[0].meta.index"
TO_DASHBOARD = "DASHBOARD_TO_DASHBOARD_DRILLDOWN"
WIDTH = 48  # columns of a dashboard
ALL = "tapscan-documents"  # the data view of all documents
HEADING: Body = {"h": 4, "i": "about", "w": WIDTH, "x": 0, "y": 0}  # where a dashboard says what it is about
DURATION = {"id": "duration", "params": {"inputFormat": "nanoseconds", "outputFormat": "humanizePrecise"}}
AGE = {"id": "duration", "params": {"inputFormat": "seconds", "outputFormat": "humanizePrecise"}}


def sources(folder: str) -> list[Source]:
    """What lies in a folder of `kibana/`, by name."""
    files = sorted(schema.data().joinpath(folder).iterdir(), key=lambda path: path.name)
    return [json.loads(path.read_text("utf-8")) for path in files if path.name.endswith(".json")]


def dashboards() -> list[Source]:
    """The sources of the dashboards, in the order in which one reads them."""
    return sorted((one for one in sources("objects") if "panels" in one), key=lambda one: int(one["order"]))


def objects() -> Iterator[Body]:
    """Every saved object, those that others refer to first."""
    shared = [one for one in sources("objects") if "panels" not in one]
    for one in shared:
        yield from map(_view, one.get("views", ()))
    for one in shared:
        yield from map(_search, one.get("searches", ()))
    for source in dashboards():
        yield from (_lens(source, panel) for panel in source["panels"] if "search" not in panel)
    yield from map(_dashboard, dashboards())


def rules() -> list[Source]:
    """Every detection rule. They are written as Kibana reads them; what all have in common is added here."""
    common = json.loads(schema.data().joinpath("rules/common.json").read_text("utf-8"))
    return [common | rule for rule in sources("rules") if "rule_id" in rule]


def ndjson(lines: Iterable[Any]) -> str:
    """One object a line, always the same way."""
    return "".join(_json(line) + "\n" for line in lines)


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def _saved(kind: str, name: str, attributes: Body, references: list[Body]) -> Body:
    return {
        "attributes": attributes,
        "coreMigrationVersion": CORE,
        "id": name,
        "references": references,
        "type": kind,
        "typeMigrationVersion": VERSIONS[kind],
    }


def _view(source: Source) -> Body:
    attributes = {
        "allowNoIndex": True,
        "fieldAttrs": "{}",
        "fieldFormatMap": _json(dict(_formats()) | source.get("formats", {})),
        "fields": "[]",
        "name": source["title"],
        "runtimeFieldMap": "{}",
        "sourceFilters": "[]",
        "timeFieldName": "@timestamp",
        "title": source["index"],
        "typeMeta": "{}",
    }
    return _saved("index-pattern", source["id"], attributes, [])


def _formats() -> Iterator[tuple[str, Body]]:
    """Bytes and times are shown in units that one can read."""
    for field in schema.fields():
        if field.type != "long":
            continue
        if field.name.endswith("bytes") or field.name == "file.size":
            yield field.name, {"id": "bytes"}
        elif "latency" in field.name or field.name == "event.duration":
            yield field.name, DURATION
        elif field.name.endswith("_age"):
            yield field.name, AGE


def _search(source: Source) -> Body:
    found = {
        "filter": [],
        "highlightAll": True,
        "indexRefName": INDEX,
        "query": kuery(source.get("query", "")),
        "version": True,
    }
    attributes = {
        "columns": source["columns"],
        "description": source.get("what", ""),
        "grid": {},
        "hideChart": False,
        "isTextBasedQuery": False,
        META: {"searchSourceJSON": _json(found)},
        "sort": [["@timestamp", source.get("sort", "desc")]],
        "timeRestore": False,
        "title": source["title"],
    }
    return _saved("search", source["id"], attributes, [_reference(INDEX, "index-pattern", source["view"])])


def _reference(name: str, kind: str, to: str) -> Body:
    return {"id": to, "name": name, "type": kind}


def _lens(source: Source, panel: Source) -> Body:
    return _saved("lens", f"{source['id']}-{panel['id']}", lens.attributes(panel), lens.references(panel))


def _dashboard(source: Source) -> Body:
    panels = [_heading(source), *(_panel(panel) for panel in source["panels"])]
    options = {"hidePanelTitles": False, "syncColors": True, "syncCursor": True, "syncTooltips": False}
    attributes = {
        "description": source["question"],
        META: {"searchSourceJSON": _json({"filter": [_ours()], "query": kuery("")})},
        "optionsJSON": _json(options | {"useMargins": True}),
        "panelsJSON": _json(panels),
        "timeRestore": False,  # who goes from one to the next stays in the same time
        "title": source["title"],
    }
    if "controls" in source:
        attributes["controlGroupInput"] = _controls(source["controls"])
    return _saved("dashboard", source["id"], attributes, [*_needed(source)])


def _ours() -> Body:
    """The filter of every dashboard: documents of tapscan."""
    meta = {
        "alias": None,
        "disabled": False,
        "field": "event.module",
        "indexRefName": FILTER,
        "key": "event.module",
        "negate": False,
        "params": {"query": "tapscan"},
        "type": "phrase",
    }
    return {"$state": {"store": "appState"}, "meta": meta, "query": {"match_phrase": {"event.module": "tapscan"}}}


def _heading(source: Source) -> Body:
    """The question that a dashboard answers, and the way to the others."""
    others = [one for one in dashboards() if one["id"] != source["id"]]
    links = " · ".join(f"[{one['short']}](#/view/{one['id']})" for one in others)
    shown = {
        "data": {"aggs": [], "searchSource": {"filter": [], "query": kuery("")}},
        "description": "",
        "params": {
            "fontSize": 12,
            "markdown": f"**{source['question']}** {source['how']}\n\n{links}",
            "openLinksInNewTab": False,
        },
        "title": "",
        "type": "markdown",
        "uiState": {},
    }
    config = {"enhancements": {}, "hidePanelTitles": True, "savedVis": shown}
    return _placed("about", HEADING, "visualization", config)


def _panel(panel: Source) -> Body:
    name, (x, y, w, h) = panel["id"], panel["grid"]
    grid = {"h": h, "i": name, "w": w, "x": x, "y": y}
    events = [_event(name, number, drill) for number, drill in enumerate(panel.get("drill", ()))]
    config = {
        "enhancements": {"dynamicActions": {"events": events}} if events else {},
        "hidePanelTitles": panel.get("type") == "metric",  # its number has its own title
    }
    placed = _placed(name, grid, "search" if "search" in panel else "lens", config)
    return placed | {"panelRefName": f"panel_{name}", "title": panel["title"]}


def _placed(name: str, grid: Body, kind: str, config: Body) -> Body:
    return {"embeddableConfig": config, "gridData": grid, "panelIndex": name, "type": kind, "version": FLOOR}


def _event(name: str, number: int, drill: Source) -> Body:
    """A drill-down: to a dashboard, with the filter that was clicked; or to a URL."""
    if "dashboard" in drill:
        config: Body = {"openInNewTab": False, "useCurrentDateRange": True, "useCurrentFilters": True}
        action = {"config": config, "factoryId": TO_DASHBOARD, "name": drill["title"]}
        return {"action": action, "eventId": f"{name}-{number}", "triggers": ["FILTER_TRIGGER"]}
    config = {"encodeUrl": False, "openInNewTab": True, "url": {"template": drill["url"]}}  # it encodes its own values
    action = {"config": config, "factoryId": "URL_DRILLDOWN", "name": drill["title"]}
    return {"action": action, "eventId": f"{name}-{number}", "triggers": ["VALUE_CLICK_TRIGGER"]}


def _needed(source: Source) -> Iterator[Body]:
    """What a dashboard refers to: data views of its filter and of its controls, its panels, and where they lead."""
    yield _reference(FILTER, "index-pattern", ALL)
    for panel in source["panels"]:
        name = panel["id"]
        to = ("search", panel["search"]) if "search" in panel else ("lens", f"{source['id']}-{name}")
        yield _reference(f"{name}:panel_{name}", *to)
        for number, drill in enumerate(panel.get("drill", ())):
            if "dashboard" in drill:
                where = f"{name}:drilldown:{TO_DASHBOARD}:{name}-{number}:dashboardId"
                yield _reference(where, "dashboard", drill["dashboard"])
    for number, control in enumerate(source.get("controls", ())):
        yield _reference(f"controlGroup_c{number}:optionsListDataView", "index-pattern", control["view"])


def _controls(controls: list[Source]) -> Body:
    """Fields to choose from above the panels; what is chosen in one narrows the next."""
    ignored = ("ignoreFilters", "ignoreQuery", "ignoreTimerange", "ignoreValidations")
    panels = {f"c{number}": _control(number, control) for number, control in enumerate(controls)}
    return {
        "chainingSystem": "HIERARCHICAL",
        "controlStyle": "oneLine",
        "ignoreParentSettingsJSON": _json(dict.fromkeys(ignored, False)),
        "panelsJSON": _json(panels),
    }


def _control(number: int, control: Source) -> Body:
    chosen = {
        "enhancements": {},
        "fieldName": control["field"],
        "id": f"c{number}",
        "selectedOptions": [],
        "title": control["title"],
    }
    return {"explicitInput": chosen, "grow": True, "order": number, "type": "optionsListControl", "width": "medium"}
