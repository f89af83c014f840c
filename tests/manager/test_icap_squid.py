"""A real Squid between a client and a web server asks `tapscan icap-server` about all that goes through it."""

import io
import os
import zipfile

import pytest
from icap import HOST, IcapServer, Origin, Squid

# Squid keeps 64 KiB of a body. Some versions stop reading when the web server is faster than ICAP (its bug 5352).
SIZES = {"empty": 0, "small": 600, "kept": 60_000, "beyond": 300_000, "large": 20_000_000}


@pytest.fixture(scope="module")
def files(eicar):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("noise.bin", os.urandom(200_000))
        archive.writestr("inside.txt", eicar)
    return {name: os.urandom(size) for name, size in SIZES.items()} | {"bad.zip": out.getvalue(), "bad": eicar}


@pytest.fixture(scope="module")
def origin(files):
    with Origin(files) as made:
        yield made


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with IcapServer(tmp_path_factory.mktemp("server"), "trickle = 0.1") as made:
        yield made


@pytest.fixture(scope="module")
def squid(tmp_path_factory, server):
    asks = [
        line.format(f"icap://{HOST}:{server.port}")
        for line in (
            "icap_service resp respmod_precache bypass=0 {}/respmod",
            "icap_service req reqmod_precache bypass=0 {}/reqmod",
            "adaptation_access resp allow all",
            "adaptation_access req allow all",
        )
    ]
    folder = tmp_path_factory.mktemp("proxy")
    folder.parent.chmod(0o755)
    folder.chmod(0o755)
    with Squid(folder / "squid", *asks) as made:
        yield made


@pytest.mark.parametrize("where", ["", "/chunked"])
@pytest.mark.parametrize("name", SIZES)
def test_what_is_clean_goes_through_as_it_is(squid, origin, files, name, where):
    for _ in range(2):
        assert squid.get(f"{origin.url}{where}/{name}") == (200, files[name], True)


@pytest.mark.parametrize("where", ["", "/chunked"])
def test_what_is_not_gets_the_page(squid, origin, where):
    status, page, whole = squid.get(f"{origin.url}{where}/bad")
    assert (status, whole) == (403, True)
    assert b"EICAR_test_file" in page
    assert f"{origin.url}{where}/bad".encode() in page


def test_of_what_is_large_and_not_clean_no_more_than_single_bytes_come(squid, origin, files):
    """Where Squid stalls some go back in advance, so that it's too late for the page: who asks again gets it."""
    url = f"{origin.url}/bad.zip"
    status, came, whole = squid.get(url)
    assert status == 403 or (not whole and len(came) < 100 and files["bad.zip"].startswith(came))
    status, page, whole = squid.get(url)
    assert (status, whole) == (403, True)
    assert b"Incident: <b>" in page


def test_uploads(squid, origin, files):
    for name in ("small", "kept", "beyond"):
        assert squid.post(f"{origin.url}/up", files[name])[0] == 204
    for name in ("bad", "bad.zip"):
        status, page, _ = squid.post(f"{origin.url}/up", files[name])
        assert (status, b"was blocked" in page) == (403, True)
    assert origin.came == [files["small"], files["kept"], files["beyond"]]


def test_squid_says_who_talks_with_whom(squid, origin, server):
    url = origin.url.replace(HOST, "localhost") + "/small"
    squid.get(url)
    (found,) = server.documents("object", about=url)
    assert (found["source"]["ip"], found["destination"]["ip"]) == (HOST, HOST)
    assert f":{found['destination']['port']}/" in url
