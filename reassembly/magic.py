"""The magic numbers that `reassembly.filetype` looks up: plain tables, no code.

Sources: the formats' own specifications where they are public, IANA's media type registry for the names, and the names
that libmagic uses where IANA has none.
"""

from __future__ import annotations

PE = "application/vnd.microsoft.portable-executable"
TIFF, MACHO, SWF = "image/tiff", "application/x-mach-binary", "application/x-shockwave-flash"
PCAP, PCAPNG = "application/vnd.tcpdump.pcap", "application/x-pcapng"
ZIP, ZSTD, GZIP, LZ4 = "application/zip", "application/zstd", "application/gzip", "application/x-lz4"

# The first four bytes decide.
FOUR: dict[bytes, str] = {
    b"\xff\xd8\xff\xe0": "image/jpeg",
    b"\xff\xd8\xff\xe1": "image/jpeg",
    b"\xff\xd8\xff\xe2": "image/jpeg",
    b"\xff\xd8\xff\xdb": "image/jpeg",
    b"\xff\xd8\xff\xee": "image/jpeg",
    b"\x89PNG": "image/png",
    b"GIF8": "image/gif",
    b"II*\0": TIFF,
    b"MM\0*": TIFF,
    b"II+\0": TIFF,
    b"MM\0+": TIFF,
    b"8BPS": "image/vnd.adobe.photoshop",
    b"\xd7\xcd\xc6\x9a": "image/wmf",
    b"qoif": "image/x-qoi",
    b"icns": "image/x-icns",
    b"%PDF": "application/pdf",
    b"{\\rt": "text/rtf",  # Word opens it whatever follows
    b"\x28\xb5\x2f\xfd": ZSTD,
    b"\x04\x22\x4d\x18": LZ4,
    b"\x02\x21\x4c\x18": LZ4,
    b"LZIP": "application/x-lzip",
    b"MSCF": "application/vnd.ms-cab-compressed",
    b"ISc(": "application/x-installshield",
    b"xar!": "application/x-xar",
    b"\xed\xab\xee\xdb": "application/x-rpm",
    b"Cr24": "application/x-chrome-extension",
    b"hsqs": "application/x-squashfs",
    b"ITSF": "application/vnd.ms-htmlhelp",
    b"\x3f\x5f\x03\0": "application/winhlp",
    b"\x78\x9f\x3e\x22": "application/ms-tnef",
    b"!BDN": "application/vnd.ms-outlook",
    b"regf": "application/x-ms-registry",
    b"MDMP": "application/x-dmp",
    b"FWS\x03": SWF,
    b"\xd4\xc3\xb2\xa1": PCAP,
    b"\xa1\xb2\xc3\xd4": PCAP,
    b"\x4d\x3c\xb2\xa1": PCAP,
    b"\xa1\xb2\x3c\x4d": PCAP,
    b"\x0a\x0d\x0d\x0a": PCAPNG,
    b"\0asm": "application/wasm",
    b"dex\n": "application/x-dex",
    b"dey\n": "application/x-dex",
    b"\x1bLua": "application/x-lua-bytecode",
    b"\xac\xed\0\x05": "application/x-java-serialized-object",
    b"\xfe\xed\xfe\xed": "application/x-java-keystore",
    b"\xca\xfe\xd0\x0d": "application/x-java-pack200",
    b"BC\xc0\xde": "application/x-llvm-bitcode",
    b"\xfe\xed\xfa\xce": MACHO,
    b"\xfe\xed\xfa\xcf": MACHO,
    b"\xce\xfa\xed\xfe": MACHO,
    b"\xcf\xfa\xed\xfe": MACHO,
    b"OggS": "application/ogg",
    b"fLaC": "audio/flac",
    b"ID3\x02": "audio/mpeg",
    b"ID3\x03": "audio/mpeg",
    b"ID3\x04": "audio/mpeg",
    b"MThd": "audio/midi",
    b"#!AM": "audio/AMR",
    b"FLV\x01": "video/x-flv",
    b"\0\0\1\xba": "video/mpeg",
    b"\0\0\1\xb3": "video/mpeg",
    b"\x30\x26\xb2\x75": "video/x-ms-asf",
    b"wOFF": "font/woff",
    b"wOF2": "font/woff2",
    b"OTTO": "application/vnd.ms-opentype",
    b"ttcf": "font/collection",
    b"KDMV": "application/x-vmdk",
    b"QFI\xfb": "application/x-qemu-disk",
    b"\x03\xd9\xa2\x9a": "application/x-keepass2",
    b"\xde\x12\x04\x95": "application/x-gettext-translation",
    b"\x95\x04\x12\xde": "application/x-gettext-translation",
}  # fmt: skip

# More than four bytes are needed, or fewer than four are there; tried in this order among those of the first byte.
PREFIXES: tuple[tuple[bytes, str], ...] = (
    (b"\x1f\x8b", GZIP),
    (b"\x1f\x9d", "application/x-compress"),
    (b"\x1f\xa0", "application/x-compress"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\xfd7zXZ\0", "application/x-xz"),
    (b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (b"Rar!\x1a\x07", "application/vnd.rar"),
    (b"\x60\xea", "application/x-arj"),
    (b"!<arch>\ndebian-binary", "application/vnd.debian.binary-package"),
    (b"!<arch>\n", "application/x-archive"),
    (b"070701", "application/x-cpio"),
    (b"070702", "application/x-cpio"),
    (b"070707", "application/x-cpio"),
    (b"\xc7\x71", "application/x-cpio"),
    (b"MSWIM\0\0\0", "application/x-ms-wim"),
    (b"vhdxfile", "application/x-vhdx"),
    (b"conectix", "application/x-vhd"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "application/x-ole-storage"),
    (b"\xe4\x52\x5c\x7b\x8c\xd8\xa7\x4d\xae\xb1\x53\x78\xd0\x29\x96\xd3", "application/onenote"),
    (b"\0\1\0\0Standard Jet DB\0", "application/x-msaccess"),
    (b"\0\1\0\0Standard ACE DB\0", "application/x-msaccess"),
    (b"\0\1\0\0\0", "font/sfnt"),
    (b"SQLite format 3\0", "application/vnd.sqlite3"),
    (b"ElfFile\0", "application/x-ms-evtx"),
    (b"FWS", SWF),
    (b"CWS", SWF),
    (b"ZWS", SWF),
    (b"DDS \x7c\0\0\0", "image/vnd-ms.dds"),
    (b"AT&TFORM", "image/vnd.djvu"),
    (b"PAGEDU", "application/x-ms-crash-dump"),
    (b"true\0", "font/sfnt"),
    *((b"BZh%d1AY&SY" % level, "application/x-bzip2") for level in range(1, 10)),
    *((b"BZh%d\x17\x72\x45\x38\x50\x90" % level, "application/x-bzip2") for level in range(1, 10)),  # of nothing
    (b"FORM\0", "audio/x-aiff"),
    (b"%!PS", "application/postscript"),
    (b"\xc5\xd0\xd3\xc6", "image/x-eps"),
    (b"gimp xcf", "image/x-xcf"),
    (b"\xff\x0a", "image/jxl"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "image/jxl"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "image/jp2"),
    (b"\xff\x4f\xff\x51", "image/x-jp2-codestream"),
    (b"\xff\xfb", "audio/mpeg"),
    (b"\xff\xfa", "audio/mpeg"),
    (b"\xff\xf3", "audio/mpeg"),
    (b"\xff\xf2", "audio/mpeg"),
    (b"\xff\xf1", "audio/aac"),
    (b"\xff\xf9", "audio/aac"),
    (b"d8:announce", "application/x-bittorrent"),
    (b"d7:comment", "application/x-bittorrent"),
    (b"d13:announce-list", "application/x-bittorrent"),
    (b"\x01\x00\x02\x00\x0e\x00", "application/x-ms-thumbcache"),
    (b"\x23\x40\x7e\x5e", "text/x-encoded-script"),  # Microsoft Script Encoder: JScript.Encode, VBScript.Encode
    (b"-----BEGIN PGP MESSAGE", "application/pgp-encrypted"),
    (b"-----BEGIN PGP SIGNATURE", "application/pgp-signature"),
    (b"-----BEGIN PGP ", "application/pgp-keys"),
    (b"-----BEGIN CERTIFICATE", "application/x-pem-file"),
)

# Marks that stand elsewhere, in bytes that are no text: offset, mark, type.
INSIDE: tuple[tuple[int, bytes, str], ...] = (
    (257, b"ustar", "application/x-tar"),
    (7, b"**ACE**", "application/x-ace-compressed"),
    (2, b"-lh", "application/x-lzh-compressed"),
    (2, b"-lz", "application/x-lzh-compressed"),
    (40, b" EMF", "image/emf"),
    (8, b"\1\0\2\0", "application/vnd.ms-fontobject"),
    (8, b"\2\0\2\0", "application/vnd.ms-fontobject"),
    (4, b"SCCA", "application/x-ms-prefetch"),
    (4, b"moov", "video/quicktime"),
    (4, b"mdat", "video/quicktime"),
)

# The major brand of an ISO base media file (ISO/IEC 14496-12, section 4.3); any other is taken for MP4.
BRANDS: dict[bytes, str] = {
    b"avif": "image/avif",
    b"avis": "image/avif",
    b"heic": "image/heic",
    b"heix": "image/heic",
    b"hevc": "image/heic",
    b"mif1": "image/heif",
    b"msf1": "image/heif",
    b"crx ": "image/x-canon-cr3",
    b"qt  ": "video/quicktime",
    b"M4A ": "audio/x-m4a",
    b"M4B ": "audio/x-m4a",
    b"M4V ": "video/x-m4v",
    b"3gp4": "video/3gpp",
    b"3gp5": "video/3gpp",
    b"3gp6": "video/3gpp",
    b"3g2a": "video/3gpp2",
}

# The form of a RIFF file.
RIFF: dict[bytes, str] = {
    b"WAVE": "audio/x-wav",
    b"AVI ": "video/x-msvideo",
    b"WEBP": "image/webp",
    b"ACON": "application/x-navi-animation",
    b"RMID": "audio/midi",
    b"CDXA": "video/mpeg",
}

# The interpreter of a script's first line.
INTERPRETERS: dict[bytes, str] = {
    b"sh": "text/x-shellscript",
    b"bash": "text/x-shellscript",
    b"dash": "text/x-shellscript",
    b"ash": "text/x-shellscript",
    b"ksh": "text/x-shellscript",
    b"zsh": "text/x-shellscript",
    b"csh": "text/x-shellscript",
    b"tcsh": "text/x-shellscript",
    b"busybox": "text/x-shellscript",
    b"python": "text/x-script.python",
    b"perl": "text/x-perl",
    b"php": "text/x-php",
    b"ruby": "text/x-ruby",
    b"lua": "text/x-lua",
    b"node": "application/javascript",
    b"nodejs": "application/javascript",
    b"osascript": "text/x-applescript",
    b"pwsh": "text/x-powershell",
    b"powershell": "text/x-powershell",
    b"awk": "text/x-awk",
    b"gawk": "text/x-awk",
    b"tclsh": "text/x-tcl",
    b"wish": "text/x-tcl",
}

# What the first member of a zip file may declare it to be; nothing else is believed.
DECLARED_IN_ZIP: frozenset[str] = frozenset(
    (
        "application/epub+zip",
        "application/vnd.etsi.asic-e+zip",
        "application/vnd.etsi.asic-s+zip",
        *(
            "application/vnd.oasis.opendocument." + kind + template
            for kind in ("text", "spreadsheet", "presentation", "graphics", "chart", "formula", "image", "database")
            for template in ("", "-template")
        ),
        "application/vnd.oasis.opendocument.text-master",
        "application/vnd.oasis.opendocument.text-web",
        "application/vnd.sun.xml.calc",
        "application/vnd.sun.xml.draw",
        "application/vnd.sun.xml.impress",
        "application/vnd.sun.xml.writer",
    )
)
