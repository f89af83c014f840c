"""Mails with a bad attachment, past a SPAN port: how many a server accepts though the sensor acts.

"claimed": as in `stopping`; "real": the server has not handed it over.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from bench.collection import Captures
from bench.figures import Figure
from bench.watching import ROOTLESS, Span, claims, served, shaped, transfer, watched

MAILS = 100
BURST = "5kb"  # a card sends frame by frame: what goes out at once is as good as received
RATES = {"100mbit": 2, "500mbit": None, "unshaped": None}  # must; faster, a mail is there within 5 ms


def figures(_: Captures, home: Path) -> Iterator[Figure]:
    """At each rate the mails that arrived all the same."""
    for rate, must in RATES.items():
        name = f"mails accepted of {MAILS}, {rate}"
        if os.geteuid() != 0:
            yield Figure(name, None, "", 0, must, ROOTLESS)
            continue
        with Span() as span, watched(home / rate, span.port) as documents:
            shaped(span, span.client, rate, BURST)
            with served(span, "mails") as accepted:
                transfer(span, "mail", MAILS)
        how = f"stopped: real {MAILS - len(accepted)}, {claims(documents)}; attachment of 300 kB"
        yield Figure(name, len(accepted), "", 0, must, how)
