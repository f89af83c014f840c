"""What a message says of itself."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reassembly.mime.facts import addresses, facts_of
from reassembly.mime.headers import fields_of

ADDRESSES = {
    b"a@b.c": ["a@b.c"],
    b"<a@b.c>": ["a@b.c"],
    b"Name <a@b.c>": ["a@b.c"],
    b'"Last, First" <a@b.c>, d@e.f': ["a@b.c", "d@e.f"],
    b"a@b.c (a comment, here)": ["a@b.c"],
    b"group: a@b.c, d@e.f;": ["a@b.c", "d@e.f"],
    b"=?utf-8?q?N=C3=A4me?= <a@b.c>": ["a@b.c"],
    b'"x@y.z" <a@b.c>': ["a@b.c"],
    b"me": ["me"],
    b"": [],
    b",,": [],
    "ä@b.c".encode(): ["ä@b.c"],
    b"a@b.c, a@b.c": ["a@b.c"],
    b"<a@b.c> <d@e.f>": ["a@b.c", "d@e.f"],
}


@pytest.mark.parametrize("value", ADDRESSES)
def test_addresses(value):
    assert addresses([value]) == ADDRESSES[value]


def test_all_fields():
    block = b"""From: A <a@x.y>
Sender: s@x.y
To: b@x.y,
 c@x.y
Cc: d@x.y
Bcc: e@x.y
Reply-To: r@x.y
Subject: =?utf-8?b?w6Q=?= and
 more
Date: Thu, 29 Feb 2024 12:00:00 -0500
Message-ID: <1@x.y>
X-Mailer: mailer 1
Content-Type: Multipart/Mixed; boundary=x
"""
    assert facts_of(fields_of(block)) == {
        "email.from.address": ["a@x.y"],
        "email.sender.address": "s@x.y",
        "email.to.address": ["b@x.y", "c@x.y"],
        "email.cc.address": ["d@x.y"],
        "email.bcc.address": ["e@x.y"],
        "email.reply_to.address": ["r@x.y"],
        "email.subject": "ä and more",
        "email.origination_timestamp": "2024-02-29T17:00:00Z",
        "email.message_id": "1@x.y",
        "email.x_mailer": "mailer 1",
        "email.content_type": "multipart/mixed",
    }


@pytest.mark.parametrize(
    "date", [b"", b"yesterday", b"99 Foo 99999 99:99", b"\xff", b"Thu, 1 Jan 99999 00:00:00", b"0" * 999]
)
def test_dates_that_are_none(date):
    assert facts_of(fields_of(b"Date: " + date)) == {}


def test_a_date_without_a_zone_is_universal_time():
    facts = facts_of(fields_of(b"Date: 29 Feb 2024 12:00:00"))
    assert facts == {"email.origination_timestamp": "2024-02-29T12:00:00Z"}


def test_there_are_bounds():
    assert len(addresses([b",".join(b"a%d@b.c" % n for n in range(5000))])) == 1000
    assert len(facts_of(fields_of(b"Subject: " + b"x" * 9000))["email.subject"]) == 4096


@given(st.binary(max_size=200))
def test_nothing_raises(value):
    line = value.replace(b"\r", b"").replace(b"\n", b"")
    names = (b"From", b"To", b"Subject", b"Date", b"Message-ID", b"Content-Type")
    facts = facts_of(fields_of(b"".join(name + b": " + line + b"\r\n" for name in names)))
    assert all(facts.values())
