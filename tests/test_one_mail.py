"""One mail, all the way: from a real IMAP inbox to a real SMTP server, through the real broker, database, worker, clock
and screen, each a process of its own started by the product's own commands. A browser-like client does what a reviewer
does; nothing in this test reaches into the product.
"""

from __future__ import annotations

import email
import re
import time
from collections.abc import Iterator
from email.policy import default
from html import unescape
from html.parser import HTMLParser
from typing import Any

import httpx
import pytest

from tests.house import PASSWORD, House, house, wait_for
from tests.letters import letter
from tests.servers import INBOX_ADDRESS, Dovecot, SmtpServer, held_port
from tests.towns import on_real_servers


class Forms(HTMLParser):
    """The forms of a page: address, fields as they stand, and ticks, wherever on the page these name their form."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.forms: list[dict[str, Any]] = []
        self.inside: str = ""
        self.fields: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "form":
            self.inside = given.get("id") or f"form {len(self.forms)}"
            self.forms.append({"id": self.inside, "action": given.get("action") or ""})
        elif tag in ("input", "textarea") and given.get("name"):
            self.fields.append((given.get("form") or self.inside, given))

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self.inside = ""

    def to(self, ending: str) -> dict[str, Any]:
        return next(form for form in self.forms if form["action"].rstrip("/").endswith(ending))

    def filled(self, form: dict[str, Any]) -> dict[str, Any]:
        """What a browser would post with every box ticked."""
        data: dict[str, Any] = {}
        for owner, field in self.fields:
            if owner == form["id"] and field.get("type") not in ("radio", "submit"):
                data.setdefault(str(field["name"]), []).append(field.get("value") or "")
        return data


class Reviewer:
    """Signs in, follows links and posts the forms that stand on the page, as a browser without script does."""

    def __init__(self, browser: httpx.Client) -> None:
        self.browser = browser

    def sign_in(self, name: str) -> None:
        page = self.browser.get("/sign-in/")
        forms = Forms(page.text)
        fields = {**forms.filled(forms.forms[0]), "username": name, "password": PASSWORD}
        answer = self.browser.post("/sign-in/", data=fields)
        assert answer.status_code == 200
        assert "/sign-in" not in str(answer.url), "the sign-in was refused"

    def queue(self) -> str:
        return self.browser.get("/").text

    def open(self, subject: str) -> str:
        found = re.search(r'href="(/mail/\d+/)"[^>]*>(?:(?!</a>).)*' + re.escape(subject), self.queue(), re.DOTALL)
        assert found, "the mail is not in the queue"
        return self.look(found[1])

    def look(self, path: str) -> str:
        self.path = path
        return self.browser.get(path).text

    def approve(self, page: str) -> httpx.Response:
        forms = Forms(page)
        form = forms.to("/approve")
        return self.browser.post(form["action"], data=forms.filled(form))


@pytest.fixture
def kommunpost(inbox: Dovecot, smtp: SmtpServer) -> Iterator[House]:
    with house(lambda folder: on_real_servers(folder, inbox, smtp), KOMMUNPOST_UNDO_S="2") as built:
        yield built


@pytest.fixture
def screen(kommunpost: House) -> Iterator[str]:
    """Worker, beat and web running. Gives the address of the screen."""
    kommunpost.run(
        "createuser", "elin", "--role", "reviewer", "--mailbox", "kundcenter", "--full-name", "Elin Forsgård"
    )
    with (
        held_port() as port,
        kommunpost.process("worker"),
        kommunpost.process("beat"),
        kommunpost.process("web", "--port", str(port), "--workers", "1"),
    ):
        address = f"http://127.0.0.1:{port}"
        wait_for(lambda: ready(address), "the screen")
        yield address


@pytest.fixture
def reviewer(screen: str) -> Iterator[Reviewer]:
    with httpx.Client(base_url=screen, follow_redirects=True, timeout=20) as browser:
        yield Reviewer(browser)


def ready(address: str) -> bool:
    try:
        return httpx.get(f"{address}/readyz", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def visible(page: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", "", page)).split())


@pytest.mark.timeout(900)
def test_one_mail_from_the_residents_inbox_to_the_reply(
    kommunpost: House, reviewer: Reviewer, inbox: Dovecot, smtp: SmtpServer
) -> None:
    inbox.deliver(letter(message_id="<question@mail.example>"))
    reviewer.sign_in("elin")
    wait_for(lambda: "Faktura 2026-118342" in reviewer.queue(), "the mail in the queue")

    page = wait_for(lambda: found if "/approve" in (found := reviewer.open("Faktura 2026-118342")) else "", "the draft")
    assert "Kan jag dela upp betalningen" in page, "the resident's mail stands beside the draft"
    shown = visible(page)
    assert "15 december 2026" in shown, "the due date of the register stands in the draft"
    assert "högst tre delar" in shown, "the article that fits is cited"

    answer = reviewer.approve(page)
    assert answer.status_code == 200
    wait_for(lambda: smtp.accepted, "the reply at the mail server")
    (accepted,) = smtp.accepted
    assert set(accepted.rcpt_tos) == {"majlis.ekvall@mail.example", INBOX_ADDRESS}, "the resident, and our own copy"
    reply = email.message_from_bytes(bytes(accepted.content or b""), policy=default)
    assert reply["To"] == "majlis.ekvall@mail.example"
    assert reply["In-Reply-To"] == "<question@mail.example>"
    assert reply["Subject"] == "Re: Faktura 2026-118342"
    assert "15 december 2026" in reply.get_content().replace("\N{NO-BREAK SPACE}", " ")

    wait_for(inbox.sent, "the copy in Sent")
    assert [email.message_from_bytes(raw, policy=default)["Message-ID"] for raw in inbox.sent()] == [
        reply["Message-ID"]
    ]
    wait_for(lambda: "Sent" in visible(reviewer.look(reviewer.path)), "the mail as sent on the screen")

    time.sleep(7)  # a few more rounds of the clock: our own copy comes in, the outbox is looked through again
    assert len(smtp.accepted) == 1, "one reply, once"
    assert len(re.findall(r'href="/mail/\d+/"', reviewer.queue())) == 0, "our own copy made no case"
    assert "The event log is whole." in kommunpost.run("audit", "verify")

    assert "Traceback" not in kommunpost.logs
    assert not any(secret in kommunpost.logs for secret in ("Maj-Lis", "majlis.ekvall", "118342", "dela upp"))
