"""The tests' municipality with its mailbox on a real IMAP and a real SMTP server."""

from __future__ import annotations

from pathlib import Path

import yaml

from tests.servers import INBOX_ADDRESS, Dovecot, SmtpServer

HERE = Path(__file__).resolve().parent / "norrvik"


def on_real_servers(folder: Path, inbox: Dovecot, smtp: SmtpServer, *, smtp_timeout_s: float = 5) -> Path:
    """Writes the municipality file into `folder` and returns its path."""
    town = yaml.safe_load((HERE / "municipality.yaml").read_text(encoding="utf-8"))
    account = {"user": inbox.user, "password": inbox.password, "ca_file": str(inbox.ca_file), "tls": "starttls"}
    outgoing = {"host": smtp.host, "port": smtp.port, "timeout_s": smtp_timeout_s, **account}
    town["mailboxes"] = {
        "kundcenter": {
            "kind": "imap",
            "address": INBOX_ADDRESS,
            "mode": "sends",
            "authserv_ids": ["mx1.norrvik.example"],
            "options": {"host": inbox.host, "port": inbox.port, "smtp": outgoing, **account},
        }
    }
    for register in town["registers"].values():
        register["options"]["path"] = str(HERE / register["options"]["path"])
    path = folder / "municipality.yaml"
    path.write_text(yaml.safe_dump(town, allow_unicode=True), encoding="utf-8")
    return path
