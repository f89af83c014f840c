import pytest
from hypothesis import given
from hypothesis import strategies as st
from session import bytewise, origin, run, whole

from reassembly.events import ORIG, RESP
from reassembly.protocols import Answer, speakers
from reassembly.protocols.services import SERVICES, Silent

FIRST_WORDS = [
    ("smb", b"\0\0\0\x90\xffSMBr\0\0\0\0\x18\x53\xc8", b""),
    ("smb", b"\0\0\0\x90\xfeSMB\x40\0\0\0\0\0\0\0", b""),
    ("smb", b"\x81\0\0\x44 CKFDENECFDEFFCFGEFFCCACACACACACA\0 ", b""),
    ("http2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\x12\x04", b""),
    ("rdp", b"\x03\0\0\x13\x0e\xe0\0\0\0\0\0\x01\0\x08\0\x03\0\0\0", b""),
    ("vnc", b"", b"RFB 003.008\n"),
    ("mysql", b"", b"\x4a\0\0\0\n8.0.36\0\x08\0\0\0abcdefgh\0"),
    ("postgresql", b"\0\0\0\x29\0\x03\0\0user\0me\0database\0db\0\0", b""),
    ("postgresql", b"\0\0\0\x08\x04\xd2\x16\x2f", b"S"),
    ("redis", b"*1\r\n$4\r\nPING\r\n", b"+PONG\r\n"),
    ("mongodb", b"\x3a\0\0\0\x01\0\0\0\0\0\0\0\xd4\x07\0\0\0\0\0\0", b""),
    ("irc", b"NICK me\r\nUSER me 0 * :Me\r\n", b""),
    ("nntp", b"CAPABILITIES\r\n", b"200 news\r\n"),
    ("telnet", b"", b"\xff\xfd\x18\xff\xfd\x20\xff\xfd\x23"),
    ("dns", b"\0\x1c\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x03www\x07example\0\0\x01\0\x01", b""),
    ("rtmp", b"\x03\0\0\0\x01\0\0\0\0" + bytes(range(1, 60)), b""),
    ("rtsp", b"OPTIONS rtsp://example.org/a RTSP/1.0\r\n", b""),
    ("sip", b"REGISTER sip:example.org SIP/2.0\r\n", b""),
    ("bittorrent", b"\x13BitTorrent protocol" + bytes(8), b""),
    ("mqtt", b"\x10\x10\0\x04MQTT\x04\x02\0\x3c\0\x04abcd", b""),
    ("amqp", b"AMQP\0\0\x09\x01", b""),
    ("ldap", b"\x30\x0c\x02\x01\x01\x60\x07\x02\x01\x03\x04\0\x80\0", b""),
    ("kerberos", b"\0\0\0\xb0\x6a\x81\xad\x30\x81\xaa\xa1\x03\x02\x01\x05\xa2\x03\x02\x01\x0a", b""),
    ("sunrpc", b"\x80\0\0\x28\x12\x34\x56\x78\0\0\0\0\0\0\0\x02\0\x01\x86\xa3\0\0\0\x03", b""),
    ("dcerpc", b"\x05\0\x0b\x03\x10\0\0\0\x48\0\0\0\x01\0\0\0", b""),
    ("xmpp", b"<?xml version='1.0'?><stream:stream to='example.org'>", b""),
    ("rsync", b"@RSYNCD: 31.0\n", b"@RSYNCD: 31.0\n"),
    ("git", b"0033git-upload-pack /project.git\0host=example.org\0", b""),
    ("modbus", b"\0\x01\0\0\0\x06\x01\x03\0\0\0\x0a", b"\0\x01\0\0\0\x17\x01\x03\x14"),
    ("tds", b"\x12\x01\0\x2f\0\0\x01\0\0\0\x1a\0\x06\x01", b""),
    ("x11", b"l\0\x0b\0\0\0\0\0\0\0\0\0", b""),
]
FIRST_DATAGRAMS = [
    ("dns", b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x03www\x07example\0\0\x01\0\x01"),
    ("dhcp", b"\x01\x01\x06\0" + bytes(232) + b"\x63\x82\x53\x63\x35"),
    ("ntp", b"\x23" + bytes(47)),
    ("snmp", b"\x30\x26\x02\x01\x01\x04\x06public\xa0\x19"),
    ("ssdp", b"M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\n"),
    ("sip", b"OPTIONS sip:example.org SIP/2.0\r\n"),
    ("stun", b"\0\x01\0\0\x21\x12\xa4\x42" + bytes(12)),
    ("wireguard", b"\x01\0\0\0" + bytes(144)),
    ("syslog", b"<34>Oct 11 22:14:15 host su: hello"),
    ("bittorrent", b"d1:ad2:id20:abcdefghij0123456789e"),
    ("tftp", b"\0\x01boot.img\0octet\0"),
    ("radius", b"\x01\x05\0\x38" + bytes(range(16)) + b"\x01\x06me"),
]


def first(orig, resp, transport="tcp"):
    """The first speaker of the table that says yes, as the flow table asks."""
    for speaker in speakers(transport):
        if speaker.probe(orig, resp) is Answer.YES:
            return speaker.NAME
    return None


@pytest.mark.parametrize(("name", "orig", "resp"), FIRST_WORDS)
def test_recognised_among_all(name, orig, resp):
    assert first(orig, resp) == name


@pytest.mark.parametrize(("name", "wire"), FIRST_DATAGRAMS)
def test_datagrams_recognised_among_all(name, wire):
    assert first(wire, b"", "udp") == name


def test_every_service_has_a_sample():
    samples = {(name, "tcp") for name, *_ in FIRST_WORDS} | {(name, "udp") for name, _ in FIRST_DATAGRAMS}
    assert samples == {(service.NAME, service.TRANSPORT) for service in SERVICES}


@pytest.mark.parametrize(("name", "orig", "resp"), FIRST_WORDS)
def test_nobody_else_recognises_it(name, orig, resp):
    claims = {
        service.NAME for service in SERVICES if service.TRANSPORT == "tcp" and service.probe(orig, resp) is Answer.YES
    }
    assert claims == {name}


@pytest.mark.parametrize(
    "wire",
    [
        b"GET / HTTP/1.1\r\nHost: a\r\n",
        b"220 mx ESMTP\r\n",
        b"EHLO pc.example.org\r\n",
        b"\x16\x03\x01\0\xa5\x01\0\0\xa1\x03\x03" + bytes(40),
    ],
)
def test_what_is_read_elsewhere_is_none_of_them(wire):
    assert not [service for service in SERVICES if Answer.YES in (service.probe(wire, b""), service.probe(b"", wire))]


@given(st.binary(max_size=80), st.binary(max_size=80))
def test_anything_is_survived(orig, resp):
    for service in SERVICES:
        assert service.probe(orig, resp) in Answer


@given(st.binary(min_size=16, max_size=80).filter(lambda raw: raw[0] > 127))
def test_random_bytes_are_rarely_claimed(wire):
    assert first(b"\xee" + wire, b"\xee" + wire) is None


def test_the_parser_is_silent():
    session = [(ORIG, b"a"), (RESP, b"b")]
    assert run(Silent(origin()), whole(session)) == run(Silent(origin()), bytewise(session)) == []
