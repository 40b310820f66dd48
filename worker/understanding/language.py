"""Which language a mail is written in: one of the five that replies can be written in, or `other`.

py3langid knows a hundred languages, but nothing of how residents write to a municipality; our own model saw nothing but
that. By cross-validation each alone is right in 99.8 % of whole mails or more; of pieces of three to eight words ours
gets 90 %, py3langid 91 %, and both together, their probabilities multiplied, 92 %. Nynorsk counts as Norwegian.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from rules.values import Language
from worker.understanding.calibration import softmax
from worker.understanding.classifier import Reading
from worker.understanding.features import Floats, folded
from worker.understanding.linear import Linear

NOTHING_TO_GO_BY = Language("other", 0.0)
OURS = {"sv": ("sv",), "fi": ("fi",), "nb": ("nb", "nn", "no"), "da": ("da",), "en": ("en",)}
"""What py3langid calls them."""
TEMPERATURE = 0.3
"""Of our own model's scores, chosen by cross-validation on pieces of three to eight words."""

SURE = 0.99
"""From this share of our own model's on, py3langid is not asked of a text in words we know: in 2,700 whole mails and
2,400 sentences of the corpus it never said otherwise, and it takes as long as the words themselves."""

_READ = 4_000
_LEAST = 1e-6
_PARAGRAPH = 8
"""Words. Names and set phrases look foreign in any language, so fewer prove less."""
_FAMILIAR = 0.4
"""A paragraph with such a share of our common words is never foreign."""
_WORD = re.compile(r"[^\W\d_]+")
_LATIN_WORD = re.compile(r"[a-zà-öø-ÿā-ɏ]+")
_ADDRESS = re.compile(r"\S+@\S+|https?://\S+|www\.\S+")


@dataclass(frozen=True, slots=True)
class Strangeness:
    """How unlike our five languages a text is."""

    words: int
    common: float
    """Share of its words that are among the common words of the one of our languages that fits best."""
    elsewhere: float
    """The probability that py3langid gives to all languages but ours together."""

    @property
    def is_other(self) -> bool:
        """Chosen on mails of the corpus, their sentences and the texts of a program that is translated into forty
        languages; tests/worker/test_language.py holds mails that were written afterwards.
        """
        if self.words >= _PARAGRAPH:
            return (self.elsewhere > 0.99 and self.common < _FAMILIAR) or (self.elsewhere > 0.5 and self.common < 0.12)
        return self.words >= 3 and self.elsewhere > 0.9 and self.common < 0.2


def read_all(texts: Sequence[str], model: Linear) -> list[tuple[Reading, Language]]:
    """Texts from `features.readable`, each ready for a classifier, and how sure its language is."""
    words = model.scores(texts)
    found = _languages(texts, words, model)
    return [
        (Reading(text, language.code, row), language) for text, row, language in zip(texts, words, found, strict=True)
    ]


def _languages(texts: Sequence[str], words: Floats, model: Linear) -> list[Language]:
    languages = model.outputs.languages
    shares = softmax(words[:, -len(languages) :], TEMPERATURE).tolist()
    return [
        _verdict(model, words_of(text[:_READ]), dict(zip(languages, by_language, strict=True)))
        for text, by_language in zip(texts, shares, strict=True)
    ]


def _verdict(model: Linear, words: list[str], own: Mapping[str, float]) -> Language:
    if not words:
        return NOTHING_TO_GO_BY
    foreign_script = sum(_LATIN_WORD.fullmatch(word) is None for word in words) / len(words)
    if foreign_script > 0.5:
        return Language("other", round(foreign_script, 4))
    common = _common(model, words)
    likeliest = max(own, key=own.__getitem__)
    if len(words) >= _PARAGRAPH and common >= _FAMILIAR and own[likeliest] >= SURE:
        return Language(likeliest, round(own[likeliest], 4))
    library = _library(" ".join(words))
    strangeness = Strangeness(len(words), common, elsewhere=1 - sum(library.values()))
    if strangeness.is_other:
        return Language("other", round(max(strangeness.elsewhere, 1 - strangeness.common), 4))
    both = {code: own[code] * max(library[code], _LEAST) for code in own}
    best = max(both, key=both.__getitem__)
    return Language(best, round(both[best] / sum(both.values()), 4))


def words_of(text: str) -> list[str]:
    return _WORD.findall(_ADDRESS.sub(" ", folded(text)))


def _common(model: Linear, words: Sequence[str]) -> float:
    return max(sum(map(known.__contains__, words)) for known in model.common_words.values()) / len(words)


def _library(text: str) -> dict[str, float]:
    """What py3langid says of each of our languages; what is missing from one belongs to all others."""
    found = dict(_langid().rank(text))
    return {code: float(sum(found.get(name, 0.0) for name in names)) for code, names in OURS.items()}


@lru_cache(maxsize=1)
def _langid() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
