"""Mails that hide a file from some clients or scanners: in each, one of the objects has to be the file.

Each sample is one way to bend RFC 2045, 2046, 2047, 2231 or 5322 that mail clients put up with.
"""

import base64
import quopri

import pytest
from mailing import BODY, ENCODED, FILE, attachment, bodies, lines, mail, part, parts, pieces, read, told

TEXT = part("Content-Type: text/plain", body=b"Hello")
FLAT = base64.b64encode(FILE)
QUOTED = quopri.encodestring(FILE, quotetabs=True).replace(b"\n", b"\r\n")
QUADS = [FLAT[at : at + 4] for at in range(0, len(FLAT), 4)]


def announced(content_type, boundary="cut"):
    """A mail with this Content-Type, cut by this boundary."""
    return mail(TEXT, attachment(), header=(f"Content-Type: {content_type}",), boundary=boundary)


def coded(*header):
    """A mail whose attachment has these encoding fields, and is base64."""
    return mail(TEXT, part("Content-Type: application/octet-stream", *header))


def base64_of(text):
    """A mail whose attachment is this base64."""
    return mail(TEXT, attachment(text))


def quoted(text):
    """A mail whose attachment is this quoted-printable."""
    return mail(TEXT, attachment(text, encoding="quoted-printable"))


def a_file(content_type):
    """An attachment of this type."""
    return part(f"Content-Type: {content_type}", "Content-Transfer-Encoding: base64")


def every(step, between, text=FLAT):
    """The base64 with something after every so many letters."""
    return between.join(text[at : at + step] for at in range(0, len(text), step)) + between


def inner(boundary="inner", end=True, outer="cut"):
    """A multipart inside another."""
    body = mail(TEXT, attachment(), header=(), boundary=boundary, end=end).partition(b"\r\n\r\n")[2]
    held = part(f"Content-Type: multipart/mixed; boundary={boundary}", body=body.removesuffix(b"\r\n"))
    return mail(held, header=(f"Content-Type: multipart/mixed; boundary={outer}",), boundary=outer)


BOUNDARIES = {
    "quoted": announced('multipart/mixed; boundary="cut"'),
    "upper case": announced("MULTIPART/MIXED; BOUNDARY=cut"),
    "folded": announced("multipart/mixed;\r\n\tboundary=cut"),
    "folded over an empty line": announced("multipart/mixed;\r\n \r\n boundary=cut"),
    "folded before =": announced("multipart/mixed; boundary\r\n =cut"),
    "spaces around =": announced("multipart/mixed; boundary = cut"),
    "comment": announced("multipart/mixed (a;b); (c) boundary (d)=(e) cut (f)"),
    "comment in the boundary": announced("multipart/mixed; boundary=c(x(y)\\))ut"),
    "comment that counts": announced("multipart/mixed; boundary=cut()", "cut()"),
    "comment in the key": announced("multipart/mixed; boun()dary=cut"),
    "hidden in a comment": announced("multipart/mixed; (boundary=cut)"),
    "open comment": announced("multipart/mixed; (( boundary=cut )"),
    "hidden in quotes": announced('multipart/mixed; foo="a; boundary=cut"'),
    "the whole in quotes": announced('multipart/mixed; "boundary=cut"'),
    "after an open quote": announced('multipart/mixed; foo=bar"boundary=cut'),
    "escaped": announced("multipart/mixed; boundary=c\\ut"),
    "escapes that count": announced('multipart/mixed; boundary=c\\"u\\"t', 'c\\"u\\"t'),
    "escaped quotes": announced('multipart/mixed; boundary="c\\"u\\"t"', 'c"u"t'),
    "up to the quote": announced('multipart/mixed; boundary=cut"more"'),
    "after the quote": announced('multipart/mixed; boundary=more"cut"'),
    "escaped semicolon": announced("multipart/mixed; boundary=cut\\;more", "cut;more"),
    "up to the semicolon": announced("multipart/mixed; boundary=cut\\;more"),
    "no semicolon": announced("multipart/mixed boundary=cut"),
    "comma": announced("multipart/mixed, boundary=cut"),
    "open quote": announced('multipart/mixed; boundary="cut'),
    "space inside": announced("multipart/mixed; boundary=a cut;", "a cut"),
    "space before": announced('multipart/mixed; boundary=" cut"', " cut"),
    "space after": announced('multipart/mixed; boundary="cut "'),
    "CR after": announced('multipart/mixed; boundary="cut\r"'),
    "RFC 2231": announced("multipart/mixed; boundary*=''c%75t"),
    "RFC 2231 in sections": announced("multipart/mixed; boundary*0*=''c%75; boundary*1=t"),
    "sections from 1": announced("multipart/mixed; boundary*1=cu; boundary*2=t"),
    "sections out of order": announced("multipart/mixed; boundary*1=t; boundary*0=cu"),
    "sections in the wrong order": announced("multipart/mixed; boundary*1=cu; boundary*0=t"),
    "sections twice": announced("multipart/mixed; boundary*0=x; boundary*0=cu; boundary*1=t"),
    "section with percents": announced("multipart/mixed; boundary*0=%63ut"),
    "UTF-16": announced("multipart/mixed; boundary*=utf-16''c%00u%00t%00"),
    "encoded word": announced('multipart/mixed; boundary="=?us-ascii?q?cut?="', "=?us-ascii?q?cut?="),
    "encoded type": announced("=?us-ascii?b?bXVsdGlwYXJ0?=/mixed; boundary=cut"),
    "quoted type": announced('"multipart/mixed"; boundary=cut'),
    "type without subtype": announced("multipart; boundary=cut"),
    "another type": announced("altipart/mixed; boundary=cut"),
    "no type": announced("boundary=cut"),
    "no boundary": announced("multipart/mixed"),
    "no field": mail(TEXT, attachment(), header=()),
    "two parameters, the last": announced("multipart/mixed; boundary=other; boundary=cut"),
    "two parameters, the first": announced("multipart/mixed; boundary=cut; boundary=other"),
    "two fields, the last": announced("multipart/mixed; boundary=a\r\nContent-Type: multipart/mixed; boundary=cut"),
    "two fields, text first": announced("text/plain\r\nContent-Type: multipart/mixed; boundary=cut"),
    "two fields, text last": announced("multipart/mixed; boundary=cut\r\nContent-Type: text/plain"),
    "delimiters that are longer": mail(TEXT, attachment(), header=("Content-Type: multipart/a; boundary=cu",)),
    "longer without a parameter": mail(TEXT, attachment(), header=("Content-Type: multipart/a",), boundary="cut X"),
    "a very long one": announced(f"multipart/mixed; boundary={'cut' * 2000}", "cut" * 2000),
    "a line in the preamble": announced("multipart/mixed; boundary=cut\r\n\r\n--other\r\nContent-Type: text/plain"),
    "two, both in use": mail(
        part("Content-Type: text/plain", body=b"--other\r\nContent-Type: text/plain\r\n\r\nx"),
        attachment(),
        header=("Content-Type: multipart/mixed; boundary=other", "Content-Type: multipart/mixed; boundary=cut"),
    ),
}

STRUCTURES = {
    "no end": mail(TEXT, attachment(), end=False),
    "end twice": mail(TEXT) + mail(attachment()).partition(b"\r\n\r\n")[2],
    "no inner end": inner(end=False),
    "inner is outer": inner("cut"),
    "outer is longer": inner("cut", outer="cut2"),
    "inner is longer": inner("cut2"),
    "outer inside the inner base64": inner(outer="#cut").replace(b"\r\nAAEC", b"\r\n--#cut\r\n\r\nAAEC"),
    "delimiter after CR": mail(TEXT, attachment()).replace(b"--cut\r\nContent-Type: a", b" \r--cut\r\nContent-Type: a"),
    "delimiter inside a header": inner().replace(b"=inner\r\n", b"=inner\r\n--cut\r\n"),
    "end inside a header": mail(
        TEXT, attachment(), header=('Content-Type: multipart/mixed; boundary="cut:x"', "--cut:x--"), boundary="cut:x"
    ),
    "spaces behind": mail(TEXT, attachment()).replace(b"--cut\r\n", b"--cut \t \r\n"),
    "multipart that is a file": mail(TEXT, a_file("multipart/x; boundary=y")),
    "multipart without a boundary that is a file": mail(a_file("multipart/x")),
    "no multipart that has a boundary": mail(a_file("a/b; boundary=y")),
    "multipart and file": mail(attachment(BODY, "Content-Type: multipart/mixed; boundary=y")),
    "multipart in base64": mail(
        part(
            "Content-Type: multipart/mixed; boundary=in",
            "Content-Transfer-Encoding: base64",
            body=base64.encodebytes(mail(attachment(), header=(), boundary="in").partition(b"\r\n\r\n")[2]),
        )
    ),
    "a global message": mail(
        part(
            "Content-Type: message/global",
            body=mail(attachment(), boundary="in", header=("Content-Type: multipart/mixed; boundary=in",)),
        )
    ),
    "a text that is a mail": lines("From: a@b", "Content-Type: text/plain", "") + mail(TEXT, attachment()),
}

HEADERS = {
    "space before the colon": coded("Content-Transfer-Encoding : base64"),
    "tab behind the colon": coded("Content-Transfer-Encoding:\tbase64"),
    "folded behind the colon": coded("Content-Transfer-Encoding:\r\n base64"),
    "folded before the colon": coded("Content-Transfer-Encoding\r\n : base64"),
    "no colon": coded("Content-Transfer-Encoding base64"),
    "CR behind the colon": coded("Content-Transfer-Encoding:\rbase64"),
    "vertical tab behind the colon": coded("Content-Transfer-Encoding:\vbase64"),
    "behind a CR": coded("X-Foo: bar\rContent-Transfer-Encoding: base64"),
    "folded under a spaced name": coded("X-Foo :bar\r\n Content-Transfer-Encoding: base64"),
    "after a line of junk": coded("\x01\x02\x03", "Content-Transfer-Encoding: base64"),
    "after a line of spaces": coded(" ", "Content-Transfer-Encoding: base64"),
    "after a colon": mail(part(":", "Content-Transfer-Encoding: base64")),
    "after a line of spaces at the start": mail(part(" ", "Content-Transfer-Encoding: base64")),
    "after an empty line": mail(part("", "Content-Transfer-Encoding: base64", "Content-Type: a/b")),
    "no empty line": mail(lines("Content-Transfer-Encoding: base64") + BODY),
    "a line of spaces instead": mail(lines("Content-Transfer-Encoding: base64", " ") + ENCODED),
    "a vertical tab instead": mail(lines("Content-Transfer-Encoding: base64", "\v") + ENCODED),
    "empty line after four letters": mail(lines("Content-Transfer-Encoding: base64", BODY[:4], "", "") + BODY[4:]),
    "no empty line, then other base64": mail(lines("Content-Transfer-Encoding: base64") + ENCODED + b"\r\nQUJDRA=="),
    "junk before the empty line": mail(lines("Content-Transfer-Encoding: base64", "ABC=", "ABC=", "") + BODY),
    "empty line that ends in CR twice": mail(attachment().replace(b"\r\n\r\nAA", b"\r\n\r\r\nAA")),
    "a body of letters only": mail(part("Content-Type: a/b")),
}


def alone(kind, encoding, body):
    """A mail whose body is this."""
    return lines("From: a@example.org", f"Content-Type: {kind}", f"Content-Transfer-Encoding: {encoding}", "") + body


ALONE = {
    "said to be base64": alone("message/rfc822", "base64", mail(attachment())),
    "in base64": alone("message/rfc822", "base64", base64.encodebytes(mail(attachment()))),
    "as it is, and a line end": alone("application/octet-stream", "binary", FILE + b"\r\n"),
}

ENCODINGS = {
    value: coded(f"Content-Transfer-Encoding: {value}")
    for value in (
        "BASE64",
        "x-base64",
        '"base64"',
        "base64;",
        "base64,",
        "base64 (x)",
        "(x) base64",
        "bas(x)e64",
        "bas(\r\n )e64",
        "base\\64",
        "=?utf-8?b?YmFzZTY0?=",
        "=?utf-8?q?base64?=",
        "quoted-printable, base64",
        "base64 quoted-printable",
        "xxbase64",
        "base64 x",
        "\r\nContent-Transfer-Encoding: base64",
        "base64\r\nContent-Transfer-Encoding: ",
        "7bit\r\nContent-Transfer-Encoding: base64",
        "base64\r\nContent-Transfer-Encoding: 7bit",
        "base64\0",
        "quoted-printable\r\nContent-Transfer-Encoding: base64",
        "base64\r\nContent-Transfer-Encoding: xxx",
        "none at all",
        "base64\r\nContent-Transfer-Encoding: quoted-printable",
    )
}

SHORTENED = b"".join(base64.b64encode(FILE[at : at + 2]) + b"\r\n" for at in range(0, len(FILE), 2))
BASE64 = {
    **{f"junk {junk}": base64_of(every(1, junk.encode())) for junk in (".", "-", "#", "%", "_", ":", " ", "\t", "\0")},
    **{f"lines of {size}": base64_of(every(size, b"\r\n")) for size in (1, 3, 4, 5, 6, 7, 100, 1000)},
    "one line": base64_of(FLAT),
    "empty lines": base64_of(every(3, b"\r\n\r\n")),
    "padding behind groups": base64_of(every(4, b"=")),
    "padding at the start": base64_of(b"====" + FLAT),
    "padding on each line": base64_of(every(76, b"\r\n====")),
    "two bytes a group": base64_of(SHORTENED),
    "padding inside a group": base64_of(
        b"".join(one[:2] + b"=" + one[2:3] for one in SHORTENED.split()[:-1]) + b"AA=="
    ),
    "padding for zeros": base64_of(FLAT.replace(b"A", b"=", 1).replace(b"/A", b"/=")),
    "blocks with padding": base64_of(base64.b64encode(FILE[:100]) + b"\r\n" + base64.b64encode(FILE[100:])),
    "no padding": base64_of(base64.b64encode(FILE + b"x").rstrip(b"=") + b"\r\n"),
    "another file behind padding": base64_of(BODY + b"\r\n====" + base64.b64encode(b"other")),
    "junk behind #": base64_of(BODY.replace(b"\r\n", b"#junk\r\n")),
    "junk behind # in a group": base64_of(every(75, b"#junk\r\n")),
    "one letter too many a line": base64_of(every(4, b"X\r\n")),
    "three letters too many a line": base64_of(every(4, b"XXX\r\n")),
    "two letters, an empty line": base64_of(b"AB\r\n\r\n" + BODY),
    "two letters on a line": base64_of(b"AB\r\n" + BODY),
    "a line like a header": base64_of(b"X-Foo: bar\r\n" + BODY),
    "a line like a header, an empty line": base64_of(b"X-Foo: bar\r\n\r\n" + BODY),
    "the alphabet of URLs": base64_of(BODY.replace(b"+", b"-").replace(b"/", b"_")),
}

NO_TEXT = quopri.encodestring(FILE, quotetabs=True).replace(b"\n", b"\r\n")
ESCAPED = b"".join(b"=%02X" % byte for byte in FILE)
QUOTED_PRINTABLE = {
    "as it should be": quoted(NO_TEXT),
    "all escaped": quoted(ESCAPED),
    "lower case": quoted(ESCAPED.lower()),
    "both cases": quoted(ESCAPED[:600] + ESCAPED[600:].lower()),
    "one a line": quoted(ESCAPED.replace(b"=", b"=\r\n=")[3:] + b"="),
    "spaces behind soft breaks": quoted(ESCAPED.replace(b"=", b"= \t\r\n=")[5:]),
    "no line end": quoted(ESCAPED),
    "soft break at the end": quoted(ESCAPED + b"=\r\n"),
    "= twice": quoted(ESCAPED.replace(b"=", b"==")),
    "= and a letter": quoted(ESCAPED.replace(b"=", b"=X=")),
    "= and a digit and a letter": quoted(ESCAPED.replace(b"=", b"=0X=")),
    "= and two letters": quoted(ESCAPED.replace(b"=", b"=XY=")),
    "= and a space": quoted(ESCAPED.replace(b"=", b"= =")),
    "lower-case escapes that do not count": quoted(ESCAPED.replace(b"=", b"=0a=")),
    "LF that travelled as CRLF": quoted(ESCAPED.replace(b"=0A", b"\r\n")),
    "x-": mail(attachment(ESCAPED, encoding="x-quoted-printable")),
    "cut short": mail(attachment(ESCAPED, encoding="quoted-print")),
    "in a list with base64": mail(attachment(ESCAPED, encoding="base64, quoted-printable")),
    "LF that travelled as CRLF, as it is": mail(attachment(FILE.replace(b"\n", b"\r\n"), encoding="8bit")),
}

ALL = {
    f"{group}: {name}": sample
    for group, samples in (
        ("boundary", BOUNDARIES),
        ("structure", STRUCTURES),
        ("header", HEADERS),
        ("encoding", ENCODINGS),
        ("alone", ALONE),
        ("base64", BASE64),
        ("quoted-printable", QUOTED_PRINTABLE),
    )
    for name, sample in samples.items()
}


@pytest.mark.parametrize("name", ALL)
def test_the_file_comes_out(name):
    found = bodies(ALL[name])
    if name == "base64: no padding":
        assert FILE + b"x" in found
    else:
        assert FILE in found


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("size", [3])
def test_however_it_is_cut(name, size):
    assert told(read(*pieces(ALL[name], size))) == told(read(ALL[name]))


@pytest.mark.parametrize("name", ALL)
def test_with_a_hole_it_is_marked(name):
    sample = ALL[name]
    middle = len(sample) * 2 // 3
    *found, whole = read(sample[:middle], 5, sample[middle + 5 :])
    assert whole.cut == "gap"
    assert not any(one.complete and bytes(one.content.view()) == FILE for one in found)


DOUBTFUL = ["base64: junk -", "boundary: two, both in use", "header: behind a CR", "encoding: xxbase64"]


@pytest.mark.parametrize("name", DOUBTFUL)
def test_what_is_doubtful_is_told(name):
    assert any(finding.startswith("mime.ambiguous_") for finding in read(ALL[name])[-1].findings)


def test_other_readings_say_how_they_read():
    first, second, *_ = parts(mail(attachment(every(1, b"-"))))
    assert bytes(first.content.view()) == FILE
    assert bytes(second.content.view()) != FILE
    assert "mime.ambiguous_base64_junk" in second.findings


ORDINARY = [
    lines("From: a@example.org", "Content-Type: text/plain", "", "text"),
    mail(part("Content-Type: application/json", body=b"{\r\n}\r\n")),
    mail(TEXT, attachment()),
    inner(),
    mail(part('Content-Type: text/plain; charset="utf-8"', body=b"-- \r\nme\r\n--\r\n----- a -----")),
    mail(part("Content-Transfer-Encoding: quoted-printable", body=b"a=20=\r\nb =3D c=E4\r\n")),
    lines("Received: from a", "\tby b; (c)", "Subject: x", "", "begin with this", "end"),
    mail(part("Content-Type: application/pgp-signature", body=b"-----BEGIN PGP SIGNATURE-----\r\n\r\nabc=\r\n")),
]


@pytest.mark.parametrize("sample", ORDINARY)
def test_ordinary_mail_has_no_doubts(sample):
    objects = read(sample)
    assert not any(one.findings for one in objects)
    assert len({one.facts.get("tapscan.mime.path") for one in objects}) == len(objects)
