"""Drafts: text that was overwritten, doubled, or lost with the browser or the colleague who wrote it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from tests.graph_server import GraphServer, graph_server
from tests.letters import letter
from tests.towns import on_graph
from worker import correcting, deliver, intake, review, triage
from worker.models import Draft, Mail, Mailbox, Outgoing

Screen = Callable[[User], Client]
WRITTEN = "Hej!\n\nHalva svaret, som ingen annan har <sett>."
WRITTEN_ON_PAGE = "Halva svaret, som ingen annan har &lt;sett&gt;."


def close(mail: Mail, bob: User) -> None:
    review.close(mail.pk, bob, "answered elsewhere")


def approve(mail: Mail, person: User) -> None:
    draft = Draft.objects.get(mail=mail)
    assert review.approve(mail.pk, person, draft.version, draft.ticks) is not None


COLLEAGUE: dict[str, tuple[Callable[[Mail, User], object], int]] = {
    "takes the case": (lambda mail, bob: review.reassign(mail.pk, bob, bob), 302),
    "gives it back to all": (lambda mail, bob: review.reassign(mail.pk, bob, None), 302),
    "rejects the draft": (lambda mail, bob: review.reject(mail.pk, bob, mail.draft.version, ["tone or language"]), 302),
    "writes too": (lambda mail, bob: review.edit(mail.pk, bob, mail.draft.version, "Hej!\n\nBobs text."), 409),
    "approves": (approve, 422),
    "closes the mail": (close, 422),
    "corrects the intent": (lambda mail, bob: correcting.correct(mail.pk, bob, "waste_collection", "sv"), 422),
}


@pytest.mark.parametrize("meanwhile", COLLEAGUE)
def test_owner_change_keeps_unsaved_text(meanwhile: str, waiting: Mail, alice: User, bob: User, screen: Screen) -> None:
    """A colleague took the case, and the half-written answer was gone."""
    client = screen(alice)
    seen = client.get(f"/mail/{waiting.pk}/?edit=1").context["sheet"].draft
    does, status = COLLEAGUE[meanwhile]
    does(waiting, bob)
    form = {"version": seen.version, "subject": seen.subject, "body": WRITTEN}
    answer = client.post(f"/mail/{waiting.pk}/edit", form)
    assert answer.status_code == status
    page = client.get(answer["Location"]).content.decode() if status == 302 else answer.content.decode()
    assert WRITTEN_ON_PAGE in page
    assert (Draft.objects.get(mail=waiting).body == WRITTEN) is (status == 302), "and nobody's text is overwritten"


def test_undo_returns_the_draft_to_its_place(waiting: Mail, alice: User, bob: User, screen: Screen) -> None:
    """After an undo the draft was found by searching only, and its To had been copied into Cc."""
    client = screen(alice)
    review.reassign(waiting.pk, alice, alice)
    before, lists = looks(client, waiting), places(client)
    assert lists["mine"] == lists["team"] == [waiting.pk]
    approve(waiting, bob)
    assert looks(client, waiting) != before
    review.take_back(waiting.pk, bob)
    assert places(client) == lists
    assert looks(client, waiting) == before
    assert before["recipients"] == "majlis.ekvall@mail.example"
    assert Draft.objects.get(mail=waiting).recipients["cc"] == []


def looks(client: Client, mail: Mail) -> dict[str, object]:
    page = client.get(f"/mail/{mail.pk}/").context
    sheet = page["sheet"]
    return {
        "recipients": sheet.recipients,
        "subject": sheet.draft.subject,
        "body": sheet.draft.body,
        "ticks": sheet.ticks,
        "stamp": sheet.stamp,
        "may": page["may"],
        "who": page["who"],
        "state": str(page["state"]),
    }


def places(client: Client) -> dict[str, list[int]]:
    views = [link.view.slug for link in client.get("/").context["links"]]
    return {view: [mail.pk for mail in client.get("/", {"view": view}).context["page"]] for view in views}


def test_drafts_live_on_the_server(waiting: Mail, alice: User, bob: User, screen: Screen) -> None:
    """Drafts sat in the browser's own storage, and were lost on another device."""
    at_work = screen(alice)
    version = at_work.get(f"/mail/{waiting.pk}/").context["sheet"].draft.version
    assert at_work.post(f"/mail/{waiting.pk}/edit", {"version": version, "body": WRITTEN}).status_code == 302
    for elsewhere in (screen(alice), screen(bob)):
        page = elsewhere.get(f"/mail/{waiting.pk}/?edit=1").content.decode()
        editor = page.partition('<textarea id="ed"')[2].partition("</textarea>")[0]
        assert editor.endswith(f">Hej!\n\n{WRITTEN_ON_PAGE}")
    assert Draft.objects.get(mail=waiting).revisions.get().body.startswith("Hej!"), "and what stood there before"


@pytest.fixture
def graph(tmp_path: Path, settings: Any, understood_as: Callable[..., None]) -> Iterator[GraphServer]:
    with graph_server(tmp_path) as server:
        settings.MUNICIPALITY = on_graph(tmp_path, server, timeout_s=5)
        yield server


def test_deleting_a_draft_during_send_never_resends_old_mail(
    graph: GraphServer, kundcenter: Mailbox, alice: User
) -> None:
    """The draft vanished while it was being sent; the newest mail that was left went out a second time instead, and
    the new text was lost."""
    replies = []
    for text in ("Kan jag dela upp faktura 2026-118342?", "Och när ska faktura 2026-118342 betalas?"):
        graph.deliver(letter(text))
        (mail_id,) = intake.take_in(kundcenter).mail_ids or ()
        assert triage.triage(mail_id) == "waiting"
        approve(Mail.objects.get(pk=mail_id), alice)
        replies.append(Outgoing.objects.get(mail=mail_id))
        if len(replies) == 2:
            graph.meanwhile("send", lambda: graph.delete(graph.in_folder("drafts")[0]))
        deliver_until_settled(mail_id)
    assert [mail.message_id for mail in graph.accepted] == [reply.message_id for reply in replies]
    assert [mail.raw for mail in graph.accepted] == [bytes(reply.raw) for reply in replies]
    assert set(Mail.objects.values_list("state", flat=True)) == {"sent"}


def deliver_until_settled(mail_id: int) -> None:
    for _ in range(6):
        Outgoing.objects.filter(mail=mail_id).update(due_at=timezone.now() - timedelta(seconds=1))
        deliver.deliver(mail_id)
