"""A listener on the line between us and Dovecot, in the clear: it hears each command and can spoil what goes by."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field

from tests.servers import Dovecot

Spoiling = Callable[[bytes], bytes | None]
_COMMAND = re.compile(rb"[A-Z]{4}\d+ ((?:UID )?[A-Z]+)\b")


def untouched(line: bytes) -> bytes:
    return line


@dataclass
class Relay:
    """Each spoiling is given one line and returns what goes on in its place: b"" for nothing, None to hang up."""

    port: int
    to_us: Spoiling = untouched
    to_server: Spoiling = untouched
    commands: list[str] = field(default_factory=list)
    """What we have asked for, in order, without arguments."""

    def since_signing_in(self) -> list[str]:
        start = max(place for place, word in enumerate(self.commands) if word in ("LOGIN", "AUTHENTICATE"))
        return self.commands[start + 1 :]


@contextmanager
def relay(server: Dovecot) -> Iterator[Relay]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        running = Relay(listener.getsockname()[1])
        taking = threading.Thread(target=_take_all, args=(listener, server.port, running), daemon=True)
        taking.start()
        try:
            yield running
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            taking.join(timeout=10)


def _take_all(listener: socket.socket, port: int, running: Relay) -> None:
    with ExitStack() as connections, suppress(OSError):  # the listener is shut when the test is over
        while True:
            ours = connections.enter_context(listener.accept()[0])
            theirs = connections.enter_context(socket.create_connection(("127.0.0.1", port)))
            for arguments in ((ours, theirs, running, True), (theirs, ours, running, False)):
                threading.Thread(target=_pass_on, args=arguments, daemon=True).start()


def _pass_on(source: socket.socket, target: socket.socket, running: Relay, from_us: bool) -> None:
    with suppress(OSError, ValueError), source.makefile("rb") as lines:
        for line in lines:
            asked = _COMMAND.match(line) if from_us else None
            if asked:
                running.commands.append(asked[1].decode())
            spoilt = (running.to_server if from_us else running.to_us)(line)
            if spoilt is None:
                break
            target.sendall(spoilt)
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
