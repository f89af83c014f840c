import gzip
import io
import zlib

import pytest
import zstandard

from sensor.sources import Stream, inflated, unpacked_zstd

TEXT = bytes(range(256)) * 5000


def feed(data, step=1 << 20):
    file = io.BytesIO(data)
    return lambda size: file.read(min(size, step))


def everything(stream, size):
    parts = []
    while part := stream.read(size):
        assert len(part) <= size
        parts.append(part)
        stream.keep_from(part, len(part))
    return b"".join(parts)


@pytest.mark.parametrize("size", [1000, 1 << 20])
@pytest.mark.parametrize("step", [7, 1 << 20])
@pytest.mark.parametrize(
    "packed",
    [
        gzip.compress(TEXT),
        gzip.compress(TEXT[:1000]) + gzip.compress(b"") + gzip.compress(TEXT[1000:]),
        gzip.compress(TEXT) + bytes(600),  # padded
        gzip.compress(TEXT, 0),
    ],
)
def test_gzip(packed, step, size):
    stream = Stream(inflated(feed(packed, step)))
    assert everything(stream, size) == TEXT
    assert stream.damage is None


def test_gzip_with_garbage_behind():
    stream = Stream(inflated(feed(gzip.compress(TEXT) + b"garbage")))
    assert everything(stream, 1 << 20) == TEXT
    assert stream.damage == "what follows the gzip stream is none; it is ignored"


def test_gzip_cut_off():
    stream = Stream(inflated(feed(gzip.compress(TEXT)[:-5])))
    assert everything(stream, 1 << 20) == TEXT
    assert stream.damage == "the gzip stream is cut off"


def test_gzip_with_a_wrong_checksum():
    packed = gzip.compress(TEXT)
    stream = Stream(inflated(feed(packed[:-8] + bytes(8))))
    assert TEXT.startswith(everything(stream, 100_000))
    assert "damaged" in stream.damage


@pytest.mark.parametrize(("pack", "unpack"), [(gzip.compress, inflated), (zstandard.compress, unpacked_zstd)])
def test_a_bomb_is_read_in_pieces(pack, unpack):
    bomb = pack(bytes(64 << 20))
    more = unpack(feed(bomb))
    total = 0
    while part := more(100_000):
        assert len(part) <= 100_000
        total += len(part)
    assert total == 64 << 20


@pytest.mark.parametrize("step", [7, 1 << 20])
def test_zstd_frames(step):
    packed = zstandard.compress(TEXT[:1000]) + zstandard.compress(TEXT[1000:])
    stream = Stream(unpacked_zstd(feed(packed, step)))
    assert everything(stream, 100_000) == TEXT
    assert stream.damage is None


@pytest.mark.parametrize("size", [1, 10, 333])
def test_stream_keeps_the_rest_and_passes_over(size):
    stream = Stream(feed(TEXT, 50))
    position, seen = 0, b""
    while chunk := stream.read(size):
        assert chunk == TEXT[position : position + len(chunk)]
        used = [1, len(chunk), len(chunk) + 500][len(seen) % 3]
        stream.keep_from(chunk, used)
        position += used
        seen += b"."
        if position > 20_000:
            break
    assert len(seen) > 20


def test_what_was_to_be_passed_over_and_is_not_there():
    stream = Stream(feed(b"x" * 100))
    stream.keep_from(stream.read(60), 150)
    assert stream.read(10) == b""
    assert stream.lacking() == 50


def test_zlib_errors_stay_inside():
    stream = Stream(inflated(feed(b"\x1f\x8b\x08\0" + zlib.compress(TEXT))))
    everything(stream, 1000)
    assert stream.damage
