"""What only files can do: be rewritten, be no file at all, come in within the same tick of the clock."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from connectors.base import Envelope, Fetched, Unreadable
from connectors.errors import Permanent
from connectors.folder.mailbox import FolderMailbox

MAIL = b"Message-ID: <%d@post.example>\r\nSubject: mail %d\r\n\r\nHej!\r\n"


def raws(mailbox: FolderMailbox, cursor: dict[str, str | int] | None = None) -> list[bytes]:
    return [found.raw for found in mailbox.fetch_since(cursor or {}) if isinstance(found, Fetched)]


def test_a_rewritten_file_is_a_new_mail(tmp_path: Path) -> None:
    (tmp_path / "a.eml").write_bytes(MAIL % (1, 1))
    (first,) = FolderMailbox(tmp_path).fetch_since({})
    (tmp_path / "a.eml").write_bytes(MAIL % (2, 2))
    (second,) = FolderMailbox(tmp_path).fetch_since(first.cursor)
    assert isinstance(second, Fetched)
    assert second.raw == MAIL % (2, 2)
    assert second.remote_id != first.remote_id


def test_a_file_that_comes_with_an_old_date_is_still_new(tmp_path: Path) -> None:
    (tmp_path / "b.eml").write_bytes(MAIL % (1, 1))
    (first,) = FolderMailbox(tmp_path).fetch_since({})
    (tmp_path / "a.eml").write_bytes(MAIL % (2, 2))
    os.utime(tmp_path / "a.eml", (0, 0))
    assert raws(FolderMailbox(tmp_path), first.cursor) == [MAIL % (2, 2)]


def test_no_file_is_lost_between_two_readings_in_quick_succession(tmp_path: Path) -> None:
    names = [f"{number:03d}.eml" for number in reversed(range(60))]  # later files sort before earlier ones
    found: list[str] = []
    cursor: dict[str, str | int] = {}
    for batch in range(6):
        for name in names[batch * 10 : batch * 10 + 10]:
            (tmp_path / name).write_bytes(name.encode())
        for mail in FolderMailbox(tmp_path).fetch_since(cursor):
            assert isinstance(mail, Fetched)
            found.append(mail.raw.decode())
            cursor = mail.cursor
    assert sorted(found) == sorted(names)


def test_only_eml_files_right_in_the_folder_are_mail(tmp_path: Path) -> None:
    (tmp_path / "a.EML").write_bytes(MAIL % (1, 1))
    for name in ("notes.txt", ".hidden.eml"):
        (tmp_path / name).write_bytes(b"not a mail")
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "b.eml").write_bytes(MAIL % (2, 2))
    assert raws(FolderMailbox(tmp_path)) == [MAIL % (1, 1)]


def test_what_is_no_file_is_named_and_never_waited_for(tmp_path: Path) -> None:
    (tmp_path / "folder.eml").mkdir()
    os.mkfifo(tmp_path / "pipe.eml")
    (tmp_path / "z.eml").write_bytes(MAIL % (1, 1))
    found = list(FolderMailbox(tmp_path).fetch_since({}))
    assert [mail.sentence for mail in found if isinstance(mail, Unreadable)] == [
        "folder.eml is not a file.",
        "pipe.eml is not a file.",
    ]
    assert raws(FolderMailbox(tmp_path)) == [MAIL % (1, 1)]


def test_a_link_to_nowhere_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.eml").symlink_to(tmp_path / "nowhere")
    (tmp_path / "b.eml").write_bytes(MAIL % (1, 1))
    assert raws(FolderMailbox(tmp_path)) == [MAIL % (1, 1)]


def test_a_single_file_is_a_mailbox_of_one(tmp_path: Path) -> None:
    file = tmp_path / "one.eml"
    file.write_bytes(b"From a line that no mail should begin with\r\n" + MAIL % (1, 1))
    (found,) = FolderMailbox(file).fetch_since({})
    assert list(FolderMailbox(file).fetch_since(found.cursor)) == []


def test_a_maildir_mail_keeps_its_id_when_its_flags_change(tmp_path: Path) -> None:
    for part in ("new", "cur", "tmp"):
        (tmp_path / part).mkdir()
    (tmp_path / "new" / "1795300000.M1.host").write_bytes(MAIL % (1, 1))
    (unseen,) = FolderMailbox(tmp_path).fetch_since({})
    shutil.move(tmp_path / "new" / "1795300000.M1.host", tmp_path / "cur" / "1795300000.M1.host:2,S")
    (seen,) = FolderMailbox(tmp_path).fetch_since({})
    assert seen.remote_id == unseen.remote_id


def test_a_rewritten_mbox_is_read_from_its_beginning(tmp_path: Path) -> None:
    separator = b"From resident@post.example Sat Nov 21 10:00:00 2026\n"
    file = tmp_path / "inbox"
    file.write_bytes(b"\n".join(separator + MAIL % (n, n) for n in (1, 2, 3)))
    last = list(FolderMailbox(file).fetch_since({}))[-1]
    file.write_bytes(b"\n".join(separator + MAIL % (n, n) for n in (2, 3, 4)))
    assert raws(FolderMailbox(file), last.cursor) == [MAIL % (n, n) for n in (2, 3, 4)]
    file.write_bytes(separator + MAIL % (5, 5))
    assert raws(FolderMailbox(file), last.cursor) == [MAIL % (5, 5)]


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    gone = FolderMailbox(tmp_path / "gone")
    with pytest.raises(Permanent, match="gone does not exist"):
        list(gone.fetch_since({}))
    assert [finding.ok for finding in gone.check()] == [False, True]


def test_nothing_is_sent_from_a_folder_that_is_only_read(tmp_path: Path) -> None:
    mailbox = FolderMailbox(tmp_path)
    with pytest.raises(Permanent, match="set sent_path"):
        mailbox.send(MAIL % (1, 1), Envelope("info@solkommun.example", ("a@post.example",)))
    assert not mailbox.was_sent("<1@post.example>")


def test_sending_twice_leaves_two_files_and_never_half_a_file(tmp_path: Path) -> None:
    mailbox = FolderMailbox(tmp_path, sent_path=tmp_path / "sent")
    envelope = Envelope("info@solkommun.example", ("a@post.example",))
    mailbox.send(MAIL % (1, 1), envelope)
    mailbox.send(MAIL % (1, 1), envelope)
    assert [path.read_bytes() for path in (tmp_path / "sent").iterdir()] == [MAIL % (1, 1)] * 2
