"""The answered mail, quoted below the reply: a line that says who wrote when, and the sender's own words behind ">".

It carries no address, no national identity number and nothing the sender's mail hid or had itself quoted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo

from rules import decoding
from rules.grounding import write
from rules.masking import masked
from rules.national_ids import find
from rules.values import Kind, MailKind, Message

MOST_LINES = 60
MOST_CHARACTERS = 4_000
_MOST_OF_A_NAME = 80

_NO_NAME = re.compile(r"@|://|\bwww\.|[<>]", re.IGNORECASE)
"""Its sender chose the name: an address or a link in it would stand in our mail as if we had put it there."""


@dataclass(frozen=True, slots=True)
class _Form:
    line: str
    named: str
    unnamed: str
    when: str
    shortened: str
    removed: str
    """What stands for a national identity number: in mail that leaves, not even the birth date is repeated."""


_FORMS = {
    "sv": _Form(
        line="{who}{when}:",
        named="{name} skrev",
        unnamed="Du skrev",
        when=" den {day} kl. {time}",
        shortened="… (meddelandet är förkortat)",
        removed="[personnummer borttaget]",
    ),
    "fi": _Form(
        line="{who}{when}:",
        named="{name} kirjoitti",
        unnamed="Kirjoitit",
        when=" {day} klo {time}",
        shortened="… (viestiä on lyhennetty)",
        removed="[henkilötunnus poistettu]",
    ),
    "nb": _Form(
        line="{who}{when}:",
        named="{name} skrev",
        unnamed="Du skrev",
        when=" {day} kl. {time}",
        shortened="… (meldingen er forkortet)",
        removed="[fødselsnummer fjernet]",
    ),
    "da": _Form(
        line="{who}{when}:",
        named="{name} skrev",
        unnamed="Du skrev",
        when=" den {day} kl. {time}",
        shortened="… (beskeden er forkortet)",
        removed="[CPR-nummer fjernet]",
    ),
    "en": _Form(
        line="{when}{who} wrote:",
        named="{name}",
        unnamed="you",
        when="On {day} at {time}, ",
        shortened="… (the message is shortened)",
        removed="[personal identity number removed]",
    ),
}
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def of(message: Message, language: str, zone: tzinfo) -> str:
    """What stands below the reply to `message`; empty when it has no words to quote."""
    form = _FORMS.get(language, _FORMS["en"])
    # Twice as much as is quoted: a number must be seen whole to be taken out, even where the words are cut after it.
    words = decoding.clean(message.reply_text[: 2 * MOST_CHARACTERS], [])
    lines = _without_numbers(words, form).strip("\n").split("\n")
    if not any(line.strip() for line in lines) or message.kind is MailKind.ENCRYPTED:
        return ""
    whole = len(message.reply_text) <= 2 * MOST_CHARACTERS
    return "\n".join([_introduction(message, language, form, zone), *map(_quoted, _shortened(lines, whole, form))])


def _introduction(message: Message, language: str, form: _Form, zone: tzinfo) -> str:
    name = _name(message.sender_address.name, form)
    who = form.named.format(name=name) if name else form.unnamed
    line = form.line.format(who=who, when=_when(message.date or message.received_at, language, form, zone))
    return line[:1].upper() + line[1:]


def _name(given: str, form: _Form) -> str:
    name = _without_numbers(" ".join(decoding.clean(given, []).split()).strip("\"' "), form)
    if _NO_NAME.search(name) or not any(letter.isalpha() for letter in name):
        return ""
    return name if len(name) <= _MOST_OF_A_NAME else name[:_MOST_OF_A_NAME].rstrip() + "…"


def _when(moment: datetime | None, language: str, form: _Form, zone: tzinfo) -> str:
    try:
        local = moment.astimezone(zone) if moment else None
    except OverflowError:
        # A Date in the last hours of the year 9999.
        local = None
    if local is None:
        return ""
    if form is _FORMS["en"]:
        day = f"{_WEEKDAYS[local.weekday()]}, {local.day} {_MONTHS[local.month - 1]} {local.year}"
        return form.when.format(day=day, time=f"{local:%H:%M}")
    day, time = write(Kind.DATE, f"{local:%Y-%m-%d}", language), write(Kind.TIME, f"{local:%H:%M}", language)
    return form.when.format(day=day, time=time)


def _without_numbers(text: str, form: _Form) -> str:
    return masked(text, (replace(number, masked=form.removed) for number in find(text)))


def _shortened(lines: list[str], whole: bool, form: _Form) -> list[str]:
    kept: list[str] = []
    left = MOST_CHARACTERS
    for line in lines[:MOST_LINES]:
        if len(line) > left:
            return [*kept, *([line[:left].rstrip()] if left else []), form.shortened]
        kept.append(line.rstrip())
        left = max(0, left - len(line) - 1)
    return kept if whole and len(lines) <= MOST_LINES else [*kept, form.shortened]


def _quoted(line: str) -> str:
    """As mail programs do it: no blank behind the mark of an empty line or before the mark of an older quotation."""
    return f">{line}" if not line or line.startswith(">") else f"> {line}"
