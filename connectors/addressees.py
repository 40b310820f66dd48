"""Whom a finished reply names in its headers, for servers that deliver by the headers and know no envelope.

It must never let a reply go to anybody but the envelope's recipients, nor from another address.
"""

from __future__ import annotations

from email.message import Message
from email.utils import getaddresses

from connectors.base import Envelope
from connectors.errors import Permanent
from connectors.message_id import headers_of


def recipients_without_header(raw: bytes, envelope: Envelope) -> list[str]:
    """Recipients whom the headers do not name, and whom the server has to be told of besides."""
    if not envelope.recipients:
        raise Permanent("The reply has no recipient: nothing was sent.")
    headers = headers_of(raw)
    if not _addresses(headers, "From") <= {envelope.sender.casefold()}:
        raise Permanent("The reply names another sender than the mailbox: nothing was sent.")
    named = _addresses(headers, "To", "Cc", "Bcc")
    if not named <= {address.casefold() for address in envelope.recipients}:
        raise Permanent("The reply names a recipient whom it is not meant for: nothing was sent.")
    return [address for address in envelope.recipients if address.casefold() not in named]


def _addresses(headers: Message, *names: str) -> set[str]:
    fields = [str(value) for name in names for value in headers.get_all(name, [])]
    return {address.casefold() for _, address in getaddresses(fields) if address}
