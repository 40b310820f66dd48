"""What `connectors check` says of an Exchange mailbox: whether it can be read, written back to, and sent from.

It must never change anything: what the login may do is asked, not tried.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

from exchangelib import Account  # type: ignore[import-untyped]
from exchangelib.folders import DeletedItems, Drafts, Folder, Inbox, Outbox, SentItems  # type: ignore[import-untyped]

from connectors.base import Fetched, Finding
from connectors.errors import ConnectorError
from connectors.exchange.folders import facts
from connectors.exchange.inbox import Reading

_FULL_ACCESS = "Give the login full access to the mailbox."


class _Use(NamedTuple):
    """What a folder is needed for, and the right without which it will not do."""

    needed_to: Literal["read", "write back", "send"]
    right: str
    granted: str
    lacking: str


_READ = "read"
_LOOKED_INTO = _Use("send", _READ, "The folder {name} can be looked into for replies on their way.", "")
_USES: dict[type[Folder], tuple[_Use, ...]] = {
    Inbox: (
        _Use(
            "write back",
            "modify",
            "Marks can be put on the mails in the folder {name}.",
            "The mails in the folder {name} may not be changed: they can be neither marked nor moved.",
        ),
    ),
    SentItems: (
        _Use(
            "send",
            "create_contents",
            "Replies are filed in the folder {name} of the shared mailbox.",
            "The folder {name} may not be written to: nothing can be sent.",
        ),
    ),
    Outbox: (_LOOKED_INTO,),
    Drafts: (
        _LOOKED_INTO,
        _Use(
            "write back",
            "create_contents",
            "Drafts can be put into the folder {name}.",
            "The folder {name} may not be written to: no draft can be put there.",
        ),
    ),
    DeletedItems: (_LOOKED_INTO,),
}


def findings(account: Account, server: str, reading: Reading) -> Iterator[Finding]:
    """Raises ConnectorError when the inbox itself cannot be reached."""
    count = int(facts(account, Inbox).total_count or 0)
    yield Finding(True, f"Signed in to {server}; the inbox holds {count} mails.")
    newest = reading.newest()
    if isinstance(newest, Fetched):
        yield Finding(True, "The newest mail can be read.")
    elif newest is not None:
        yield Finding(False, f"The newest mail cannot be read. {newest.sentence}", "Open it in Outlook.")
    for kind, uses in _USES.items():
        yield from _on_folder(account, kind, uses)


def _on_folder(account: Account, kind: type[Folder], uses: tuple[_Use, ...]) -> Iterator[Finding]:
    try:
        folder = facts(account, kind)
    except ConnectorError as error:
        yield Finding(False, error.sentence, needed_to=uses[0].needed_to)
        return
    for use in uses:
        if use.right == _READ or getattr(folder.effective_rights, use.right):
            yield Finding(True, use.granted.format(name=folder.name), needed_to=use.needed_to)
        else:
            yield Finding(False, use.lacking.format(name=folder.name), _FULL_ACCESS, needed_to=use.needed_to)
