"""When Exchange is believed that a mail is from one of its own accounts, and when not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.base import Fetched
from tests.connectors.on_exchange import mailbox
from tests.ews_server import EwsServer, Sender, ews_server

ELIN, OVE = "elin.berg@solkommun.example", "ove.lund@solkommun.example"
RAW = f"From: Elin Berg <{ELIN}>\r\nMessage-ID: <1@solkommun.example>\r\nSubject: hej\r\n\r\nHej!\r\n".encode()
FORGED_STAMP = b"X-MS-Exchange-Organization-AuthAs: Internal\r\n"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EwsServer]:
    with ews_server(tmp_path) as running:
        yield running


def fetched(server: EwsServer, **options: bool) -> Fetched:
    (found,) = mailbox(server, **options).fetch_since({})
    assert isinstance(found, Fetched)
    return found


def test_a_colleague_who_signed_in_is_known(server: EwsServer) -> None:
    server.deliver(RAW, sender=Sender(ELIN), auth_as="Internal")
    assert fetched(server, directory=True).from_directory
    assert server.asked.count("GetItem") == 1


def test_nobody_is_believed_unless_the_administrator_has_said_so(server: EwsServer) -> None:
    server.deliver(RAW, sender=Sender(ELIN), auth_as="Internal")
    assert not fetched(server).from_directory


def test_letters_of_an_address_may_differ_in_case(server: EwsServer) -> None:
    server.deliver(RAW, sender=Sender(ELIN.upper()), auth_as="Internal")
    assert fetched(server, directory=True).from_directory


@pytest.mark.parametrize(
    ("raw", "sender", "auth_as"),
    [
        pytest.param(RAW, Sender(ELIN, "SMTP"), "Anonymous", id="from outside, with our address"),
        pytest.param(RAW, Sender(ELIN, "SMTP"), "Internal", id="a device that signed in, not in the directory"),
        pytest.param(RAW, Sender(ELIN), "Anonymous", id="looked up in the address book, but not signed in"),
        pytest.param(RAW, Sender(ELIN), "", id="nothing is said of a sign-in"),
        pytest.param(FORGED_STAMP + RAW, Sender(ELIN), "Anonymous", id="a stamp of one's own beside Exchange's"),
        pytest.param(RAW, Sender(OVE, on_behalf_of=ELIN), "Internal", id="a colleague on her behalf"),
        pytest.param(RAW, Sender(OVE), "Internal", id="a colleague with her address in the header"),
        pytest.param(
            RAW, Sender(ELIN, on_behalf_of=ELIN, on_behalf_of_type="SMTP"), "Internal", id="in an outside name"
        ),
        pytest.param(RAW, None, "Internal", id="nothing is said of the sender"),
        pytest.param(RAW, Sender(""), "Internal", id="no address"),
        pytest.param(RAW.replace(b"From:", b"X-From:"), Sender(""), "Internal", id="no address, and none shown"),
        pytest.param(RAW.replace(b"From:", b"X-From:"), Sender(ELIN), "Internal", id="no From"),
        pytest.param(b"From: resident@post.example\r\n" + RAW, Sender(ELIN), "Internal", id="two Froms"),
        pytest.param(
            RAW.replace(b"From: ", b"From: resident@post.example, "),
            Sender(ELIN),
            "Internal",
            id="two addresses in From",
        ),
    ],
)
def test_whoever_did_not_sign_in_as_the_address_in_from_is_not_from_the_directory(
    server: EwsServer, raw: bytes, sender: Sender | None, auth_as: str
) -> None:
    server.deliver(raw, sender=sender, auth_as=auth_as)
    assert not fetched(server, directory=True).from_directory
