"""In a real browser: a reviewer's whole way by keyboard, and accessibility of each page in light and dark."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from typing import Any, Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.contrib.auth.models import User
from playwright.sync_api import Browser, Page, expect, sync_playwright
from pytest_django.live_server_helper import LiveServer

from tests import factories
from worker import review
from worker.models import Mail, Mailbox

pytestmark = pytest.mark.django_db(transaction=True)

FLAGS = ["--disable-gpu", "--disable-background-networking", "--no-sandbox"]
GAP = "Du får inga påminnelseavgifter medan vi utreder."


@pytest.fixture
def browser(alice: User, waiting: Mail) -> Iterator[Browser]:
    """Ask for it last: while Playwright's loop runs, this thread would get a second connection to the database."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        if os.environ.get("CI"):
            pytest.fail("Chromium is not installed (Debian: chromium)")
        pytest.skip("Chromium is not installed (Debian: chromium)")
    expect.set_options(timeout=30_000)
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield launched
        launched.close()


def signed_in(
    browser: Browser, server: LiveServer, scheme: Literal["light", "dark"] = "light", name: str = "alice", **size: int
) -> Page:
    viewport: Any = {"width": 1440, "height": 900, **size}
    page = browser.new_context(viewport=viewport, color_scheme=scheme).new_page()
    page.goto(f"{server.url}/sign-in/")
    page.fill("[name=username]", name)
    page.fill("[name=password]", factories.PASSWORD)
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("My team")
    return page


@pytest.fixture
def with_a_gap(waiting: Mail, alice: User) -> Mail:
    review.edit(waiting.pk, alice, waiting.draft.version, waiting.draft.body + f"\n\n{GAP}")
    return waiting


@pytest.fixture
def unsure(kundcenter: Mailbox) -> Mail:
    Mailbox.objects.update(fault="The server does not answer.")
    return factories.mail(kundcenter, abstained=True, confidence=0.4)


def test_a_reviewer_works_by_keyboard_alone(live_server: LiveServer, with_a_gap: Mail, browser: Browser) -> None:
    page = signed_in(browser, live_server)
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))

    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.locator("#approve")).to_be_visible()

    page.keyboard.press("n")  # the first statement, and its row lights up
    expect(page.locator("#c1")).to_be_focused()
    expect(page.locator(".row.lit")).to_have_count(1)
    page.keyboard.press("o")
    expect(page.locator(".row.lit a.badge").first).to_be_focused()
    page.keyboard.press("o")
    expect(page.locator("#c1")).to_be_focused()

    page.keyboard.press("a")  # something is left: nothing is sent, the page leads there
    expect(page.locator(".claim.none")).to_be_focused()
    page.get_by_role("button", name="Cut the sentence").press("Enter")
    expect(page.locator(".claim.none")).to_have_count(0)

    page.keyboard.press("a")
    expect(page.locator("[name=tick]").first).to_be_focused()
    for _ in range(page.locator("[name=tick]").count()):
        page.keyboard.press("Space")
        page.keyboard.press("c")
    page.keyboard.press("a")
    expect(page.locator("#takeback")).to_be_visible()
    expect(page.locator("#undo .seconds")).to_have_text(re.compile(r"^(30|[12]?\d) s$"))

    page.keyboard.press("z")
    expect(page.locator(".toast")).to_contain_text("Approval taken back")
    expect(page.locator("#approve")).to_be_visible()
    assert complaints == []


def test_writing_is_checked_in_each_pause_and_letters_are_only_letters(
    live_server: LiveServer, waiting: Mail, browser: Browser
) -> None:
    page = signed_in(browser, live_server)
    page.goto(f"{live_server.url}/mail/{waiting.pk}/")
    page.keyboard.press("e")
    expect(page.locator("#ed")).to_be_focused()
    page.locator("#ed").press("Control+End")
    page.keyboard.type(f"\n\n{GAP} rajah", delay=1)
    expect(page.locator("#ed-check")).to_contain_text(GAP)
    expect(page.locator("#act-reject")).not_to_be_visible()
    page.get_by_role("button", name="Save the text").click()
    expect(page.locator(".claim.none").first).to_be_visible()


def test_single_letters_can_be_turned_off(live_server: LiveServer, waiting: Mail, browser: Browser) -> None:
    page = signed_in(browser, live_server)
    page.goto(f"{live_server.url}/mail/{waiting.pk}/")
    page.keyboard.press("?")
    page.get_by_label("Single-letter keys are on").uncheck()
    page.keyboard.press("Escape")
    page.keyboard.press("r")
    expect(page.locator("#act-reject")).not_to_be_visible()


def test_everything_works_without_script(live_server: LiveServer, with_a_gap: Mail, browser: Browser) -> None:
    page = browser.new_context(java_script_enabled=False).new_page()
    page.goto(f"{live_server.url}/mail/{with_a_gap.pk}/")
    page.fill("[name=username]", "alice")
    page.fill("[name=password]", factories.PASSWORD)
    page.click("button.main")
    page.click("text=Cut the sentence")
    page.click("#edit")
    page.fill("#ed", with_a_gap.draft.body.replace("Tack för ditt mejl.\n\n", ""))
    page.click("text=Save the text")
    for tick in page.locator("[name=tick]").all():
        tick.check()
    page.click("#approve")
    expect(page.locator("#notice")).to_contain_text("Approved. The reply leaves at")
    page.click("#takeback")
    page.click("#reject")
    page.check("text=Tone or language")
    page.locator("#act-reject button").click()
    expect(page.locator("#notice")).to_contain_text("The draft was rejected: tone or language.")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_has_a_serious_barrier(
    scheme: Literal["light", "dark"],
    live_server: LiveServer,
    with_a_gap: Mail,
    unsure: Mail,
    browser: Browser,
) -> None:
    page = signed_in(browser, live_server, scheme)
    found = barriers(page, "queue")
    for name, address in (
        ("mail", f"/mail/{with_a_gap.pk}/"),
        ("editing", f"/mail/{with_a_gap.pk}/?edit=1"),
        ("needs attention", f"/mail/{unsure.pk}/"),
        ("empty", "/?view=sent"),
        ("not found", "/mail/0/"),
    ):
        page.goto(live_server.url + address)
        found += barriers(page, name)
    stranger = browser.new_context(color_scheme=scheme).new_page()
    stranger.goto(f"{live_server.url}/sign-in/")
    assert found + barriers(stranger, "sign in") == []


@pytest.fixture
def lead(kundcenter: Mailbox) -> User:
    person = factories.person("lena", "lead", full_name="Lena Lind")
    kundcenter.people.add(person)
    return person


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1440])
def test_the_page_of_weeks_has_no_barrier_and_does_not_scroll_sideways(
    scheme: Literal["light", "dark"], width: int, live_server: LiveServer, waiting: Mail, lead: User, browser: Browser
) -> None:
    page = signed_in(browser, live_server, scheme, lead.username, width=width)
    page.get_by_role("link", name="Drift").click()
    page.get_by_text("All figures as a table").click()
    expect(page.get_by_role("table", name="All figures, week by week")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    assert barriers(page, "drift") == []


@pytest.mark.django_db(transaction=True)
def test_a_reason_is_added_at_the_dock(live_server: LiveServer, waiting: Mail, browser: Browser) -> None:
    page = signed_in(browser, live_server)
    page.goto(f"{live_server.url}/mail/{waiting.pk}/")
    page.get_by_label("More acts").click()
    page.get_by_role("button", name="Correct intent, language or reasons").click()
    page.get_by_label("Minor").check()
    assert barriers(page, "correcting") == []
    page.get_by_role("button", name="Correct", exact=True).click()
    expect(page.locator(".toast")).to_contain_text("Corrected.")
    expect(page.locator(".why")).to_contain_text("minor")


def barriers(page: Page, name: str) -> list[str]:
    violations = Axe().run(page).response["violations"]
    return [
        f"{name}: {violation['id']}: {violation['nodes'][0]['html'][:120]}"
        for violation in violations
        if violation["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("width", [320, 390, 768, 1024, 1440])
def test_no_page_scrolls_sideways(live_server: LiveServer, with_a_gap: Mail, browser: Browser, width: int) -> None:
    page = signed_in(browser, live_server, width=width, height=844)
    for address in ("/", f"/mail/{with_a_gap.pk}/"):
        page.goto(live_server.url + address)
        wider = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wider <= 0, address
