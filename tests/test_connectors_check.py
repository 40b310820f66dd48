"""What `kommunpost connectors check` tells an administrator: for each common mistake one sentence with its remedy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from tests import ews_server, graph_server, servers
from tests.ews_server import EwsServer
from tests.graph_server import GraphServer
from tests.graph_server import Refused as Says
from worker.cli import main

Options = dict[str, Any]
Faults = Callable[[str, Options], list[str]]

WRONG = "fel-lösenord-9"
SECRETS = (servers.PASSWORD, graph_server.SECRET, ews_server.SECRET, WRONG)
DENIED = Says(403, "ErrorAccessDenied", "Access is denied. Check credentials and try again.")
POLICY = Says(403, "ErrorAccessDenied", "Access to OData is disabled: [RAOP] : Blocked by tenant policy.")
TOWN = {"name": "Sol", "case_prefix": "SOL", "time_zone": "Europe/Stockholm", "country": "SE", "facts": {}}
WAIT = "wait, it is tried again."


@pytest.fixture
def faults(tmp_path: Path) -> Faults:
    """What the check finds wrong with a mailbox of this kind and these options, line by line."""

    def of(kind: str, options: Options) -> list[str]:
        box = {"kind": kind, "address": servers.INBOX_ADDRESS, "options": options}
        path = tmp_path / "municipality.yaml"
        path.write_text(yaml.safe_dump({**TOWN, "mailboxes": {"info": box}}, allow_unicode=True), encoding="utf-8")
        command = ["connectors", "check", "info"]
        done = CliRunner().invoke(main, command, env={"KOMMUNPOST_MUNICIPALITY": str(path)})
        assert isinstance(done.exception, SystemExit), done.exception
        assert done.exit_code == 1
        assert "Traceback" not in done.output
        assert not any(secret in done.output for secret in SECRETS)
        lines = done.output.splitlines()
        return [line.removeprefix("FAIL  mailbox info: ") for line in lines if line.startswith("FAIL  mailbox info: ")]

    return of


# ---------------------------------------------------------------- IMAP and SMTP


@pytest.fixture(scope="module")
def without_sent() -> Iterator[servers.Dovecot]:
    with servers.short_folder() as folder, servers.dovecot(folder, marks_sent=False) as running:
        yield running


@pytest.fixture
def outgoing(inbox: servers.Dovecot) -> Iterator[servers.SmtpServer]:
    with servers.smtp_server(certificate_in=inbox.root, must_sign_in=True) as running:
        yield running


def on_imap(inbox: servers.Dovecot, outgoing: servers.SmtpServer) -> Options:
    login = {"user": inbox.user, "password": inbox.password, "ca_file": str(inbox.ca_file), "timeout_s": 10}
    smtp = {"host": outgoing.host, "port": outgoing.port, **login}
    return {"host": inbox.host, "port": inbox.port, "smtp": smtp, **login}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        pytest.param(
            {"host": "nosuch.invalid"},
            "The host name nosuch.invalid cannot be found: correct it, or have the name service (DNS) looked at.",
            id="wrong host",
        ),
        pytest.param(
            {"port": 1},
            "Nothing listens on localhost:1: correct host and port, or start the server.",
            id="port refused",
        ),
        pytest.param(
            {"host": "127.0.0.1"},
            "The certificate of 127.0.0.1:{port} is not accepted (IP address mismatch, certificate is not valid for "
            "'127.0.0.1'): correct the host, or name the authority in ca_file.",
            id="TLS name mismatch",
        ),
        pytest.param(
            {"ca_file": None},
            "The certificate of localhost:{port} is not accepted (self-signed certificate): correct the host, or name "
            "the authority in ca_file.",
            id="self-signed certificate",
        ),
        pytest.param(
            {"tls": "tls"},
            "localhost:{port} does not speak TLS the way the settings say: compare port and tls.",
            id="TLS on the port of STARTTLS",
        ),
        pytest.param(
            {"password": WRONG},
            "localhost:{port} does not accept our name and password: correct user and password, and have IMAP allowed "
            "for the account.",
            id="wrong password",
        ),
        pytest.param(
            {"user": "shut@solkommun.example"},
            "localhost:{port} does not accept our name and password: correct user and password, and have IMAP allowed "
            "for the account.",
            id="IMAP disabled for the account",
        ),
        pytest.param(
            {"folder": "Finns inte"},
            "The folder Finns inte does not exist or may not be opened: correct its name, or give the login the right "
            "to it.",
            id="missing folder",
        ),
        pytest.param(
            {"smtp": None}, "No outgoing mail server is set: nothing can be sent. Set smtp.", id="no outgoing server"
        ),
        pytest.param(
            {"tsl": "tls"},
            "The settings of the imap mailbox are wrong: tsl: there is no such option, correct its name.",
            id="unknown option",
        ),
        pytest.param(
            {"password": {"env": "KOMMUNPOST_TEST_UNSET"}},
            "option password: the environment variable KOMMUNPOST_TEST_UNSET is not set: set it",
            id="unset environment variable",
        ),
        pytest.param(
            {"password": {"file": "/nowhere/password"}},
            "option password: /nowhere/password cannot be read (No such file or directory): correct the path, or let "
            "this user read it",
            id="missing file of a secret",
        ),
    ],
)
def test_imap(
    inbox: servers.Dovecot, outgoing: servers.SmtpServer, faults: Faults, changes: Options, sentence: str
) -> None:
    (inbox.root / "users").write_text(
        f"{inbox.user}:{{PLAIN}}{inbox.password}\nshut@solkommun.example:{{PLAIN}}{inbox.password}::::::nologin\n",
        encoding="utf-8",
    )
    assert faults("imap", on_imap(inbox, outgoing) | changes) == [sentence.format(port=inbox.port)]


def test_imap_without_a_folder_for_sent_mail(
    without_sent: servers.Dovecot, outgoing: servers.SmtpServer, inbox: servers.Dovecot, faults: Faults
) -> None:
    options = on_imap(without_sent, outgoing) | {"smtp": on_imap(inbox, outgoing)["smtp"]}
    said = "No folder is marked as Sent: replies cannot be filed. Name it in sent_folder."
    assert faults("imap", options) == [said]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        pytest.param(
            {"password": WRONG},
            "localhost:{port} does not accept our name and password (535 5.7.8): correct user and password of smtp, "
            "and have sending by SMTP allowed for the account.",
            id="sign-in refused",
        ),
        pytest.param(
            {"user": None, "password": None},
            "localhost:{port} wants us to sign in first (530 5.7.0): set user, password and tls of smtp.",
            id="no name and password",
        ),
        pytest.param(
            {"tls": "none"},
            "localhost:{port} takes our name and password only over TLS (538 5.7.11): set tls of smtp.",
            id="no TLS",
        ),
        pytest.param(
            {"port": 1},
            "Nothing listens on localhost:1: correct host and port, or start the server.",
            id="port refused",
        ),
    ],
)
def test_outgoing_mail(
    inbox: servers.Dovecot, outgoing: servers.SmtpServer, faults: Faults, changes: Options, sentence: str
) -> None:
    options = on_imap(inbox, outgoing)
    options["smtp"] |= changes
    assert faults("imap", options) == [f"Outgoing mail: {sentence.format(port=outgoing.port)}"]


# ---------------------------------------------------------------- Microsoft 365


@pytest.fixture
def graph(tmp_path: Path) -> Iterator[GraphServer]:
    with graph_server.graph_server(tmp_path) as running:
        yield running


def on_graph(server: GraphServer) -> Options:
    return {
        "tenant": graph_server.TENANT,
        "client_id": graph_server.CLIENT_ID,
        "client_secret": server.secret,
        "mailbox": graph_server.MAILBOX,
        "authority": server.authority,
        "base_url": server.base_url,
        "ca_file": str(server.ca_file),
    }


@pytest.mark.parametrize(
    ("changes", "state", "sentence"),
    [
        pytest.param(
            {"tenant": "nosuch.example"},
            {},
            "The tenant nosuch.example does not exist: correct tenant.",
            id="wrong tenant",
        ),
        pytest.param(
            {"client_id": "nosuch"},
            {},
            "The tenant solkommun.example knows no application nosuch: correct client_id, or tenant. (AADSTS700016)",
            id="unknown client id",
        ),
        pytest.param(
            {"client_secret": WRONG},
            {},
            "The client secret is wrong: give the value of the secret, not its id. (AADSTS7000215)",
            id="wrong secret",
        ),
        pytest.param(
            {},
            {"token_faults": {"number": 7000222, "error": "invalid_client"}},
            "The client secret has expired: make a new one for the application and put it in client_secret. "
            "(AADSTS7000222)",
            id="expired secret",
        ),
        pytest.param(
            {"mailbox": "nobody@solkommun.example"},
            {},
            "The tenant knows no such mailbox: correct mailbox (the user principal name or the object id).",
            id="unknown mailbox",
        ),
        pytest.param(
            {},
            {"refusals": {"send": DENIED}},
            "The application lacks the permission Mail.Send for this mailbox: assign it the role Application Mail.Send "
            "in Exchange Online, or grant Mail.Send with admin consent.",
            id="no Mail.Send",
        ),
        pytest.param(
            {},
            {"refusals": {"folder": POLICY}},
            "An access policy in Exchange Online keeps the application out of this mailbox: add the mailbox to the "
            "group of the policy, and allow it an hour to take effect.",
            id="not covered by the access policy",
        ),
        pytest.param(
            {},
            {"refusals": {"folder": Says(429, "TooManyRequests")}},
            f"Microsoft 365 cannot do this for now (429 TooManyRequests): {WAIT}",
            id="throttled",
        ),
    ],
)
def test_microsoft_365(graph: GraphServer, faults: Faults, changes: Options, state: Options, sentence: str) -> None:
    for name, value in state.items():
        setattr(graph, name, value)
    assert faults("graph", on_graph(graph) | changes) == [sentence]
    assert graph.accepted == []


# ---------------------------------------------------------------- Exchange Server


@pytest.fixture
def exchange(tmp_path: Path) -> Iterator[EwsServer]:
    with ews_server.ews_server(tmp_path) as running:
        yield running


def on_exchange(server: EwsServer) -> Options:
    return {
        "host": "localhost",
        "port": server.port,
        "mailbox": ews_server.SHARED,
        "user": ews_server.USER,
        "password": server.password,
        "auth": "basic",
        "ca_file": str(server.ca_file),
    }


@pytest.mark.parametrize(
    ("changes", "state", "sentence"),
    [
        pytest.param(
            {"password": WRONG},
            {},
            "localhost:{port} does not accept our name and password: correct user, password and auth.",
            id="wrong password",
        ),
        pytest.param(
            {"mailbox": "nobody@solkommun.example"},
            {},
            "The server has no mailbox with this address: correct mailbox. One in Microsoft 365 needs the kind graph.",
            id="unknown mailbox",
        ),
        pytest.param(
            {},
            {"may_open": {ews_server.OWN}},
            "The login has no right to the mailbox or to one of its folders: give it full access to the mailbox.",
            id="delegate without rights to the shared mailbox",
        ),
        pytest.param(
            {"access": "impersonation"},
            {"may_impersonate": set()},
            "The login may not act for this mailbox: give it the role ApplicationImpersonation, or set access to "
            "delegate.",
            id="impersonation not allowed",
        ),
        pytest.param(
            {},
            {"hidden_folders": {"sentitems"}},
            "The login cannot see the folder SentItems of the mailbox: give it full access to the mailbox.",
            id="no Sent folder",
        ),
        pytest.param(
            {},
            {"refusals": {"GetFolder": "ErrorServerBusy"}},
            f"The Exchange server is too busy for now: {WAIT}",
            id="throttled",
        ),
        pytest.param(
            {},
            {"refusals": {"GetFolder": "ErrorMailboxMoveInProgress"}},
            "The Exchange server could not do what it was asked (ErrorMailboxMoveInProgress): it is tried again; if it "
            "lasts, look up this code.",
            id="a code that we do not know",
        ),
    ],
)
def test_exchange(exchange: EwsServer, faults: Faults, changes: Options, state: Options, sentence: str) -> None:
    for name, value in state.items():
        setattr(exchange, name, value)
    assert faults("exchange", on_exchange(exchange) | changes) == [sentence.format(port=exchange.port)]


# ---------------------------------------------------------------- a folder, and the kind itself


@pytest.mark.parametrize(
    ("kind", "options", "sentence"),
    [
        pytest.param("folder", {"path": "/nowhere"}, "/nowhere does not exist: correct path.", id="missing folder"),
        pytest.param(
            "folder",
            {"path": "/dev/null/mails"},
            "/dev/null/mails cannot be read (Not a directory): let this user read it.",
            id="folder that cannot be read",
        ),
        pytest.param(
            "pop3",
            {},
            "There is no mailbox of the kind 'pop3': choose one of exchange, folder, graph, imap.",
            id="unknown kind",
        ),
    ],
)
def test_a_folder_or_an_unknown_kind(faults: Faults, kind: str, options: Options, sentence: str) -> None:
    assert faults(kind, options) == [sentence]
