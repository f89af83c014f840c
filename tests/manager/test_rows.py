import pytest
from nouns import an_object

from manager.rows import ObjectRows, size
from manager.visible import cells


def printed(width, *targets):
    lines = []
    rows = ObjectRows(lines.append, width)
    for target in targets:
        rows.take(target)
    return b"".join(lines).decode().splitlines()


HOSTILE = an_object(
    name="\x1b[2J文書" * 40 + "\u202e.exe",
    mime_type="a/" + "b" * 90,
    cut="limit:object_bytes",
    depth=1,
    protocol="ftp-data",
)


@pytest.mark.parametrize("width", [40, 80, 109, 110, 120, 149, 150, 180, 400])
def test_no_line_is_wider_than_the_terminal_and_none_does_harm(width):
    for line in printed(width, an_object(), HOSTILE):
        assert cells(line) <= width
        assert line.isprintable()


def test_one_line_an_object_where_there_is_room():
    head, row = printed(120, an_object(name="x.zip"))
    assert head.split() == ["time", "from", ">", "to", "protocol", "name", "type", "size", "sha256", "state"]
    assert row.split()[:6] == ["12:00:03", "198.51.100.80", ">", "192.0.2.10", "http", "x.zip"]
    assert an_object().sha256[:12] in row


def test_the_date_where_there_is_more():
    assert printed(160, an_object())[1].startswith("2024-02-29 12:00:03 ")


def test_two_lines_on_a_narrow_terminal():
    first, second = printed(80, an_object(name="x.zip", cut="gap"))
    assert first == "12:00:03  198.51.100.80 > 192.0.2.10  http  application/zip  5 B"
    assert second == f"          {an_object().sha256[:12]}  x.zip  gap"


def test_sizes_for_a_person():
    numbers = [0, 999, 1000, 1500, 99_949, 100_000, 999_499, 999_500, 10**9, 10**15, 10**18]
    assert [size(number) for number in numbers] == [
        "0 B", "999 B", "1.0 kB", "1.5 kB", "99.9 kB", "100 kB", "999 kB", "1.0 MB", "1.0 GB", "1.0 PB", "1000 PB",
    ]  # fmt: skip
