"""The municipality file: who we are, which mailboxes and registers there are, and which rule pack decides.

The file holds no secrets: a value `{env: NAME}` or `{file: PATH}` is read from the environment or from a file.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from connectors.network import LOOPBACK
from rules.pack import RulePack
from worker import packs


class MunicipalityError(ValueError):
    """The municipality file is missing or wrong; the text says what to do."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class WriteBackEntry(_Part):
    """What staff see in the mailbox itself. Nothing of it is written in the mode `read_only`."""

    states: bool = True
    """A category (Outlook) or keyword (IMAP) on each mail: triaged, waiting for review, answered."""
    drafts: bool = False
    """The draft that waits for review also lies in the mailbox's own Drafts folder."""
    sent: bool = True
    """A reply that left is filed in Sent, where the server does not do so by itself."""
    move_answered_to: str | None = None
    """The folder to which an answered mail is moved."""


class MailboxEntry(_Part):
    kind: str
    address: str
    mode: Literal["read_only", "shadow", "sends"] = "shadow"
    since: date | None = None
    authserv_ids: list[str] = []
    """Mail servers of ours whose Authentication-Results count. Empty: no sender is ever proven."""
    people: list[str] = []
    """User names of those who work with this mailbox."""
    quote: bool = True
    """Below a reply stands what its reader wrote, if it is proven that they wrote it."""
    write_back: WriteBackEntry = WriteBackEntry()
    listen: bool = True
    """`kommunpost listen` waits at this mailbox, if its server can tell of new mail."""
    options: dict[str, Any] = {}


class RegisterEntry(_Part):
    kind: str
    options: dict[str, Any] = {}


class SecondOpinionEntry(_Part):
    """A language model that is asked about mail the classifier abstained from (docs/running.md). None by default."""

    url: str
    """Of an OpenAI-compatible API, up to and with `/v1`."""
    model: str = Field(pattern=r"^[\w./:@+-]{1,100}$")
    key_file: str | None = None
    timeout_s: float = Field(default=10.0, gt=0, le=30)
    ca_file: str | None = None

    @field_validator("url")
    @classmethod
    def _safe(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK):
            return url
        raise ValueError("must begin with https://, since mail is sent there; http:// is only for this machine")


class Municipality(_Part):
    name: str
    case_prefix: str = Field(max_length=12)
    time_zone: str
    country: str
    facts: dict[str, str]
    """The municipality's own record: address, phone, eservice, dpo … (register `municipality` of the rule pack)."""
    pack: str = "nordic"
    mailboxes: dict[str, MailboxEntry] = {}
    registers: dict[str, RegisterEntry] = {}
    second_opinion: SecondOpinionEntry | None = None
    folder: Path
    """Where the file lies; relative paths in it start here."""

    @field_validator("time_zone")
    @classmethod
    def _known(cls, name: str) -> str:
        try:
            return ZoneInfo(name).key
        except (KeyError, ValueError, OSError):
            raise ValueError("there is no such time zone; one is written like Europe/Stockholm") from None

    def rule_pack(self) -> RulePack:
        """The shipped pack of that name, or a folder beside the municipality file."""
        own = self.folder / self.pack
        return packs.read(own if own.is_dir() else packs.shipped(self.pack))

    def own_addresses(self) -> frozenset[str]:
        return frozenset(entry.address.casefold() for entry in self.mailboxes.values())

    def options_of(self, entry: MailboxEntry | RegisterEntry) -> dict[str, Any]:
        return {name: self._resolved(name, value) for name, value in entry.options.items()}

    def secret(self, name: str, path: str) -> str:
        """What a file beside the municipality file holds. Raises MunicipalityError."""
        return _from_file(name, self.folder / path)

    def _resolved(self, name: str, value: Any) -> Any:
        if isinstance(value, Mapping) and value.keys() == {"env"}:
            return _from_environment(name, value["env"])
        if isinstance(value, Mapping) and value.keys() == {"file"}:
            return _from_file(name, self.folder / value["file"])
        if name in ("path", "sent_path", "ca_file") and value is not None:
            return str(self.folder / os.path.expandvars(value))
        if isinstance(value, Mapping):
            return {inner: self._resolved(inner, part) for inner, part in value.items()}
        return value


def _from_environment(name: str, variable: str) -> str:
    try:
        return os.environ[variable]
    except KeyError:
        raise MunicipalityError(f"option {name}: the environment variable {variable} is not set: set it") from None


def _from_file(name: str, path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        reason = f"{path} cannot be read ({error.strerror})"
        raise MunicipalityError(f"option {name}: {reason}: correct the path, or let this user read it") from None


@lru_cache(maxsize=4)
def read(path: Path) -> Municipality:
    """Raises MunicipalityError with the place of each fault."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise MunicipalityError(f"the municipality file {path} cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise MunicipalityError(f"the municipality file {path} is not UTF-8: save it as UTF-8") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise MunicipalityError(f"{path}{f' line {mark.line + 1}' if mark else ''}: not valid YAML") from None
    if not isinstance(content, dict):
        raise MunicipalityError(f"{path}: must hold name, country, facts, mailboxes and registers")
    try:
        return Municipality(**{**content, "folder": path.resolve().parent})
    except ValidationError as error:
        faults = ("→".join(str(p) for p in fault["loc"]) + ": " + fault["msg"].lower() for fault in error.errors())
        raise MunicipalityError(f"{path}: " + "; ".join(faults)) from None


def configured() -> Municipality:
    """The municipality of this installation, from the settings."""
    from django.conf import settings

    return read(settings.MUNICIPALITY)
