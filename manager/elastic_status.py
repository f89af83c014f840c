"""`tapscan elastic status`, `backfill`, `dead-letters`: how it goes, and sending again what was sent or set aside."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from threading import Event
from typing import Any

import orjson
from rich.text import Text

from manager.assembly import spool_folder
from manager.bulk import Bulk, said
from manager.coverage import MINUTE
from manager.cursor import SUFFIX, Cursor
from manager.dead_letters import DeadLetters
from manager.delivery import MOST, Delivery
from manager.ecs import Document, timestamp
from manager.effective import effective
from manager.elastic_client import client
from manager.elastic_setup import drift
from manager.options import Stop
from manager.outlets import ELASTIC, spooled
from manager.periods import moment
from manager.report import console, plain_table
from manager.rows import size
from manager.run import say
from manager.settings import Settings
from manager.shipper import MOST_BYTES, dead_letters, state
from manager.spool import Record, Spool
from manager.visible import visible

BACKFILL = "backfill"  # the name of its dead letters
LETTER = "time", "index", "id", "status", "reason"  # what is shown of each


def settings_for(config: str | None, url: str | None) -> Settings:
    """The settings, with an address of the command line over those of the file. Raises Stop without any."""
    settings, _ = effective(config)
    if url is not None:
        settings = replace(settings, elasticsearch=replace(settings.elasticsearch, urls=(url,)))
    if not settings.elasticsearch.urls:
        raise Stop("no Elasticsearch: give its URL, or --config with [elasticsearch] urls")
    return settings


def show_status(config: str | None, url: str | None, as_json: bool) -> int:
    """Prints how it goes; 2 when documents can't be stored at present."""
    settings = settings_for(config, url)
    folder = spool_folder(settings)
    known = {"server": _server(settings), "spool": {"directory": str(folder)} | state(folder, ELASTIC)}
    if as_json:
        sys.stdout.buffer.write(orjson.dumps(known, option=orjson.OPT_APPEND_NEWLINE))
    else:
        console().print(*_sentences(known), sep="\n", soft_wrap=True)
    return 2 if known["server"].get("error") or known["spool"].get("refused") else 0


def _server(settings: Settings) -> dict[str, Any]:
    """Whether it can be reached, and what it is."""
    from elasticsearch import ApiError, AuthorizationException, TransportError

    found: dict[str, Any] = {"urls": list(settings.elasticsearch.urls)}
    with client(settings.elasticsearch) as server:
        try:
            nodes = server.nodes.info(node_id="_local", filter_path="nodes.*.version").body["nodes"]
            found["version"] = next(iter(nodes.values()))["version"]
            found["status"] = server.cluster.health(filter_path="status").body["status"]
            found["drift"] = drift(server)
        except AuthorizationException:  # who only writes may not look at templates
            pass
        except (ApiError, TransportError) as error:
            found["error"] = said(error)
    return found


def _sentences(known: dict[str, Any]) -> Iterator[Text]:
    server, spool = known["server"], known["spool"]
    where = ", ".join(server["urls"])
    if error := server.get("error"):
        yield Text(visible(f"{where}: {error}"), "bold red")
    else:
        yield Text(visible(f"{where}: Elasticsearch {server['version']}, {server['status']}"))
    if count := len(server.get("drift", ())):
        text = f"{count} differences between its templates and ours; tapscan elastic setup --check names them"
        yield Text(text, "bold yellow")
    waiting = spool.get("waiting", 0)
    more = f" ({size(spool['waiting_bytes'])}), the oldest for {spool['oldest_seconds']:.0f} s" if waiting else ""
    yield Text(visible(f"{spool['directory']}: {waiting} documents wait{more}"))
    if "stored" in spool:
        lost = f", {spool['lost']} lost" if spool["lost"] else ""
        yield Text(f"{spool['stored']} stored, {spool['rate']:.0f}/s, {spool['dead_letters']} dead letters{lost}")
    if spool.get("trouble"):
        yield Text(visible(spool["trouble"]), "bold red")


def list_dead(config: str | None, as_json: bool) -> int:
    """Prints the documents that were set aside, each with its reason."""
    settings, _ = effective(config)
    letters = DeadLetters(dead_letters(spool_folder(settings), ELASTIC))
    if as_json:
        for letter in letters:
            sys.stdout.buffer.write(orjson.dumps(letter, option=orjson.OPT_APPEND_NEWLINE))
        return 0
    table = plain_table("Dead letters", *LETTER)
    for letter in letters:
        table.add_row(*(visible(str(letter[key])) for key in LETTER))
    if table.row_count:
        console().print(table)
    say(f"{table.row_count} dead letters")
    return 0


def replay_dead(config: str | None) -> int:
    """Gives them to the spool again, from where they are sent as others are."""
    settings, _ = effective(config)
    folder = spool_folder(settings)
    letters = DeadLetters(dead_letters(folder, ELASTIC))
    records = letters.take()
    if records:
        spool = Spool(folder, settings.spool.max_bytes)
        spool.append(records)
        spool.close()
        letters.clear()
    say(f"{len(records)} documents are in the spool again")
    return 0


def backfill(config: str | None, url: str | None, since: str | None, files: Iterable[str]) -> int:
    """Sends again what the spool still holds, or what `--json` printed to files. What is there already stays once."""
    settings = settings_for(config, url)
    start = _since(since)
    folder = spool_folder(settings)
    with client(settings.elasticsearch) as server:
        letters = DeadLetters(dead_letters(folder, BACKFILL))
        delivery = Delivery(ELASTIC, Bulk(server), letters, say, Event())
        for records in _of_files(files) if files else _of_spool(folder):
            delivery.deliver([one for one in records if start is None or _time(one) >= start])
    done = delivery.progress
    say(f"{done.stored - done.before} documents stored, {done.before} had been there, {done.dead} were refused")
    return 2 if done.dead else 0


def _since(text: str | None) -> str | None:
    """As documents have it. Raises Stop."""
    try:
        return timestamp(moment(text, time.time_ns()) * MINUTE) if text else None
    except ValueError:
        raise Stop(f"--since {text}: is no time; write 24h, 7d, 2026-11-25 or 2026-11-25T12:00") from None


def _time(record: Record) -> str:
    return str(orjson.loads(record.document)["@timestamp"])


def _of_spool(folder: Path) -> Iterator[Sequence[Record]]:
    if not folder.is_dir():
        raise Stop(f"{folder}: no spool here")
    name = f"backfill-{os.getpid()}"
    cursor = Cursor(folder, name)
    cursor.acquire()
    try:
        while (batch := cursor.read(MOST, MOST_BYTES)).records:
            yield batch.records
            cursor.commit(batch.end)
    finally:
        cursor.close()
        (folder / f"{name}{SUFFIX}").unlink()


def _of_files(files: Iterable[str]) -> Iterator[Sequence[Record]]:
    for name in files:
        try:
            with contextlib.nullcontext(sys.stdin.buffer) if name == "-" else Path(name).open("rb") as file:
                lines = enumerate(file, 1)
                while some := [_document(name, number, text) for number, text in islice(lines, MOST)]:
                    yield some
        except OSError as error:
            raise Stop(f"{name}: {error.strerror}") from None


def _document(name: str, number: int, text: bytes) -> Record:
    try:
        document: Document = orjson.loads(text)
        return spooled(document)
    except (ValueError, KeyError, TypeError):
        raise Stop(f"{name}: line {number} is no document of tapscan (scan --json prints them)") from None
