"""The Message-ID of a reply of our own: what a mailbox is asked for when nobody knows whether the reply left."""

from __future__ import annotations

import re
from email.message import Message
from email.parser import BytesHeaderParser
from email.policy import compat32

from connectors.errors import Permanent

# Nothing but visible ASCII: the value goes into an IMAP command, and an empty one would match every mail.
_MESSAGE_ID = re.compile(r"<[\x21-\x3b\x3d\x3f-\x7e]+>")
_END_OF_HEADERS = re.compile(rb"\r?\n\r?\n")


def message_id_of(raw: bytes) -> str:
    return checked(str(headers_of(raw)["Message-ID"] or "").strip())


def headers_of(raw: bytes) -> Message:
    return BytesHeaderParser(policy=compat32).parsebytes(_END_OF_HEADERS.split(raw, maxsplit=1)[0])


def checked(message_id: str) -> str:
    if not _MESSAGE_ID.fullmatch(message_id):
        raise Permanent("The reply has no usable Message-ID: it must be made before a reply is sent or looked for.")
    return message_id
