"""Reaching a server over HTTPS: certificates are checked always, nothing is retried and no redirect is followed.

What httpx raises becomes the same plain sentences as for every other server; addresses stay out of the log.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

import httpx

from connectors.network import causes, reaching, tls_context

# httpx logs every address it asks for, httpcore every header: mailboxes, Message-IDs, tokens.
for _name in ("httpx", "httpcore"):
    logging.getLogger(_name).setLevel(logging.WARNING)

NEVER_LEFT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
"""Failures that prove that not a byte of the request was sent."""


@contextmanager
def connected(base_url: str, timeout_s: float, ca_file: Path | None, proxy: str | None) -> Iterator[httpx.Client]:
    with httpx.Client(
        base_url=base_url,
        verify=tls_context(ca_file),
        timeout=timeout_s,
        proxy=proxy,
        trust_env=False,  # a connector has its settings from its arguments; a .netrc would replace our token
    ) as client:
        yield client


@contextmanager
def reaching_http(url: httpx.URL | str) -> Iterator[None]:
    """Turn whatever the network does to the block into Transient or Permanent."""
    at = httpx.URL(url)
    with reaching(at.host, at.port or 443):
        try:
            yield
        except httpx.HTTPError as failure:
            raise _as_os_error(failure) from None


def retry_after_s(response: httpx.Response) -> float | None:
    """Seconds or a date (RFC 9110, 10.2.3)."""
    said = response.headers.get("Retry-After", "").strip()
    if said.isdecimal():
        return float(said[:6])
    try:
        return max(0.0, (parsedate_to_datetime(said).astimezone(UTC) - datetime.now(UTC)).total_seconds())
    except ValueError:
        return None


def _as_os_error(failure: BaseException) -> OSError:
    """httpx keeps the true cause (certificate, name, refused connection) at the end of its chain."""
    otherwise = TimeoutError() if isinstance(failure, httpx.TimeoutException) else ConnectionError()
    return next((cause for cause in causes(failure) if isinstance(cause, OSError)), otherwise)
