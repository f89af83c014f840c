"""Lists of bad addresses, hosts and beginnings of files, as they are published: a text file, an item a line.

http://example.org/setup.exe     an address
example.org                      a host; .example.org: and all below it; 0.0.0.0 example.org: as hosts(5) has it
64 hexadecimal digits            SHA-256 of the first 4096, 65536 or 1048576 bytes of a file
# ...                            why, behind an item; alone on a line it is passed over
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from manager.blocklist import Entry
from reassembly.known import host_key, url_key

log = logging.getLogger(__name__)

MOST = 200_000  # items of all feeds together, some 60 MB in each worker
_DIGEST = re.compile(r"[0-9a-fA-F]{64}")
_HOST = re.compile(r"(?:\.?(?:[\w-]+\.)*[\w-]+\.?|\[[0-9a-fA-F:.]+\])(?::\d{1,5})?|[0-9a-fA-F:]+:[0-9a-fA-F:.]*")
# Of a hosts file: where names are sent that are not to be reached.
_BEFORE: tuple[list[str], ...] = ([], ["0.0.0.0"], ["127.0.0.1"], ["::"], ["::1"])
SHOWN = 3  # lines that are no items, of each file


def read_feeds(paths: Iterable[str]) -> list[Entry]:
    """All items of all files. What can't be read is logged, and costs only itself."""
    entries = list(islice((entry for path in paths for entry in _feed(Path(path))), MOST + 1))
    if len(entries) > MOST:
        log.warning("feeds have more than %d items: the rest is not used", MOST)
    return entries[:MOST]


def _feed(path: Path) -> Iterator[Entry]:
    wrong = 0
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            for number, line in enumerate(file, 1):
                item, _, reason = line.partition("#")
                if not item.strip():
                    continue
                if (entry := _entry(item.strip(), reason.strip() or f"listed in {path.stem}")) is not None:
                    yield entry
                elif (wrong := wrong + 1) <= SHOWN:
                    log.warning("%s: line %d is no address, host or SHA-256: %.60s", path, number, item.strip())
    except OSError as error:
        log.warning("%s: the feed can't be read: %s", path, error.strerror)
    if wrong > SHOWN:
        log.warning("%s: %d lines are no items", path, wrong)


def _entry(item: str, reason: str) -> Entry | None:
    *before, item = item.split()
    if before not in _BEFORE:
        return None
    if _DIGEST.fullmatch(item):
        return Entry("prefix", item.lower(), reason)
    if item.partition("://")[2][:1] not in ("", "/"):
        return Entry("url", url_key("", item), reason)
    named = _HOST.fullmatch(item) and ("." in item or item.count(":") > 1)
    return Entry("host", host_key(item), reason) if named else None
