"""An Exchange Server of the tests' own: the mail calls of Exchange Web Services, over real HTTPS on loopback.

It keeps two mailboxes in memory, counts what it has really accepted for sending, and misbehaves when told to.
"""

from __future__ import annotations

import base64
import json
import os
import ssl
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import spnego
from lxml import etree

from tests import servers
from tests.ews_calls import HEAD, TAIL, Call, soap_fault
from tests.ews_store import (
    CLIENT_ID,
    OWN,
    PASSWORD,
    SECRET,
    SHARED,
    TENANT,
    USER,
    EwsServer,
    Fault,
    Item,
    Refused,
    Sender,
    StreamFault,
)

__all__ = [
    "CLIENT_ID",
    "OWN",
    "PASSWORD",
    "SECRET",
    "SHARED",
    "TENANT",
    "USER",
    "EwsServer",
    "Fault",
    "Item",
    "Sender",
    "StreamFault",
    "ews_server",
]

_STATUS = {
    Fault.THROTTLED: 429,
    Fault.UNAVAILABLE: 503,
    Fault.UNAVAILABLE_AFTER: 503,
    Fault.UNAVAILABLE_AND_CLOSED_AFTER: 503,
    Fault.GATEWAY_TIMEOUT_AFTER: 504,
    Fault.HALF_WAY: 503,
    Fault.UNAUTHORIZED: 401,
}
# On which of several servers a subscription is kept.
_AFFINITY = "X-BackEndOverrideCookie=mbx1~1"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    exchange: EwsServer
    signing_in: Any = None
    signed_in = False

    def do_GET(self) -> None:
        """What Entra ID says about itself."""
        at = f"https://localhost:{self.exchange.port}/{TENANT}/oauth2"
        facts = {"issuer": at, "authorization_endpoint": f"{at}/authorize", "token_endpoint": f"{at}/token"}
        self._say(200, [json.dumps(facts)], **{"Content-Type": "application/json"})

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path.endswith("/oauth2/token"):
            self._give_token(parse_qs(content.decode()))
        elif self.path != "/EWS/Exchange.asmx":
            self._say(404, ["<html>Not found</html>"])
        elif self._is_signed_in():
            with self.exchange.lock:
                stream = self._answer(content)
            if stream is not None:
                self._keep_open(stream)

    def _answer(self, content: bytes) -> Call | None:
        """The call, when its answer is to stay open."""
        envelope = etree.fromstring(content, etree.XMLParser(huge_tree=True))
        call = Call(self.exchange, envelope, self.headers.get("Authorization", "").startswith("Bearer"))
        call.at_the_right_server = _AFFINITY in self.headers.get("Cookie", "")
        fault = self.exchange.next_fault(call.name)
        self.exchange.asked.append(call.name)
        if fault is Fault.HALF_WAY:
            call.leave_half_way()
        answer: list[str | bytes] = []
        if fault is None or fault.name.endswith("AFTER"):
            try:
                answer = call.answer()
            except Refused as refused:
                answer = call.refusal(str(refused))
                call.refused = True
        if fault is not None:
            self._misbehave(fault, call, answer)
            return None
        if call.name == "GetStreamingEvents" and not call.refused:
            self.exchange.streams += 1
            return call
        affinity = {"Set-Cookie": f"{_AFFINITY}; path=/; secure"} if call.name == "Subscribe" else {}
        self._say(200, answer, **affinity)
        return None

    def _keep_open(self, call: Call) -> None:
        """One document after the other, each as a chunk, until the client hangs up or its minutes are over."""
        ends_at = time.monotonic() + call.minutes * self.exchange.minute_s
        self.send_response(200)
        for name, value in {"Content-Type": "text/xml; charset=utf-8", "Transfer-Encoding": "chunked"}.items():
            self.send_header(name, value)
        self.end_headers()
        try:
            self._chunk(call.status("OK"))
            fault = self.exchange.stream_fault
            if fault is not None:
                self._spoil(fault, call)
                return
            while time.monotonic() < ends_at and not self.exchange.closing.wait(self.exchange.heartbeat_s):
                for document in self._news(call):
                    self._chunk(document)
            self._chunk(call.status("Closed"))
            self._chunk([])
        finally:
            with self.exchange.lock:
                self.exchange.streams -= 1
            self.close_connection = True

    def _news(self, call: Call) -> list[list[str | bytes]]:
        with self.exchange.lock:
            subscription = self.exchange.subscriptions.get(call.subscription)
            if subscription is None:
                return [call.refusal("ErrorSubscriptionNotFound")]
            told = [call.notice(*event) for event in subscription.waiting]
            subscription.waiting.clear()
        return told or [call.status("OK")]

    def _spoil(self, fault: StreamFault, call: Call) -> None:
        if fault is StreamFault.CLOSED:
            self._chunk(call.status("Closed"))
            self._chunk([])
        elif fault is StreamFault.LOGIN_PAGE:
            self._chunk(["<html>Sign in</html>"])
            self._chunk([])
            self.exchange.closing.wait(0.3)
        elif fault is StreamFault.ENDLESS:
            while True:
                self._chunk([HEAD + " " * 2**16])
        elif fault is StreamFault.TRICKLES:
            while not self.exchange.closing.wait(0.02):
                self._chunk([" "])
        elif fault is StreamFault.SILENT:
            self.exchange.closing.wait(10)

    def _chunk(self, parts: list[Any]) -> None:
        chunk = b"".join(_as_bytes(part) for part in parts)
        self.wfile.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))

    def _misbehave(self, fault: Fault, call: Call, answer: list[str | bytes]) -> None:
        if fault in _STATUS:
            headers = {"Retry-After": "7"} if fault is Fault.THROTTLED else {}
            if fault is Fault.UNAVAILABLE_AND_CLOSED_AFTER:
                headers["Connection"] = "close"
            self._say(_STATUS[fault], ["<html>no</html>"], **headers)
        elif fault is Fault.BUSY:
            self._say(500, soap_fault("ErrorServerBusy", 9000))
        elif fault is Fault.BUSY_IN_ANSWER:
            self._say(200, call.refusal("ErrorServerBusy"))
        elif fault is Fault.STUMBLES_AFTER:
            self._say(200, call.refusal("ErrorInternalServerTransientError"))
        elif fault is Fault.ODD_AFTER:
            self._say(200, [f"{HEAD}<m:{call.name}Response><m:ResponseMessages/></m:{call.name}Response>{TAIL}"])
        elif fault is Fault.LOGIN_PAGE_AFTER:
            self._say(200, ["<html>Sign in</html>"])
        else:
            self._break_off(fault, answer)

    def _break_off(self, fault: Fault, answer: list[str | bytes]) -> None:
        whole = b"".join(_as_bytes(part) for part in answer)
        if fault is Fault.CUT_XML_AFTER:
            self._say(200, [whole[: whole.index(b"</m:ResponseMessages>") - 60]])
            return
        if fault is Fault.SHORT_AFTER:
            self._say(200, [whole[:-40]], **{"Content-Length": str(len(whole))})
        if fault is Fault.SILENT_AFTER:
            servers.until_they_hang_up(self.connection)
        self.close_connection = True

    def _is_signed_in(self) -> bool:
        said = self.headers.get("Authorization", "")
        kind, _, proof = said.partition(" ")
        if kind == "Basic":
            allowed = base64.b64decode(proof).decode("latin-1") == f"{USER}:{self.exchange.password}"
        elif kind == "Bearer":
            allowed = proof in self.exchange.tokens
        elif kind == "NTLM":
            return self._ntlm(base64.b64decode(proof))
        else:  # Exchange knows a connection again that has signed in by NTLM
            allowed = self.signed_in
        if not allowed:
            self._say(401, [], **{"WWW-Authenticate": "NTLM"})
        return allowed

    def _ntlm(self, token: bytes) -> bool:
        # Where pyspnego looks for passwords.
        with suppress(spnego.exceptions.SpnegoError), _environment(NTLM_USER_FILE=str(self.exchange.folder / "ntlm")):
            if self.signing_in is None:
                self.signing_in = spnego.server(protocol="ntlm", options=spnego.NegotiateOptions.use_ntlm)
            challenge = self.signing_in.step(token)
            if self.signing_in.complete:
                self.signed_in = True
                return True
            self._say(401, [], **{"WWW-Authenticate": f"NTLM {base64.b64encode(challenge).decode()}"})
            return False
        self.signing_in = None
        self._say(401, [], **{"WWW-Authenticate": "NTLM"})
        return False

    def _give_token(self, form: Mapping[str, list[str]]) -> None:
        if (form["client_id"], form["client_secret"]) != ([CLIENT_ID], [self.exchange.secret]):
            refusal = {"error": "invalid_client", "error_codes": [7000215]}
            self._say(401, [json.dumps(refusal)], **{"Content-Type": "application/json"})
            return
        assert form["scope"] == ["https://localhost/.default"]
        token = f"token-{len(self.exchange.tokens)}"
        self.exchange.tokens.add(token)
        given = {"access_token": token, "token_type": "Bearer", "expires_in": 3600}
        self._say(200, [json.dumps(given)], **{"Content-Type": "application/json"})

    def _say(self, status: int, parts: list[Any], **headers: str) -> None:
        """Part by part: a mail of many megabytes is not copied."""
        chunks = [_as_bytes(part) for part in parts]
        length = str(sum(len(chunk) for chunk in chunks))
        self.send_response(status)
        for name, value in {"Content-Type": "text/xml; charset=utf-8", "Content-Length": length, **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        for chunk in chunks:
            self.wfile.write(chunk)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


def _as_bytes(part: str | bytes) -> bytes:
    return part.encode() if isinstance(part, str) else part


@contextmanager
def _environment(**settings: str) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(settings)
    try:
        yield
    finally:
        for name in settings:
            if name in before:
                os.environ[name] = before[name]
            else:
                del os.environ[name]


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is none of the server's business; a fault of the server's own is to be seen."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


@contextmanager
def ews_server(root: Path, *, name: str = "localhost") -> Iterator[EwsServer]:
    servers.certificate(root, name)
    domain, user = USER.split("\\")
    (root / "ntlm").write_text(f"{domain}:{user}:{PASSWORD}\n", encoding="utf-8")
    handler = type("Handler", (_Handler,), {})
    http = _Server(("127.0.0.1", 0), handler)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(root / "cert.pem", root / "key.pem")
    # In the thread of each connection: one that is never finished must not keep the others waiting.
    http.socket = tls.wrap_socket(http.socket, server_side=True, do_handshake_on_connect=False)
    handler.exchange = server = EwsServer(http.server_address[1], root)  # type: ignore[attr-defined]
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.closing.set()
        http.shutdown()
        http.server_close()
        thread.join()
