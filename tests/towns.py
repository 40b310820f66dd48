"""The tests' municipality with its mailbox on a server of the tests' own: IMAP and SMTP, Exchange or Microsoft 365."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from tests import ews_server, graph_server
from tests.servers import INBOX_ADDRESS, Dovecot, SmtpServer

HERE = Path(__file__).resolve().parent / "norrvik"


def on_folder(folder: Path, inbox: Path) -> Path:
    return _town(folder, "folder", {"path": str(inbox), "sent_path": str(folder / "sent")})


def on_real_servers(folder: Path, inbox: Dovecot, smtp: SmtpServer, *, smtp_timeout_s: float = 5) -> Path:
    account = {"user": inbox.user, "password": inbox.password, "ca_file": str(inbox.ca_file), "tls": "starttls"}
    outgoing = {"host": smtp.host, "port": smtp.port, "timeout_s": smtp_timeout_s, **account}
    return _town(folder, "imap", {"host": inbox.host, "port": inbox.port, "smtp": outgoing, **account})


def on_exchange(folder: Path, server: ews_server.EwsServer, *, timeout_s: float) -> Path:
    app = {
        "tenant": ews_server.TENANT,
        "client_id": ews_server.CLIENT_ID,
        "client_secret": server.secret,
        "authority": f"https://localhost:{server.port}",
    }
    where = {"host": "localhost", "port": server.port, "ca_file": str(server.ca_file), "timeout_s": timeout_s}
    return _town(folder, "exchange", {"mailbox": ews_server.SHARED, "app": app, **where})


def on_graph(folder: Path, server: graph_server.GraphServer, *, timeout_s: float) -> Path:
    app = {"tenant": graph_server.TENANT, "client_id": graph_server.CLIENT_ID, "client_secret": server.secret}
    where = {"authority": server.authority, "base_url": server.base_url, "ca_file": str(server.ca_file)}
    return _town(folder, "graph", {"mailbox": graph_server.MAILBOX, "timeout_s": timeout_s, **app, **where})


def _town(folder: Path, kind: str, options: dict[str, Any]) -> Path:
    """Writes the municipality file into `folder` and returns its path."""
    town = yaml.safe_load((HERE / "municipality.yaml").read_text(encoding="utf-8"))
    town["mailboxes"] = {
        "kundcenter": {
            "kind": kind,
            "address": INBOX_ADDRESS,
            "mode": "sends",
            "authserv_ids": ["mx1.norrvik.example"],
            "options": options,
        }
    }
    for register in town["registers"].values():
        register["options"]["path"] = str(HERE / register["options"]["path"])
    path = folder / "municipality.yaml"
    path.write_text(yaml.safe_dump(town, allow_unicode=True), encoding="utf-8")
    return path
