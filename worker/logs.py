"""Logging: one JSON object a line, a constant event in English with ids as fields. Never mail text or addresses.

A traceback is logged without the values of its variables and without the exception's text, which may quote a mail.
"""

from __future__ import annotations

import json
import logging
import sys
import traceback
from datetime import UTC, datetime

FIELDS = ("mail", "mailbox", "task", "register", "status_code", "reason", "wait_s")
"""The only extra fields that reach a log line."""
QUIET = ("celery.app.trace", "celery.worker.strategy", "amqp", "axes", "django.request", "httpx", "py3langid")


class Line(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        ours = record.name.split(".")[0] in ("worker", "review_ui", "connectors")
        line: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            # A library's own template is kept, its arguments are not: they may hold a mail's subject or an address.
            "event": record.getMessage() if ours or record.levelno < logging.WARNING else str(record.msg)[:200],
        }
        line |= {name: record.__dict__[name] for name in FIELDS if name in record.__dict__}
        if record.exc_info and record.exc_info[0]:
            line["error"] = record.exc_info[0].__name__
            line["where"] = [f"{f.filename}:{f.lineno} {f.name}" for f in traceback.extract_tb(record.exc_info[2])[-6:]]
        return json.dumps(line, ensure_ascii=False)


def configure(level: str) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Line())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
