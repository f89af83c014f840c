"""What bytes are, by their first bytes: the `mime_type` of an object, whatever its sender called it.

Most types fall out of one look into a dict; the rest is asked in the order: first byte, junk before a PDF, text, marks
further in. The names are those of IANA, or of libmagic where IANA has none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from reassembly.magic import BRANDS, DECLARED_IN_ZIP, FOUR, INSIDE, PE, PREFIXES, RIFF, ZIP
from reassembly.texttype import readable, text_type

BINARY, EMPTY = "application/octet-stream", "application/x-empty"
PDF_WITHIN = (
    1024  # readers look for the header in the first 1024 bytes (ISO 32000-1, implementation note 13 of annex H)
)

Ask: TypeAlias = Callable[[bytes], str | None]

_OPEN_XML = "application/vnd.openxmlformats-officedocument"
_DOCUMENT_FOLDERS: dict[bytes, str] = {
    b"word": _OPEN_XML + ".wordprocessingml.document",
    b"xl": _OPEN_XML + ".spreadsheetml.sheet",
    b"ppt": _OPEN_XML + ".presentationml.presentation",
    b"visio": "application/vnd.ms-visio.drawing.main+xml",
}
_OPEN_XML_STARTS = (b"[Content_Types].xml", b"_rels/", b"docProps/", b"[trash]/")
_JAR, _APK = "application/java-archive", "application/vnd.android.package-archive"
_APK_NAMES = (b"AndroidManifest.xml", b"classes.dex", b"resources.arsc", b"META-INF/com/android/")
ZIP_TYPES = frozenset((ZIP, _JAR, _APK, _OPEN_XML, *_DOCUMENT_FOLDERS.values(), *DECLARED_IN_ZIP))
_ELF_KINDS = {
    b"\x01": "application/x-object",
    b"\x02": "application/x-executable",
    b"\x03": "application/x-sharedlib",
    b"\x04": "application/x-coredump",
}


def mime_type(head: bytes) -> str:
    """The media type of bytes that begin with `head` (4 KiB are enough)."""
    found = _FOUR.get(head[:4])
    if found is not None:
        kind = found if isinstance(found, str) else found(head)
        if kind is not None:
            return kind
    for prefix, kind in _BY_FIRST.get(head[:1], ()):
        if head.startswith(prefix):
            return kind
    return _unmarked(head)


def _unmarked(head: bytes) -> str:
    if not head:
        return EMPTY
    if head.find(b"%PDF-", 0, PDF_WITHIN + 5) >= 0:
        return "application/pdf"
    text = readable(head)
    return text_type(text) if text is not None else _inside(head) or BINARY


def _inside(head: bytes) -> str | None:
    if head[4:8] == b"ftyp":
        return BRANDS.get(head[8:12], "video/mp4")
    for offset, mark, kind in INSIDE:
        if head.startswith(mark, offset):
            return kind
    ask = _STRUCTURES.get(head[:1], _bytecode)
    return ask(head)


def _bytecode(head: bytes) -> str | None:
    """CPython's: a magic number whose upper half is CR LF; its second byte has been 0x0c and more since 3.0."""
    return (
        "application/x-bytecode.python"
        if head[2:4] == b"\r\n" and head[1] in (0xC, 0xD, 0xE, 0xF, 0xF2, 0xF3)
        else None
    )


def _dos(head: bytes) -> str:
    """MZ: the field at 0x3c points to the header of what it really is (PE Format, section "MS-DOS Stub")."""
    at = int.from_bytes(head[0x3C:0x40], "little")
    return PE if head[at : at + 4] == b"PE\0\0" else "application/x-dosexec"


def _odd_dos(head: bytes) -> str | None:
    """MZ, or ZM, which DOS ran as well, before an unusual header."""
    return _dos(head) if head[:2] in (b"MZ", b"ZM") else None


def _elf(head: bytes) -> str:
    kind = head[17:18] if head[5:6] == b"\2" else head[16:17]  # EI_DATA says where e_type has its low byte
    return _ELF_KINDS.get(kind, "application/x-elf")


def _cafebabe(head: bytes) -> str:
    """Java's class files and Mach-O's fat files share their mark; a class file's version is 45 or more."""
    return "application/x-java-applet" if int.from_bytes(head[4:8], "big") >= 45 else "application/x-mach-binary"


def _riff(head: bytes) -> str:
    return RIFF.get(head[8:12], "application/x-riff")


def _shortcut(head: bytes) -> str | None:
    """MS-SHLLINK, section 2.1: HeaderSize, then LinkCLSID."""
    return "application/x-ms-shortcut" if head.startswith(b"\x01\x14\x02\0\0\0\0\0\xc0\0\0\0\0\0\0F", 4) else None


def _icon(head: bytes) -> str | None:
    """ICONDIR: a count, then entries of 16 bytes, whose fourth byte is zero."""
    count = int.from_bytes(head[4:6], "little")
    if not 0 < count < 256 or len(head) < 22 or head[9]:
        return None
    return "image/vnd.microsoft.icon" if head[2] == 1 else "image/x-win-bitmap"


def _ebml(head: bytes) -> str:
    return "video/webm" if head.find(b"webm", 0, 64) >= 0 else "video/x-matroska"


def _bitmap(head: bytes) -> str | None:
    """BITMAPFILEHEADER, then a header whose size is one of those that exist."""
    known = int.from_bytes(head[14:18], "little") in (12, 40, 52, 56, 64, 108, 124)
    return "image/bmp" if known and head[1:2] == b"M" else None


def _transport_stream(head: bytes) -> str | None:
    """ISO/IEC 13818-1, section 2.4.3.2: packets of 188 bytes that begin with 0x47."""
    return "video/MP2T" if len(head) > 376 and head[188] == head[376] == 0x47 else None


def _der(head: bytes) -> str | None:
    """An X.509 certificate or a PKCS #7 message: SEQUENCE with a two-byte length, then what tells them apart."""
    if head[1:2] != b"\x82" and head[1:2] != b"\x80":
        return None
    if head.startswith(b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07", 2 if head[1] == 0x80 else 4):
        return "application/pkcs7-mime"
    return "application/pkix-cert" if head[4:6] == b"\x30\x82" and head[8:10] == b"\xa0\x03" else None


def _zip(head: bytes) -> str:
    """The kind of a zip file, by the names of the members whose local headers lie in `head`."""
    first, *others = _zip_names(head)
    if first == b"mimetype":
        return _declared_in_zip(head)
    if first.startswith(_OPEN_XML_STARTS) or first.startswith((b"word/", b"xl/", b"ppt/")):
        folders = (_DOCUMENT_FOLDERS.get(name.split(b"/", 1)[0]) for name in (first, *others))
        return next((kind for kind in folders if kind), None) or _by_mention(head)
    if any(name.startswith(_APK_NAMES) for name in (first, *others)):
        return _APK
    return _JAR if first.startswith(b"META-INF/") else ZIP


def _zip_names(head: bytes) -> list[bytes]:
    """Names in the local file headers (APPNOTE.TXT, section 4.3.7), as far as sizes or the next mark lead on."""
    names: list[bytes] = []
    at = 0
    while len(names) < 16 and head.startswith(b"PK\3\4", at):
        name_length = int.from_bytes(head[at + 26 : at + 28], "little")
        body = at + 30 + name_length + int.from_bytes(head[at + 28 : at + 30], "little")
        names.append(head[at + 30 : at + 30 + name_length])
        packed = int.from_bytes(head[at + 18 : at + 22], "little")
        streamed = head[at + 6 : at + 7] and head[at + 6] & 8 and not packed
        at = head.find(b"PK\3\4", body) if streamed else body + packed
        if at < 0:
            break
    return names or [b""]


def _declared_in_zip(head: bytes) -> str:
    """OpenDocument and EPUB store their type, uncompressed, as the first member `mimetype`."""
    kind = head[38 : 38 + int.from_bytes(head[18:22], "little")].strip().decode("latin-1")
    return kind if kind in DECLARED_IN_ZIP else ZIP


def _by_mention(head: bytes) -> str:
    """Office Open XML whose telling folder is not among the headers in sight."""
    for folder, kind in _DOCUMENT_FOLDERS.items():
        if folder + b"/" in head:
            return kind
    return _OPEN_XML


_FOUR: dict[bytes, str | Ask] = {
    **FOUR,
    b"PK\3\4": _zip,
    b"PK\5\6": ZIP,  # no member at all
    b"PK\7\x08": ZIP,  # the mark of a split archive (APPNOTE.TXT, section 8.5.4)
    b"\x7fELF": _elf,
    b"\xca\xfe\xba\xbe": _cafebabe,
    b"RIFF": _riff,
    b"\x1a\x45\xdf\xa3": _ebml,
    b"L\0\0\0": _shortcut,
    b"\0\0\1\0": _icon,
    b"\0\0\2\0": _icon,
    b"MZ\x90\0": _dos,
    **dict.fromkeys((b"<!do", b"<!DO", b"<!Do", b"<htm", b"<HTM"), text_type),  # whatever bytes a browser meets later
    **{b"\x1f\x8b\x08" + bytes((flags,)): "application/gzip" for flags in range(256)},
}

_STRUCTURES: dict[bytes, Ask] = {  # by first byte
    b"M": _odd_dos,
    b"Z": _odd_dos,
    b"B": _bitmap,
    b"G": _transport_stream,
    b"\x30": _der,
}

_BY_FIRST: dict[bytes, tuple[tuple[bytes, str], ...]] = {}
for _prefix, _kind in PREFIXES:
    _BY_FIRST[_prefix[:1]] = (*_BY_FIRST.get(_prefix[:1], ()), (_prefix, _kind))
