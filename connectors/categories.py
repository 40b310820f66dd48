"""The Outlook categories by which staff see how far a mail has come, in the words of the municipality."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from connectors.base import Mark
from connectors.errors import Permanent

Category = Annotated[str, Field(pattern=r"^[^\s,;][^,;\r\n]*$", max_length=255)]
"""Outlook divides categories at commas and semicolons."""

_UNLESS_GIVEN = {
    Mark.TRIAGED: "Kommunpost: triaged",
    Mark.WAITING: "Kommunpost: waiting for review",
    Mark.ANSWERED: "Kommunpost: answered",
}


def named(given: Mapping[Mark, str]) -> dict[Mark, str]:
    """A category for each mark. Outlook takes two that differ by case only for one."""
    names = {**_UNLESS_GIVEN, **given}
    if len({name.casefold() for name in names.values()}) < len(Mark):
        raise Permanent("Two of the categories have the same name: give each mark one of its own.")
    return names
