"""What can go wrong outside the house. Only a connector decides which of these it was.

ConnectorError
├── Transient      try again later; `retry_after_s` says when the other side asked us to
├── Permanent      trying again will not help; a person has to act
│   └── Refused    the other side does not accept our name, password or rights
└── Unclear        we asked for something to be sent and do not know whether it was accepted
"""

from __future__ import annotations


class ConnectorError(Exception):
    """Carries one sentence for the administrator: what is wrong and what to do. Never mail text or a secret."""

    def __init__(self, sentence: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.retry_after_s = retry_after_s


class Transient(ConnectorError):
    pass


class Permanent(ConnectorError):
    pass


class Refused(Permanent):
    pass


class Unclear(ConnectorError):
    pass
