from __future__ import annotations

import email.message
import zipfile
from dataclasses import replace
from io import BytesIO

import pytest
from samples import object_of

from reassembly.builder import Memory
from reassembly.filetype import mime_type
from reassembly.limits import Limits
from reassembly.unpack import members


def mail(attachment=b"attached bytes"):
    message = email.message.EmailMessage()
    message["From"], message["To"], message["Subject"] = "a@example.com", "b@example.com", "a file"
    message.set_content("see the attachment")
    message.add_attachment(attachment, maintype="application", subtype="octet-stream", filename="a.bin")
    return message.as_bytes(policy=email.policy.SMTP)


def opened(payload, **more):
    whole = object_of(payload, mime_type=mime_type(payload), **more)
    return list(members(whole, Memory(Limits())))


def test_a_downloaded_mail_gives_its_parts():
    parts = opened(mail(), name="saved.eml")
    assert [(one.name, one.content.memory) for one in parts if one.name] == [("a.bin", b"attached bytes")]
    assert all(one.kind == "email_part" and one.parent and one.depth == 1 for one in parts)


def test_what_is_attached_is_opened_as_well():
    archive = BytesIO()
    with zipfile.ZipFile(archive, "w") as made:
        made.writestr("inside.txt", "deep")
    assert b"deep" in [one.content.memory for one in opened(mail(archive.getvalue()))]


@pytest.mark.parametrize("kind", ["email", "email_part"])
def test_mails_of_mail_protocols_are_not_taken_apart_again(kind):
    assert opened(mail(), kind=kind) == []


def test_its_parts_count_against_the_limits():
    whole = object_of(mail(), mime_type="message/rfc822")
    memory = Memory(replace(Limits(), unpack_depth=1))
    assert len(list(members(whole, memory))) == 2
