"""The outside, and only the outside: mailboxes and registers. Usable from a plain Python shell, without Django."""

from __future__ import annotations

from collections.abc import Mapping
from pkgutil import resolve_name
from typing import cast

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from connectors.base import Mailbox, Register
from connectors.errors import Permanent
from connectors.read_only import ReadOnly

# kind -> class, named as text so that a folder of mails can be read without loading a database driver.
MAILBOXES: Mapping[str, str] = {
    "exchange": "connectors.exchange.mailbox:ExchangeMailbox",
    "folder": "connectors.folder.mailbox:FolderMailbox",
    "graph": "connectors.graph.mailbox:GraphMailbox",
    "imap": "connectors.imap.mailbox:ImapMailbox",
}
REGISTERS: Mapping[str, str] = {
    "sql": "connectors.registers.sql:SqlRegister",
    "csv": "connectors.registers.csv_folder:CsvRegister",
    "articles": "connectors.registers.articles:ArticleRegister",
}


def open_mailbox(kind: str, options: Mapping[str, object]) -> Mailbox:
    return cast(Mailbox, _opened("mailbox", MAILBOXES, kind, options))


def open_mailbox_read_only(kind: str, options: Mapping[str, object]) -> Mailbox:
    """The same mailbox without the methods that would write to it or send from it."""
    return ReadOnly(open_mailbox(kind, options))


def open_register(kind: str, name: str, options: Mapping[str, object]) -> Register:
    return cast(Register, _opened("register", REGISTERS, kind, {**options, "name": name}))


def _opened(what: str, table: Mapping[str, str], kind: str, options: Mapping[str, object]) -> object:
    if kind not in table:
        raise Permanent(f"There is no {what} of the kind {kind!r}: choose one of {', '.join(sorted(table))}.")
    try:
        return resolve_name(table[kind])(**options)
    except ValidationError as error:
        raise Permanent(f"The settings of the {kind} {what} are wrong: {_in_words(error)}.") from None


def _in_words(error: ValidationError) -> str:
    """Names and reasons, never what was given: it may be a password."""
    faults = error.errors(include_input=False, include_url=False, include_context=False)
    return "; ".join(": ".join(filter(None, (_place(fault), _reason(fault)))) for fault in faults)


def _place(fault: ErrorDetails) -> str:
    """The option, or nothing where several together are wrong."""
    return ".".join(str(step) for step in fault["loc"])


def _reason(fault: ErrorDetails) -> str:
    if fault["type"] == "unexpected_keyword_argument":
        return "there is no such option, correct its name"
    return fault["msg"].lower().removeprefix("value error, ")
