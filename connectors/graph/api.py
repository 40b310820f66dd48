"""Calls to Microsoft Graph for one mailbox: one attempt each, and what a refusal means in plain words.

Only a read is asked again, once, with a fresh token. Nothing else is ever repeated here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx

from connectors.entra import Application
from connectors.errors import ConnectorError, Permanent, Refused, Transient
from connectors.https import NEVER_LEFT, reaching_http, retry_after_s

# An id that stays when staff move a mail to another folder, which would otherwise look like a new one. It is only
# understood in requests that carry this header themselves.
IMMUTABLE_IDS = 'IdType="ImmutableId"'

_CODE = re.compile(r"[A-Za-z0-9_.]{1,60}")
_BROKEN_OFF = "Microsoft 365 began an answer and did not finish it."

# Status, code and message of a refusal -> what it means. The first row that fits counts.
_REFUSALS: tuple[tuple[str, type[ConnectorError], str], ...] = (
    (
        r"RAOP|AppOnly AccessPolicy|OData is disabled",
        Refused,
        "An access policy in Exchange Online keeps the application out of this mailbox: add the mailbox to the group "
        "of the policy, and allow it an hour to take effect.",
    ),
    (
        r"NotEnabledForRESTAPI|NotSupportedForRESTAPI|NonExistentMailbox",
        Permanent,
        "There is no mailbox in Exchange Online behind the setting mailbox: license it, or use the kind exchange if it "
        "is on your own server.",
    ),
    (
        r"ErrorInvalidUser|Request_ResourceNotFound|^404 ResourceNotFound",
        Permanent,
        "The tenant knows no such mailbox: correct mailbox (the user principal name or the object id).",
    ),
    (r"ErrorSendAsDenied", Refused, "The application may not send from this address: correct the mailbox's address."),
    (
        r"MailboxMoveInProgress|MailboxStoreUnavailable|ErrorServerBusy",
        Transient,
        "The mailbox is busy for now: wait, it is tried again.",
    ),
    (
        r"ErrorExceededMessageLimit|SubmissionQuotaExceeded",
        Transient,
        "The mailbox has sent as many mails as Exchange Online allows for now: wait, it is tried again.",
    ),
    (r"ErrorQuotaExceeded|^507", Permanent, "The mailbox is full: make room in it."),
    (r"^413|ErrorMessageSizeExceeded", Permanent, "The mail is larger than Microsoft 365 takes."),
    (r"ErrorInvalidRecipients", Permanent, "Microsoft 365 does not accept a recipient of the mail."),
    (r"^401", Refused, "Microsoft 365 does not accept our token ({code}): compare tenant, authority and base_url."),
    (
        r"^403",
        Refused,
        "The application lacks the permission {needs} for this mailbox: assign it the role Application {needs} in "
        "Exchange Online, or grant {needs} with admin consent.",
    ),
    (r"^429|^5", Transient, "Microsoft 365 cannot do this for now ({status} {code}): wait, it is tried again."),
    (r"^3", Permanent, "Microsoft 365 is not at this address: correct base_url."),
    (r"", Permanent, "Microsoft 365 refused a request ({status} {code}): look up what this code asks for."),
)


class BrokenOff(Transient):
    """The answer began and did not end, or the server stumbled over this very request."""


class Gone(Transient):
    """What we asked for or wanted to change has been moved, sent or deleted."""


class Overtaken(Transient):
    """Somebody else changed it between our reading and our writing: nothing of ours was written."""


@dataclass(frozen=True)
class Graph:
    http: httpx.Client
    application: Application
    mailbox: str

    def read(self, path: str, params: Mapping[str, str] | None = None, **headers: str) -> dict[str, Any]:
        """A JSON answer about the mailbox. `path` may be a link of Graph's own, without base_url in front."""
        with self.reading(path, params, **headers) as response:
            response.read()
        _raise_for_refusal(response, "Mail.Read")
        return answer_in(response)

    @contextmanager
    def reading(self, path: str, params: Mapping[str, str] | None = None, **headers: str) -> Iterator[httpx.Response]:
        """An answer of which only the beginning has come yet, whatever its status."""
        response = self._ask("GET", path, stream=True, params=params, headers=headers)
        if response.status_code == 401:  # a token may be withdrawn before its time
            response.close()
            self.application.forget_token()
            response = self._ask("GET", path, stream=True, params=params, headers=headers)
        try:
            yield response
        except httpx.HTTPError:
            raise BrokenOff(_BROKEN_OFF) from None
        finally:
            response.close()

    def change(self, method: str, path: str, **content: Any) -> dict[str, Any]:
        """One attempt at something that alters the mailbox but sends nothing."""
        response = self.attempt(method, path, **content)
        if response.status_code == 401:
            self.application.forget_token()
            raise Transient("Microsoft 365 wants a new token.")
        _raise_for_refusal(response, "Mail.ReadWrite")
        return answer_in(response) if response.content else {}

    def attempt(self, method: str, path: str, **content: Any) -> httpx.Response:
        """The answer to one attempt at a change, whatever its status."""
        return self._ask(method, path, **content)

    def _ask(self, method: str, path: str, *, stream: bool = False, **content: Any) -> httpx.Response:
        request = self.request(method, path, **content)
        with reaching_http(request.url):
            try:
                return self.http.send(request, stream=stream)
            except NEVER_LEFT:
                raise
            except httpx.HTTPError:
                raise BrokenOff(_BROKEN_OFF) from None

    def request(self, method: str, path: str, **content: Any) -> httpx.Request:
        """Signed with our token, and hence only ever for an address below base_url."""
        place = path if path.startswith("/") else f"/users/{quote(self.mailbox, safe='@')}/{path}"
        headers = {"Authorization": f"Bearer {self.application.token()}", **content.pop("headers", {})}
        return self.http.build_request(method, place, headers=headers, **content)


def path_of(mail_id: object) -> str:
    return f"messages/{quote(str(mail_id), safe='')}"


def quoted(text: str) -> str:
    """As a string in an OData filter."""
    return "'" + text.replace("'", "''") + "'"


def listed_in(answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    listed = answer.get("value")
    if not isinstance(listed, list):
        raise Transient("Microsoft 365 gave an answer that cannot be read.")
    return [one for one in listed if isinstance(one, dict)]


def _raise_for_refusal(response: httpx.Response, needs: str) -> None:
    code = code_of(response) if not response.is_success else ""
    if code == "ErrorItemNotFound":
        raise Gone("What was asked for in the mailbox is not there any more.")
    if response.status_code == 412 or code == "ErrorIrresolvableConflict":
        raise Overtaken("Somebody else is changing the same mail: wait, it is tried again.")
    if not response.is_success:
        raise refusal(response, needs)


def refusal(response: httpx.Response, needs: str) -> ConnectorError:
    code, message = _code_and_message(response)
    said = f"{response.status_code} {code} {message}"
    kind, sentence = next((kind, sentence) for pattern, kind, sentence in _REFUSALS if re.search(pattern, said))
    sentence = sentence.format(status=response.status_code, code=code, needs=needs)
    return kind(sentence, retry_after_s=retry_after_s(response))


def code_of(response: httpx.Response) -> str:
    return _code_and_message(response)[0]


def _code_and_message(response: httpx.Response) -> tuple[str, str]:
    """The message only ever chooses a sentence of our own: it may repeat an address."""
    try:
        error = response.json()["error"]
        code, message = str(error["code"]), str(error.get("message", ""))
    except (ValueError, KeyError, TypeError, AttributeError, httpx.ResponseNotRead):
        return "without a reason", ""
    return (code if _CODE.fullmatch(code) else "without a reason"), message


def answer_in(response: httpx.Response) -> dict[str, Any]:
    try:
        answer = response.json()
    except ValueError:
        answer = None
    if not isinstance(answer, Mapping):
        raise Transient("Microsoft 365 gave an answer that cannot be read.")
    return dict(answer)
