"""Content codings: each alone and on top of others, in any cut, wrongly named, broken, and as bombs."""

import gzip
import zlib

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from reassembly.codings import Decoder, decoded
from reassembly.inflate import RATIO_FLOOR
from reassembly.limits import Limits

TEXT = b"".join(b"%d: all work and no play, " % number for number in range(2000))
LIMITS = Limits()


def deflate(data):
    engine = zlib.compressobj(9, zlib.DEFLATED, -15)
    return engine.compress(data) + engine.flush()


def zstd(data):
    return zstandard.ZstdCompressor().compress(data)


def decode(names, data, size=None, limits=LIMITS):
    """Decoded bytes, and the decoder that gave them."""
    decoder = Decoder(names, limits)
    size = size or max(1, len(data))
    out = [piece for at in range(0, len(data), size) for piece in decoder.feed(data[at : at + size])]
    out += decoder.finish()
    return b"".join(out), decoder


CODERS = {"gzip": gzip.compress, "deflate": zlib.compress, "x-deflate": deflate, "br": brotli.compress, "zstd": zstd}
each_cut = pytest.mark.parametrize("size", [None, 1, 7, 1000])


@each_cut
@pytest.mark.parametrize("name", CODERS)
def test_each_coding(name, size):
    out, decoder = decode((name,), CODERS[name](TEXT), size)
    assert out == TEXT
    assert decoder.findings == []
    assert decoder.applied == (name.removeprefix("x-"),)
    assert (decoder.limit, decoder.failed, decoder.tail) == (None, False, b"")


@each_cut
@pytest.mark.parametrize("names", [("gzip", "br"), ("br", "gzip"), ("deflate", "zstd", "gzip"), ("gzip",) * 5])
def test_codings_on_top_of_each_other(names, size):
    data = TEXT
    for name in names:
        data = CODERS[name](data)
    out, decoder = decode(names, data, size)
    assert out == TEXT
    assert decoder.applied == names[::-1]


@each_cut
def test_no_coding(size):
    out, decoder = decode(("identity", "chunked", ""), TEXT, size)
    assert (out, decoder.applied, decoder.findings) == (TEXT, (), [])


@each_cut
@pytest.mark.parametrize("name", CODERS)
@pytest.mark.parametrize("data", [TEXT, b"a", b"KO", b"x\x9cno zlib", bytes(range(256)), b"8O looks like zlib"])
def test_declared_but_not_applied(name, data, size):
    out, decoder = decode((name,), data, size)
    assert out == data
    assert decoder.findings == ["coding_not_applied"]
    assert decoder.applied == ()
    assert decoder.failed


@each_cut
@pytest.mark.parametrize(
    ("names", "data"),
    [
        (("gzip",), deflate(TEXT)),
        (("gzip",), zlib.compress(TEXT)),
        (("deflate",), gzip.compress(TEXT)),
        (("gzip", "deflate"), gzip.compress(deflate(TEXT))),
        (("gzip", "deflate"), deflate(TEXT)),
        (("gzip", "gzip"), gzip.compress(TEXT)),
        (("gzipped",), gzip.compress(TEXT)),
        (("=?utf-8?b?x?=",), deflate(TEXT)),
        (("foo",), TEXT),
    ],
)
def test_the_bytes_say_which_coding_it_is(names, data, size):
    assert decode(names, data, size)[0] == TEXT


def test_an_unknown_coding_needs_a_whole_stream():
    out, decoder = decode(("foo",), gzip.compress(TEXT)[:-20])
    assert out == gzip.compress(TEXT)[:-20]
    assert decoder.findings == ["unknown_coding", "coding_not_applied"]


GZIP = gzip.compress(TEXT)
ODD_GZIP = {
    "gzip_members": GZIP[:0] + gzip.compress(TEXT[:100]) + gzip.compress(TEXT[100:]),
    "trailing_data": GZIP + b"something else",
    "missing_trailer": GZIP[:-8],
    "bad_checksum": GZIP[:-8] + b"\0\0\0\0" + GZIP[-4:],
    "gzip_bad_length": GZIP[:-4] + b"\0\0\0\0",
    "gzip_reserved_flags": GZIP[:3] + b"\xe0" + GZIP[4:],
    "gzip_bad_header_checksum": GZIP[:3] + b"\2" + GZIP[4:],
    "gzip_of_zlib": GZIP[:10] + zlib.compress(TEXT) + GZIP[-8:],
}


@each_cut
@pytest.mark.parametrize("finding", ODD_GZIP)
def test_odd_gzip(finding, size):
    out, decoder = decode(("gzip",), ODD_GZIP[finding], size)
    assert out == TEXT
    assert finding in decoder.findings


@each_cut
def test_many_gzip_members(size):
    out, decoder = decode(("gzip",), gzip.compress(b"") * 3000 + gzip.compress(b"last"), size)
    assert (out, decoder.findings) == (b"last", ["gzip_members"])


@pytest.mark.parametrize("flags", range(32))
def test_gzip_headers(flags):
    extra = b"\3\0abc" if flags & 4 else b""
    names = b"name\0" * bool(flags & 8) + b"comment\0" * bool(flags & 16)
    head = GZIP[:3] + bytes([flags]) + GZIP[4:10] + extra + names
    head += zlib.crc32(head).to_bytes(4, "little")[:2] if flags & 2 else b""
    out, decoder = decode(("gzip",), head + GZIP[10:], 1)
    assert (out, decoder.findings) == (TEXT, [])


@each_cut
@pytest.mark.parametrize("name", ["gzip", "deflate", "br"])
def test_what_came_before_the_end_is_kept(name, size):
    data = CODERS[name](TEXT)
    out, decoder = decode((name,), data[: len(data) // 2], size)
    assert TEXT.startswith(out)
    assert len(out) > 1000
    assert decoder.findings == ["truncated"]


@each_cut
@pytest.mark.parametrize("name", ["gzip", "deflate", "br"])
def test_what_came_before_a_break_is_kept_whatever_the_cut(name, size):
    data = CODERS[name](TEXT)
    middle = len(data) // 2
    broken = data[:middle] + b"\xff" * 50 + data[middle:]
    out, decoder = decode((name,), broken, size)
    assert decoder.findings
    assert out == decode((name,), broken, 1)[0]
    assert out[:1000] == TEXT[:1000]


@each_cut
def test_broken_zstd(size):
    data = zstandard.ZstdCompressor(write_checksum=True).compress(TEXT)
    out, decoder = decode(("zstd",), data[:100] + b"\xff" * 50 + data[150:], size)
    assert decoder.failed
    assert len(out) <= len(TEXT)


@pytest.mark.parametrize("coded", [GZIP[:5], GZIP[:11], brotli.compress(TEXT)[:3]])
def test_a_start_that_gave_nothing_is_kept(coded):
    out, decoder = decode(("br" if coded[:1] != GZIP[:1] else "gzip",), coded)
    assert out == coded
    assert decoder.failed


@each_cut
@pytest.mark.parametrize("name", ["br", "zstd"])
def test_trailing_data(name, size):
    out, decoder = decode((name,), CODERS[name](TEXT) + b"junk behind", size)
    assert (out, decoder.findings) == (TEXT, ["trailing_data"])


@each_cut
def test_zstd_frames(size):
    skippable = b"\x50\x2a\x4d\x18\3\0\0\0abc"
    assert decode(("zstd",), zstd(TEXT) + skippable + zstd(b"more"), size)[0] == TEXT + b"more"


@pytest.mark.parametrize("rest", [b"plain text", deflate(b"plain text")])
@pytest.mark.parametrize("coded", [deflate(TEXT), zlib.compress(TEXT), zlib.compress(TEXT)[:-4]])
def test_the_tail_is_for_clients_that_append_it(coded, rest):
    out, decoder = decode(("deflate",), coded + rest)
    assert out == TEXT
    assert b"plain text" in decoder.tail


@pytest.mark.parametrize("name", CODERS)
def test_bombs(name):
    limits = Limits(decode_bytes=3 << 20)
    data = CODERS[name](bytes(8 << 20))
    out, decoder = decode((name,), data, 4096, limits)
    assert decoder.limit in ("decode_bytes", "decode_ratio")
    assert len(out) <= 3 << 20
    assert len(out) >= 1 << 20


def test_a_bomb_in_a_bomb():
    data = brotli.compress(brotli.compress(bytes(20 << 20), quality=3))
    out, decoder = decode(("br", "br"), data)
    assert decoder.limit == "decode_ratio"
    assert len(out) <= 1 << 20


def test_a_page_of_blanks_is_no_bomb():
    assert decode(("br",), brotli.compress(bytes(900_000)))[0] == bytes(900_000)


def test_too_many_layers():
    _, decoder = decode(("gzip",) * 6, GZIP)
    assert decoder.limit == "decode_layers"


@given(st.binary(max_size=3000), st.sampled_from(sorted(CODERS)), st.integers(1, 500))
def test_any_content_survives(content, name, size):
    coded = CODERS[name](content)
    assert decode((name,), coded, size)[0] == content


@given(
    st.binary(max_size=600) | st.builds(lambda a, b: GZIP[:12] + a + b, st.binary(max_size=99), st.binary(max_size=99)),
    st.lists(st.sampled_from(["gzip", "deflate", "br", "zstd", "foo"]), min_size=1, max_size=3),
    st.integers(1, 100),
)
def test_any_bytes_in_any_cut(data, names, size):
    out, decoder = decode(names, data, size)
    again, other = decode(names, data)
    assert out == again
    assert decoder.findings == other.findings


NAMED = b"\x1f\x8b\x08\x08\0\0\0\0\0\3name\0" + gzip.compress(TEXT)[10:]


@pytest.mark.parametrize("data", [gzip.compress(TEXT), gzip.compress(b""), NAMED], ids=["text", "empty", "named"])
def test_gzip_by_the_book_is_decoded_at_once(data):
    assert decoded(("gzip",), data) == decode(("gzip",), data)[0]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x1f\x8b",
        TEXT,
        gzip.compress(TEXT)[:-1],
        gzip.compress(TEXT)[:-8],
        gzip.compress(TEXT) + b"x",
        gzip.compress(TEXT) * 2,
        gzip.compress(TEXT)[:-8] + bytes(8),
        gzip.compress(TEXT)[:-4] + bytes(4),
        b"\x1f\x8b\x08\x04" + gzip.compress(TEXT)[4:],
        b"\x1f\x8b\x08\xe0" + gzip.compress(TEXT)[4:],
        gzip.compress(bytes(RATIO_FLOOR + 1)),
        gzip.compress(bytes(2 * RATIO_FLOOR))[:-4] + (100).to_bytes(4, "little"),
        zlib.compress(TEXT),
    ],
)
def test_anything_else_is_left_to_the_decoder(data):
    assert decoded(("gzip",), data) is None


@pytest.mark.parametrize("names", [(), ("deflate",), ("gzip", "gzip"), ("br",), ("x-gzip",)])
def test_other_codings_are_left_to_the_decoder(names):
    assert decoded(names, gzip.compress(TEXT)) is None


@given(data=st.binary(max_size=200), at=st.integers(0, 300), junk=st.binary(max_size=3))
def test_what_is_decoded_at_once_is_what_a_decoder_gives(data, at, junk):
    coded = gzip.compress(data)
    coded = coded[:at] + junk + coded[at + len(junk) :]
    plain = decoded(("gzip",), coded)
    if plain is not None:
        out, decoder = decode(("gzip",), coded)
        assert (plain, [], ("gzip",), b"") == (out, decoder.findings, decoder.applied, decoder.tail)
