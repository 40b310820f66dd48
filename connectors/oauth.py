"""A token in place of a password, for mail servers that take XOAUTH2: an application signs in, and no person.

Tokens are kept in the memory of this process only. Neither a secret nor a token reaches a log or a sentence.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import KW_ONLY, field
from pathlib import Path
from typing import Annotated, Any

import httpx
from pydantic import Field
from pydantic.dataclasses import dataclass

from connectors.base import SETTINGS
from connectors.entra import Application
from connectors.errors import Refused, Transient
from connectors.https import connected, reaching_http, retry_after_s

MAIL_IN_MICROSOFT_365 = "https://outlook.office365.com/.default"
# A token is not used in its last minute: the mail server's clock may be ahead of ours.
_MARGIN_S = 60.0
_LIFETIME_S = 300.0  # for an answer without expires_in, which RFC 6749 only recommends
_ERROR_CODE = re.compile(r"[a-z_]{1,40}")  # RFC 6749, 5.2

Https = Annotated[str, Field(pattern=r"^https://")]


@dataclass(frozen=True, config=SETTINGS)
class OAuth:
    """An application known to Microsoft Entra ID (tenant) or to another server that gives tokens (token_url)."""

    client_id: str
    _: KW_ONLY
    client_secret: str | None = field(default=None, repr=False)
    certificate: str | None = field(default=None, repr=False)
    """Instead of a secret, for Entra ID: private key and certificate, both as PEM, one behind the other."""
    tenant: str | None = None
    authority: Https = "https://login.microsoftonline.com"
    token_url: Https | None = None
    scope: str | None = None
    """What the token is for. For Entra ID, unless given: mail in Microsoft 365."""
    timeout_s: float = 30.0
    ca_file: Path | None = None
    proxy: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if (self.tenant is None) == (self.token_url is None):
            raise ValueError("oauth needs tenant, for Microsoft Entra ID, or else token_url")
        if (self.client_secret is None) == (self.certificate is None):
            raise ValueError("oauth needs client_secret or certificate, and not both")
        if self.token_url is not None and self.certificate is not None:
            raise ValueError("a certificate is for Microsoft Entra ID: with token_url, give client_secret")

    def token(self) -> str:
        """A valid token, a kept one where there is one. Raises Transient, Refused or Permanent."""
        if self.tenant is not None:
            return self._application(self.tenant).token()
        kept, good_until = _KEPT.get(self, ("", 0.0))
        if time.monotonic() >= good_until:
            kept, lifetime_s = _token_from(str(self.token_url), self)
            _KEPT[self] = kept, time.monotonic() + lifetime_s - _MARGIN_S
        return kept

    def forget_token(self) -> None:
        if self.tenant is not None:
            self._application(self.tenant).forget_token()
        _KEPT.pop(self, None)

    def _application(self, tenant: str) -> Application:
        return Application(
            tenant=tenant,
            client_id=self.client_id,
            client_secret=self.client_secret,
            certificate=self.certificate,
            authority=self.authority,
            resource=(self.scope or MAIL_IN_MICROSOFT_365).removesuffix("/.default"),
            timeout_s=self.timeout_s,
            ca_file=self.ca_file,
            proxy=self.proxy,
        )


_KEPT: dict[OAuth, tuple[str, float]] = {}


def proof_of(user: str, token: str) -> bytes:
    """What XOAUTH2 sends in place of a password."""
    return f"user={user}\1auth=Bearer {token}\1\1".encode()


def _token_from(url: str, oauth: OAuth) -> tuple[str, float]:
    """A new token and for how many seconds it is good, by client credentials (RFC 6749, 4.4)."""
    form = {
        "grant_type": "client_credentials",
        "client_id": oauth.client_id,
        "client_secret": oauth.client_secret or "",
    }
    if oauth.scope is not None:
        form["scope"] = oauth.scope
    with connected(url, oauth.timeout_s, oauth.ca_file, oauth.proxy) as http, reaching_http(url):
        response = http.post(url, data=form)
    server = httpx.URL(url).netloc.decode()
    answer = _answer_in(response, server)
    token, lifetime_s = answer.get("access_token"), answer.get("expires_in", _LIFETIME_S)
    if not response.is_success or not isinstance(token, str):
        said = answer.get("error")
        code = said if isinstance(said, str) and _ERROR_CODE.fullmatch(said) else f"status {response.status_code}"
        raise Refused(f"{server} gives us no token ({code}): correct client_id, client_secret and scope of oauth.")
    return token, float(lifetime_s) if isinstance(lifetime_s, int | float) else _LIFETIME_S


def _answer_in(response: httpx.Response, server: str) -> Mapping[str, Any]:
    busy = response.status_code == 429 or response.status_code >= 500
    try:
        answer = response.json()
    except ValueError:
        answer = None
    if busy or not isinstance(answer, dict):
        sentence = f"{server} gives no tokens for now: wait, it is tried again, or correct token_url of oauth."
        raise Transient(sentence, retry_after_s=retry_after_s(response))
    return answer
