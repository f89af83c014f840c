"""Charsets and encoded words."""

from email.header import Header

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reassembly.mime.charsets import decode_words, text

WORDS = {
    b"plain": "plain",
    b"=?utf-8?q?a_b=3F?=": "a b?",
    b"=?UTF-8?Q?=c3=a4?=": "ä",
    b"=?utf-8?b?w6Q=?=": "ä",
    b"=?utf-8?B?w6Q?=": "ä",  # padding is missing
    b"=?utf-8*de?b?w6Q=?=": "ä",
    b"=?iso-8859-1?q?=E4?= =?iso-8859-1?q?=F6?=": "äö",
    b"=?utf-8?b?w6Q=?= and =?utf-8?b?w6Q=?=": "ä and ä",
    b"=?utf-8?b?4o==?==?utf-8?b?Kws=?=": None,  # a character over two words, as far as it goes
    b"=?utf-8?q?=E2=82?= =?utf-8?q?=AC?=": "€",
    b"=?utf-16?b?AGEAYg==?=": "ab",
    b"=?utf-16?b?//5hAGIA?=": "ab",
    b"=?gb2312?b?1tA=?=": "中",
    b"=?nonsense?q?=E4?=": "ä",
    b"=?rot13?q?abc?=": "abc",
    b"=?utf-8?x?abc?=": "=?utf-8?x?abc?=",
    b"=?utf-8?q?abc": "=?utf-8?q?abc",
    b"=?utf-8?q?a b?=": "a b",
    b"a=?utf-8?q?b?=c": "abc",
    b"\xe4": "ä",
    "ä".encode(): "ä",
}


@pytest.mark.parametrize("raw", WORDS)
def test_words_are_decoded(raw):
    if WORDS[raw] is not None:
        assert decode_words(raw) == WORDS[raw]
    else:
        assert decode_words(raw)


@pytest.mark.parametrize(
    ("raw", "charset", "expected"),
    [
        (b"a\0b\0", "utf-16", "ab"),
        (b"\0a\0b", "UTF-16", "ab"),
        (b"\xff\xfea\0", "utf-16", "a"),
        (b"\0a\0", "utf-16", "a\ufffd"),
        (b"\xe4", "", "ä"),
        (b"\xe4", "utf-8", "ä"),
        (b"abc", "zlib", "abc"),
        (b"abc", "a\0b", "abc"),
        (b"abc", "x" * 1000, "abc"),
    ],
)
def test_text_of_a_charset(raw, charset, expected):
    assert text(raw, charset) == expected


@given(st.binary(max_size=100), st.text(max_size=20) | st.sampled_from(["utf-7", "utf-16", "idna", "punycode", "mbcs"]))
def test_nothing_raises(raw, charset):
    assert isinstance(text(raw, charset), str)
    assert isinstance(decode_words(raw), str)
    assert isinstance(decode_words(b"=?" + charset.encode() + b"?q?" + raw + b"?="), str)


@given(st.text(st.characters(exclude_categories=("C", "Z")), max_size=40))
def test_what_the_standard_library_encodes_comes_back(value):
    assert decode_words(Header(value, "utf-8", maxlinelen=10_000).encode().encode("ascii")) == value
