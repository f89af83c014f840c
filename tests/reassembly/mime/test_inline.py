"""Files inside text: uuencode, yEnc, BinHex and multiparts that nobody announced."""

import base64

import pytest
from mailing import FILE, attachment, binhexed, lines, mail, part, parts, pieces, read, told, uuencoded, yenced
from session import content

TEXT = b"Hello,\r\nsee this:\r\n"
FILES = {
    "uuencode": uuencoded(FILE),
    "uuencode, CRLF": uuencoded(FILE).replace(b"\n", b"\r\n"),
    "yenc": yenced(FILE),
    "binhex": binhexed(FILE),
}


def letter(*bodies):
    return lines("From: a@example.org", "") + b"".join(bodies)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("size", [1, 50, 100_000])
def test_a_file_inside_text_is_an_object_and_the_text_stays(name, size):
    body = TEXT + FILES[name] + b"Bye\r\n"
    file, text = parts(*pieces(letter(body), size))
    assert content(file) == FILE
    assert file.codings == (name.partition(",")[0],)
    assert file.name.endswith(".bin")
    assert content(text) == body
    assert file.parent == text.id
    assert file.depth == text.depth + 1


@pytest.mark.parametrize("name", FILES)
def test_several_files(name):
    found = parts(letter(TEXT, FILES[name], TEXT, FILES[name], FILES["uuencode"]))
    assert [content(one) for one in found[:-1]] == [FILE] * 3


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_does_not_end(name):
    start = FILES[name][: len(FILES[name]) * 2 // 3]
    file, text = parts(letter(TEXT, start))
    assert FILE.startswith(content(file))
    assert file.size > 300
    assert content(text) == TEXT + start


@pytest.mark.parametrize("name", FILES)
def test_a_file_with_a_hole(name):
    whole = letter(TEXT, FILES[name], b"Bye\r\n")
    middle = whole.index(FILES[name]) + len(FILES[name]) // 2
    found = parts(whole[:middle], 40, whole[middle + 40 :])
    assert [one.cut for one in found] == ["gap"] * 2
    assert found[0].missing_bytes > 20


def test_a_file_in_a_coded_text():
    coded = base64.encodebytes(TEXT + FILES["uuencode"])
    file, _ = parts(mail(part("Content-Transfer-Encoding: base64", body=coded)))
    assert content(file) == FILE


def test_no_file_is_looked_for_in_what_is_no_text():
    header = ("Content-Type: application/pdf", "Content-Transfer-Encoding: base64")
    assert len(parts(mail(part(*header, body=b"YmVnaW4gNjQ0IGEKIzg2KUMKZW5kCg==")))) == 1


@pytest.mark.parametrize(
    "text",
    [
        b"begin with this\r\nend\r\n",
        b"we begin 644 a.bin\r\n#86)C\r\nend\r\n",
        b"begin 644 a.bin",
        b"begin 644 a.bin\r\nend\r\n",
        b"=ybegin\r\n",
        b"-- \r\nsignature\r\n",
        b"--------\r\nContent-Type: text/plain\r\n",
        b"--x\r\nno header\r\n",
        b"--x--\r\nContent-Type: text/plain\r\n\r\nx\r\n",
    ],
)
@pytest.mark.parametrize("size", [1, 1000])
def test_text_that_only_looks_alike(text, size):
    (one,) = parts(*pieces(letter(text), size))
    assert content(one) == text


HIDDEN = b"--x\r\nContent-Type: text/html\r\n\r\n<p>\r\n--x\r\n" + attachment() + b"\r\n--x--\r\n"


@pytest.mark.parametrize("size", [1, 9, 10_000])
@pytest.mark.parametrize("before", [b"", TEXT, b"a\n", b"\r", b"--y\r\n", b"x " * 9_000 + b"\r\n"])
def test_a_multipart_inside_text(size, before):
    html, file, text = parts(*pieces(letter(before, HIDDEN), size))
    assert content(html) == b"<p>"
    assert content(file) == FILE
    assert content(text) == before + HIDDEN
    assert "mime.hidden_multipart" in text.findings
    assert (html.parent, file.parent) == (text.id, text.id)


def test_a_header_that_stands_in_the_body():
    file, text = parts(letter(b"Content-Transfer-Encoding: base64\r\n\r\nQUJD\r\n"))
    assert content(file) == b"ABC"
    assert "mime.hidden_header" in text.findings


def test_a_text_of_messages_inside_messages_has_an_end():
    nested = b"".join(b"--x%d\r\nContent-Type: text/plain\r\n\r\n" % n for n in range(60))
    objects = read(letter(nested))
    assert content(objects[-1]) == letter(nested)
    assert len(objects) < 100
    assert told(read(*pieces(letter(nested), 11))) == told(objects)
