"""Finds Nordic national identity numbers in any text. A number leaves this module only as its kind, place and mask.

Whatever is found must be a number that could have been given out: the date exists and the check digits are right.
Danish numbers since 2007 have no check digit, so there the way it is written, or the word before it, must speak for it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date

from stdnum import luhn
from stdnum.dk import cpr
from stdnum.exceptions import ValidationError
from stdnum.fi import hetu
from stdnum.no import fodselsnummer
from stdnum.se import personnummer

from rules.plain_text import PlainText, plain_text
from rules.values import NationalId

_START, _END = r"(?<![0-9+])(?<![0-9][-./])", r"(?![0-9])(?![-./][0-9])"
# A date written together, or with one and the same separator between its parts; then the last digits come after the
# separator too, so that a date and a time of day never make a number together.
# A line may end at the separator, and the next begin with the mark of a quotation.
_GAP = r"[ \t]{0,2}(?:\r?\n[> \t]{0,4})?"
_PARTS = (
    r"(?:(?P<day>{0}[0-9]{{4}})"
    + _GAP.replace("{", "{{").replace("}", "}}")
    + r"(?P<sep>[-+]?)"
    + _GAP.replace("{", "{{").replace("}", "}}")
    + r"|{0}(?P<s>[-. /])[0-9]{{2}}(?P=s)[0-9]{{2}}(?P<wide> |-|\+))"
)

_SWEDISH = re.compile(_START + _PARTS.format(r"(?:19|20)?[0-9]{2}") + r"(?P<last>[0-9]{4})" + _END)
_DANISH = re.compile(_START + _PARTS.format(r"[0-9]{2}") + r"(?P<last>[0-9]{4})" + _END)
_NORWEGIAN = re.compile(_START + _PARTS.format(r"[0-9]{2}") + r"(?P<last>[0-9]{3} ?[0-9]{2})" + _END)
_FINNISH = re.compile(
    rf"(?<![0-9+])[0-9]{{6}}{_GAP}[-+A-FU-Y]{_GAP}(?P<last>[0-9]{{3}}[0-9A-FHJ-NPR-Y])(?![0-9A-Za-z])", re.IGNORECASE
)

_SAYS_SO = {
    "se": r"person(?:nummer|nr)|p(?:ers)?\.?nr|samordnings(?:nummer|nr)|coordination number|personal number|född",
    "fi": r"hetu|henkilötunnu\w*|sotu\w*|personbeteckning\w*|personal identity code",
    "no": r"fødselsn\w*|f\.?nr|personn\w*|d-n\w*|birth number|født",
    "dk": r"cpr\w*|person(?:nummer|nr)|født",
}
_THE_NUMBER = re.compile(r"(?<!\w)(?:number|nummer|nr|numero)\b[^0-9\n]{0,16}\Z", re.IGNORECASE)
_CUES = {country: re.compile(rf"(?<!\w)(?:{words})\W", re.IGNORECASE) for country, words in _SAYS_SO.items()}
# What other numbers of ten digits are called. "Org.nr", EAN, IBAN and most accounts never hold a date and need no word.
_OTHER_NUMBER = re.compile(
    r"(?<!\w)(?:ocr|kid|viite\w*|ref\w*|faktura\w*|lasku\w*|invoice|regning|kont\w+|account|bank\w*|giro|bg|pg|ean|gln|kund\w*|customer"
    r"|asiakas\w*|tel\w*|tlf|phone|mobil\w*|puh\w*|ring\w*|call|order\w*|ordre\w*|sporing|tracking|betal\w*|serie\w*|p-nummer|cvr"
    r"|y-tunnus|ärende\w*|dnr|sag\w*|sak\w*|journal\w*)\b\.?(?:[^0-9\n.!?,;]|nr\.){0,24}\Z|[0-9]{4} \Z",
    re.IGNORECASE,
)
_LOOK_BACK = 48
_DIGIT = re.compile(r"[0-9]")
_FEWEST_DIGITS = 9
"""Of a Finnish one, which may end in a letter; most mails have fewer and need not be searched."""


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A stretch that has the form of a number, and what speaks for it."""

    kind: str
    start: int
    end: int
    hidden_from: int
    checked: bool
    """Check digits are right."""
    named: bool
    """The words before it say what it is."""
    at_home: bool
    """The letters of the text are those of the country. Ten digits may be right in Sweden and in Denmark."""

    @property
    def strength(self) -> int:
        return 4 * self.named + 2 * self.checked + self.at_home


def find(text: str) -> tuple[NationalId, ...]:
    """Every national identity number in `text`, in order; offsets are those of `text` as given."""
    plain = plain_text(text)
    if len(_DIGIT.findall(plain.text)) < _FEWEST_DIGITS:
        return ()
    candidates = sorted(_candidates(plain.text), key=lambda one: (one.start, -one.strength))
    found: list[NationalId] = []
    position = 0
    for one in candidates:
        if one.start >= position:
            found.append(_value(plain, one))
            position = one.end
    return tuple(found)


def _value(plain: PlainText, one: _Candidate) -> NationalId:
    start, end = plain.span(one.start, one.end)
    shown = plain.text[one.start : one.hidden_from]
    hidden = re.sub(r"[0-9A-Za-z]", "*", plain.text[one.hidden_from : one.end])
    return NationalId(one.kind, shown + hidden, start, end)


def _candidates(text: str) -> Iterator[_Candidate]:
    danish = len(re.findall("[æøÆØ]", text)) > len(re.findall("[äöÄÖ]", text))
    for country, pattern, judge in _COUNTRIES:
        for match in pattern.finditer(text):
            before = text[max(0, match.start() - _LOOK_BACK) : match.start()]
            kind_and_check = judge(_characters(match[0]), match, before)
            if kind_and_check:
                kind, checked = kind_and_check
                named = bool(_CUES[country].search(before + " "))
                at_home = danish == (country == "dk")
                yield _Candidate(kind, match.start(), match.end(), match.start("last"), checked, named, at_home)


def _characters(written: str) -> str:
    return re.sub(r"[\s>./+-]", "", written)


_Judgement = tuple[str, bool] | None
"""The kind, and whether check digits are right; None when it is no such number."""


def _finnish(_characters: str, match: re.Match[str], _before: str) -> _Judgement:
    return ("fi.hetu", True) if hetu.is_valid(re.sub(r"[\s>]", "", match[0]), allow_temporary=True) else None


def _swedish(digits: str, match: re.Match[str], before: str) -> _Judgement:
    if len(digits) == 10 and _is_bare(match) and _OTHER_NUMBER.search(before):
        return None
    if personnummer.is_valid(digits):
        return "se.personnummer", True
    born_as = digits[:-6] + f"{int(digits[-6:-4]) - 60:02d}" + digits[-4:] if digits[-6] in "6789" else ""
    if not born_as or not luhn.is_valid(digits[-10:]) or not _is_date(born_as[:-4]):
        return None
    # A mobile number without spaces has this very form, so there a word must say what it is.
    like_a_phone = len(digits) == 10 and _is_bare(match) and digits.startswith("0")
    return None if like_a_phone and not _CUES["se"].search(before) else ("se.samordningsnummer", True)


def _is_date(written: str) -> bool:
    """`yymmdd` or `yyyymmdd`; two digits of a year mean whichever century has that day."""
    years = [int(written[:4])] if len(written) == 8 else [1900 + int(written[:2]), 2000 + int(written[:2])]
    return any(_exists(year, int(written[-4:-2]), int(written[-2:])) for year in years)


def _exists(year: int, month: int, day: int) -> bool:
    try:
        date(year, month, day)
    except ValueError:
        return False
    return True


def _norwegian(digits: str, _match: re.Match[str], _before: str) -> _Judgement:
    day, month = int(digits[:2]), int(digits[2:4])
    kind = "no.dnummer" if day > 40 else "no.fodselsnummer"
    # Day + 40: a D-number. Month + 40: a number of the health service; month + 80: a test number of the tax agency.
    born_on = f"{digits[4:6]}{month % 40:02d}{day % 40:02d}"
    checked = digits[9] == fodselsnummer.calc_check_digit1(digits) and digits[10] == fodselsnummer.calc_check_digit2(
        digits
    )
    return (kind, True) if checked and day < 80 and _is_date(born_on) else None


def _danish(digits: str, match: re.Match[str], before: str) -> _Judgement:
    try:
        cpr.get_birth_date(digits)
    except ValidationError:
        return None
    checked = cpr.checksum(digits) == 0
    named = _CUES["dk"].search(before) is not None
    if _OTHER_NUMBER.search(before) and not named:
        return None
    usual_form = match["sep"] == "-" and " " not in match[0]
    spoken_of = named or _THE_NUMBER.search(before) is not None
    return ("dk.cpr", checked) if checked or usual_form or spoken_of else None


def _is_bare(match: re.Match[str]) -> bool:
    return match[0].isdigit()


_COUNTRIES: tuple[tuple[str, re.Pattern[str], Callable[[str, re.Match[str], str], _Judgement]], ...] = (
    ("fi", _FINNISH, _finnish),
    ("se", _SWEDISH, _swedish),
    ("no", _NORWEGIAN, _norwegian),
    ("dk", _DANISH, _danish),
)
"""In the order that decides between numbers of which equally much is known."""
