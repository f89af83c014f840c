"""Structured field values, as they should be and as they come."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reassembly.mime.parameters import parse, uncommented

VALUES = {
    b"text/plain": "text/plain",
    b"Text/Plain; charset=x": "text/plain",
    b" text/plain ; a=b": "text/plain",
    b"text/plain (comment)": "text/plain",
    b"(comment) text/plain": "text/plain",
    b"text/(comment)plain": "text/plain",
    b'"text/plain"': "text/plain",
    b"text/plain, a=b": "text/plain",
    b"text/plain a=b": "text/plain",
    b"=?utf-8?q?text?=/plain": "text/plain",
    b"text\\/plain": "text/plain",
    b"boundary=x": "",
    b"": "",
    b";": "",
}


@pytest.mark.parametrize("source", VALUES)
def test_the_value_is_what_stands_first(source):
    assert parse(source).value == VALUES[source]


FIRST = {
    b"a; x=1": b"1",
    b"a; x=1; x=2": b"1",
    b"a; X=1": b"1",
    b'a; x="1"': b"1",
    b'a; x="1;2"': b"1;2",
    b'a; x="1\\"2"': b'1"2',
    b'a; x="1\\\\2"': b"1\\2",
    b'a; x="C:\\dir\\file"': b"C:\\dir\\file",
    b'a; x=" 1 "': b" 1 ",
    b'a; x= "1" ': b"1",
    b"a; x = 1 ": b"1",
    b"a; x\r\n =\r\n 1": b"1",
    b"a; x=1 (comment)": b"1",
    b"a; (comment) x (comment)=(comment) 1": b"1",
    b"a; x=(nested (comment) \\) )1": b"1",
    b'a; x="(no comment)"': b"(no comment)",
    b"a; x=(open": b"open",
    b'a; x="open': b"open",
    b'a; y="open; x=1': b"1",
    b"a; x*=utf-8'en'%31": b"1",
    b"a; x*=%31": b"1",
    b"a; x=2; x*=''1": b"1",
    b"a; x*0=1; x*1=2": b"12",
    b"a; x*1=2; x*0=1": b"12",
    b"a; x*0=1; x*2=2": b"12",
    b"a; x*0*=utf-8''%31; x*1=%32": b"1%32",
    b"a; x*0*=utf-8''%31; x*1*=%32": b"12",
    b"a; x*10=b; x*9=a": b"ab",
    b"a x=1": b"1",
    b"a, x=1": b"1",
}


@pytest.mark.parametrize("source", FIRST)
def test_the_likely_reading_comes_first(source):
    assert parse(source).first(b"x") == FIRST[source]


OTHERS = {
    b"a; x=1; x=2": b"2",
    b"a; x=1(2)": b"1(2)",
    b'a; x=1"2"3': b"2",
    b"a; x=1\\;2": b"1\\",
    b"a; x*0=1; x*0=2": b"2",
    b"a; x*1=1; x*0=2": b"12",
    b"a; x*0=%31": b"1",
    b'a; y="x=1"': b"1",
    b"a; x='1'": b"1",
}


@pytest.mark.parametrize("source", OTHERS)
def test_other_readings_follow(source):
    found = parse(source).readings(b"x")
    assert OTHERS[source] in found[1:] or found == [OTHERS[source]]
    assert len(found) == len(set(found))


def test_a_plain_parameter_has_one_reading():
    assert parse(b'attachment; filename="a b.zip"; size=3').readings(b"filename") == [b"a b.zip"]


TEXTS = {
    b"a; x*=utf-8''%E2%82%AC.zip": "€.zip",
    b"a; x*=iso-8859-1''%E4.zip": "ä.zip",
    b"a; x*=utf-16''%00a%00b": "ab",
    b"a; x*=utf-16''a%00b%00": "ab",
    b"a; x*0*=utf-8''%E2%82; x*1*=%AC": "€",
    b"a; x*=nonsense''%E4": "ä",
    b"a; x*=hex''6162": "6162",
    b'a; x="=?utf-8?b?4oKs?="': "€",
    b"a; x==?utf-8?q?=E2=82=AC?=": "€",
    "a; x=€".encode(): "€",
    b"a; x=\xe4": "ä",
}


@pytest.mark.parametrize("source", TEXTS)
def test_text_is_decoded(source):
    assert parse(source).texts(b"x")[0] == TEXTS[source]


def test_what_is_not_there():
    assert parse(b"a; y=1").readings(b"x") == []
    assert parse(b"a; y=1").first(b"x") is None
    assert parse(b"a; xx=1; x-x=2").texts(b"x") == []


@pytest.mark.parametrize(
    ("source", "plain"),
    [(b"bas(x)e64", b"base64"), (b'"base64" (', b"base64 "), (b"ba\\se64", b"base64"), (b"a=b", b"a=b")],
)
def test_without_comments_quotes_and_escapes(source, plain):
    assert uncommented(source) == plain


SCRAPS = st.lists(
    st.sampled_from(
        [b"x", b"=", b"*", b"0", b"1", b";", b'"', b"\\", b"(", b")", b" ", b"'", b"%31", b"\r\n", b"=?a?b?", b"?="]
    )
).map(b"".join)


@given(SCRAPS | st.binary(max_size=200))
def test_nothing_raises(source):
    value = parse(source)
    assert all(isinstance(one, bytes) for one in value.readings(b"x"))
    assert all(isinstance(one, str) for one in value.texts(b"x"))
    assert isinstance(uncommented(source), bytes)


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=60))
def test_a_quoted_string_comes_back(value):
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').encode()
    assert value.encode() in parse(b'a; x="' + escaped + b'"; y=z').readings(b"x")
