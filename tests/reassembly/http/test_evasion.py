"""Responses that are wrong on purpose: whatever some client makes of them must be among the objects.

Each class of oddity stands here in many forms; every form hides the same payload.
"""

import gzip
import zlib

import brotli
import pytest
from session import bytewise, content, flow, objects, origin, run, whole

from reassembly.protocols.http1 import Parser

PAYLOAD = b"payload=" + bytes(range(0x41, 0x5B)) * 2 + b"$end-of-it!"
REQUEST = (0, b"GET /download/it.bin HTTP/1.1\r\nHost: example.org\r\n\r\n")
TYPE = b"Content-Type: application/octet-stream\r\nConnection: close\r\n"
LENGTH = len(PAYLOAD)


def deflate(data):
    engine = zlib.compressobj(9, zlib.DEFLATED, -15)
    return engine.compress(data) + engine.flush()


def chunks(data=PAYLOAD, size=5, prefix=b"", line=b"%x", end=b"\r\n", after=b"\r\n", final=b"0\r\n\r\n"):
    """`data` in chunks; the parts of the framing as they are to be broken."""
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    framed = (prefix + line.replace(b"%x", b"%x" % len(piece)) + end + piece + after for piece in pieces)
    return b"".join(framed) + final


def response(fields=b"", body=PAYLOAD, start=b"HTTP/1.1 200 OK\r\n", end=b"\r\n"):
    return start + TYPE + fields + end + body


CHUNKED = b"Transfer-Encoding: chunked\r\n"
SIZED = b"Content-Length: %d\r\n" % LENGTH
SAMPLES = {}


def sample(name, raw):
    assert name not in SAMPLES
    SAMPLES[name] = raw


# Sizes with something before or after them
for junk in (b" ", b"\t", b"\r", b"\n", b"\0", b"\v", b"\f", b"x", b"x ", b",", b";", b"+", b"0x", b"0X", b"00",
             b"\r\n",
             b"\r\n\r\n", b"\r\nx\r\n", b'"', b"\xa0"):  # fmt: skip
    sample(f"size prefixed by {junk!r}", response(CHUNKED, chunks(prefix=junk)))
for junk in (b" ", b"\t", b"\r", b"\n", b"\0", b"\v", b"\f", b"x", b",", b";", b";ext=1", b';e="a"', b" ;",
             b"\xa0", b"+",
             b" " * 500):  # fmt: skip
    sample(f"size followed by {junk[:9]!r}", response(CHUNKED, chunks(line=b"%x" + junk)))
for bits in (32, 64):
    negative = b"".join(
        b"-%x\r\n" % ((1 << bits) - len(piece)) + piece + b"\r\n"
        for piece in (PAYLOAD[at : at + 7] for at in range(0, LENGTH, 7))
    )
    sample(f"negative size of {bits} bits", response(CHUNKED, negative + b"0\r\n\r\n"))
    wrapped = b"%x\r\n" % ((1 << bits) + LENGTH) + PAYLOAD + b"\r\n0\r\n\r\n"
    sample(f"size beyond {bits} bits", response(CHUNKED, wrapped))
sample("upper-case size", response(CHUNKED, chunks(size=15,
       line=b"0F")[: LENGTH // 15 * 20] + b"0A" + b"\r\n" + PAYLOAD[60:70]
                                   + b"\r\n0%X\r\n" % (LENGTH - 70) + PAYLOAD[70:] + b"\r\n0\r\n\r\n")
       if LENGTH > 75 else response(CHUNKED, chunks()))  # fmt: skip
sample("extension that looks like a chunk", response(CHUNKED, chunks(line=b"%x;5 abcde 0")))
sample("one byte too many in each size", response(CHUNKED, b"".join(
    b"%x\r\n" % (len(piece) + 1) + piece + b"\r\n" for piece in (PAYLOAD[at : at + 5] for at in range(0, LENGTH, 5))
) + b"0\r\n\r\n"))  # fmt: skip
for junk in (b"\0", b" ", b"\t", b"x", b"xyz"):
    sample(f"{junk!r} after each chunk", response(CHUNKED, chunks(after=junk + b"\r\n")))
for name, breaks in {"LF": b"\n", "CR": b"\r", "LF CR": b"\n\r", "CR CR LF": b"\r\r\n"}.items():
    framed = chunks(end=breaks, after=breaks, final=b"0" + breaks * 2)
    sample(f"chunks with {name}", response(CHUNKED, framed))
for final in (b"", b"0", b"0\r", b"0\r\n", b"0\n\n", b"0\n \n", b"0\n\r\n", b"00\r\n\r\n", b"0" * 30 + b"\r\n\r\n",
              b"0x\r\n\r\n", b"0 \r\n\r\n", b"0;\r\n\r\n", b"+0\r\n\r\n", b"0\r\nfoobar\r\n", b"0\r\nA: b\r\n\r\n",
              b"0\r\nA: b\nC: d\n\n", b"0 ; a=b; c=\"d\"\r\n\r\n", b"-0\r\n\r\n", b"0\r\n\r\njunk"):  # fmt: skip
    sample(f"last chunk {final[:12]!r} of {len(final)}", response(CHUNKED, chunks(final=final)))
for junk in (b" ", b"\r", b"\n", b"\r\n", b"\0", b"\t"):
    sample(f"{junk!r} before the chunks", response(CHUNKED, junk + chunks()))
sample("end within a chunk", response(CHUNKED, chunks(final=b"", size=LENGTH - 9)[: -2 - 9 - 5]
                                      + b"\r\nff\r\n" + PAYLOAD[-9:]))  # fmt: skip

# Values of Transfer-Encoding
VALUES = (b"chunked;", b"chunked,", b",chunked", b'"chunked"', b"chunked foo", b"x chunked", b"xchunked", b"chunkedx",
          b"Chunked", b"CHUNKED", b" \t chunked \t", b"chunked\0", b"\0chunked", b"chu\0nked", b"\vchunked",
          b"\fchunked",
          b"\x7fchunked", b"\xa0chunked", b"\rchunked", b"\r chunked", b"chunked\r ", b"\r\n chunked",
          b"\r\n \r\n chunked",
          b"chunked\r\n ", b"\n\0chunked", b"\n\xa0chunked", b"\n\fchunked", b"\xef\xbb\xbfchunked",
          b"chunked,identity",
          b"identity,chunked", b"foo, chunked", b"chunked, chunked", b"chu", b" " * 9000 + b"chunked",
          b"=?utf-8?B?Y2h1bmtlZA==?=", b"chunked;q=1", b":chunked", b"chunked:")  # fmt: skip
for value in VALUES:
    field = b"Transfer-Encoding:" + value + b"\r\n"
    sample(f"{value[:24]!r} of {len(value)}, chunked", response(field, chunks()))
    sample(f"{value[:24]!r} of {len(value)}, sized", response(field + SIZED))
    sample(f"{value[:24]!r} of {len(value)}, to the end", response(field))
for before, after in ((b"Transfer-Encoding: lalala\r\n", b""), (b"", b"Transfer-Encoding: lalala\r\n"),
                      (b"Transfer-Encoding: \r\n", b"Transfer-Encoding: x\r\n"), (CHUNKED, b""),
                      (b"Transfer-Encoding: identity\r\n", b"")):  # fmt: skip
    field = before + CHUNKED + after
    sample(f"fields {field!r}, chunked", response(field, chunks()))
    sample(f"fields {field!r}, sized", response(field + SIZED))
    sample(f"fields {field!r}, both", response(field + SIZED, chunks()))
for length in (LENGTH // 2, LENGTH, LENGTH * 2, 680000000):
    sized = b"Content-Length: %d\r\n" % length
    sample(f"chunked with length {length}", response(CHUNKED + sized, chunks()))
    sample(f"length {length} before chunked", response(sized + CHUNKED, chunks()))
sample("not chunked, with a length", response(CHUNKED + SIZED))
sample("chunked in the wrong field", response(b"Content-Encoding: chunked\r\n", chunks()))

# Names of fields
NAMES = (b"Transfer-Encoding ", b"Transfer-Encoding\t", b"Transfer-Encoding \t \t ", b"Transfer-Encoding\r",
         b"Transfer-Encoding:", b"Transfer-Encoding\r\n ", b"Transfer-Encoding\r\n \r\n ", b"Transfer-Encoding\0",
         b"Transfer\0-Encoding", b"transfer-encoding", b"Transfer-Encoding\v", b" Transfer-Encoding",
         b"X-Foo: bar\r\n\tTransfer-Encoding", b"X: y\rTransfer-Encoding", b"X: y\nTransfer-Encoding",
         b"X: y\n\rTransfer-Encoding", b"\0\r\nTransfer-Encoding", b"L\xc3\xb6: x\r\nTransfer-Encoding",
         b": x\r\nTransfer-Encoding", b"junk line\r\nTransfer-Encoding", b"a:b\0c\r\nTransfer-Encoding",
         b"a:b\x80c\r\nTransfer-Encoding", b"a: b\r\n  c\r\nTransfer-Encoding", b"\r\r\nTransfer-Encoding",
         b"\n\r\nTransfer-Encoding", b"\n\r\r\nTransfer-Encoding", b"\r\rTransfer-Encoding",
         b"\r \rTransfer-Encoding",
         b"\n\nTransfer-Encoding", b"\n \nTransfer-Encoding", b" \r\nTransfer-Encoding")  # fmt: skip
for field in NAMES:
    sample(f"name {field!r}, chunked", response(field + b": chunked\r\nA: b\r\n", chunks()))
    sample(f"name {field!r}, sized", response(field + b": chunked\r\n" + SIZED))
    sample(f"name {field!r}, to the end", response(field + b": chunked\r\nA: b\r\n"))

# Lengths
TWO = b"Content-Length: %s\r\nContent-Length: %s\r\n"
HALF, FULL, DOUBLE = (b"%d" % (LENGTH * part // 2) for part in (1, 2, 4))
for one, two in ((HALF, FULL), (FULL, HALF), (FULL, b""), (b"", FULL), (FULL, b"xxx"), (b"xxx", FULL), (FULL, FULL),
                 (FULL, DOUBLE), (DOUBLE, FULL)):  # fmt: skip
    for junk in (b"", b"PK\3\4" * 20):
        sample(f"lengths {one!r} and {two!r}, {len(junk)} after", response(TWO % (one, two), PAYLOAD + junk))
for value in (HALF + b"\r\n " + FULL, FULL + b"\r\n " + HALF, b"(%s) %s" % (FULL, HALF), b"(%s) %s" % (DOUBLE, FULL),
              b";" + FULL, FULL + b";", FULL + b" A", FULL + b".0", FULL + b",", b"," + FULL, FULL + b"," + FULL,
              FULL[:1] + b"\0" + FULL[1:], b"0x%x" % LENGTH, b"+" + FULL, b'"%s"' % FULL, b"\v" + FULL, b"000" + FULL,
              b"%d" % ((1 << 64) + LENGTH), FULL + b"\0", b"\r\n " + FULL):  # fmt: skip
    for junk in (b"", b"PK\3\4" * 30):
        sample(f"length {value!r}, {len(junk)} after", response(b"Content-Length: " + value + b"\r\n", PAYLOAD + junk))
sample("no length", response())
sample("length too small", response(b"Content-Length: %d\r\n" % (LENGTH // 2)))
sample("length too large", response(b"Content-Length: %d\r\n" % (LENGTH * 2)))
sample("length beyond 32 bits", response(b"Content-Length: %d\r\n" % ((1 << 32) + LENGTH)))
sample("negative length", response(b"Content-Length: -1\r\n"))

# Start lines
STARTS = (b"HTTP/0.9 200 OK", b"HTTP/1.01 200 OK", b"HTTP/1.1\n 200 OK", b" HTTP/1.1 200 OK", b"HTTP/1.010 200 OK",
          b"HTTP/+1.+1 200 OK", b"HTTP/1A.1B 200 OK", b"HTTP/2.B 200 OK", b"HTTP/9.-1 200 OK", b"HTTP/1.1",
          b"HTTP/1.1 200", b"HTTP/1.1 200 ", b"HTTP/1.1foobar", b"HTTP/foobar", b"HTTP", b"HTTP/1.1    204 ok",
          b"HTTP/1\0.1 200 ok", b"HTTP/1.1\0 200 ok", b"HTTP/1.1 2\x0000 ok", b"HTTP/1.1 200\0 ok",
          b"\0HTTP/1.1 200 ok",
          b"http/1.1 200 ok", b"HtTp/1.1 200 ok", b"HTTP/2.0 200 ok", b"HTTP/1.2 200 OK", b"HTTP/01.1 200 OK",
          b"HTTP/11.01 200 OK", b"HTTP 1.1 200 OK", b"HTTP\t1.1 200 OK", b"HTTP/1.1\t200\tOK", b"HTTP/1,1 200 OK",
          b"HTTP/ 1.1 200 OK", b"HTTP /1.1 200 OK", b"HTTP/1.1 20 ok", b"HTTP/1.1 2000 ok", b"HTTP/1.1 0200 ok",
          b"HTTP/1.1 600 ok", b"HTTP/1.1 abc ok", b"HTTP/1.1 304 ok", b"HTTP/1.1 204 ok", b"HTTP/1.1 205 ok",
          b"HTTP/1.1 100 ok", b"HTTP/1.1 101 ok", b"HTTP/1.1 102 ok", b"HTTP/1.1 206 ok", b"HTTP/1.1 302 ok",
          b"HTTP/1.1 401 ok", b"HTTP/1.1 500 ok", b"\r\nHTTP/1.1 200 OK", b"\n\nHTTP/1.1 200 OK",
          b"\r\rHTTP/1.1 200 OK",
          b" \r\nHTTP/1.1 200 OK", b" \t\r\r\nHTTP/1.1 200 OK", b" junk\r\nHTTP/1.1 200 OK", b"HHTTP/1.1 200 OK",
          b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK", b"HTTP/1.1 100 A\r\n\r\n" * 20 + b"HTTP/1.1 200 OK",
          b"HTTP/1.1 200 \rA: b", b"HTTP/1.1 200\nA: b", b"ICY 200 OK")  # fmt: skip
for line in STARTS:
    start = line + b"\r\n"
    sample(f"start {line[:48]!r}, sized", response(SIZED, start=start))
    sample(f"start {line[:48]!r}, chunked", response(CHUNKED, chunks(), start=start))
    sample(f"start {line[:48]!r}, gzip", response(b"Content-Encoding: gzip\r\n", gzip.compress(PAYLOAD), start=start))
for version in (b"0.1", b"0.9", b"1.0", b"1.2", b"1.10", b"2.0", b"2.1", b"9.9", b"11.10"):
    start = b"HTTP/" + version + b" 200 ok\r\n"
    sample(f"version {version!r}, both fields, chunked", response(CHUNKED + SIZED, chunks(), start=start))
    sample(f"version {version!r}, both fields, sized", response(CHUNKED + SIZED, start=start))
for start in (b"", b"HTTP\n\n", b"hTtp\n\n", b"HTTP\n", b"hTtp\n", b"HTTP/\n\n", b"HTTP/\n", b"HTTP/1.1\n\n"):
    sample(f"no head but {start!r}", start + PAYLOAD)
sample("fields but no start line", b"Transfer-Encoding:chunked\r\n" + TYPE + SIZED + b"\r\n" + PAYLOAD)

# Ends of lines and heads
for name, breaks in {"LF": b"\n", "CR": b"\r", "LF CR": b"\n\r", "CR NUL LF": b"\r\0\n", "CR CR": b"\r\r"}.items():
    for fields, body in (
        (SIZED, PAYLOAD),
        (CHUNKED, chunks()),
        (b"Content-Encoding: gzip\r\n", gzip.compress(PAYLOAD)),
    ):
        if name == "CR CR":
            head = (b"HTTP/1.1 200 OK\r\n" + TYPE + fields)[:-2].replace(b"\r\n", breaks) + b"\r\n\r\n"
        else:
            head = (b"HTTP/1.1 200 OK\r\n" + TYPE + fields + b"\r\n").replace(b"\r\n", breaks)
        sample(f"lines end in {name}, {fields[:16]!r}", head + body)
ENDS = (b"\r\r", b"\r\0\r\n", b"\n\n", b"\n\r\n", b"\n\r\r\n\r\n", b"\n \n\n", b"\r\n \r\n\r\n", b"\n \n",
        b"\n\t\n\n",
        b"\n\v\n\n", b"\n\v\n", b"\r\n\t\r\n", b"\n\f\n", b"\r\n\0\r\n", b"\n\r\n\r", b"\r\n\r",
        b"\r\r\n\r\r\n")  # fmt: skip
for end in ENDS:
    for fields, body in (
        (SIZED, PAYLOAD),
        (CHUNKED, chunks()),
        (b"Content-Encoding: gzip\r\n", gzip.compress(PAYLOAD)),
    ):
        sample(f"head ends in {end!r}, {fields[:16]!r}", response(fields[:-2], body, end=end))

# Content codings
RAW, ZLIB, GZIP = deflate(PAYLOAD), zlib.compress(PAYLOAD), gzip.compress(PAYLOAD)
FORMS = {
    b"gzip": GZIP,
    b"x-gzip": GZIP,
    b"deflate": RAW,
    b"x-deflate": RAW,
    b"Deflate": ZLIB,
    b"br": brotli.compress(PAYLOAD),
}
for value, body in FORMS.items():
    for framed in (False, True):
        fields = (
            b"Content-Encoding: " + value + b"\r\n" + (CHUNKED if framed else b"Content-Length: %d\r\n" % len(body))
        )
        sample(f"{value!r}, chunked {framed}", response(fields, chunks(body) if framed else body))
ODD = (b"%s,", b",%s", b"%s;", b"%s\0", b"%s\v", b"%s\f", b"\v%s", b"\f%s", b"\xa0%s", b"\r%s", b"\r %s", b"%s\r ",
       b"\r\n %s",
       b"\n\0%s", b"\n\v%s", b"\n\f%s", b"\n\xa0%s", b"identity,%s", b"%s,identity", b"chunked,%s", b"%s,chunked",
       b'"%s"',
       b"%s x", b"%sx", b"x%s", b"%s;q=1", b"\t%s\t", b"\x7f%s")  # fmt: skip
for odd in ODD:
    for value, body in ((b"gzip", GZIP), (b"deflate", RAW), (b"deflate", ZLIB)):
        field = b"Content-Encoding:" + odd.replace(b"%s", value) + b"\r\n"
        sample(f"coding {field!r} {body[:1]!r}", response(field + b"Content-Length: %d\r\n" % len(body), body))
        sample(f"coding {field!r} {body[:1]!r} not applied", response(field + SIZED))
for name in (b"Content-Encoding ", b"Content-Encoding\t", b"Content-Encoding\r\n ", b"Content-Encoding\v",
             b"Content\0-Encoding",
             b"X: y\rContent-Encoding", b"X: y\nContent-Encoding", b"Content-Encoding:",
             b"content-ENCODING"):  # fmt: skip
    for value, body in ((b"gzip", GZIP), (b"deflate", RAW)):
        field = name + b": " + value + b"\r\nA: b\r\n"
        sample(f"coding {field!r}", response(field + b"Content-Length: %d\r\n" % len(body), body))
        sample(f"coding {field!r} not applied", response(field + SIZED))
LISTS = {
    b"gzip,deflate": deflate(GZIP), b"deflate,gzip": gzip.compress(RAW),
    b"deflate,gzip,deflate": deflate(gzip.compress(RAW)),
    b"gzip, deflate": gzip.compress(RAW), b"deflate, gzip": deflate(GZIP), b"deflate,deflate": deflate(RAW),
    b"deflate, deflate": RAW, b"gzip,gzip": GZIP, b"gzip ,gzip": gzip.compress(GZIP), b"gzip , deflate": PAYLOAD,
    b"gzip, deflate ": RAW, b"deflate , gzip": GZIP, b"identity,identity": PAYLOAD,
    b"br,gzip": gzip.compress(FORMS[b"br"]),
    b"foo": PAYLOAD, b"deflate\r\n ,\r\n deflate": deflate(RAW),
}  # fmt: skip
for value, body in LISTS.items():
    sized = b"Content-Length: %d\r\n" % len(body)
    sample(f"codings {value!r} {len(body)}", response(b"Content-Encoding: " + value + b"\r\n" + sized, body))
    split = b"".join(b"Content-Encoding: %s\r\n" % item.strip() for item in value.split(b","))
    sample(f"codings {value!r} {len(body)} in fields", response(split + sized, body))
for declared, body in ((b"gzip", RAW), (b"gzip", ZLIB), (b"deflate", GZIP), (b"gzip", PAYLOAD), (b"deflate", PAYLOAD),
                       (b"br", PAYLOAD), (b"zstd", PAYLOAD)):  # fmt: skip
    fields = b"Content-Encoding: %s\r\nContent-Length: %d\r\n" % (declared, len(body))
    sample(f"{declared!r} but {body[:2]!r}", response(fields, body))
GZIPS = {
    "FTEXT": GZIP[:3] + b"\1" + GZIP[4:], "FHCRC without one": GZIP[:3] + b"\2" + GZIP[4:],
    "FHCRC with a wrong one": GZIP[:3] + b"\2" + GZIP[4:10] + b"xx" + GZIP[10:],
    "FEXTRA of none": GZIP[:3] + b"\4" + GZIP[4:10] + b"\0\0" + GZIP[10:],
    "FEXTRA of five": GZIP[:3] + b"\4" + GZIP[4:10] + b"\5\0Ap\1\0\0" + GZIP[10:],
    "FNAME": GZIP[:3] + b"\x08" + GZIP[4:10] + b"name\0" + GZIP[10:],
    "FCOMMENT": GZIP[:3] + b"\x10" + GZIP[4:10] + b"comment\0" + GZIP[10:],
    "reserved bit 5": GZIP[:3] + b"\x20" + GZIP[4:], "reserved bit 6": GZIP[:3] + b"\x40" + GZIP[4:],
    "reserved bit 7": GZIP[:3] + b"\x80" + GZIP[4:], "wrong checksum": GZIP[:-8] + b"\1\2\3\4" + GZIP[-4:],
    "wrong length": GZIP[:-4] + b"\1\2\3\4", "no length": GZIP[:-4], "no trailer": GZIP[:-8],
    "half a trailer": GZIP[:-6],
    "members": gzip.compress(PAYLOAD[:30]) + gzip.compress(PAYLOAD[30:]), "junk behind": GZIP + b"junk",
    "zlib inside": GZIP[:10] + ZLIB + GZIP[-8:], "another method": GZIP[:2] + b"\x07" + GZIP[3:],
}  # fmt: skip
for name, body in GZIPS.items():
    for fields, framed in ((b"Content-Length: %d\r\n" % len(body), body), (CHUNKED, chunks(body)), (b"", body)):
        sample(f"gzip with {name}, {fields[:9]!r}", response(b"Content-Encoding: gzip\r\n" + fields, framed))
head, rest = PAYLOAD[:34], PAYLOAD[34:]
TAILS = {"plain behind deflate": deflate(head) + rest, "plain behind zlib": zlib.compress(head) + rest,
         "deflate behind zlib without checksum": zlib.compress(head)[:-4] + deflate(rest)}  # fmt: skip
for name, body in TAILS.items():
    sample(name, response(b"Content-Encoding: deflate\r\nContent-Length: %d\r\n" % len(body), body))

# Bodies in bodies
PART = b"\r\n--foo\r\nContent-Location: p1\r\n" + TYPE + b"\r\n" + PAYLOAD + b"\r\n--foo--\r\n"
for kind in (
    b"multipart/mixed; boundary=foo",
    b'multipart/related; boundary="foo"',
    b"text/plain; boundary=foo",
    b"multipart/x",
):
    fields = b"Content-Length: %d\r\n" % len(PART)
    sample(f"inside {kind!r}", b"HTTP/1.1 200 OK\r\nContent-Type: " + kind + b"\r\n" + fields + b"\r\n" + PART)
MAIL = TYPE + SIZED + b"\r\n" + PAYLOAD + b"\r\n"
sample("inside message/rfc822", b"HTTP/1.0 200 ok\r\nContent-Type: message/rfc822\r\n\r\n" + MAIL)


def contents(raw, events):
    emitted = run(Parser(origin(flow(resp=("10.0.0.2", 80)))), events([REQUEST, (1, raw)]))
    return [content(one) for one in objects(emitted)]


@pytest.mark.parametrize("name", SAMPLES)
def test_the_payload_is_found(name):
    assert PAYLOAD in contents(SAMPLES[name], whole)


# The empty line before a field ends the head for most clients. Where all comes at once, one sees that more follows.
AT_ONCE = {f"name {field!r}, {how}" for field in NAMES[-1:] for how in ("chunked", "sized")} | {"length too small"}


@pytest.mark.parametrize("name", [name for name in SAMPLES if name not in AT_ONCE])
def test_the_payload_is_found_however_it_is_cut(name):
    assert PAYLOAD in contents(SAMPLES[name], bytewise)


def test_few_readings_of_one_message():
    for raw in SAMPLES.values():
        assert 1 <= len(contents(raw, whole)) <= 8
