"""Gives tokens that the tests' mail servers accept, as Microsoft Entra ID does and as any other OAuth 2.0 server."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import jwt

from tests import servers

TENANT = "solkommun.example"
CLIENT_ID = "5d1c0f6e-0000-4000-8000-00000000c11e"
SECRET = "blå~hemlighet.7"
SCOPE_IN_MICROSOFT_365 = "https://outlook.office365.com/.default"


@dataclass
class TokenServer:
    port: int
    user: str = servers.INBOX_ADDRESS
    withdrawn: int = 0
    """So many of the next tokens are refused by the mail servers, although they look good to us."""
    says: tuple[int, dict[str, Any]] | None = None
    """An answer in place of a token."""
    given: list[str] = field(default_factory=list)
    scopes: list[str] = field(default_factory=list)

    @property
    def authority(self) -> str:
        return f"https://localhost:{self.port}"

    @property
    def token_url(self) -> str:
        return f"{self.authority}/token"

    def new_token(self) -> str:
        dead, self.withdrawn = self.withdrawn > 0, max(0, self.withdrawn - 1)
        now = int(time.time())
        claims = {"sub": self.user, "jti": str(len(self.given)), "iat": now - 60, "exp": now + (-30 if dead else 3600)}
        self.given.append(jwt.encode(claims, servers.TOKEN_KEY, algorithm="HS256"))
        return self.given[-1]


@contextmanager
def token_server(certificate_in: Path) -> Iterator[TokenServer]:
    handler = type("Handler", (_Handler,), {})
    http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    handler.tokens = server = TokenServer(http.server_address[1])  # type: ignore[attr-defined]
    http.socket = servers.server_context(certificate_in).wrap_socket(http.socket, server_side=True)
    threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()


class _Handler(BaseHTTPRequestHandler):
    timeout = 20
    tokens: TokenServer

    def do_GET(self) -> None:
        base = f"{self.tokens.authority}/{TENANT}"
        if self.path != f"/{TENANT}/v2.0/.well-known/openid-configuration":
            self._say(400, {"error": "invalid_tenant", "error_codes": [90002]})
            return
        paths = {"authorization_endpoint": "oauth2/v2.0/authorize", "token_endpoint": "oauth2/v2.0/token"}
        self._say(200, {"issuer": f"{base}/v2.0", **{name: f"{base}/{path}" for name, path in paths.items()}})

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.tokens.scopes += form.get("scope", [])
        if self.tokens.says is not None:
            self._say(*self.tokens.says)
        elif form["grant_type"] != ["client_credentials"] or form["client_secret"] != [SECRET]:
            self._say(401, {"error": "invalid_client", "error_codes": [7000215]})
        else:
            self._say(200, {"token_type": "Bearer", "expires_in": 3599, "access_token": self.tokens.new_token()})

    def _say(self, status: int, answer: dict[str, Any]) -> None:
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass
