"""What staff see of a mail in Outlook: categories, drafts and folders of a real mailbox, and nobody's own work touched."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import connectors
from connectors.base import Finding, Mark, PutDraft
from connectors.errors import ConnectorError, Permanent, Refused, Transient
from connectors.exchange.mailbox import ExchangeMailbox
from tests.connectors.on_exchange import ENVELOPE, as_application, mail, mailbox, reply, reply_id
from tests.ews_server import OWN, PASSWORD, SHARED, USER, EwsServer, Fault, Item, ews_server

WAITING = "Kommunpost: waiting for review"
SWEDISH = {"triaged": "Kommunpost: sorterat", "waiting": "Kommunpost: att granska", "answered": "Kommunpost: besvarat"}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EwsServer]:
    with ews_server(tmp_path) as running:
        yield running


@pytest.fixture
def item(server: EwsServer) -> Item:
    return server.deliver(mail(1))


# ---------------------------------------------------------------- marks


def test_a_mark_is_one_read_and_one_write_of_categories_alone(server: EwsServer, item: Item) -> None:
    assert mailbox(server).mark(item.item_id, Mark.WAITING)
    assert server.asked == ["GetItem", "UpdateItem"]
    assert server.written == [["item:Categories"]]
    assert item.categories == [WAITING]
    assert not item.is_read


def test_a_mark_that_is_there_already_is_not_written_again(server: EwsServer, item: Item) -> None:
    item.categories = ["Elin", WAITING.upper()]  # Outlook makes no difference between the two
    assert mailbox(server).mark(item.item_id, Mark.WAITING)
    item.categories = ["Elin"]
    assert mailbox(server).mark(item.item_id, None)
    assert server.asked == ["GetItem", "GetItem"]


def test_what_others_have_put_on_a_mail_keeps_its_order(server: EwsServer, item: Item) -> None:
    item.categories = ["Elin", "Kommunpost: triaged", "Bygglov <&> VA", "Kommunpost: answered"]
    assert mailbox(server).mark(item.item_id, Mark.WAITING)
    assert item.categories == ["Elin", "Bygglov <&> VA", WAITING]


def test_the_municipality_names_its_categories_in_its_own_language(server: EwsServer, item: Item) -> None:
    ours = mailbox(server, categories=SWEDISH)
    for mark in Mark:
        ours.mark(item.item_id, mark)
        assert item.categories == [SWEDISH[mark.value]]
    some = mailbox(server, categories={"waiting": "Odottaa tarkastusta"})
    some.mark(item.item_id, Mark.WAITING)
    assert item.categories == [SWEDISH["answered"], "Odottaa tarkastusta"], "a category that is ours no more is theirs"


@pytest.mark.parametrize(
    ("categories", "sentence"),
    [
        ({"triaged": "Same", "waiting": "same"}, "Two of the categories have the same name"),
        ({"answered": "kommunpost: TRIAGED"}, "Two of the categories have the same name"),
        ({"waiting": "a, b"}, "categories.waiting: string should match pattern"),
        ({"waiting": ""}, "categories.waiting: string should match pattern"),
        ({"waiting": "x" * 256}, "categories.waiting: string should have at most 255 characters"),
        ({"done": "x"}, "categories.done"),
    ],
)
def test_categories_that_cannot_be_are_refused(categories: dict[str, str], sentence: str) -> None:
    sound = {"host": "mail.solkommun.example", "mailbox": SHARED, "user": USER, "password": PASSWORD}
    with pytest.raises(Permanent, match=sentence):
        connectors.open_mailbox("exchange", {**sound, "categories": categories})


@pytest.mark.parametrize("call", ["GetItem", "UpdateItem"])
@pytest.mark.parametrize("fault", [Fault.BUSY, Fault.UNAVAILABLE_AFTER, Fault.DROPPED_AFTER, Fault.CUT_XML_AFTER])
def test_a_passing_fault_is_transient_and_nothing_is_repeated(
    server: EwsServer, item: Item, call: str, fault: Fault
) -> None:
    server.misbehave(call, fault)
    with pytest.raises(Transient):
        mailbox(server).mark(item.item_id, Mark.WAITING)
    assert server.asked.count(call) == 1
    assert mailbox(server).mark(item.item_id, Mark.WAITING)
    assert item.categories == [WAITING]


def test_a_mail_that_cannot_be_changed_is_named_and_the_mailbox_is_not_blamed(server: EwsServer, item: Item) -> None:
    server.refusals["UpdateItem"] = "ErrorCorruptData"
    with pytest.raises(Permanent, match="Exchange cannot change this mail") as caught:
        mailbox(server).mark(item.item_id, Mark.WAITING)
    assert type(caught.value) is Permanent
    server.refusals["UpdateItem"] = "ErrorAccessDenied"
    with pytest.raises(Refused, match="give it full access"):
        mailbox(server).mark(item.item_id, Mark.WAITING)


@pytest.mark.parametrize("element", ["MeetingRequest", "PostItem"])
def test_what_is_no_ordinary_mail_is_marked_and_moved_as_well(server: EwsServer, item: Item, element: str) -> None:
    item.element = element
    server.make_folder("Besvarat")
    ours = mailbox(server, directory=True)
    (found,) = ours.fetch_since({})
    assert ours.mark(found.remote_id, Mark.TRIAGED)
    assert ours.move(found.remote_id, "Besvarat")
    assert item.categories == ["Kommunpost: triaged"]


def test_an_id_from_before_a_restore_is_a_mail_that_is_not_there(server: EwsServer, item: Item) -> None:
    server.make_folder("Besvarat")
    server.refusals |= dict.fromkeys(("GetItem", "MoveItem"), "ErrorInvalidIdMalformed")
    assert not mailbox(server).mark(item.item_id, Mark.WAITING)
    assert not mailbox(server).move(item.item_id, "Besvarat")


def test_a_mail_that_staff_have_moved_is_left_alone(server: EwsServer, item: Item) -> None:
    remote_id = item.item_id
    server.move(item, "deleteditems")
    assert not mailbox(server).mark(remote_id, Mark.ANSWERED)
    assert item.categories == []


# ---------------------------------------------------------------- drafts


def test_a_draft_lies_in_the_shared_mailbox_and_is_from_its_address(server: EwsServer) -> None:
    put = mailbox(server).put_draft(reply(), "")
    (lying,) = server.in_folder("drafts")
    assert (lying.item_id, lying.change_key) == (put.remote_id, put.version)
    assert lying.is_draft
    assert lying.author == SHARED
    assert server.in_folder("drafts", OWN) == []
    assert server.accepted == []


@pytest.mark.parametrize(
    "fault", [Fault.BUSY, Fault.UNAVAILABLE_AFTER, Fault.DROPPED_AFTER, Fault.CUT_XML_AFTER, Fault.ODD_AFTER]
)
def test_mailbox_draft_update_leaves_one_copy(server: EwsServer, fault: Fault) -> None:
    """Also when nobody knows whether the first attempt came through."""
    ours = mailbox(server)
    server.misbehave("CreateItem", fault)
    with pytest.raises(Transient):
        ours.put_draft(reply(1), "")
    first = ours.put_draft(reply(1), "")
    assert len(server.in_folder("drafts")) == 1
    assert ours.take_back(first)
    ours.put_draft(reply(2), "")
    assert [lying.message_id for lying in server.in_folder("drafts")] == [reply_id(2)]
    assert server.accepted == []


def test_machine_never_touches_an_edited_draft(server: EwsServer) -> None:
    ours = mailbox(server)
    put = ours.put_draft(reply(), "")
    (lying,) = server.in_folder("drafts")
    server.edit(lying, reply() + b"Elin")
    assert not ours.take_back(put)
    assert not ours.take_back(put)
    assert "DeleteItem" not in server.asked
    assert lying.raw == reply() + b"Elin"


def test_a_draft_taken_back_does_not_litter_and_can_be_got_back(server: EwsServer) -> None:
    ours = mailbox(server)
    ours.take_back(ours.put_draft(reply(), ""))
    assert [delete_type for delete_type, _ in server.deleted] == ["SoftDelete"]
    assert server.in_folder("deleteditems") == []


def test_a_draft_that_staff_have_sent_is_gone_and_counts_as_their_answer(server: EwsServer) -> None:
    ours = mailbox(server)
    put = ours.put_draft(reply(1, "In-Reply-To: <1@post.example>"), "")
    (lying,) = server.in_folder("drafts")
    server.move(lying, "sentitems")
    lying.flags = 0x01
    assert ours.take_back(put)
    assert server.in_folder("sentitems") == [lying]
    assert ours.replies_to("<1@post.example>") == {reply_id(1)}


def test_another_mailboxs_draft_is_no_copy_of_ours(server: EwsServer) -> None:
    server.save(reply(), OWN, "drafts", 0x08)
    mailbox(server).put_draft(reply(), "")
    assert len(server.in_folder("drafts")) == 1


def test_only_an_answer_to_exactly_this_mail_counts(server: EwsServer) -> None:
    for number, answered in enumerate(["<A@post.example>", "<a@post.example>", "<a@post.example>"]):
        server.save(reply(number, f"In-Reply-To: {answered}"), SHARED, "sentitems", 0x01)
    server.save(reply(7, "In-Reply-To: <a@post.example>"), SHARED, "drafts", 0x08)
    server.save(reply(8, "In-Reply-To: <a@post.example>"), OWN, "sentitems", 0x01)
    assert mailbox(server).replies_to("<a@post.example>") == {reply_id(1), reply_id(2)}


def test_replies_are_counted_beyond_the_first_page(server: EwsServer) -> None:
    for number in range(120):
        server.save(reply(number, "In-Reply-To: <a@post.example>"), SHARED, "sentitems", 0x01)
    assert len(mailbox(server).replies_to("<a@post.example>")) == 120


# ---------------------------------------------------------------- folders


def test_a_folder_below_the_inbox_comes_before_one_beside_it(server: EwsServer) -> None:
    first, second = server.deliver(mail(1)), server.deliver(mail(2))
    server.make_folder("Besvarat")
    assert mailbox(server).move(first.item_id, "besvarat"), "Exchange makes no difference"
    server.make_folder("Besvarat", within="inbox")
    assert mailbox(server).move(second.item_id, "Besvarat")
    assert [first.folder, second.folder] == ["made0", "made1"]


def test_a_missing_folder_is_named_and_the_mail_stays(server: EwsServer, item: Item) -> None:
    server.make_folder("Besvarat", within="sentitems")
    with pytest.raises(Permanent, match="has no folder Besvarat below its inbox or beside it: make one, or correct"):
        mailbox(server).move(item.item_id, "Besvarat")
    assert "MoveItem" not in server.asked
    assert item.folder == "inbox"


def test_moving_away_is_no_new_mail_and_moving_back_is_one(server: EwsServer, item: Item) -> None:
    ours = mailbox(server)
    server.deliver(mail(2))
    cursor = list(ours.fetch_since({}))[-1].cursor
    server.make_folder("Besvarat")
    ours.move(item.item_id, "Besvarat")
    assert list(ours.fetch_since(cursor)) == []
    server.move(item, "inbox")
    assert [found.remote_id for found in ours.fetch_since(cursor)] == [item.item_id]


def test_an_unclear_move_is_asked_for_once(server: EwsServer, item: Item) -> None:
    server.make_folder("Besvarat")
    server.misbehave("MoveItem", Fault.DROPPED_AFTER)
    remote_id = item.item_id
    with pytest.raises(Transient):
        mailbox(server).move(remote_id, "Besvarat")
    assert server.asked.count("MoveItem") == 1
    assert not mailbox(server).move(remote_id, "Besvarat"), "it has gone the first time"


# ---------------------------------------------------------------- sign-in, rights and the check


@pytest.mark.parametrize("changes", [{"auth": "ntlm"}, {"access": "impersonation"}, {"app": True}])
def test_each_way_of_signing_in_writes_back(server: EwsServer, item: Item, changes: dict[str, Any]) -> None:
    ours: ExchangeMailbox = as_application(server) if "app" in changes else mailbox(server, **changes)
    server.make_folder("Besvarat")
    assert ours.mark(item.item_id, Mark.ANSWERED)
    assert ours.take_back(ours.put_draft(reply(), item.item_id))
    assert ours.move(item.item_id, "Besvarat")
    assert item.categories == ["Kommunpost: answered"]


def test_delegate_write_reaches_the_right_mailbox(server: EwsServer) -> None:
    server.may_open = {SHARED}
    ours = mailbox(server)
    item = server.deliver(mail(1))
    assert ours.mark(item.item_id, Mark.TRIAGED)
    assert ours.replies_to("<a@post.example>") == frozenset()
    assert ours.take_back(ours.put_draft(reply(), item.item_id))
    with pytest.raises(Permanent, match="has no folder"):
        ours.move(item.item_id, "Besvarat")


def lacking(server: EwsServer, **options: Any) -> list[Finding]:
    return [finding for finding in mailbox(server, **options).check() if not finding.ok]


@pytest.mark.parametrize(
    ("folder", "needed_to", "sentence"),
    [
        (
            "inbox",
            "write back",
            "The mails in the folder Inkorgen may not be changed: they can be neither marked nor moved.",
        ),
        ("drafts", "write back", "The folder Utkast may not be written to: no draft can be put there."),
        ("sentitems", "send", "The folder Skickat may not be written to: nothing can be sent."),
    ],
)
def test_the_check_says_what_will_not_work(server: EwsServer, folder: str, needed_to: str, sentence: str) -> None:
    server.read_only_folders = {folder}
    (finding,) = lacking(server)
    assert (finding.what, finding.needed_to) == (sentence, needed_to)
    assert finding.remedy == "Give the login full access to the mailbox."


def test_setup_shows_where_sent_and_deleted_items_go(server: EwsServer) -> None:
    said = [finding.what for finding in mailbox(server).check()]
    assert "Replies are filed in the folder Skickat of the shared mailbox." in said
    assert "The folder Borttaget can be looked into for replies on their way." in said
    assert "Drafts can be put into the folder Utkast." in said


def test_a_pilot_that_only_reads_needs_the_inbox_alone(server: EwsServer) -> None:
    server.hidden_folders = {"drafts", "outbox", "sentitems", "deleteditems"}
    server.read_only_folders = {"inbox"}
    assert {finding.needed_to for finding in lacking(server)} == {"write back", "send"}
    server.hidden_folders.add("inbox")
    assert [finding.needed_to for finding in lacking(server)] == ["read"]


def test_what_may_not_be_written_is_refused_in_one_sentence(server: EwsServer, item: Item) -> None:
    server.read_only_folders = {"inbox", "drafts"}
    server.make_folder("Besvarat")
    ours = mailbox(server)
    for asked in (
        lambda: ours.mark(item.item_id, Mark.WAITING),
        lambda: ours.move(item.item_id, "Besvarat"),
        lambda: ours.put_draft(reply(), item.item_id),
    ):
        with pytest.raises(Refused, match="has no right to the mailbox or to one of its folders"):
            asked()


def test_nothing_of_a_draft_is_said_in_an_error(server: EwsServer) -> None:
    server.misbehave("CreateItem", Fault.LOGIN_PAGE_AFTER)
    with pytest.raises(ConnectorError) as caught:
        mailbox(server).put_draft(reply(), "")
    assert "@" not in caught.value.sentence
    assert mailbox(server).take_back(PutDraft("AAMk999999=", "x"))
    mailbox(server).send(reply(2), ENVELOPE)
