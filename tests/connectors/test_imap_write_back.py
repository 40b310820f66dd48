"""What only IMAP can do wrong when it shows staff what became of a mail: keywords, rights, UIDs, and who expunges what."""

from __future__ import annotations

import re

import pytest
from imapclient import ANSWERED, DELETED, DRAFT, SEEN  # type: ignore[import-untyped]

from connectors import open_mailbox
from connectors.base import Mark
from connectors.errors import Permanent, Transient
from connectors.imap.folders import KEYWORDS
from tests import imap_relay, servers
from tests.connectors.on_imap import mail, mailbox, over
from tests.imap_relay import Relay

DRAFT_ID = b"<draft@solkommun.example>"
OURS = b"Date: Mon, 23 Nov 2026 10:00:00 +0100\r\nMessage-ID: " + DRAFT_ID + b"\r\nSubject: SV\r\n\r\nHej!\r\n"
THEIRS = OURS.replace(b"Hej!", b"Hej, jag ringer i morgon.")


def delivered(server: servers.Dovecot, count: int = 1) -> list[str]:
    for number in range(1, count + 1):
        server.deliver(mail(number))
    return [mail.remote_id for mail in mailbox(server).fetch_since({})]


def flags(server: servers.Dovecot, folder: str = "INBOX") -> list[set[bytes]]:
    with server.colleague() as program:
        program.select_folder(folder, readonly=True)
        found = program.get_flags(program.search()) if program.search() else {}
        return [set(found[uid]) - {rb"\Recent"} for uid in sorted(found)]


def set_flag(server: servers.Dovecot, flag: bytes, folder: str = "INBOX") -> None:
    with server.colleague() as program:
        program.select_folder(folder)
        program.add_flags(program.search(), [flag])


# ---------------------------------------------------------------- marks


def test_answered_is_shown_the_way_every_mail_program_knows(inbox: servers.Dovecot) -> None:
    (remote_id,) = delivered(inbox)
    mailbox(inbox).mark(remote_id, Mark.ANSWERED)
    assert flags(inbox) == [{ANSWERED, b"KommunpostAnswered"}]
    mailbox(inbox).mark(remote_id, Mark.WAITING)
    assert flags(inbox) == [{b"KommunpostWaiting"}]


def test_an_answer_by_a_colleague_stays_shown(inbox: servers.Dovecot) -> None:
    (remote_id,) = delivered(inbox)
    set_flag(inbox, ANSWERED)
    mailbox(inbox).mark(remote_id, Mark.WAITING)
    mailbox(inbox).mark(remote_id, None)
    assert flags(inbox) == [{ANSWERED}]


def test_a_read_mail_stays_read(inbox: servers.Dovecot) -> None:
    (remote_id,) = delivered(inbox)
    set_flag(inbox, SEEN)
    mailbox(inbox).mark(remote_id, Mark.WAITING)
    assert flags(inbox) == [{SEEN, b"KommunpostWaiting"}]


def test_keywords_may_have_names_of_ones_own(inbox: servers.Dovecot) -> None:
    (remote_id,) = delivered(inbox)
    own = mailbox(inbox, keywords={"waiting": "$label2"})
    own.mark(remote_id, Mark.WAITING)
    assert flags(inbox) == [{b"$label2"}]
    own.mark(remote_id, Mark.TRIAGED)
    assert flags(inbox) == [{b"KommunpostTriaged"}]


@pytest.mark.parametrize(
    "keywords",
    [
        {"waiting": r"\Deleted"},
        {"waiting": "två ord"},
        {"waiting": "x) +FLAGS (y"},
        {"waiting": "a\r\nA1 LOGOUT"},
        {"waiting": ""},
        {"waiting": "kommunpostANSWERED"},
        {"late": "Late"},
    ],
)
def test_a_keyword_that_is_none_is_refused(inbox: servers.Dovecot, keywords: dict[str, str]) -> None:
    options = {"host": inbox.host, "port": 993, "user": "info", "password": "x", "keywords": keywords}
    with pytest.raises(Permanent, match=r"The settings of the imap mailbox are wrong: .*(keyword|waiting|late)"):
        open_mailbox("imap", options)


@pytest.mark.parametrize(
    ("before", "after", "sentence"),
    [
        (
            rb"PERMANENTFLAGS \(.*\)",
            rb"PERMANENTFLAGS (\\Seen \\Answered)",
            "keeps no keywords of ours in the folder INBOX: allow them, or leave mails unmarked",
        ),
        (rb"\[READ-WRITE\]", b"[READ-ONLY]", "The folder INBOX may only be read: give the login the right to write"),
    ],
)
def test_what_keeps_us_from_marking_is_said_in_one_sentence(
    inbox: servers.Dovecot, line: Relay, before: bytes, after: bytes, sentence: str
) -> None:
    (remote_id,) = delivered(inbox)
    line.to_us = lambda said: re.sub(before, after, said)
    spoilt = over(line, inbox)
    with pytest.raises(Permanent, match=sentence):
        spoilt.mark(remote_id, Mark.WAITING)
    (finding,) = [found for found in spoilt.check() if not found.ok and "INBOX" in found.what]
    assert finding.needed_to == "write back"
    assert flags(inbox) == [set()]


def test_a_server_that_says_nothing_of_keywords_keeps_them(inbox: servers.Dovecot, line: Relay) -> None:
    (remote_id,) = delivered(inbox)
    line.to_us = lambda said: b"" if b"PERMANENTFLAGS" in said else said
    assert over(line, inbox).mark(remote_id, Mark.WAITING)
    assert flags(inbox) == [{b"KommunpostWaiting"}]


def test_an_equal_mark_is_not_written_again(inbox: servers.Dovecot, line: Relay) -> None:
    (remote_id,) = delivered(inbox)
    for _ in range(2):
        over(line, inbox).mark(remote_id, Mark.WAITING)
    assert line.commands.count("UID STORE") == 1


@pytest.mark.parametrize(
    "elsewhere",
    [
        "INBOX/{uidvalidity}/999",
        "INBOX/1/{uid}",
        "INBOX/{uidvalidity}.1/{uid}",
        "Annan/{uidvalidity}/{uid}",
        "a.eml",
        "",
    ],
)
def test_a_number_that_may_mean_another_mail_is_not_touched(inbox: servers.Dovecot, elsewhere: str) -> None:
    (remote_id,) = delivered(inbox)
    _, uidvalidity, uid = remote_id.split("/")
    moved_on = elsewhere.format(uidvalidity=uidvalidity, uid=uid)
    with inbox.colleague() as program:
        program.create_folder("Besvarat")
    assert not mailbox(inbox).mark(moved_on, Mark.WAITING)
    assert not mailbox(inbox).move(moved_on, "Besvarat")
    assert flags(inbox) == [set()]


def test_after_a_restored_backup_an_old_number_marks_nothing(inbox: servers.Dovecot) -> None:
    (remote_id,) = delivered(inbox)
    inbox.renumber()
    assert not mailbox(inbox).mark(remote_id, Mark.WAITING)
    assert flags(inbox) == [set()]


# ---------------------------------------------------------------- moving


@pytest.mark.parametrize(
    ("inbox_folder", "name", "target"),
    [
        ("INBOX", "Åtgärdat & klart", "Åtgärdat & klart"),
        ("INBOX", "Arkiv.2026", "Arkiv.2026"),
        ("Miljö.Inkommande", "Besvarat", "Miljö.Besvarat"),
        ("Miljö.Inkommande", "Miljö.Besvarat", "Miljö.Besvarat"),
    ],
)
def test_a_folder_is_looked_for_on_the_level_of_the_inbox(
    inbox: servers.Dovecot, inbox_folder: str, name: str, target: str
) -> None:
    with inbox.colleague() as program:
        program.create_folder(target)
        if inbox_folder != "INBOX":
            program.create_folder(inbox_folder)
        program.append(inbox_folder, mail(1))
    box = mailbox(inbox, folder=inbox_folder)
    (found,) = box.fetch_since({})
    assert box.move(found.remote_id, name)
    assert list(box.fetch_since({})) == []
    assert len(flags(inbox, target)) == 1


def test_all_folders_may_lie_below_the_inbox(inbox: servers.Dovecot, line: Relay) -> None:
    """As on Cyrus and Courier."""
    (remote_id,) = delivered(inbox)
    with inbox.colleague() as program:
        program.create_folder("INBOX.Besvarat")
    line.to_us = lambda said: said.replace(b'NAMESPACE (("" ".")', b'NAMESPACE (("INBOX." ".")')
    assert over(line, inbox).move(remote_id, "Besvarat")
    assert len(flags(inbox, "INBOX.Besvarat")) == 1


def test_without_move_a_mail_is_copied_and_only_this_one_expunged(inbox: servers.Dovecot, line: Relay) -> None:
    first, _ = delivered(inbox, 2)
    with inbox.colleague() as program:
        program.create_folder("Besvarat")
        program.select_folder("INBOX")
        program.delete_messages([max(program.search())])
    line.to_us = lambda said: said.replace(b" MOVE ", b" ")
    assert over(line, inbox).move(first, "Besvarat")
    assert flags(inbox) == [{DELETED}]
    assert flags(inbox, "Besvarat") == [set()]
    assert "EXPUNGE" not in line.commands


def test_without_uidplus_nothing_is_expunged(old_server: servers.Dovecot) -> None:
    first, _ = delivered(old_server, 2)
    with old_server.colleague() as program:
        program.create_folder("Besvarat")
    with imap_relay.relay(old_server) as line:
        box = over(line, old_server)
        assert box.mark(first, Mark.ANSWERED)
        assert box.move(first, "Besvarat")
        assert not box.move(first, "Besvarat")
        draft = box.put_draft(OURS, first)
        assert box.put_draft(OURS, first) == draft
        assert box.take_back(draft)
        assert box.put_draft(OURS, first) != draft
        assert not {"EXPUNGE", "UID EXPUNGE", "UID MOVE", "STATUS"} & set(line.commands)
    assert flags(old_server) == [{DELETED, ANSWERED, b"KommunpostAnswered"}, set()]
    assert flags(old_server, "Besvarat") == [{ANSWERED, b"KommunpostAnswered"}]


# ---------------------------------------------------------------- drafts


def test_a_draft_looks_like_one(inbox: servers.Dovecot) -> None:
    draft = mailbox(inbox).put_draft(OURS, "")
    assert flags(inbox, servers.DRAFTS_FOLDER) == [{DRAFT, SEEN}]
    folder, uidvalidity, uid = draft.remote_id.split("/")
    assert (folder, uid) == (servers.DRAFTS_FOLDER, "1") or int(uid) > 1
    assert int(uidvalidity) > 0


def test_without_a_folder_for_drafts_the_setting_is_named(inbox: servers.Dovecot, line: Relay) -> None:
    line.to_us = lambda said: said.replace(rb" \Drafts", b"")
    unmarked = over(line, inbox)
    with pytest.raises(Permanent, match="no folder marked as Drafts: set drafts_folder"):
        unmarked.put_draft(OURS, "")
    (finding,) = [found for found in unmarked.check() if "Drafts" in found.what]
    assert (finding.ok, finding.needed_to) == (False, "write back")
    named = over(line, inbox, drafts_folder=servers.DRAFTS_FOLDER)
    assert named.put_draft(OURS, "").remote_id.startswith(servers.DRAFTS_FOLDER)
    with pytest.raises(Permanent, match="The folder Utkast does not exist"):
        mailbox(inbox, drafts_folder="Utkast").put_draft(OURS, "")


def test_mailbox_draft_update_leaves_one_copy(inbox: servers.Dovecot) -> None:
    """A mail program has put its own version beside ours and could not remove ours."""
    draft = mailbox(inbox).put_draft(OURS, "")
    with inbox.colleague() as program:
        program.append(servers.DRAFTS_FOLDER, THEIRS, flags=[DRAFT])
    assert not mailbox(inbox).take_back(draft)
    (lying,) = inbox.drafts()
    assert b"jag ringer" in lying


def test_what_a_colleague_has_deleted_is_not_expunged_with_our_draft(inbox: servers.Dovecot) -> None:
    with inbox.colleague() as program:
        program.append(servers.DRAFTS_FOLDER, mail(1), flags=[DELETED])
    draft = mailbox(inbox).put_draft(OURS, "")
    assert mailbox(inbox).take_back(draft)
    assert flags(inbox, servers.DRAFTS_FOLDER) == [{DELETED}]


def test_our_draft_is_known_by_what_it_says_after_a_restored_backup(inbox: servers.Dovecot) -> None:
    draft = mailbox(inbox).put_draft(OURS, "")
    inbox.renumber(servers.DRAFTS_FOLDER)
    assert mailbox(inbox).take_back(draft)
    assert inbox.drafts() == []


def test_another_attempt_finds_the_draft_of_the_first_although_its_date_differs(inbox: servers.Dovecot) -> None:
    box = mailbox(inbox)
    box.put_draft(OURS, "")
    again = box.put_draft(OURS.replace(b"10:00:00", b"10:05:00"), "")
    assert len(inbox.drafts()) == 1
    assert box.take_back(again)
    assert inbox.drafts() == []


def test_a_draft_changed_before_another_attempt_is_theirs(inbox: servers.Dovecot) -> None:
    with inbox.colleague() as program:
        program.append(servers.DRAFTS_FOLDER, THEIRS, flags=[DRAFT])
    assert not mailbox(inbox).take_back(mailbox(inbox).put_draft(OURS, ""))
    assert len(inbox.drafts()) == 1


def test_a_server_that_rewrites_mail_changes_no_draft(inbox: servers.Dovecot, line: Relay) -> None:
    line.to_server = lambda said: said.replace(b"Subject: SV\r\n", b"subject: sv\r\n")
    draft = over(line, inbox).put_draft(OURS, "")
    assert b"subject: sv" in inbox.drafts()[0]
    assert mailbox(inbox).take_back(draft)


def test_a_draft_that_does_not_show_yet_is_asked_for_again(inbox: servers.Dovecot, line: Relay) -> None:
    line.to_us = lambda said: b"" if b" FETCH " in said else said
    with pytest.raises(Transient, match="does not show the new draft"):
        over(line, inbox).put_draft(OURS, "")
    assert mailbox(inbox).take_back(mailbox(inbox).put_draft(OURS, ""))
    assert inbox.drafts() == []


def test_marks_are_unlike_each_other_and_short() -> None:
    assert len(set(KEYWORDS.values())) == len(Mark)
