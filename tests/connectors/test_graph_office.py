"""What staff see of our work in Outlook: categories beside their own, drafts in the right conversation, folders."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.base import Fetched, Mark, PutDraft
from connectors.errors import Permanent, Refused, Transient
from connectors.graph.mailbox import GraphMailbox
from tests.connectors.on_graph import mail, mailbox, reply, reply_id
from tests.graph_server import Fault, GraphServer, Item, graph_server
from tests.graph_server import Refused as Says

DENIED = Says(403, "ErrorAccessDenied", "Access is denied. Check credentials and try again.")
SWEDISH = {"triaged": "Kommunpost: sorterat", "waiting": "Kommunpost: väntar", "answered": "Kommunpost: besvarat"}
DRAFT = reply(1, "In-Reply-To: <1@post.example>", "References: <1@post.example>")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GraphServer]:
    with graph_server(tmp_path) as running:
        yield running


@pytest.fixture
def arrived(server: GraphServer) -> Item:
    return server.deliver(mail(1))


# ---------------------------------------------------------------- categories


def test_staff_see_categories_in_their_own_language(server: GraphServer, arrived: Item) -> None:
    office = mailbox(server, categories=SWEDISH)
    assert office.mark(arrived.immutable_id, Mark.WAITING)
    assert arrived.categories == ["Kommunpost: väntar"]
    assert office.mark(arrived.immutable_id, Mark.ANSWERED)
    assert arrived.categories == ["Kommunpost: besvarat"]


def test_a_mark_that_is_right_already_is_not_written_again(server: GraphServer, arrived: Item) -> None:
    arrived.categories = ["Kommunpost: answered", "Elin"]
    assert mailbox(server).mark(arrived.immutable_id, Mark.ANSWERED)
    assert "alter" not in server.asked
    assert arrived.categories == ["Kommunpost: answered", "Elin"]


def test_a_mark_in_other_letter_case_is_ours_too(server: GraphServer, arrived: Item) -> None:
    """Outlook knows no two categories that differ by case only."""
    arrived.categories = ["kommunpost: TRIAGED", "Elin"]
    assert mailbox(server).mark(arrived.immutable_id, Mark.WAITING)
    assert arrived.categories == ["Elin", "Kommunpost: waiting for review"]


def test_a_colleagues_category_of_the_same_moment_is_not_lost(server: GraphServer, arrived: Item) -> None:
    server.meanwhile("alter", lambda: label(server, arrived, "Elin"))
    assert mailbox(server).mark(arrived.immutable_id, Mark.WAITING)
    assert arrived.categories == ["Elin", "Kommunpost: waiting for review"]


def test_a_mail_that_keeps_changing_is_left_for_later(server: GraphServer, arrived: Item) -> None:
    server.meanwhile("alter", lambda: label(server, arrived, "Elin"))
    server.meanwhile("alter", lambda: label(server, arrived, "Ove"))
    with pytest.raises(Transient, match="Somebody else is changing the same mail"):
        mailbox(server).mark(arrived.immutable_id, Mark.WAITING)
    assert arrived.categories == ["Elin", "Ove"]
    assert mailbox(server).mark(arrived.immutable_id, Mark.WAITING)


def label(server: GraphServer, item: Item, name: str) -> None:
    item.categories = [*item.categories, name]
    server.touch(item)


def test_exchange_may_notice_a_conflict_by_itself(server: GraphServer, arrived: Item) -> None:
    server.misbehave("alter", Fault.CONFLICT)
    assert mailbox(server).mark(arrived.immutable_id, Mark.WAITING)
    server.misbehave("alter", Fault.CONFLICT, Fault.CONFLICT)
    with pytest.raises(Transient):
        mailbox(server).mark(arrived.immutable_id, Mark.ANSWERED)


def test_id_change_on_move_keeps_the_link(server: GraphServer) -> None:
    item = server.deliver(mail(1))
    (found,) = mailbox(server).fetch_since({})
    server.move(item, server.make_folder("Elins ärenden"))
    assert mailbox(server).mark(found.remote_id, Mark.ANSWERED)
    assert item.categories == ["Kommunpost: answered"]


def test_a_mail_deleted_between_reading_and_writing_is_not_there(server: GraphServer, arrived: Item) -> None:
    server.misbehave("alter", Fault.NOT_FOUND)
    assert not mailbox(server).mark(arrived.immutable_id, Mark.WAITING)


# ---------------------------------------------------------------- drafts


@pytest.mark.parametrize("rewrites", [False, True])
def test_a_draft_lies_in_the_conversation_under_its_own_message_id(
    server: GraphServer, arrived: Item, rewrites: bool
) -> None:
    """Microsoft does not say whether createReply keeps the Message-ID of the MIME it is given."""
    server.rewrites_message_ids = rewrites
    put = mailbox(server).put_draft(DRAFT, arrived.immutable_id)
    (lying,) = server.in_folder("drafts")
    assert lying.raw == DRAFT
    assert lying.conversation == arrived.conversation
    assert put == PutDraft(lying.immutable_id, lying.change_key)
    assert mailbox(server).put_draft(DRAFT, arrived.immutable_id) == put
    assert server.accepted == []


def test_a_draft_that_staff_have_begun_to_change_is_kept_as_it_is(server: GraphServer, arrived: Item) -> None:
    office = mailbox(server)
    office.put_draft(DRAFT, arrived.immutable_id)
    (lying,) = server.in_folder("drafts")
    lying.raw = lying.raw.replace(b"Hej!", b"Hej, vi ringer.")
    server.touch(lying)
    office.put_draft(DRAFT, arrived.immutable_id)
    (lying,) = server.in_folder("drafts")
    assert b"vi ringer" in lying.raw


def test_a_draft_without_its_thread_is_not_put_down(server: GraphServer, arrived: Item) -> None:
    server.delete(arrived)
    with pytest.raises(Permanent, match=r"not in the mailbox any more: no draft was put into Drafts\.") as caught:
        mailbox(server).put_draft(DRAFT, arrived.immutable_id)
    assert type(caught.value) is Permanent
    assert server.in_folder("drafts") == []


def test_a_draft_that_could_not_be_recognised_again_is_not_left_behind(server: GraphServer, arrived: Item) -> None:
    server.rewrites_message_ids = True
    server.refusals["alter"] = Says(400, "ErrorInvalidPropertySet")
    with pytest.raises(Permanent):
        mailbox(server).put_draft(DRAFT, arrived.immutable_id)
    assert server.in_folder("drafts") == []


@pytest.mark.parametrize("call", ["find", "reply"])
@pytest.mark.parametrize(
    "fault", [Fault.THROTTLED, Fault.BUSY_AFTER, Fault.DROPPED, Fault.DROPPED_AFTER, Fault.SHORT_AFTER]
)
def test_a_draft_is_put_down_once_whatever_goes_wrong(
    server: GraphServer, arrived: Item, call: str, fault: Fault
) -> None:
    server.misbehave(call, fault)
    with pytest.raises(Transient):
        mailbox(server).put_draft(DRAFT, arrived.immutable_id)
    mailbox(server).put_draft(DRAFT, arrived.immutable_id)
    assert len(server.in_folder("drafts")) == 1


@pytest.mark.parametrize("heeds", [True, False])
def test_a_changed_draft_stays_whether_or_not_graph_heeds_if_match(
    server: GraphServer, arrived: Item, heeds: bool
) -> None:
    server.heeds_if_match = heeds
    put = mailbox(server).put_draft(DRAFT, arrived.immutable_id)
    server.touch(server.in_folder("drafts")[0])
    assert not mailbox(server).take_back(put)
    assert len(server.in_folder("drafts")) == 1


def test_a_draft_changed_in_the_moment_it_is_taken_back_stays(server: GraphServer, arrived: Item) -> None:
    put = mailbox(server).put_draft(DRAFT, arrived.immutable_id)
    server.meanwhile("discard", lambda: server.touch(server.in_folder("drafts")[0]))
    assert not mailbox(server).take_back(put)
    assert len(server.in_folder("drafts")) == 1


def test_a_draft_that_staff_have_sent_is_not_taken_out_of_sent(server: GraphServer, arrived: Item) -> None:
    put = mailbox(server).put_draft(DRAFT, arrived.immutable_id)
    server.submit(server.in_folder("drafts")[0])
    assert mailbox(server).take_back(put)
    assert len(server.in_folder("sentitems")) == 1
    assert mailbox(server).was_sent(reply_id())
    assert mailbox(server).replies_to("<1@post.example>") == {reply_id()}


# ---------------------------------------------------------------- answers, folders, permissions


def test_only_exactly_this_mail_counts_as_answered_whatever_characters_its_id_has(server: GraphServer) -> None:
    odd = "<it's+a&b=c#d@post.example>"
    server.staff_sent(reply(1, f"In-Reply-To: {odd}"))
    server.staff_sent(reply(2, f"In-Reply-To: {odd.upper()}"))
    server.deliver(reply(3, f"In-Reply-To: {odd}"))
    assert mailbox(server).replies_to(odd) == {reply_id(1)}


@pytest.mark.parametrize("inside", ["", "inbox"])
@pytest.mark.parametrize("name", ["Besvarat", "Elin's ärenden"])
def test_a_folder_is_found_beside_the_inbox_or_in_it(
    server: GraphServer, arrived: Item, inside: str, name: str
) -> None:
    key = server.make_folder(name, inside=inside)
    assert mailbox(server).move(arrived.immutable_id, name)
    assert arrived.folder == key


def test_a_folder_deeper_down_is_not_the_one_meant(server: GraphServer, arrived: Item) -> None:
    server.make_folder("Besvarat", inside=server.make_folder("2019"))
    with pytest.raises(Permanent, match="no folder Besvarat beside or in the inbox"):
        mailbox(server).move(arrived.immutable_id, "Besvarat")


@pytest.mark.parametrize("place", ["deleteditems", "drafts"])
def test_a_mail_that_staff_have_put_away_stays_where_it_is(server: GraphServer, arrived: Item, place: str) -> None:
    server.make_folder("Besvarat")
    server.move(arrived, place)
    assert not mailbox(server).move(arrived.immutable_id, "Besvarat")
    assert arrived.folder == place


def test_a_moved_mail_comes_back_under_the_same_id(server: GraphServer, arrived: Item) -> None:
    server.make_folder("Besvarat")
    assert mailbox(server).move(arrived.immutable_id, "Besvarat")
    server.move(arrived, "inbox")
    (found,) = mailbox(server).fetch_since({})
    assert isinstance(found, Fetched)
    assert found.remote_id == arrived.immutable_id


@pytest.mark.parametrize("call", ["alter", "reply", "move"])
def test_who_may_only_read_is_told_what_writing_needs(server: GraphServer, arrived: Item, call: str) -> None:
    server.make_folder("Besvarat")
    server.refusals[call] = DENIED
    with pytest.raises(Refused, match=r"lacks the permission Mail\.ReadWrite"):
        _everything(mailbox(server), arrived)


@pytest.mark.parametrize("call", ["message", "alter", "find", "reply", "folder", "folders", "move", "discard"])
@pytest.mark.parametrize("fault", [Fault.THROTTLED, Fault.BUSY, Fault.DROPPED_AFTER, Fault.TOKEN_EXPIRED])
def test_a_passing_fault_is_transient_and_the_next_try_puts_all_in_place(
    server: GraphServer, arrived: Item, call: str, fault: Fault
) -> None:
    server.make_folder("Besvarat")
    server.misbehave(call, fault)
    while server.faults[call]:
        try:
            _everything(mailbox(server), arrived)
        except Transient:
            continue
    _everything(mailbox(server), arrived)
    assert arrived.categories == ["Kommunpost: answered"]
    assert server.folders[arrived.folder][0] == "Besvarat"
    assert server.in_folder("drafts") == []


def _everything(office: GraphMailbox, item: Item) -> None:
    office.mark(item.immutable_id, Mark.ANSWERED)
    office.take_back(office.put_draft(DRAFT, item.immutable_id))
    office.move(item.immutable_id, "Besvarat")
