from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reassembly.smtp.dotted import DottedText, Found


def read(pieces, **options):
    text, out, rest = DottedText(**options), b"", b""
    for at, piece in enumerate(pieces):
        got, end, found = text.feed(piece, 0)
        out += got
        if found is not Found.NOTHING:
            return out, found, piece[end:] + b"".join(pieces[at + 1 :]), text
    return out, Found.NOTHING, rest, text


def bytes_of(wire):
    return [wire[at : at + 1] for at in range(len(wire))]


WIRES = {
    "plain": (b"a\r\nb\r\n.\r\nQUIT\r\n", b"a\r\nb\r\n", Found.END, b"QUIT\r\n"),
    "empty": (b".\r\nQUIT\r\n", b"", Found.END, b"QUIT\r\n"),
    "stuffed": (b"..\r\n..a\r\n.b\r\n.\r\n", b".\r\n.a\r\nb\r\n", Found.END, b""),
    "stuffed first line": (b"..a\r\n.\r\n", b".a\r\n", Found.END, b""),
    "dot inside": (b"a.\r\n a.b\r\n.\r\n", b"a.\r\n a.b\r\n", Found.END, b""),
    "bare LF before stuffed dots": (b"a\n..b\r\n.\r\n", b"a\n..b\r\n", Found.END, b""),
    "bare CR": (b"a\r.\rb\r\n.\r\n", b"a\r.\rb\r\n", Found.END, b""),
    "CR after the dot": (b"a\r\n.\rb\r\n.\r\n", b"a\r\n\rb\r\n", Found.END, b""),
    "LF dot LF": (b"a\n.\nb", b"a\n", Found.BARE, b"b"),
    "LF dot CRLF": (b"a\n.\r\nb", b"a\n", Found.BARE, b"b"),
    "CRLF dot LF": (b"a\r\n.\nb", b"a\r\n", Found.BARE, b"b"),
    "no end": (b"a\r\n.", b"a\r\n", Found.NOTHING, b""),
}


@pytest.mark.parametrize("cut", [lambda wire: [wire], bytes_of], ids=["whole", "bytewise"])
@pytest.mark.parametrize("name", WIRES)
def test_text_and_end(name, cut):
    wire, text, found, rest = WIRES[name]
    assert read(cut(wire))[:3] == (text, found, rest)


@pytest.mark.parametrize("cut", [lambda wire: [wire], bytes_of], ids=["whole", "bytewise"])
@pytest.mark.parametrize("end", [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r\n.\r\n"])
def test_bare_ends_where_the_server_takes_them(end, cut):
    out, found, rest, _ = read(cut(b"a\n..b" + end + b"Q"), bare_ends=True)
    assert (out, found, rest) == (b"a\n.b" + end[: end.index(b".")], Found.END, b"Q")


@pytest.mark.parametrize(("wire", "lone"), [(b"a\n.\nb", b".\n"), (b"a\n.\r\nb", b".\r\n"), (b"a\r\n.\nb", b"\n")])
def test_a_lone_dot_can_be_text_after_all(wire, lone):
    assert read([wire])[3].lone_dot() == lone


def test_text_goes_on_after_a_lone_dot():
    text = DottedText()
    wire = b"a\n.\n..b\r\n..c\r\n.\r\n"
    first, end, _ = text.feed(wire, 0)
    second, end, found = text.feed(wire, end)
    assert (first, second, found, end) == (b"a\n", b"..b\r\n.c\r\n", Found.END, len(wire))


@pytest.mark.parametrize("cut", [lambda wire: [wire], bytes_of], ids=["whole", "bytewise"])
def test_lone_dots_that_do_not_stop(cut):
    text, out = DottedText(), b""
    text.bare_stops = False
    for piece in cut(b"a\n.\nb\n.\r\nc\r\n.\nd\r\n.\r\n"):
        got, _, found = text.feed(piece, 0)
        out += got
    assert (out, found) == (b"a\n.\nb\n.\r\nc\r\n\nd\r\n", Found.END)


def test_a_gap_forgets_where_lines_start():
    text = DottedText()
    assert text.feed(b"a\r\n.", 0)[0] == b"a\r\n"
    assert text.gap() == b"."
    assert text.feed(b".b\r\n.\r\n", 0) == (b".b\r\n", 7, Found.END)


def test_many_messages_in_one_payload_are_not_copied_over_and_over():
    count = 20_000
    wire = b"DATA\r\nx\r\n.\r\n" * count + b"y" * 1_000_000
    at, seen = 0, 0
    while (at := wire.find(b"DATA\r\n", at)) >= 0:
        _, at, found = DottedText().feed(wire, at + 6)
        seen += found is Found.END
    assert seen == count


def stuffed(text):
    lines = text.split(b"\r\n")
    return b"\r\n".join(b"." + line if line.startswith(b".") else line for line in lines)


LINES = st.lists(st.sampled_from([b"", b".", b"..", b".a", b"a", b"a.", b"\r", b"x\r.", b" ."]), max_size=8)


@given(LINES, st.lists(st.integers(0, 80), max_size=8))
def test_what_was_stuffed_comes_out_as_it_was(lines, cuts):
    text = b"".join(line + b"\r\n" for line in lines)
    wire = stuffed(text) + b".\r\n" + b"QUIT"
    edges = sorted({0, len(wire), *(cut % (len(wire) + 1) for cut in cuts)})
    pieces = [wire[a:b] for a, b in pairwise(edges)]
    assert read(pieces)[:3] == (text, Found.END, b"QUIT")


@given(
    st.binary(max_size=60).map(lambda raw: raw.translate(bytes(b"\r\n.a"[i % 4] for i in range(256)))), st.booleans()
)
def test_cuts_change_nothing(wire, bare):
    assert read([wire], bare_ends=bare)[:3] == read(bytes_of(wire), bare_ends=bare)[:3]
