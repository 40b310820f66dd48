"""Signing in to Microsoft Entra ID as an application, with a secret or a certificate and without any person.

Tokens are kept by msal in the memory of this process only. Neither a secret nor an answer reaches a log.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import msal  # type: ignore[import-untyped]
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from connectors.errors import ConnectorError, Permanent, Refused, Transient
from connectors.https import connected, reaching_http, retry_after_s

# What Entra's numbers (AADSTS…) mean for the one who has to put it right.
_FAULTS: Mapping[int, str] = {
    90002: "The tenant {tenant} does not exist: correct tenant.",
    900023: "The tenant {tenant} does not exist: correct tenant.",
    700016: "The tenant {tenant} knows no application {client_id}: correct client_id, or tenant.",
    7000215: "The client secret is wrong: give the value of the secret, not its id.",
    7000222: "The client secret has expired: make a new one for the application and put it in client_secret.",
    700027: "The certificate is not one of the application's, or has expired: upload it to the app registration.",
    7000112: "The application {client_id} is disabled in the tenant: have it enabled.",
    7000229: "The application {client_id} has no service principal in the tenant: give admin consent.",
    53003: "A conditional access policy keeps the application from signing in: exempt it, or allow this address.",
    500011: "The tenant {tenant} knows no resource {resource}: correct base_url.",
    1002012: "The tenant {tenant} knows no resource {resource}: correct base_url.",
}


@dataclass(frozen=True)
class Application:
    """An app registration and what proves that we are it."""

    tenant: str
    client_id: str
    client_secret: str | None = field(repr=False)
    certificate: str | None = field(repr=False)
    """Private key and certificate, both as PEM, one behind the other."""
    authority: str
    resource: str
    timeout_s: float
    ca_file: Path | None
    proxy: str | None = field(repr=False)

    def token(self) -> str:
        """A valid token, a kept one where there is one. Raises Transient, Refused or Permanent."""
        answer = _registration(self).acquire_token_for_client([f"{self.resource}/.default"])
        if "access_token" not in answer:
            raise self._refusal(answer)
        return str(answer["access_token"])

    def forget_token(self) -> None:
        _registration(self).remove_tokens_for_client()

    @property
    def server(self) -> str:
        return urlsplit(self.authority).netloc

    def sentence(self, number: int) -> str:
        return _FAULTS[number].format(tenant=self.tenant, client_id=self.client_id, resource=self.resource)

    def _refusal(self, answer: Mapping[str, Any]) -> ConnectorError:
        if answer.get("error") == "temporarily_unavailable":
            return Transient(f"{self.server} cannot sign anyone in for now: wait, it is tried again.")
        numbers = [number for number in answer.get("error_codes") or () if isinstance(number, int)]
        for number in numbers:
            if number in _FAULTS:
                return Refused(f"{self.sentence(number)} (AADSTS{number})")
        known = ", ".join(f"AADSTS{number}" for number in numbers) or "no number given"
        return Refused(f"{self.server} does not sign the application in ({known}): look at its app registration.")


@lru_cache(maxsize=64)
def _registration(application: Application) -> msal.ConfidentialClientApplication:
    try:
        return msal.ConfidentialClientApplication(
            application.client_id,
            client_credential=_credential(application),
            authority=f"{application.authority}/{application.tenant}",
            instance_discovery=False,  # the authority is configured; msal need not ask Microsoft whether it is theirs
            http_client=_HttpForMsal(application),
        )
    except (ValueError, KeyError):  # msal's words for a 4xx from the tenant's discovery document
        raise Permanent(application.sentence(90002)) from None


def _credential(application: Application) -> str | dict[str, str]:
    if application.certificate is None:
        return application.client_secret or ""
    pem = application.certificate.encode()
    try:
        load_pem_private_key(pem, password=None)
        x509.load_pem_x509_certificate(pem)
    except (ValueError, TypeError):
        raise Permanent(
            "The setting certificate must hold an unencrypted private key and its certificate, both as PEM."
        ) from None
    return {"private_key": application.certificate, "public_certificate": application.certificate}


class _HttpForMsal:
    """The two calls msal makes, with our own trust and time limits, and with failures in our own words."""

    def __init__(self, application: Application) -> None:
        self._application = application

    def get(self, url: str, params: Any = None, headers: Any = None, **_: object) -> httpx.Response:
        return self._ask("GET", url, params=params, headers=headers)

    def post(self, url: str, params: Any = None, headers: Any = None, data: Any = None, **_: object) -> httpx.Response:
        # msal gives its assertion as bytes and leaves out with None, as requests takes it; httpx takes neither.
        form = {name: value.decode() if isinstance(value, bytes) else value for name, value in dict(data or {}).items()}
        given = {name: value for name, value in form.items() if value is not None}
        return self._ask("POST", url, params=params, headers=headers, data=given)

    def _ask(self, method: str, url: str, **content: Any) -> httpx.Response:
        owner = self._application
        with connected(owner.authority, owner.timeout_s, owner.ca_file, owner.proxy) as http, reaching_http(url):
            response = http.request(method, url, **content)
        if response.status_code == 429 or response.status_code >= 500:
            raise Transient(
                f"{owner.server} cannot sign anyone in for now: wait, it is tried again.",
                retry_after_s=retry_after_s(response),
            )
        try:
            response.json()
        except ValueError:  # judged here, because msal would write the whole answer into the log
            raise Transient(
                f"{owner.server} gave an answer to our sign-in that cannot be read: try later, or correct authority."
            ) from None
        return response
