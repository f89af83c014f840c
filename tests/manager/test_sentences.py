import pytest
from nouns import an_object, said

from manager.sentences import advice, count, listed, sentence

HIT = said("clamav", "malicious", "Eicar")


def of(target, *verdicts, recipients=("b@example.net",), objects=1):
    return sentence(target, HIT, verdicts or (HIT,), "a@example.org", recipients, objects)


def test_a_mail_with_an_attachment():
    target = an_object(
        kind="email_part", protocol="smtp", direction=0, name="bill.zip", facts={"email.subject": "Your bill"}
    )
    assert of(target, HIT, said("yara", "malicious"), said("x", "clean")) == (
        "a@example.org sent an e-mail with bill.zip to b@example.net, subject “Your bill”: malicious (Eicar, "
        "clamav and yara; 2 of 3 engines). Remove it from the mailboxes and look at what else 192.0.2.10 sent."
    )


def test_a_download():
    target = an_object(name="setup.exe", facts={"url.full": "http://x.example/setup.exe"})
    assert of(target) == (
        "a@example.org sent the file setup.exe to b@example.net, http://x.example/setup.exe: malicious (Eicar, "
        "clamav; 1 of 1 engine). Check 192.0.2.10, which received it."
    )


def test_an_upload_points_at_both_ends():
    assert (
        advice(an_object(direction=0), "malicious")
        == "Check 192.0.2.10, which had it, and remove it from 198.51.100.80."
    )


def test_what_was_not_seen_is_said():
    assert "may hold more" in advice(an_object(cut="gap"), "malicious")
    assert "may hold more" not in advice(an_object(), "malicious")


def test_a_suspicion_is_no_order():
    assert advice(an_object(), "suspicious") == "Have a closer look at it before somebody opens it."


def test_a_nameless_member_and_a_nameless_engine_hit():
    text = sentence(
        an_object(kind="member", protocol="ftp-data"), said("e", "malicious"), (said("e", "malicious"),), "a", ("b",), 3
    )
    assert text.startswith("a sent an archive with a nameless part to b over ftp-data: malicious (e; 1 of 1 engine).")
    assert "3 objects" in text


def test_hostile_names_stay_on_their_line():
    text = of(an_object(name="\x1b[2J\n\u202egpj.exe" + "x" * 500))
    assert text.isprintable()
    assert len(text) < 400


def test_many_recipients_are_counted():
    assert "r4 and 95 more" in of(an_object(), recipients=[f"r{number}" for number in range(100)])


@pytest.mark.parametrize(
    ("names", "text"), [([], "nobody"), (["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")]
)
def test_listed(names, text):
    assert listed(names) == text


def test_count():
    assert [count(1, "engine"), count(0, "engine"), count(12_000, "object")] == [
        "1 engine",
        "0 engines",
        "12,000 objects",
    ]
