"""What all tests share: EICAR's test file, `--accept` for the cases, and no skipping in continuous integration."""

import os
import secrets
import tempfile

import pytest
from capture import eicar as eicar_bytes
from elastic import VERSIONS, Elastics
from hypothesis import settings
from span import Span, needed

settings.register_profile("tapscan", deadline=None)  # a busy machine is no failure
settings.load_profile("tapscan")

# The token of the clusters that tests make: Ray reads it once, when it is first used.
_token = tempfile.NamedTemporaryFile("w", prefix="tapscan-token-")  # noqa: SIM115 - gone when the tests end
_token.write(secrets.token_hex(32))
_token.flush()
os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": _token.name}


def pytest_addoption(parser):
    parser.addoption(
        "--accept", action="store_true", help="write expected.json of each case as it is now; review the diff"
    )


@pytest.fixture
def span():
    """A network with a SPAN port."""
    needed()
    with Span() as made:
        yield made


@pytest.fixture(scope="session")
def elastics():
    """Called with a version: a real Elasticsearch, started when a test first asks for it, and once."""
    made = Elastics()
    yield made
    made.close()


@pytest.fixture(scope="session", params=VERSIONS)
def elastic(elastics, request):
    """A real Elasticsearch, in each version that is supported. Tests stay apart by the namespace of their streams."""
    return elastics(request.param)


@pytest.fixture(scope="session")
def secured(elastics):
    """A real Elasticsearch that asks who it is."""
    return elastics("8.19.0", security=True)


@pytest.fixture
def namespace():
    """Of data streams, for one test alone."""
    return f"t{secrets.token_hex(6)}"


@pytest.fixture(scope="session")
def eicar():
    """The 68 bytes that every engine finds."""
    return eicar_bytes()


def _no_skipping(report):
    """Where CI=true, everything that tests need is there: what is skipped is broken."""
    if os.environ.get("CI") == "true" and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, though CI=true: {report.longrepr}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport():
    report = yield
    _no_skipping(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report():
    report = yield
    _no_skipping(report)
    return report
