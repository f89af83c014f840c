"""Types of bytes: one sample of each family, what resembles them and isn't, and any bytes at all."""

import gzip
import io
import struct
import sys
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reassembly.filetype import mime_type
from reassembly.magic import FOUR, PREFIXES

OPEN_XML = "application/vnd.openxmlformats-officedocument"


def zipped(*names, first=None):
    with io.BytesIO() as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            if first:
                archive.writestr("mimetype", first, zipfile.ZIP_STORED)
            for name in names:
                archive.writestr(name, b"<content of " + name.encode() * 9)
        return file.getvalue()


def program(mark=b"PE\0\0", at=0x80, start=b"MZ\x90\0"):
    return start.ljust(0x3C, b"\0") + struct.pack("<I", at) + bytes(at - 0x40) + mark + bytes(200)


BINARY = {
    "application/vnd.microsoft.portable-executable": [program(), program(at=0x400), program(start=b"MZ\0\0")],
    "application/x-dosexec": [
        program(b"NE\0\0"),
        program(b"\0\0\0\0"),
        b"MZ" + bytes(20),
        b"ZM" + bytes(90),
        program()[:90],
    ],
    "application/x-executable": [b"\x7fELF\2\1\1" + bytes(9) + b"\2\0" + bytes(40)],
    "application/x-sharedlib": [b"\x7fELF\1\2\1" + bytes(9) + b"\0\3" + bytes(40)],
    "application/x-elf": [b"\x7fELF\2\1\1" + bytes(60)],
    "application/x-mach-binary": [b"\xcf\xfa\xed\xfe" + bytes(30), b"\xca\xfe\xba\xbe\0\0\0\2" + bytes(30)],
    "application/x-java-applet": [b"\xca\xfe\xba\xbe\0\0\0\x34" + bytes(30)],
    "application/x-ole-storage": [b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500)],
    "application/x-ms-shortcut": [b"L\0\0\0\x01\x14\x02\0\0\0\0\0\xc0\0\0\0\0\0\0F" + bytes(50)],
    "application/pdf": [b"%PDF-1.7\n%\xe2\xe3\n", b"junk\0" * 100 + b"%PDF-1.4", b" \r\n%PDF-1.1"],
    "text/rtf": [b"{\\rtf1\\ansi", b"{\\rt\0\0\0\0 malformed"],
    "application/zip": [zipped("a.txt", "b.txt"), b"PK\5\6" + bytes(18), zipped("x", first="application/evil")],
    "application/java-archive": [zipped("META-INF/MANIFEST.MF", "a/B.class")],
    "application/vnd.android.package-archive": [
        zipped("AndroidManifest.xml", "classes.dex"),
        zipped("res/a", "classes.dex"),
    ],
    OPEN_XML + ".wordprocessingml.document": [
        zipped("[Content_Types].xml", "_rels/.rels", "word/document.xml"),
        zipped("_rels/.rels", "docProps/app.xml", "word/document.xml"),
        zipped("word/document.xml"),
    ],
    OPEN_XML + ".spreadsheetml.sheet": [zipped("[Content_Types].xml", "_rels/.rels", "xl/workbook.xml")],
    OPEN_XML + ".presentationml.presentation": [
        zipped("[Content_Types].xml", "docProps/core.xml", "ppt/presentation.xml")
    ],
    OPEN_XML: [zipped("[Content_Types].xml", "_rels/.rels")],
    "application/vnd.oasis.opendocument.text": [zipped("content.xml", first="application/vnd.oasis.opendocument.text")],
    "application/epub+zip": [zipped("OEBPS/a.xhtml", first="application/epub+zip")],
    "application/gzip": [gzip.compress(b"x"), b"\x1f\x8b"],
    "application/x-bzip2": [b"BZh91AY&SY" + bytes(20)],
    "application/x-xz": [b"\xfd7zXZ\0\0\4" + bytes(20)],
    "application/zstd": [b"\x28\xb5\x2f\xfd\x20" + bytes(20)],
    "application/x-7z-compressed": [b"7z\xbc\xaf\x27\x1c\0\4" + bytes(30)],
    "application/vnd.rar": [b"Rar!\x1a\x07\0" + bytes(9), b"Rar!\x1a\x07\1\0" + bytes(9)],
    "application/x-tar": [b"name".ljust(257, b"\0") + b"ustar\x0000" + bytes(250)],
    "application/vnd.ms-cab-compressed": [b"MSCF\0\0\0\0" + bytes(30)],
    "application/vnd.debian.binary-package": [b"!<arch>\ndebian-binary   1400000000"],
    "application/onenote": [bytes.fromhex("e4525c7b8cd8a74daeb15378d02996d3") + bytes(30)],
    "application/ms-tnef": [b"\x78\x9f\x3e\x22\1\0" + bytes(30)],
    "application/vnd.ms-htmlhelp": [b"ITSF\3\0\0\0" + bytes(30)],
    "application/vnd.sqlite3": [b"SQLite format 3\0" + bytes(30)],
    "application/vnd.tcpdump.pcap": [b"\xd4\xc3\xb2\xa1\2\0\4\0" + bytes(16), b"\xa1\xb2\x3c\x4d" + bytes(20)],
    "application/x-pcapng": [b"\x0a\x0d\x0d\x0a\x1c\0\0\0\x4d\x3c\x2b\x1a"],
    "application/wasm": [b"\0asm\1\0\0\0"],
    "application/x-dex": [b"dex\n035\0" + bytes(20)],
    "application/x-bytecode.python": [b"\xa7\x0d\x0d\x0a" + bytes(12), b"\x03\xf3\x0d\x0a" + bytes(12)],
    "application/x-shockwave-flash": [b"CWS\x0a\0\0", b"FWS\x03\0", b"ZWS\x0d"],
    "application/pkix-cert": [b"\x30\x82\x03\x10\x30\x82\x01\xf8\xa0\x03" + bytes(20)],
    "application/pkcs7-mime": [bytes.fromhex("3082 0310 0609 2a864886f70d010702") + bytes(20)],
    "application/vnd.ms-fontobject": [bytes(8) + b"\1\0\2\0" + bytes(22) + b"LP"],
    "application/x-lzh-compressed": [b"\x19\x8b-lh5-" + bytes(20)],
    "application/ogg": [b"OggS\0\2" + bytes(20)],
    "image/png": [b"\x89PNG\r\n\x1a\n" + bytes(20)],
    "image/jpeg": [b"\xff\xd8\xff\xe0\0\x10JFIF", b"\xff\xd8\xff\xc0" + bytes(9)],
    "image/gif": [b"GIF89a", b"GIF87a"],
    "image/bmp": [b"BM" + bytes(12) + b"\x28\0\0\0" + bytes(40)],
    "image/tiff": [b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08"],
    "image/webp": [b"RIFF\x10\0\0\0WEBPVP8 "],
    "image/vnd.microsoft.icon": [b"\0\0\1\0\1\0\x20\x20\0\0\1\0\x20\0" + bytes(20)],
    "image/avif": [b"\0\0\0\x20ftypavif\0\0\0\0"],
    "image/emf": [b"\1\0\0\0" + bytes(36) + b" EMF" + bytes(20)],
    "audio/mpeg": [b"ID3\3\0", b"\xff\xfb\x90\0" + bytes(9)],
    "audio/x-wav": [b"RIFF\x10\0\0\0WAVEfmt "],
    "video/mp4": [b"\0\0\0\x20ftypisom\0\0\2\0", b"\0\0\0\x18ftypmp42"],
    "video/quicktime": [b"\0\0\0\x14ftypqt  ", b"\0\0\0\x08moov" + bytes(9)],
    "video/webm": [b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\1\x42\x82\x84webm"],
    "video/x-matroska": [b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\1\x42\x82\x88matroska"],
    "video/MP2T": [(b"G" + bytes(187)) * 4],
    "font/woff2": [b"wOF2\0\1\0\0"],
    "font/sfnt": [b"\0\1\0\0\0\x0f\0\x80", b"true\0\x0c\0\x80"],
    "application/octet-stream": [
        b"\0",
        bytes(range(256)),
        b"\x80\x81\x02\x03",
        b"M\0\0\0",
        b"BM\0\1\2",
        b"RIF\0",
        b"\x30\x82\0\0",
    ],
    "application/x-empty": [b""],
}

TEXT = {
    "text/plain": [
        b"a",
        b"plain words\n",
        "größer".encode(),
        "größer".encode("latin-1"),
        b"MZ is how a text may begin",
        b"true\n",
        b"AT&T is a company",
        b"function f() {}",
        b".a{b:c}\n.d{e:f}\n",
        b"<nothing special",
        b"PAGE ONE",
        b"Subject matter: this\nis no mail",
        b"Note: a\nTo: do\n",
        "\ufeffwords".encode("utf-16-le"),
        b"[1] a footnote",
        b"   ",
    ],
    "text/html": [
        b"<!DOCTYPE html><p>",
        b"<html>",
        b" \r\n\t<HTML lang=en>",
        b"<!-- x --> <script>",
        b"\xef\xbb\xbf<!doctype html>",
        b"<?xml version='1.0'?><html xmlns='http://www.w3.org/1999/xhtml'>",
        "\ufeff<html>".encode("utf-16-le"),
        "\ufeff<html>".encode("utf-16-be"),
        b"<body onload=x>",
        b"<!DOCTYPE HTML PUBLIC>\0\0",
    ],
    "text/xml": [b"<?xml version='1.0'?><a/>", "\ufeff<?xml version='1.0'?><a/>".encode("utf-16-le")],
    "image/svg+xml": [b"<svg xmlns='http://www.w3.org/2000/svg'>", b"<?xml version='1.0'?>\n<!-- c -->\n<svg>"],
    "application/hta": [b"<html><head><HTA:APPLICATION id=x>", b"<hta:application />"],
    "text/x-php": [b"<?php echo 1;", b"<?= $x ?>"],
    "text/x-shellscript": [b"#!/bin/sh\n", b"#! /usr/bin/env bash\n", b"#!/bin/busybox sh\n"],
    "text/x-script.python": [
        b"#!/usr/bin/env python3\n",
        b"#!/usr/bin/python2.7 -u\n",
        b"#!/usr/bin/env -S python3 -u\n",
    ],
    "text/x-perl": [b"#!/usr/bin/perl -w\n"],
    "text/x-msdos-batch": [b"@echo off\r\ncls", b"@ECHO OFF\r\n"],
    "text/x-ms-regedit": [
        b"Windows Registry Editor Version 5.00",
        "\ufeffWindows Registry Editor Version 5".encode("utf-16-le"),
        b"REGEDIT4",
    ],
    "application/x-mswinurl": [b"[InternetShortcut]\r\nURL=file://x"],
    "application/json": [b'{"a": 1}', b'[{"a": 1}]', b"{}", b' [\n "a"]'],
    "message/rfc822": [
        b"Received: from a\r\n by b\r\nFrom: x@y\r\nTo: z\r\n\r\nbody",
        b"MIME-Version: 1.0\nContent-Type: text/plain\n\n",
        b"X-Odd: 1\r\nMessage-ID: <a>\r\nSubject: hi\r\n\r\n",
    ],
    "application/mbox": [b"From a@b Mon Nov 23 18:00:00 2026\nFrom: a@b\nTo: c@d\n\nbody"],
    "application/x-pem-file": [b"-----BEGIN CERTIFICATE-----\n"],
    "application/pgp-encrypted": [b"-----BEGIN PGP MESSAGE-----\n"],
    "application/postscript": [b"%!PS-Adobe-3.0"],
    "application/x-bittorrent": [b"d8:announce30:http://"],
}


@pytest.mark.parametrize(("kind", "sample"), [(kind, sample) for kind, of in (BINARY | TEXT).items() for sample in of])
def test_samples(kind, sample):
    assert mime_type(sample) == kind


@pytest.mark.parametrize("kind", sorted(BINARY))
def test_what_follows_does_not_matter(kind):
    if kind in ("application/x-empty", "application/octet-stream"):
        return
    for sample in BINARY[kind]:
        assert mime_type((sample + bytes(4096))[:4096]) == kind


def test_every_mark_of_the_tables_is_found():
    for mark, kind in (*FOUR.items(), *PREFIXES):
        assert mime_type(mark + bytes(300)) == kind, mark


def test_a_name_list_without_end():
    head = b"".join(b"PK\3\4" + bytes(22) + b"\1\0\0\0" + b"a" for _ in range(130))
    assert mime_type(head) == "application/zip"


def test_own_interpreter():
    with Path(sys.executable).open("rb") as file:
        assert mime_type(file.read(4096)) in ("application/x-executable", "application/x-sharedlib")


@given(st.binary(max_size=400))
def test_any_bytes_have_a_type(head):
    assert "/" in mime_type(head)


@given(
    st.sampled_from([mark for mark, _ in PREFIXES] + list(FOUR) + [b"PK\3\4", b"MZ", b"\xff\xfe", b"<"]), st.binary()
)
def test_any_bytes_behind_a_mark_have_a_type(mark, tail):
    assert "/" in mime_type(mark + tail)


@given(st.text(st.characters(codec="utf-8", categories=["L", "N"]), min_size=1))
def test_letters_are_text(letters):
    assert mime_type(b"x " + letters.encode()) == "text/plain"
