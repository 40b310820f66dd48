"""What a refusal of Exchange Web Services means in plain words, and whether it proves that nothing was done.

It must never repeat the server's own words: they may hold an address.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from exchangelib import errors  # type: ignore[import-untyped]
from exchangelib.errors import EWSError  # type: ignore[import-untyped]

from connectors.errors import ConnectorError, Permanent, Refused, Transient

# What exchangelib stumbles over when an answer is XML, but not what Exchange sends.
_ODD_ANSWER = (AttributeError, KeyError, TypeError, ValueError, SyntaxError)

# Codes with which Exchange says that it has done nothing of what was asked.
_REFUSALS: dict[type[EWSError], tuple[type[ConnectorError], str]] = {
    errors.ErrorServerBusy: (Transient, "The Exchange server is too busy for now: wait, it is tried again."),
    errors.ErrorExceededConnectionCount: (
        Transient,
        "The login has too many connections to the Exchange server: use a login that nobody else uses.",
    ),
    errors.ErrorSubmissionQuotaExceeded: (
        Transient,
        "The mailbox has sent as many mails as Exchange allows for now: wait, it is tried again.",
    ),
    errors.ErrorAccessDenied: (
        Refused,
        "The login has no right to the mailbox or to one of its folders: give it full access to the mailbox.",
    ),
    errors.ErrorImpersonateUserDenied: (
        Refused,
        "The login may not act for this mailbox: give it the role ApplicationImpersonation, or set access to delegate.",
    ),
    errors.ErrorNonExistentMailbox: (
        Permanent,
        "The server has no mailbox with this address: correct mailbox. One in Microsoft 365 needs the kind graph.",
    ),
    errors.ErrorSendAsDenied: (Refused, "The login may not send from the mailbox's address: give it Send As."),
    errors.ErrorAccountDisabled: (Refused, "The login is disabled: have it enabled."),
    errors.ErrorPasswordExpired: (Refused, "The password of the login has expired: set a new one that does not."),
    errors.ErrorInvalidRecipients: (Permanent, "Exchange does not accept a recipient of the mail."),
    errors.ErrorMessageSizeExceeded: (Permanent, "The mail is larger than Exchange takes."),
    errors.ErrorMimeContentInvalid: (Permanent, "Exchange cannot read the mail that it was given."),
    errors.ErrorInvalidServerVersion: (Permanent, "The Exchange server is too old: version 2016 or later is needed."),
}
_ALIKE: dict[type[EWSError], type[EWSError]] = {
    errors.ErrorImpersonationDenied: errors.ErrorImpersonateUserDenied,
    errors.ErrorImpersonationFailed: errors.ErrorImpersonateUserDenied,
    errors.ErrorMissingEmailAddress: errors.ErrorNonExistentMailbox,
    errors.ErrorExceededSubscriptionCount: errors.ErrorExceededConnectionCount,
    errors.ErrorMailboxLogonFailed: errors.ErrorAccessDenied,
    errors.ErrorPasswordChangeRequired: errors.ErrorPasswordExpired,
    errors.ErrorMimeContentInvalidBase64String: errors.ErrorMimeContentInvalid,
    errors.ErrorIncorrectSchemaVersion: errors.ErrorInvalidServerVersion,
    errors.ErrorInvalidSchemaVersionForMailboxVersion: errors.ErrorInvalidServerVersion,
}
# The same, said by status alone.
REFUSED_STATUSES: dict[int, tuple[type[ConnectorError], str]] = {
    401: (Refused, "{server} does not accept our {proof}."),
    403: (Refused, "{server} keeps the login out of Exchange Web Services: have EWS allowed for it."),
    404: (Permanent, "{server} answers, but has no Exchange Web Services: correct the host."),
    413: (Permanent, "The mail is larger than {server} takes."),
    429: (Transient, "{server} is too busy for now: wait, it is tried again."),
} | dict.fromkeys((301, 302, 307, 308, 405), (Permanent, "{server} sends us elsewhere: correct the host."))


class NotTaken(Exception):
    """An answer by which the server is known to have done nothing, whatever was asked."""

    def __init__(self, meaning: ConnectorError) -> None:
        super().__init__()
        self.meaning = meaning


@contextmanager
def explained() -> Iterator[None]:
    try:
        yield
    except NotTaken as answer:
        raise answer.meaning from None
    except EWSError as failure:
        raise meaning_of(failure) from None
    except _ODD_ANSWER:
        raise Transient("The Exchange server gave an answer that cannot be read.") from None


def meaning_of(failure: EWSError) -> ConnectorError:
    code = _ALIKE.get(type(failure), type(failure))
    if code not in _REFUSALS:
        return Transient(
            f"The Exchange server could not do what it was asked ({type(failure).__name__}): it is tried again; if it "
            "lasts, look up this code."
        )
    kind, sentence = _REFUSALS[code]
    return kind(sentence, retry_after_s=getattr(failure, "back_off", None))


def is_refusal(failure: EWSError) -> bool:
    return _ALIKE.get(type(failure), type(failure)) in _REFUSALS
