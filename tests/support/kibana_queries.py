"""What Kibana would ask Elasticsearch for: a query in its language, a layer of Lens, a threshold rule, as requests."""

from __future__ import annotations

import json
import re

WORDS = re.compile(r"\s*([()]|[^\s():]+|:)")
ALL = {"match_all": {}}
MATH = {"divide": lambda a, b: a / b if a is not None and b else None}


def query_of(text):
    """A query of `field : value`, and, or, not, parentheses and `*`. Raises ValueError for anything else."""
    words = WORDS.findall(text)
    if not words:
        return ALL
    if WORDS.sub("", text).strip() or any(mark in text for mark in "<>{\"'\\"):
        raise ValueError(text)
    found = _either(words)
    if words:
        raise ValueError(f"{text}: {words}")
    return found


def _either(words):
    any_of = [_both(words)]
    while words[:1] == ["or"]:
        del words[0]
        any_of.append(_both(words))
    return any_of[0] if len(any_of) == 1 else {"bool": {"should": any_of, "minimum_should_match": 1}}


def _both(words):
    all_of = [_one(words)]
    while words[:1] == ["and"]:
        del words[0]
        all_of.append(_one(words))
    return all_of[0] if len(all_of) == 1 else {"bool": {"filter": all_of}}


def _one(words):
    word = words.pop(0)
    if word == "not":
        return {"bool": {"must_not": [_one(words)]}}
    if word == "(":
        found = _either(words)
        if words.pop(0) != ")":
            raise ValueError("a parenthesis is open")
        return found
    if words.pop(0) != ":":
        raise ValueError(f"{word}: no colon")
    return _value(word, words.pop(0))


def _value(field, value):
    if value == "*":
        return {"exists": {"field": field}}
    if "*" in value:
        return {"wildcard": {field: {"value": value}}}
    return {"match": {field: value}}


def request_of(lens, filters=()):
    """A Lens panel as a search. `filters`: queries of the dashboard."""
    state = lens["attributes"]["state"]
    (layer,) = state["datasourceStates"]["formBased"]["layers"].values()
    asked = {"size": 0, "track_total_hits": True, "query": _all([query_of(state["query"]["query"]), *filters])}
    buckets = [key for key in layer["columnOrder"] if layer["columns"][key]["isBucketed"]]
    return asked | {"aggs": _aggregations(layer["columns"], buckets)}


def _all(queries):
    return {"bool": {"filter": [*queries]}}


def _aggregations(columns, buckets):
    if not buckets:
        metrics = {key: column for key, column in columns.items() if not column["isBucketed"]}
        return {key: metric for key, column in metrics.items() if (metric := _metric(column))}
    metrics = _aggregations(columns, [])
    inner = metrics | (_aggregations(columns, buckets[1:]) if len(buckets) > 1 else {})
    return {buckets[0]: _bucket(columns, buckets[0]) | {"aggs": inner}}


def _bucket(columns, key):
    column = columns[key]
    match column["operationType"]:
        case "date_histogram":
            return {"date_histogram": {"field": column["sourceField"], "fixed_interval": "1m", "min_doc_count": 1}}
        case "filters":
            given = {one["label"]: query_of(one["input"]["query"]) for one in column["params"]["filters"]}
            return {"filters": {"filters": given}}
        case "terms":
            params = column["params"]
            return {"terms": {"field": column["sourceField"], "size": params["size"], "order": _order(columns, params)}}
    raise ValueError(column["operationType"])


def _order(columns, params):
    if params["orderBy"]["type"] != "column":
        return {"_key": params["orderDirection"]}
    key = params["orderBy"]["columnId"]
    inner = {"count": key, "median": f"{key}>value.50"}
    return {inner.get(columns[key]["operationType"], f"{key}>value"): params["orderDirection"]}


def _metric(column):
    """A metric in its own filter; None for what is computed from others."""
    field, kind = column.get("sourceField"), column["operationType"]
    where = {"filter": query_of(column["filter"]["query"]) if "filter" in column else ALL}
    match kind:
        case "formula" | "math":
            return None
        case "count":
            return where
        case "unique_count":
            value = {"cardinality": {"field": field}}
        case "sum" | "min" | "max" | "average":
            value = {"avg" if kind == "average" else kind: {"field": field}}
        case "median" | "percentile":
            value = {"percentiles": {"field": field, "percents": [column["params"].get("percentile", 50)]}}
        case "last_value":
            newest = [{column["params"]["sortField"]: "desc"}]
            value = {"top_hits": {"size": 1, "sort": newest, "_source": False, "fields": [field]}}
        case _:
            raise ValueError(kind)
    return where | {"aggs": {"value": value}}


def rows_of(lens, answer):
    """What the panel shows: the values of its breakdown, and those of its metrics by their column."""
    (layer,) = lens["attributes"]["state"]["datasourceStates"]["formBased"]["layers"].values()
    columns = layer["columns"]
    buckets = [key for key in layer["columnOrder"] if columns[key]["isBucketed"]]
    return [*_rows(columns, buckets, answer["aggregations"], ())]


def _rows(columns, buckets, found, keys):
    if not buckets:
        yield keys, {key: _read(columns, key, found) for key, one in columns.items() if _is_shown(one)}
        return
    inner = found[buckets[0]]["buckets"]
    named = inner.items() if isinstance(inner, dict) else [(one.get("key_as_string", one["key"]), one) for one in inner]
    for name, bucket in named:
        if bucket["doc_count"]:
            yield from _rows(columns, buckets[1:], bucket, (*keys, name))


def _is_shown(column):
    return not column["isBucketed"] and not column["label"].startswith("Part of ")


def _read(columns, key, found):
    column = columns[key]
    match column["operationType"]:
        case "formula":
            (root,) = column["references"]
            return _read(columns, root, found)
        case "math":
            tree = column["params"]["tinymathAst"]
            return MATH[tree["name"]](*(_read(columns, part, found) for part in tree["args"]))
        case "count":
            return found[key]["doc_count"]
        case "median" | "percentile":
            (value,) = found[key]["value"]["values"].values()
            return value
        case "last_value":
            hits = found[key]["value"]["hits"]["hits"]
            return hits[0]["fields"][column["sourceField"]] if hits else None
    return found[key]["value"]["value"] if found[key]["doc_count"] else None


def threshold_of(rule):
    """The search of a detection rule: documents, or groups of them that are over its threshold."""
    asked = {"size": 1, "query": query_of(rule["query"]), "track_total_hits": True}
    if rule["type"] != "threshold":
        return asked
    limits = rule["threshold"]
    (field,) = limits["field"]
    (different,) = limits["cardinality"]
    aggs = {"different": {"cardinality": {"field": different["field"]}}}
    groups = {"terms": {"field": field, "size": 100, "min_doc_count": limits["value"]}, "aggs": aggs}
    return asked | {"aggs": {"groups": groups}}


def over_threshold(rule, answer):
    """The values of a rule's field that are over its threshold."""
    (different,) = rule["threshold"]["cardinality"]
    buckets = answer["aggregations"]["groups"]["buckets"]
    return [bucket["key"] for bucket in buckets if bucket["different"]["value"] >= different["value"]]


def in_namespace(index, namespace):
    """The streams of a data view that are of one namespace."""
    parts = [part for part in index.split(",") if "tapscan" in part]
    return ",".join(f"{part}-{namespace}" if part.endswith(".*") else part[:-1] + namespace for part in parts)


def store(server, documents, namespace):
    """Stores documents in their streams; none may be refused."""
    lines = []
    for number, one in enumerate(documents):
        stream = f"{one['data_stream']['type']}-{one['event']['dataset']}-{namespace}"
        lines += [{"create": {"_index": stream, "_id": f"{number}"}}, one]
    answer = server.ask("POST", "/_bulk?refresh=true", "".join(json.dumps(line) + "\n" for line in lines).encode())
    assert [item["create"]["error"] for item in answer["items"] if "error" in item["create"]] == []
