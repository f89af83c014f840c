"""A panel in its short form (`kibana/objects/`) as what Kibana's Lens keeps of it: columns, and how they are shown.

Columns of a breakdown come first (`b0`, `b1`), then those of metrics (`m0`, ...). A ratio is a formula of Lens: beside
the column that is shown stand those that it is computed from (`m0X0`, `m0X1`, `m0X2`). The shape is that of 8.9.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, TypeAlias

from manager import schema

Source: TypeAlias = dict[str, Any]  # what a person wrote
Body: TypeAlias = dict[str, Any]  # what Kibana reads
Columns: TypeAlias = dict[str, Body]

LAYER = "layer"
RECORDS = "___records___"  # Lens: the documents themselves
KINDS = {"metric": "lnsMetric", "xy": "lnsXY", "pie": "lnsPie", "table": "lnsDatatable"}
OPERATIONS = {
    "count": "count",
    "unique": "unique_count",
    "sum": "sum",
    "average": "average",
    "median": "median",
    "min": "min",
    "max": "max",
    "percentile": "percentile",
    "last": "last_value",
}
DATA_TYPES = {"keyword": "string", "long": "number", "double": "number", "ip": "ip", "boolean": "boolean"}
SORTABLE = {"count", "unique_count", "sum", "average", "median", "min", "max"}  # what terms can be ordered by
SIDES = "x", "yLeft", "yRight"


def attributes(panel: Source) -> Body:
    """The attributes of a saved object of type `lens`."""
    columns = dict(_columns(panel))
    layer = {"columnOrder": [*columns], "columns": columns, "incompleteColumns": {}, "sampling": 1}
    state = {
        "adHocDataViews": {},
        "datasourceStates": {"formBased": {"layers": {LAYER: layer}}},
        "filters": [],
        "internalReferences": [],
        "query": kuery(panel.get("query", "")),
        "visualization": _SHOWN[panel["type"]](panel),
    }
    return {
        "description": panel.get("what", ""),
        "state": state,
        "title": panel["title"],
        "visualizationType": KINDS[panel["type"]],
    }


def references(panel: Source) -> list[Body]:
    """Where the layer finds its data view."""
    return [{"id": panel["view"], "name": f"indexpattern-datasource-layer-{LAYER}", "type": "index-pattern"}]


def kuery(text: str) -> Body:
    """A query in Kibana's language."""
    return {"language": "kuery", "query": text}


def _columns(panel: Source) -> Iterator[tuple[str, Body]]:
    """Time last of what is grouped by: the same few values run through a whole picture, not those of each moment."""
    metrics = [*_metrics(panel)]
    for number, by in sorted(enumerate(panel.get("by", ())), key=lambda one: "time" in one[1]):
        yield f"b{number}", _breakdown(by, dict(metrics))
    yield from metrics


def _metrics(panel: Source) -> Iterator[tuple[str, Body]]:
    for number, metric in enumerate(panel["metrics"]):
        key = f"m{number}"
        if "ratio" in metric:
            yield from _ratio(key, metric)
        else:
            yield key, _metric(metric)


def _breakdown(by: Source, metrics: Columns) -> Body:
    """A column that documents are grouped by: `time`, `terms` or `filters`."""
    if "time" in by:
        more = {"dropPartials": False, "includeEmptyRows": True, "interval": "auto"}
        return _column(by, "date_histogram", by["time"], "date", "interval", more, bucketed=True)
    if "filters" in by:
        filters = [{"input": kuery(query), "label": label} for label, query in by["filters"].items()]
        return _column(by, "filters", None, "string", "ordinal", {"filters": filters}, bucketed=True)
    return _column(by, "terms", by["terms"], _data_type(by["terms"]), "ordinal", _terms(by, metrics), bucketed=True)


def _terms(by: Source, metrics: Columns) -> Body:
    """The most first, by the first metric that can be an order; parts of a formula can't."""
    own = next((key for key, one in metrics.items() if one["operationType"] in SORTABLE and "X" not in key), None)
    return {
        "exclude": [],
        "excludeIsRegex": False,
        "include": [],
        "includeIsRegex": False,
        "missingBucket": False,
        "orderBy": {"columnId": own, "type": "column"} if own else {"fallback": True, "type": "alphabetical"},
        "orderDirection": "desc" if own else "asc",
        "otherBucket": False,
        "parentFormat": {"id": "terms"},
        "size": by.get("size", 10),
    }


def _operation(metric: Source) -> str:
    """The word in a metric that says what is computed. Raises ValueError when there is none."""
    for word in OPERATIONS:
        if word in metric:
            return word
    raise ValueError(f"{metric}: says none of {', '.join(OPERATIONS)}, ratio")


def _metric(metric: Source) -> Body:
    word = _operation(metric)
    field = RECORDS if word == "count" else metric[word]
    kind = _data_type(field) if word == "last" else "number"
    where = metric.get("where") or (f"{field} : *" if word == "last" else "")
    column = _column(
        metric, OPERATIONS[word], field, kind, "ordinal" if kind == "string" else "ratio", _params(word, metric)
    )
    return column | ({"filter": kuery(where)} if where else {})


def _params(word: str, metric: Source) -> Body:
    if word == "last":
        return {"showArrayValues": True, "sortField": "@timestamp"}
    return {"percentile": metric["at"]} if word == "percentile" else {"emptyAsNull": word != "count"}


def _ratio(key: str, metric: Source) -> Iterator[tuple[str, Body]]:
    """One metric divided by another, as Lens keeps a formula."""
    text = "/".join(map(_formula, metric["ratio"]))
    whole = {"formula": text, "isFormulaBroken": False}
    yield key, _column(metric, "formula", None, "number", "ratio", whole) | {"references": [f"{key}X2"]}
    parts = [f"{key}X0", f"{key}X1"]
    for part, one in zip(parts, metric["ratio"], strict=True):
        column = _metric({"label": f"Part of {metric['label']}"} | one)
        yield part, column | {"params": {"emptyAsNull": False}}  # nothing is 0, not unknown
    place = {"location": {"max": len(text), "min": 0}, "text": text}
    tree = {"tinymathAst": {"args": parts, "name": "divide", "type": "function", **place}}
    about = {"label": f"Part of {metric['label']}"}
    yield f"{key}X2", _column(about, "math", None, "number", "ratio", tree) | {"references": parts}


def _formula(metric: Source) -> str:
    """How a part of a formula is written in Lens."""
    word = _operation(metric)
    words = [] if word == "count" else [metric[word]]
    words += [f"kql='{metric['where']}'"] if "where" in metric else []
    return f"{OPERATIONS[word]}({', '.join(words)})"


def _column(
    about: Source, operation: str, field: str | None, data_type: str, scale: str, more: Body, bucketed: bool = False
) -> Body:
    params = more | ({"format": _format(about["format"])} if "format" in about else {})
    column = {
        "customLabel": "label" in about,
        "dataType": data_type,
        "isBucketed": bucketed,
        "label": about.get("label") or field or operation,
        "operationType": operation,
        "params": params,
        "scale": scale,
    }
    return column | ({"sourceField": field} if field else {})


def _format(name: str) -> Body:
    return {"id": name, "params": {"decimals": 1}}


@cache
def _types() -> dict[str, str]:
    return {field.name: field.type.partition("/")[0] for field in schema.fields()}


def _data_type(field: str) -> str:
    """How Lens calls the type of a field. Raises ValueError for a field that no panel can show."""
    kind = _types().get(field, "in no row of fields.csv")
    if kind not in DATA_TYPES:
        raise ValueError(f"{field}: it is {kind}, which a panel can't group or count by")
    return DATA_TYPES[kind]


def _ids(panel: Source) -> tuple[list[str], list[str]]:
    """The columns of the breakdown, and those of the metrics that are shown."""
    return [f"b{number}" for number in range(len(panel.get("by", ())))], [
        f"m{number}" for number in range(len(panel["metrics"]))
    ]


def _shown_metric(panel: Source) -> Body:
    by, metrics = _ids(panel)
    shown: Body = {"layerId": LAYER, "layerType": "data", "metricAccessor": metrics[0]}
    return shown | ({"breakdownByAccessor": by[0]} if by else {})


def _shown_xy(panel: Source) -> Body:
    by, metrics = _ids(panel)
    shape = panel.get("shape", "bar_stacked")
    layer: Body = {
        "accessors": metrics,
        "layerId": LAYER,
        "layerType": "data",
        "position": "top",
        "seriesType": shape,
        "showGridlines": False,
        "xAccessor": by[0],
    }
    return {
        "axisTitlesVisibilitySettings": {side: side != "x" for side in SIDES},
        "fittingFunction": "Linear",
        "gridlinesVisibilitySettings": dict.fromkeys(SIDES, True),
        "labelsOrientation": dict.fromkeys(SIDES, 0),
        "layers": [layer | ({"splitAccessor": by[1]} if len(by) > 1 else {})],
        "legend": {"isVisible": len(by) > 1 or len(metrics) > 1, "position": "right"},
        "preferredSeriesType": shape,
        "tickLabelsVisibilitySettings": dict.fromkeys(SIDES, True),
        "valueLabels": "hide",
    }


def _shown_pie(panel: Source) -> Body:
    by, metrics = _ids(panel)
    layer = {
        "categoryDisplay": "default",
        "layerId": LAYER,
        "layerType": "data",
        "legendDisplay": "default",
        "metrics": metrics,
        "nestedLegend": False,
        "numberDisplay": "percent",
        "primaryGroups": by,
    }
    return {"layers": [layer], "shape": "donut"}


def _shown_table(panel: Source) -> Body:
    """`across`: the second breakdown goes to the right, one column for each of its values."""
    by, metrics = _ids(panel)
    across = by[1:2] if panel.get("across") else []
    columns: list[Body] = [{"columnId": key, "isTransposed": key in across} for key in by]
    columns += [{"columnId": key} for key in metrics]
    return {"columns": columns, "layerId": LAYER, "layerType": "data", "paging": {"enabled": True, "size": 10}}


_SHOWN = {"metric": _shown_metric, "xy": _shown_xy, "pie": _shown_pie, "table": _shown_table}
