"""Names of attachments, in all the ways in which they are written."""

from email.message import EmailMessage
from email.policy import SMTP

import pytest
from mailing import mail, part, parts

DISPOSITION = {
    "attachment; filename=file.zip": "file.zip",
    'attachment; filename="file.zip"': "file.zip",
    'attachment; filename="a b; c.zip"': "a b; c.zip",
    "attachment; filename=file\\;.zip": "file;.zip",
    'attachment; filename=file\\".zip': 'file".zip',
    'attachment; filename="file".zip': "file.zip",
    "attachment; filename='file.zip'": "file.zip",
    "attachment;\r\n filename=file.zip": "file.zip",
    "attachment;\r\n \r\n filename=file.zip": "file.zip",
    "attachment; filename=\r\n file.zip": "file.zip",
    "attachment; filename =file.zip": "file.zip",
    "attachment; filename=file.zip(.gif)": "file.zip",
    "attachment; filename=file.z(.gif)ip": "file.zip",
    "attachment; filena()me=file.zip": "file.zip",
    "attachment; filename*=utf-8''file%2Ezip": "file.zip",
    "attachment; filename*=UTF-16''f%00i%00l%00e%00.%00z%00i%00p%00": "file.zip",
    "attachment; filename*0=file; filename*1=.zip": "file.zip",
    "attachment; filename*1=.zip; filename*0=file": "file.zip",
    "attachment; filename*0=zip; filename*1=file.": "zipfile.",
    "attachment; filename*2=zip; filename*1=file.": "file.zip",
    "attachment; filename*0*=''file; filename*1*=%2Ezip": "file.zip",
    "attachment; filename=file.png; filename*=''file.zip": "file.zip",
    "attachment; filename*=''file.zip; filename=file.png": "file.zip",
    "attachment; filename=file.zip; filename*=''file.png": "file.zip",  # what can do harm
    "attachment; filename=file.zip; filename=file.png": "file.zip",
    "attachment; filename=file.png; filename=file.zip": "file.zip",
    "attachment; filename=one.exe; filename=two.zip": "one.exe",
    'attachment; filename="=?utf-8?q?file=2Ezip?="': "file.zip",
    'attachment; filename="=?utf-16?B?AGYAaQBsAGUALgB6AGkAcA==?="': "file.zip",
    "attachment; name=file.zip": "file.zip",
    'attachment; filename="C:\\dir\\file.zip"': "file.zip",
    "attachment; filename=../../file.zip": "file.zip",
    'attachment; filename="fi\tle.zip"': "file.zip",
    "attachment; filename=file.zip\r\nContent-Disposition: attachment; filename=file.png": "file.zip",
    "attachment; filename=file.png\r\nContent-Disposition: attachment; filename=file.zip": "file.zip",
    "attachment; filename*0=file.\r\nContent-Disposition: attachment; filename*1=zip": "file.zip",
    "attachment; filename*0=file.\r\nContent-Type: a/b; filename*1=zip": "file.zip",
    "attachment; filename=file.zip\r\nContent-Type: a/b; name=file.png": "file.zip",
    "attachment; filename=file.png\r\nContent-Type: a/b; name=file.zip": "file.zip",
    "attachment\r\nContent-Type: a/b; name=file.zip": "file.zip",
    "attachment; filename=": None,
    "attachment": None,
    "": None,
}


@pytest.mark.parametrize("value", DISPOSITION)
def test_the_name_is_found(value):
    one, *_ = parts(mail(part(f"Content-Disposition: {value}", body=b"x")))
    assert one.name == DISPOSITION[value]


@pytest.mark.parametrize("name", ["file.zip", "Grüße.pdf", "a", "x" * 255, "файл.exe", "a.b.c", "a(b).zip", "a,b.zip"])
def test_names_as_the_standard_library_writes_them(name):
    message = EmailMessage(policy=SMTP)
    message.set_content("x")
    message.add_attachment(b"data", "application", "zip", filename=name)
    assert name in [one.name for one in parts(message.as_bytes())]


def test_other_readings_of_a_name_are_told():
    (one,) = parts(mail(part("Content-Disposition: attachment; filename=a.png; filename=b.exe", body=b"x")))
    assert one.name == "b.exe"
    assert one.facts["tapscan.mime.names"] == ["b.exe", "a.png"]
    (one,) = parts(mail(part('Content-Disposition: attachment; filename="a.exe"', body=b"x")))
    assert "tapscan.mime.names" not in one.facts


def test_a_name_is_not_longer_than_its_limit():
    (one,) = parts(mail(part(f"Content-Disposition: attachment; filename={'x' * 9000}.zip", body=b"x")))
    assert len(one.name) == 1024
