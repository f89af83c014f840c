from __future__ import annotations

import pytest
from wire import Talk


@pytest.fixture
def talk():
    """One TCP connection to be written."""
    return Talk()
