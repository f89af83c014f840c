"""Transfer encodings undone: base64, quoted-printable, uuencode, yEnc, BinHex; whole, in pieces and with holes."""

import base64
import quopri

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from mailing import FILE, binhexed, pieces, uuencoded, yenced

from reassembly.mime.base64_text import Base64
from reassembly.mime.binhex import BinHex
from reassembly.mime.encodings import candidates, decoder
from reassembly.mime.quoted_printable import QuotedPrintable
from reassembly.mime.uuencode import Uuencode, YEnc


class Turns:
    """Notes doubts, and takes the given turns."""

    def __init__(self, **choices):
        self.choices = choices
        self.met = set()

    def __call__(self, doubt):
        self.met.add(doubt)
        return self.choices.get(doubt, 0)


def undone(kind, *given_pieces, binary=False, **choices):
    """What comes out, and the doubts."""
    turns = Turns(**choices)
    undoing = decoder(kind, turns, choices, binary)
    out = b"".join(undoing.gap(one)[0] if isinstance(one, int) else undoing.feed(one) for one in given_pieces)
    return out + undoing.finish(), turns.met


BASE64 = {
    b"": b"",
    b"QUJD": b"ABC",
    b"QUJD\r\nREVG\r\n": b"ABCDEF",
    b"QUI=": b"AB",
    b"QQ==": b"A",
    b"QUI": b"AB",
    b"QQ": b"A",
    b"Q": b"",
    b"QUI=\r\nQUI=": b"ABAB",
    b"Q U\tJ\r\nD": b"ABC",
    b"Q*U-J_D": b"ABC",
    b"\xff\x00QUJD": b"ABC",
    b"====QUJD": b"ABC",
    b"QUJD====": b"ABC",
    b"QU=JQU==": b"ABA",
}


@pytest.mark.parametrize("text", BASE64)
@pytest.mark.parametrize("size", [1, 2, 3, 5, 100])
def test_base64(text, size):
    assert undone("base64", *pieces(text, size))[0] == BASE64[text]


OTHERWISE = {
    "base64_junk": [
        (b"QUJD#REVG\nR0hJ", [b"ABCDEFGHI", b"ABCGHI", b"GHI", b"ABCDEFGHI"]),
        (b"--__\nQUJD", [b"ABC", b"ABC", b"ABC", b"\xfb\xef\xffABC"]),
    ],
    "base64_padding": [(b"QUI=QUJD", [b"ABABC", b"AB", b"AB\0ABC"]), (b"====QUJD", [b"ABC", b"", b"\0\0\0ABC"])],
    "base64_blank": [
        (b"AB\n\nQUJD", [base64.b64decode(b"ABQUJD=="), b"\0", b"ABC"]),
        (b"\n\nQUJD\n\n", [b"ABC", b"ABC", b"ABC"]),
    ],
    "base64_lines": [(b"QUJDX\nREVGX\n", [base64.b64decode(b"QUJDXREVGX=="), b"ABCDEF"])],
    "base64_end": [(b"QUJDRE", [b"ABCD", b"ABC"])],
}


@pytest.mark.parametrize("doubt", OTHERWISE)
@pytest.mark.parametrize("size", [1, 3, 100])
def test_base64_read_otherwise(doubt, size):
    for text, expected in OTHERWISE[doubt]:
        for choice, wanted in enumerate(expected):
            assert undone("base64", *pieces(text, size), **{doubt: choice})[0] == wanted, (text, choice)


@pytest.mark.parametrize(
    ("text", "doubts"),
    [
        (base64.encodebytes(FILE), set()),
        (base64.encodebytes(FILE + b"x"), set()),
        (base64.encodebytes(FILE).replace(b"\n", b"\r\n") + b"\r\n\r\n", set()),
        (b"\r\n" + base64.b64encode(FILE), set()),
        (b"QUJD*", {"base64_junk"}),
        (b"QUI=QUJD", {"base64_padding"}),
        (b"=QUJD", {"base64_padding"}),
        (b"QUJD\n\nQUJD", {"base64_blank"}),
        (b"QUJDQ\nUJDQUJ\nD", {"base64_lines"}),
        (b"QUJDQ\n", set()),
        (b"QUJDQU", {"base64_end"}),
    ],
)
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_what_is_doubtful_in_base64(text, doubts, size):
    assert undone("base64", *pieces(text, size))[1] == doubts


@pytest.mark.parametrize("width", [76, 64, 4, 1000])
@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
def test_base64_lines_up_again_behind_a_hole(width, end):
    flat = base64.b64encode(FILE * 5)
    text = b"".join(flat[at : at + width] + end for at in range(0, len(flat), width))
    for start in range(len(text) // 3, len(text) // 3 + 100, 7):
        for length in (1, 3, 50, 333):
            if text[:start].count(end) == 0:
                continue
            undoing = Base64(Turns())
            before = undoing.feed(text[:start])
            left, missing = undoing.gap(length)
            known = before + left
            after = undoing.feed(text[start + length :]) + undoing.finish()
            assert known + (FILE * 5)[len(known) : len(known) + missing] + after == FILE * 5


def test_base64_without_lines_lines_up_again_behind_a_hole():
    flat = base64.b64encode(FILE)
    undoing = Base64(Turns())
    before = undoing.feed(flat[:101])
    left, missing = undoing.gap(50)
    after = undoing.feed(flat[151:])
    assert before + left + FILE[len(before + left) :][:missing] + after == FILE


@given(st.binary(max_size=400), st.integers(1, 99), st.lists(st.integers(1, 50)))
def test_base64_of_any_lines_in_any_pieces(payload, width, cuts):
    flat = base64.b64encode(payload)
    text = b"\r\n".join(flat[at : at + width] for at in range(0, len(flat), width))
    out, at = [], 0
    for size in cuts:
        out.append(text[at : at + size])
        at += size
    assert undone("base64", *out, text[at:])[0] == payload


LETTERS = st.text("QUJDREVG=*-_ \n\r", max_size=60).map(str.encode)
CHOICES = st.fixed_dictionaries(
    {},
    optional={
        "base64_junk": st.integers(1, 3),
        "base64_padding": st.integers(1, 2),
        "base64_blank": st.integers(1, 2),
        "base64_lines": st.just(1),
        "base64_end": st.just(1),
    },
)


@given(LETTERS, CHOICES, st.integers(1, 9))
def test_every_reading_of_base64_is_the_same_however_it_is_cut(text, choices, size):
    assert undone("base64", *pieces(text, size), **choices) == undone("base64", text, **choices)


@given(LETTERS | st.binary(), st.integers(1, 10**6), CHOICES)
def test_a_hole_in_base64_never_raises(text, length, choices):
    undone("base64", text, length, text, length, **choices)


QUOTED = {
    b"": b"",
    b"abc": b"abc",
    b"a=41b": b"aAb",
    b"a=3d=3D": b"a==",
    b"a=\r\nb": b"ab",
    b"a=\nb": b"ab",
    b"a= \t\r\nb": b"ab",
    b"a \t\r\nb": b"a\r\nb",
    b"a b": b"a b",
    b"a=20\r\nb": b"a \r\nb",
    b"a=": b"a",
    b"a= ": b"a",
    b"a ": b"a",
    b"a=4": b"a=4",
    b"a=XYb": b"a=XYb",
    b"a==41": b"a=A",
    b"a=4=41": b"a=4A",
    b"\r\n": b"\r\n",
    b"a\rb": b"a\rb",
    b" " * 3000 + b"x": b" " * 3000 + b"x",
    b"=\r\n=\r\n=": b"",
    b"a=4=\r\n1b=\n=4=\n=\r\n2": b"aAbB",
}


@pytest.mark.parametrize("text", QUOTED)
@pytest.mark.parametrize("size", [1, 2, 3, 10_000])
def test_quoted_printable(text, size):
    assert undone("quoted-printable", *pieces(text, size))[0] == QUOTED[text]


@pytest.mark.parametrize(
    ("choices", "text", "wanted"),
    [
        ({"quoted_escape": 1}, b"=X41=41", b"1A"),
        ({"quoted_escape": 1}, b"==41", b"A"),
        ({"quoted_escape": 2}, b"=X=41", b"XA"),
        ({"quoted_case": 1}, b"=0a=41", b"A"),
        ({"quoted_case": 1}, b"==a41", b"A"),
    ],
)
@pytest.mark.parametrize("size", [1, 100])
def test_quoted_printable_read_otherwise(choices, text, wanted, size):
    if size > 1 or "quoted_case" not in choices:
        assert undone("quoted-printable", *pieces(text, size), **choices)[0] == wanted


@given(st.binary(max_size=300), st.integers(1, 80))
def test_quoted_printable_comes_back(payload, size):
    text = quopri.encodestring(payload, quotetabs=True)
    assert undone("quoted-printable", *pieces(text, size))[0] == quopri.decodestring(text)  # it may mend line ends


@example(b"=4=\n4", 1)  # a soft line break inside of an escape
@example(b"==\r\n\n", 1)  # what is left when it is taken out is no other
@example(b"\r=\n\n", 1)
@given(st.text("=4Aa \t\r\nX", max_size=60).map(str.encode), st.integers(1, 9))
def test_quoted_printable_is_the_same_however_it_is_cut(text, size):
    assert undone("quoted-printable", *pieces(text, size)) == undone("quoted-printable", text)


def test_a_hole_in_quoted_printable():
    undoing = QuotedPrintable(Turns(), {})
    assert undoing.feed(b"ab=4") == b"ab"
    assert undoing.gap(3) == (b"=4", 3)
    assert undoing.feed(b"cd") + undoing.finish() == b"cd"


@pytest.mark.parametrize("size", [1, 5, 61, 10_000])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("without", [b"", b"begin 644 a.bin\n", b"`\nend\n", b"end\n"])
def test_uuencode(size, end, without):
    text = uuencoded(FILE).replace(without, b"").replace(b"\n", end)
    undoing = Uuencode()
    out = b"".join(map(undoing.feed, pieces(text, size))) + undoing.finish()
    assert out == FILE
    assert undoing.name == (None if b"begin" in without else b"a.bin")


@pytest.mark.parametrize(
    ("line", "wanted"),
    [(b"#86)C", b"abc"), (b"#86)C  ", b"abc"), (b"#86)Cxyz", b"abc"), (b"", b""), (b"#86", b""), (b"\xff\xfe", b"")],
)
def test_odd_lines_of_uuencode(line, wanted):
    undoing = Uuencode()
    found = undoing.feed(line + b"\n")
    assert found[:3] == wanted or (wanted == b"" and len(found) <= 63)


def test_what_follows_the_end_is_not_decoded():
    undoing = Uuencode()
    assert undoing.feed(uuencoded(b"abc") + b"#86)C\n") == b"abc"
    assert undoing.over


def test_a_hole_in_uuencode():
    undoing = Uuencode()
    undoing.feed(uuencoded(FILE)[:100])
    _, missing = undoing.gap(630)
    assert missing == 450


@pytest.mark.parametrize("size", [1, 13, 10_000])
def test_yenc(size):
    undoing = YEnc()
    out = b"".join(map(undoing.feed, pieces(yenced(FILE), size))) + undoing.finish()
    assert out == FILE
    assert undoing.name == b"a b.bin"
    assert undoing.over


@pytest.mark.parametrize("size", [1, 3, 50, 10_000])
@pytest.mark.parametrize("payload", [FILE, b"", b"a" * 1000, b"\x90" * 10, b"ab\x90\x90cd"])
def test_binhex(size, payload):
    undoing = BinHex()
    out = b"".join(map(undoing.feed, pieces(binhexed(payload), size))) + undoing.finish()
    assert out == payload
    assert undoing.name == b"a.bin"


@given(st.binary(max_size=200), st.integers(1, 40))
def test_binhex_never_raises(junk, size):
    undoing = BinHex()
    for piece in pieces(b":" + junk, size):
        undoing.feed(piece)
    undoing.gap(7)
    undoing.feed(junk)
    undoing.finish()


@given(st.binary(max_size=200), st.sampled_from(["uuencode", "yenc", "7bit"]), st.integers(1, 40))
def test_the_others_never_raise_and_do_not_depend_on_cuts(junk, kind, size):
    assert undone(kind, *pieces(junk, size)) == undone(kind, junk)
    undone(kind, junk, 9, junk)


CANDIDATES = {
    (): ["7bit"],
    (b"",): ["7bit"],
    (b"base64",): ["base64"],
    (b"Base64 ",): ["base64"],
    (b'"base64" (comment);',): ["base64"],
    (b"=?utf-8?q?base64?=",): ["base64"],
    (b"x-uue",): ["uuencode"],
    (b"8bit",): ["7bit"],
    (b"8bits",): ["7bit"],
    (b"utf-8",): ["7bit"],
    (b"", b"base64"): ["base64"],
    (b"quoted-printable", b"base64"): ["quoted-printable", "base64"],
    (b"base64", b"base64"): ["base64"],
    (b"base64 quoted-printable",): ["base64", "quoted-printable", "7bit"],
    (b"xbase64",): ["base64", "7bit"],
    (b"x-gzip64",): ["base64", "7bit"],
    (b"xxx", b"base64"): ["base64", "7bit"],
    (b"base64:",): ["base64"],
}


@pytest.mark.parametrize("values", CANDIDATES)
def test_what_an_encoding_field_may_mean(values):
    assert candidates(list(values)) == CANDIDATES[values]


def test_base64_that_is_not_declared_is_a_doubt():
    text = base64.encodebytes(FILE).replace(b"\n", b"\r\n")
    assert undone("7bit", text) == (text, {"encoding"})
    assert undone("7bit", text, encoding=1)[0] == FILE
    assert undone("7bit", b"Just some text that has words. " * 9) == (b"Just some text that has words. " * 9, set())
    assert undone("7bit", b"\r\n" * 200)[1] == set()
    assert undone("7bit", b"QUJDQUJDQUJDQUJD", encoding=1)[0] == b"ABCABCABCABC"


def test_line_ends_of_what_is_no_text():
    text = b"\0\x01a\r\nb\rc\r\n"
    assert undone("7bit", text, binary=True) == (text, {"line_ends"})
    assert undone("7bit", *pieces(text, 1), binary=True, line_ends=1)[0] == b"\0\x01a\nb\rc\n"
    assert undone("7bit", text) == (text, set())
    assert undone("7bit", b"text\r\n", binary=True) == (b"text\r\n", set())
    assert undone("quoted-printable", b"=00=0D=0A\r\n", binary=True, line_ends=1)[0] == b"\0\r\n\n"
    assert undone("quoted-printable", b"=00=0D=0A\r\n", binary=True) == (b"\0\r\n\r\n", {"line_ends"})
