"""A server of the tests' own that answers like an OpenAI-compatible one: well, badly, slowly, or as a letter told it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "nyckel-till-den-andra-asikten"


@dataclass
class AdviserServer:
    port: int
    intent: str = "water_sewer"
    reasons: list[str] = field(default_factory=list)
    status: int = 200
    raw: bytes | None = None
    """Sent in place of an answer."""
    waits_s: float = 0.0
    drips_s: float = 0.0
    """Between two bytes of the answer."""
    requests: list[dict[str, Any]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def letters(self) -> list[str]:
        return [asked["messages"][1]["content"] for asked in self.requests]

    def answer(self) -> bytes:
        if self.raw is not None:
            return self.raw
        content = json.dumps({"intent": self.intent, "reasons": self.reasons})
        return json.dumps({"choices": [{"message": {"role": "assistant", "content": content}}]}).encode()


@contextmanager
def adviser_server() -> Iterator[AdviserServer]:
    server = AdviserServer(0)
    http = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"adviser": server}))
    server.port = http.server_port
    http.daemon_threads = True
    threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()


class _Handler(BaseHTTPRequestHandler):
    timeout = 20
    adviser: AdviserServer

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.adviser.requests.append(asked)
        time.sleep(self.adviser.waits_s)
        allowed = self.headers["Authorization"] == f"Bearer {KEY}" and self.path == "/v1/chat/completions"
        with suppress(BrokenPipeError, ConnectionResetError):  # the other side gave up, as it should
            self._say(self.adviser.status if allowed else 401, self.adviser.answer())

    def _say(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if not self.adviser.drips_s:
            self.wfile.write(body)
            return
        for position in range(len(body)):
            self.wfile.write(body[position : position + 1])
            self.wfile.flush()
            time.sleep(self.adviser.drips_s)

    def log_message(self, *_: object) -> None:
        pass
