from html.parser import HTMLParser

import pytest

from manager.block_page import BlockPage
from manager.options import Stop
from manager.settings import BlockPageSettings
from manager.settings_file import SettingsError, load
from manager.settings_text import check_file

HOSTILE = "\"><script>alert(1)</script>' onload=x\r\nSet-Cookie: a=b\u202e\udcff$reason"


class Reader(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.text = [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, attrs))

    def handle_data(self, data):
        self.text.append(data)


def read(body):
    reader = Reader()
    reader.feed(body.decode())
    return reader


def test_the_page_says_why_which_and_whom_to_ask():
    page = BlockPage(BlockPageSettings(contact="Ask <security>, 555-0100"))
    text = " ".join(read(page.render("Eicar-Test", "f00d-1", "http://example.org/a?b=1&c=2")).text)
    for word in ("Eicar-Test", "f00d-1", "http://example.org/a?b=1&c=2", "Ask <security>, 555-0100"):
        assert word in text


def test_what_comes_from_the_wire_stays_text():
    page = BlockPage(BlockPageSettings())
    plain = read(page.render("a", "b", "c"))
    hostile = read(page.render(HOSTILE, HOSTILE, HOSTILE))
    assert hostile.tags == plain.tags
    assert HOSTILE.split("\r")[0] in " ".join(hostile.text)


def test_a_response_is_complete_and_fits_a_segment():
    response = BlockPage(BlockPageSettings()).response("\U0001f4a5" * 5000, "f00d", "http://example.org/" + '"' * 5000)
    head, _, body = response.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"HTTP/1.1 403 Forbidden"
    assert f"Content-Length: {len(body)}".encode() in lines
    assert {b"Connection: close", b"Cache-Control: no-store", b"Content-Type: text/html; charset=utf-8"} <= set(lines)
    assert len(response) <= 1420  # IPv6 with time stamps


def test_template_status_and_type_are_the_operators(tmp_path):
    (tmp_path / "own.txt").write_text("$$5 $money: $reason ($incident) ${url}\n$contact é")
    path = tmp_path / "tapscan.toml"
    path.write_text(
        "[block_page]\ntemplate = 'own.txt'\nstatus = 451\ncontent_type = 'text/plain; charset=utf-8'\ncontact = '&'"
    )
    page = BlockPage(load(str(path))[0].block_page)
    assert page.render("r", "i", "u").decode() == "$5 $money: r (i) u\n&amp; é"
    assert page.response("r", "i", "u").startswith(
        b"HTTP/1.1 451 Unavailable For Legal Reasons\r\nContent-Type: text/plain; charset=utf-8\r\n"
    )


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("status = 204", "status"),
        ("status = 302", "status"),
        ("status = 999", "status"),
        ('content_type = "text/html\\r\\nSet-Cookie: a=b"', "content_type"),
        ("content_type = 'html'", "content_type"),
    ],
)
def test_mistakes_are_said(tmp_path, text, key):
    path = tmp_path / "tapscan.toml"
    path.write_text("[block_page]\n" + text)
    with pytest.raises(SettingsError) as raised:
        load(str(path))
    assert [mistake.key for mistake in raised.value.mistakes] == [f"block_page.{key}"]


def test_a_template_that_is_not_there_or_no_text(tmp_path, capsys):
    with pytest.raises(Stop, match="block_page"):
        BlockPage(BlockPageSettings(template=str(tmp_path / "absent")))
    (tmp_path / "latin").write_bytes(b"\xe9")
    with pytest.raises(Stop, match="UTF-8"):
        BlockPage(BlockPageSettings(template=str(tmp_path / "latin")))
    (tmp_path / "tapscan.toml").write_text("[block_page]\ntemplate = 'absent'")
    assert check_file(str(tmp_path / "tapscan.toml")) == 2
    assert "block_page.template" in capsys.readouterr().err
