"""A Microsoft 365 of the tests' own: Entra ID's sign-in and Microsoft Graph's mail calls, over real HTTPS on loopback.

It keeps one mailbox in memory, counts what it has really accepted for sending, and misbehaves when told to.
"""

from __future__ import annotations

import json
import re
import ssl
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests import servers
from tests.graph_calls import CALLS, SIGNED_OUT, Asked
from tests.graph_mailbox import CLIENT_ID, DONE, MAILBOX, SECRET, STATUS, TENANT, Fault, GraphServer, Item, Refused

__all__ = ["CLIENT_ID", "MAILBOX", "SECRET", "TENANT", "Fault", "GraphServer", "Item", "Refused", "graph_server"]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body go separately, and would wait 40 ms for each other
    timeout = 20
    graph: GraphServer

    def do_GET(self) -> None:
        self._answer()

    do_POST = do_PATCH = do_PUT = do_DELETE = do_GET  # noqa: N815 - http.server calls them so

    def _answer(self) -> None:
        url = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        headers = {name.casefold(): value for name, value in self.headers.items()}
        asked = Asked(self.command, unquote(url.path), query, headers, body)
        for name, method, pattern, status, does in CALLS:
            place = pattern.replace("~", re.escape(f"/v1.0/users/{MAILBOX}"), 1)
            found = re.fullmatch(place, asked.path)
            if found and method == asked.method:
                self._perform(name, status, asked, lambda: does(self.graph, asked, *found.groups()))  # noqa: B023
                return
        known = asked.path.startswith(f"/v1.0/users/{MAILBOX}/") or not asked.path.startswith("/v1.0/")
        self._say(404, {"error": {"code": "ResourceNotFound" if known else "ErrorInvalidUser", "message": ""}})

    def _perform(self, name: str, status: int, asked: Asked, does: Callable[[], Any]) -> None:
        graph = self.graph
        with graph.lock:
            graph.asked.append(name)
            queued = graph.faults.get(name)
            fault = queued.popleft() if queued else None
            if interruptions := graph.interruptions.get(name):
                interruptions.popleft()()
            try:
                if name in graph.refusals:
                    raise graph.refusals[name]
                self._check_token(name, asked)
                if fault in STATUS and fault not in DONE:
                    raise Refused(*STATUS[fault])
                answer = does() if fault is None or fault in DONE else None
            except Refused as refused:
                self._refuse(name, refused)
                return
        if fault is None:
            self._say(status, answer)
        else:
            self._misbehave(fault, status, answer)

    def _check_token(self, name: str, asked: Asked) -> None:
        token = asked.headers.get("authorization", "").removeprefix("Bearer ")
        if name not in SIGNED_OUT and token not in self.graph.tokens:
            raise Refused(401, "InvalidAuthenticationToken")

    def _refuse(self, name: str, refused: Refused) -> None:
        if name in ("discovery", "token") and refused.status < 429:
            number = int(refused.message.removeprefix("AADSTS").partition(":")[0])
            said = {"error": refused.code, "error_description": refused.message, "error_codes": [number]}
            self._say(refused.status, said)
        else:
            said = {"error": {"code": refused.code, "message": refused.message}}
            self._say(refused.status, said, waits=refused.status in (429, 503))

    def _misbehave(self, fault: Fault, status: int, answer: Any) -> None:
        whole = b"" if answer is None else answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        if fault in STATUS:
            self._refuse("", Refused(*STATUS[fault]))
        elif fault is Fault.NO_LINK:
            self._say(status, {"value": answer["value"]})
        elif fault is Fault.CUT_JSON_AFTER:
            self._say(status, whole[: len(whole) // 2])
        else:
            if fault is Fault.SILENT_AFTER:
                servers.until_they_hang_up(self.connection)
            if fault is Fault.SHORT_AFTER:
                self._say(status, whole[: len(whole) // 2], length=len(whole) + 1)
            self.close_connection = True
            self.connection.close()

    def _say(self, status: int, answer: Any, *, waits: bool = False, length: int | None = None) -> None:
        body = b"" if answer is None else answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        # Lower case, as HTTP/2 gateways write it: nobody may count on capitals.
        self.send_header("content-length", str(len(body) if length is None else length))
        if waits:
            self.send_header("retry-after", "7")
        if status == 202:
            self.send_header("retry-after", "3")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, context: ssl.SSLContext, handler: type[_Handler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.complaints: list[str] = []
        self._context = context

    def get_request(self) -> tuple[Any, Any]:
        connection, address = super().get_request()
        connection.settimeout(20)
        return self._context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False), address

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that does not trust us, or hangs up, is none of our business; a wrong request is."""
        failure = sys.exc_info()[1]
        if not isinstance(failure, OSError):
            self.complaints.append(repr(failure))


@contextmanager
def graph_server(folder: Path) -> Iterator[GraphServer]:
    servers.certificate(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    handler = type("Handler", (_Handler,), {})
    running = _Server(context, handler)
    handler.graph = GraphServer(running.server_address[1], folder)
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield handler.graph
    finally:
        running.shutdown()
        running.server_close()
        thread.join()
    if running.complaints:
        raise AssertionError(running.complaints)
