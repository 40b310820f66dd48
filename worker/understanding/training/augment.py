"""The same mail, written by somebody in a hurry: only in training, and the same for the same seed, epoch and mail.

Every change leaves the matter of the mail readable to a person, so labels stay. Changes are drawn independently, and
about a third of all mails stay as they are.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from worker.understanding.corpus import Example
from worker.understanding.features import readable

_ROWS = {
    "en": ("qwertyuiop", "asdfghjkl", "zxcvbnm"),
    "sv": ("qwertyuiopå", "asdfghjklöä", "zxcvbnm"),
    "fi": ("qwertyuiopå", "asdfghjklöä", "zxcvbnm"),
    "nb": ("qwertyuiopå", "asdfghjkløæ", "zxcvbnm"),
    "da": ("qwertyuiopå", "asdfghjklæø", "zxcvbnm"),
}
"""The letters of the keyboards, row by row; each row is moved about half a key to the right of the one above."""
_PLAIN = str.maketrans("åäöÅÄÖøæØÆéèüÉÈÜ", "aaoAAOoaOAeeuEEU")
_SPELT_OUT = {"å": "aa", "ø": "oe", "æ": "ae", "ö": "o", "ä": "a"}
_PUNCTUATION = re.compile(r"[.,;:!?]+(?=\s|\Z)")
_NUMBER = re.compile(r"(?<!\d)(?!(?:19|20)\d\d(?!\d))\d{3,}")
"""Ages and years stay: they tell who is a child."""
_WORD = re.compile(r"[^\W\d_]{4,}")


@dataclass(frozen=True, slots=True)
class Chances:
    """How often each change is made, as a share of mails; `typo` is of words, in mails that get typos."""

    lower: float = 0.12
    upper: float = 0.02
    typos: float = 0.20
    typo: float = 0.06
    plain_letters: float = 0.08
    no_punctuation: float = 0.08
    one_line: float = 0.08
    no_subject: float = 0.15
    whole_body: float = 0.15
    """The quoted mails and the signature too."""
    other_digits: float = 0.30
    """Another telephone number, invoice number or amount of as many digits."""
    word_lost: float = 0.05
    """Of mails; there every twelfth word is left out."""


NONE = Chances(*[0.0] * 11)


def texts(examples: Iterable[Example], seed: int, epoch: int, chances: Chances) -> list[str]:
    return [text(one, random.Random(f"{seed} {epoch} {one.id}"), chances) for one in examples]  # noqa: S311


def text(one: Example, chance: random.Random, chances: Chances) -> str:
    subject = "" if one.own_words.strip() and chance.random() < chances.no_subject else one.subject
    # Identity numbers are hidden first: once a digit has changed, nothing could find them.
    own = readable(subject, one.body if chance.random() < chances.whole_body else one.own_words)
    for how_often, change in _changes(chances, one.language if one.language in _ROWS else "en"):
        if chance.random() < how_often:
            own = change(own, chance) or own
    return own


def _changes(chances: Chances, code: str) -> Iterable[tuple[float, Callable[[str, random.Random], str]]]:
    return (
        (chances.other_digits, _with_other_numbers),
        (chances.word_lost, _with_words_lost),
        (chances.typos, lambda own, chance: _with_typos(own, code, chances.typo, chance)),
        (chances.plain_letters, lambda own, chance: _with_plain_letters(own, code, chance)),
        (chances.no_punctuation, lambda own, _: _PUNCTUATION.sub("", own)),
        (chances.one_line, lambda own, _: " ".join(own.split())),
        (chances.lower, lambda own, _: own.lower()),
        (chances.upper, lambda own, _: own.upper()),
    )


def _with_other_numbers(own: str, chance: random.Random) -> str:
    return _NUMBER.sub(lambda number: "".join(str(chance.randrange(10)) for _ in number[0]), own)


def _with_words_lost(own: str, chance: random.Random) -> str:
    return re.sub(r"\S+ ?", lambda word: "" if chance.random() < 1 / 12 else word[0], own)


def _with_plain_letters(own: str, code: str, chance: random.Random) -> str:
    """Written on a foreign keyboard: ø as o, or as oe."""
    if code in ("nb", "da") and chance.random() < 0.5:
        return "".join(_SPELT_OUT.get(letter, letter) for letter in own)
    return own.translate(_PLAIN)


def _with_typos(own: str, code: str, how_often: float, chance: random.Random) -> str:
    return _WORD.sub(lambda word: _typo(word[0], code, chance) if chance.random() < how_often else word[0], own)


def _typo(word: str, code: str, chance: random.Random) -> str:
    """Two letters swapped, one lost, one doubled, or a neighbour hit; the first letter is seldom wrong."""
    place = chance.randrange(1, len(word) - 1)
    before, letter, after = word[:place], word[place], word[place + 1 :]
    kind = chance.randrange(4)
    if kind == 0:
        return before + after[0] + letter + after[1:]
    if kind == 1:
        return before + after
    if kind == 2:
        return before + letter * 2 + after
    return before + chance.choice(_NEIGHBOURS[code].get(letter.lower(), letter)) + after


def _neighbours(rows: tuple[str, ...]) -> dict[str, str]:
    places = {letter: (number, column) for number, row in enumerate(rows) for column, letter in enumerate(row)}
    return {
        letter: "".join(other for other, there in places.items() if other != letter and _touch(place, there))
        for letter, place in places.items()
    }


def _touch(one: tuple[int, int], other: tuple[int, int]) -> bool:
    down, right = other[0] - one[0], other[1] - one[1]
    return (down == 0 and abs(right) == 1) or (down == 1 and right in (-1, 0)) or (down == -1 and right in (0, 1))


_NEIGHBOURS = {code: _neighbours(rows) for code, rows in _ROWS.items()}
