from __future__ import annotations

import pytest

from engines.verdicts import Verdict, integrate


@pytest.mark.parametrize(
    ("said", "complete", "together"),
    [
        (["clean", "malicious", "suspicious"], True, "malicious"),
        (["clean", "suspicious", "error"], True, "suspicious"),
        (["clean", "error", "timeout"], True, "clean"),
        (["clean"], False, "clean_so_far"),
        (["malicious"], False, "malicious"),
        (["error", "timeout", "skipped"], True, "unknown"),
        (["error"], False, "unknown"),
        ([], True, "unknown"),
    ],
)
def test_integration(said, complete, together):
    assert integrate([Verdict("one", status) for status in said], complete) == together
