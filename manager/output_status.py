"""`tapscan outputs`: who takes documents, how many wait for each, and what is in the way."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import orjson
from rich.text import Text

from manager.assembly import spool_folder
from manager.effective import effective
from manager.options import Stop
from manager.outlets import ELASTIC
from manager.output_settings import OutputSettings
from manager.report import console, plain_table
from manager.rows import size
from manager.settings import Settings
from manager.shipper import state
from manager.visible import visible

COLUMNS = "name", "kind", "where", "waiting", "sent", "dead letters", "lost"
SAID = (
    "stored", "lost", "tries", "rate", "trouble", "refused", "time",
    "waiting", "waiting_bytes", "oldest_seconds", "dead_letters",
)  # fmt: skip


def show_outputs(config: str | None, as_json: bool) -> int:
    """Prints a row for each; 2 when one of them takes nothing at present. Raises Stop without any."""
    settings, _ = effective(config)
    rows = known(settings)
    if not rows:
        raise Stop("documents go nowhere: give --config with [elasticsearch] urls or an [[output]]")
    if as_json:
        for row in rows:
            sys.stdout.buffer.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))
    else:
        _print(rows)
    return 2 if any(row.get("trouble") for row in rows) else 0


def known(settings: Settings) -> list[dict[str, Any]]:
    """What is known of each output of the settings, Elasticsearch among them."""
    folder = spool_folder(settings)
    urls = settings.elasticsearch.urls
    server = [_row(folder, ELASTIC, ELASTIC, ", ".join(urls))] if urls else []
    return [*server, *(_row(folder, one.name, one.kind, _where(one)) for one in settings.output)]


def _where(output: OutputSettings) -> str:
    match output.kind:
        case "file":
            return output.path
        case "syslog":
            return f"{output.transport}://{output.address}"
        case "webhook":
            return output.url
        case "kafka":
            return f"{', '.join(output.servers)}/{output.topic}"


def _row(folder: Path, name: str, kind: str, where: str) -> dict[str, Any]:
    row: dict[str, Any] = {"name": name, "kind": kind, "where": where, "waiting": 0, "stored": 0, "dead_letters": 0}
    found = state(folder, name)
    return row | {key: found[key] for key in SAID if key in found}


def _print(rows: list[dict[str, Any]]) -> None:
    table = plain_table("Outputs", *COLUMNS)
    for row in rows:
        waiting = f"{row['waiting']} ({size(row['waiting_bytes'])})" if row["waiting"] else "0"
        figures = str(row["stored"]), str(row["dead_letters"]), str(row.get("lost", 0))
        table.add_row(row["name"], row["kind"], visible(row["where"]), waiting, *figures)
    console().print(table)
    for row in rows:
        if row.get("trouble"):
            console().print(Text(visible(f"{row['name']}: {row['trouble']}"), "bold red"), soft_wrap=True)
