"""Finds what a draft says of a record's status (granted, refused, paid …), with its negation, in five languages.

Wishes, duties and conditions (`ska betalas`, `om ansökan beviljas`) claim no status and are left to the check of the
whole sentence.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from rules.grounding.meaning import Found, State
from rules.grounding.words import POLARITY, listed
from rules.values import Kind

WORDS: Mapping[str, Mapping[str, str]] = {
    "sv": {
        "granted": r"bevilja(?:ts?|de|des|d|r)|bifall(?:its|en|et|a)|bifölls?|fått bygglov",
        "refused": r"avsl(?:agits|agen|aget|agna|ogs?|år)|(?:får|fått|fick|gett) avslag|neka(?:ts|d|de|des|r)",
        "pending": r"väntar på (?:beslut|prövning|handläggning)|inväntar \w+|vilande",
        "in_progress": r"handläggs|behandlas|under (?:handläggning|behandling|utredning)|utreds",
        "paid": r"betal(?:d|t|da|ats|ades)|betalning(?:en)? har (?:kommit in|mottagits|registrerats)"
        r"|(?:tagit emot|registrerat|fått) (?:(?:din|någon) )?betalning(?:en)?",
        "unpaid": r"obetal(?:d|t|da)",
        "closed": r"avsluta(?:ts?|d|de|des)",
        "received": r"tagit emot|mottagits|mottag(?:en|et|na)|inkommit|kommit in",
        "cancelled": r"inställ(?:ts?|d|da|des)|ställts in|avboka(?:ts?|d|de|des)|återkalla(?:ts?|d|de|des)"
        r"|makulera(?:ts?|d|de|des)|annullera(?:ts?|d|de|des)",
    },
    "fi": {
        "granted": r"myönne(?:tty|ttiin|tyksi|tään)|myönsi(?:mme)?|myöntänyt",
        "refused": r"hylä(?:tty|ttiin|tyksi|tään)|hylkäsi|hylännyt|evä(?:tty|ttiin|si|nnyt)|kielteinen päätös",
        "pending": r"odottaa \w+|vireillä",
        "in_progress": r"käsittelyssä|käsitellään|käsiteltävänä|työn alla",
        "paid": r"maksettu|maksettiin|maksu(?:si)? on saapunut"
        r"|(?:saaneet|vastaanottaneet|kirjanneet) maksu(?:n|si|a|asi)",
        "unpaid": r"maksamatta|maksamaton",
        "closed": r"päättynyt",
        "received": r"saapunut|saapui|vastaanotettu|vastaanottaneet",
        "cancelled": r"peruttu|peruttiin|peruutettu|peruutettiin|mitätöity|mitätöitiin",
    },
    "nb": {
        "granted": r"innvilg(?:et|a|ede|er)|bevilget",
        "refused": r"avsl(?:ått|o|år)|(?:får|fått|fikk|gitt) avslag|avvist",
        "pending": r"venter på (?:avgjørelse|vedtak|behandling)|avventer \w+",
        "in_progress": r"under behandling|behandles|blir behandlet",
        "paid": r"betal(?:t|te|ingen (?:har kommit|er mottatt|er registrert))"
        r"|(?:mottatt|registrert|fått) (?:noen )?betaling(?:en)?(?: din)?",
        "unpaid": r"ubetal(?:t|te)",
        "closed": r"avslutt(?:et|a|ede)",
        "received": r"mottatt|tatt imot|kommet inn",
        "cancelled": r"avlyst|kansellert|avbestilt|trukket tilbake|annullert",
    },
    "da": {
        "granted": r"bevil(?:get|liget|ligede|ger|liger)|imødekomm(?:et|er)",
        "refused": r"afsl(?:ået|og|år)|(?:får|fået|fik|givet) afslag|afvist",
        "pending": r"afventer(?: \w+)?|venter på (?:afgørelse|behandling)",
        "in_progress": r"under behandling|behandles|bliver behandlet",
        "paid": r"betal(?:t|te|ingen (?:er modtaget|er registreret))"
        r"|(?:modtaget|registreret|fået) (?:(?:din|nogen) )?betaling(?:en)?",
        "unpaid": r"ubetal(?:t|te)",
        "closed": r"afslutt(?:et|ede)",
        "received": r"modtaget|kommet ind",
        "cancelled": r"aflyst|annulleret|afbestilt|trukket tilbage",
    },
    "en": {
        "granted": r"granted",
        "refused": r"refused|rejected|denied|turned down|declined|dismissed",
        "pending": r"pending|awaiting (?:a )?(?:decision|review)|waiting for a decision",
        "in_progress": r"in progress|being (?:processed|handled|reviewed)|under (?:review|consideration)",
        "paid": r"paid|(?:received|registered) (?:(?:your|the|any) )?payment|payment has been received",
        "unpaid": r"unpaid|outstanding",
        "closed": r"concluded",
        "received": r"received",
        "cancelled": r"cancelled|canceled|revoked|withdrawn",
    },
}

OF_A_RECORD: Mapping[str, Mapping[str, str]] = {
    "sv": {
        "open": r"öppe[nt]|öppna|pågår|pågående",
        "closed": r"stäng(?:ts?|d|da|des)",
        "granted": r"godkän(?:ts?|d|da|des|de|ner)",
    },
    "fi": {
        "open": r"avoin|avoinna|auki|kesken",
        "closed": r"suljettu|suljettiin",
        "granted": r"hyväksy(?:tty|ttiin|tyksi|i|nyt|tään)",
    },
    "nb": {"open": r"åpent?|åpne|pågår", "closed": r"lukket|stengt", "granted": r"godkjen(?:t|te|ner)"},
    "da": {"open": r"åbent?|åbne|i gang", "closed": r"lukket", "granted": r"godken(?:dt|dte|der)"},
    "en": {"open": r"open|ongoing", "closed": r"closed|completed", "granted": r"approved"},
}
"""Words that are also said of a library's door or of this very text: a status where the sentence names a record."""

RECORD: Mapping[str, re.Pattern[str]] = {
    language: re.compile(rf"\b(?:{nouns})", re.IGNORECASE)
    for language, nouns in {
        "sv": r"ärende|ansökan|anmälan|fakturan?\b|felanmälan|begäran|överklagande|klagomål",
        "fi": r"asia[ns]?i?\b|hakemu|ilmoitu|lasku|pyyntö|valitus|tapau",
        "nb": r"sak(?:en)?\b|søknad|melding|faktura|klage|henvendelse",
        "da": r"sag(?:en)?\b|ansøgning|anmeldelse|faktura|regning|klage|henvendelse",
        "en": r"case|application|invoice|request|report|appeal|complaint|ticket",
    }.items()
}

AGREES: Mapping[str, frozenset[str]] = {
    "received": frozenset({"received", "pending", "in_progress", "open", "granted", "refused", "closed"}),
    "open": frozenset({"open", "received", "pending", "in_progress"}),
    "in_progress": frozenset({"in_progress", "pending"}),
    "pending": frozenset({"pending", "in_progress"}),
    "not granted": frozenset({"refused"}),
    "not paid": frozenset({"unpaid"}),
    "not unpaid": frozenset({"paid"}),
    "not open": frozenset({"closed"}),
    "not closed": frozenset({"open", "received", "pending", "in_progress"}),
}
"""Which statuses of a register make what is said true. A status that is not listed needs exactly itself."""

NEEDS_RECORD = frozenset({"granted", "refused", "paid", "unpaid", "cancelled"})
"""Never true by an approved phrase alone: the record itself must say so."""

_CLAUSE_END = re.compile(r"[,;:()\n\f]| (?:och|ja|og|and|men|mutta|but|eller|tai|or) ")
_AUXILIARY = re.compile(r"(?:har|är|er|har|blev|ble|on|ovat|onko|has|have|is|are|was|were)\b", re.IGNORECASE)
_MODAL: Mapping[str, frozenset[str]] = {
    "sv": frozenset(listed("ska skall kan måste bör kommer vill kunde skulle behöver")),
    "fi": frozenset(listed("pitää täytyy tulee voi voidaan voitaisiin pitäisi")),
    "nb": frozenset(listed("skal kan må bør vil kunne skulle")),
    "da": frozenset(listed("skal kan må bør vil kunne skulle")),
    "en": frozenset(listed("can may must will shall should could would might")),
}
_INFINITIVE: Mapping[str, str] = {"sv": "att", "fi": "", "nb": "å", "da": "at", "en": "to"}
_ABOUT = re.compile(
    r"(?:ansök|ansøg|søknad|begär|anmäl|anmeld|beslut|vedtak|afgørelse|fråga|spørsm|spørgsm|sak|sag|ärende)\w*"
)
"""`ansökan om bygglov`: here `om` is about, not if."""


@dataclass(frozen=True, slots=True)
class Claim(Found):
    """A place where a draft says that a record has a status."""

    meaning: State


def agrees(said: State, held: State) -> bool:
    return held.status in AGREES.get(str(said), {str(said)})


@lru_cache(maxsize=8)
def _pattern(language: str) -> re.Pattern[str]:
    groups = [rf"(?P<{status}>{words})" for status, words in WORDS[language].items()]
    groups += [rf"(?P<{status}_of_record>{words})" for status, words in OF_A_RECORD[language].items()]
    return re.compile(rf"(?<![\w-])(?:{'|'.join(groups)})(?![\w-])", re.IGNORECASE)


def states(flat: str, start: int, end: int, language: str) -> Iterator[Claim]:
    """Every status that the sentence claims."""
    sentence = flat[start:end]
    if _is_inverted_condition(sentence):
        return
    for match in _pattern(language).finditer(flat, start, end):
        status, _, needs_record = (match.lastgroup or "").partition("_of_")
        if needs_record and not RECORD[language].search(sentence):
            continue
        clause = flat[_clause_start(flat, start, match.start()) : match.start()].lower().replace("’", "'").split()
        if _is_wish_or_condition(clause, language):
            continue
        after = re.findall(r"\w+", flat[match.end() : min(end, match.end() + 24)].lower())[:2]
        yield Claim(match.start(), match.end(), Kind.STATUS, State(status, _negated(clause, after, language)))


def _is_inverted_condition(sentence: str) -> bool:
    """`Har ansökan avslagits kan du …`: a verb comes first. Questions look the same and claim nothing either."""
    return bool(_AUXILIARY.match(sentence))


def _clause_start(flat: str, start: int, end: int) -> int:
    last = start
    for match in _CLAUSE_END.finditer(flat, start, end):
        last = match.end()
    return last


def _is_wish_or_condition(clause: list[str], language: str) -> bool:
    wished = _MODAL[language].intersection(clause[-4:]) or _INFINITIVE[language] in clause[-2:]
    return bool(wished) or any(
        POLARITY[language].get(word) == "when" and not (word == "om" and at > 0 and _ABOUT.fullmatch(clause[at - 1]))
        for at, word in enumerate(clause)
    )


def _negated(clause: list[str], after: list[str], language: str) -> bool:
    def denies(word: str) -> bool:
        return POLARITY[language].get(word) == "no" or word.endswith("n't")

    return any(denies(word) for word in clause) or any(denies(word) for word in after[:1])
