"""What this sender wrote: a text without the mails it quotes and without the signature below it.

It cuts only what it is sure of and never returns nothing when there was something: a mail cut too short is answered
wrongly, one cut too little only reads longer.

The lines are judged one by one, with patterns of our own. mail-parser-reply 1.36 was tried for it and left: it knows
neither Finnish nor Norwegian, cuts a resident's mail at "Tak for ...", "Thank you, but ...", "Taksten ..." or at the
first line of a list, and takes 12 seconds for a line of 32 kB.
"""

from __future__ import annotations

import re

_MAX_LINES = 20_000
_MAX_LINE = 400
"""A longer line is a paragraph; it introduces no quotation, and no pattern is tried on it."""
_WRAPPED_OVER = 3
_SIGNATURE_LINES = 12
_SIGNATURE_WITHIN = 80

_QUOTED = re.compile(r"\s{0,10}>")


def reply_text(text: str) -> str:
    """The sender's own words in `text`; `text` itself when nothing would be left."""
    lines = text.split("\n")
    if len(lines) > _MAX_LINES:
        return text
    own = _without_signature(_without_sent_from(_without_history(_without_armour(lines))))
    kept = re.sub(r"\n{3,}", "\n\n", "\n".join(line.rstrip() for line in own)).strip("\n")
    return kept if kept.strip() else text.strip("\n")


# --- history ---

_SEPARATOR = re.compile(
    r"\s*[-_*]{2,40}\s*(?:original message|forwarded message|ursprungligt meddelande|originalmeddelande|vidarebefordrat"
    r" (?:meddelande|brev|mejl)|alkuper[äa]inen viesti|(?:edelleen )?v[äa]litetty viesti|edelleenlähetetty viesti"
    r"|opprinnelig (?:melding|e-post)|opphave?leg melding|vid[ea]resendt? (?:melding|e-post|meddelelse|besked|mail)"
    r"|oprindelig (?:meddelelse|besked|mail)|reply above this line|skriv ditt svar ovanför denna rad)\s*[-_*]{0,40}\s*",
    re.IGNORECASE,
)
_FORWARDED = re.compile(
    r"\s*(?:begin forwarded message|(?:påbörja )?vidarebefordrat (?:brev|mejl|meddelande)|välitetty viesti(?: alkaa)?"
    r"|(?:start på |starten på |begynnelse på )?vid[ea]resendt? (?:melding|besked|meddelelse|e-post)):\s*",
    re.IGNORECASE,
)

_RULE = re.compile(r"\s*[_-]{5,80}\s*")

# The labels of the block that Outlook, Apple Mail and others put above a quoted mail.
_FROM = r"from|från|frå|fra|lähettäjä|avsändare|avsender|afsender"
_OTHER_LABELS = {
    "sent": r"sent|date|skickat|datum|lähetetty|päiväys|päivämäärä|pvm|sendt|dato",
    "to": r"to|till|vastaanottaja|til",
    "subject": r"subject|ämne|aihe|emne",
    "copy": r"cc|kopia|kopio|kopi|reply-to|svar till|vastausosoite|svar til",
}
_BODY_LABEL = re.compile(
    r"\s*\*?(?:meddelande|viesti|melding|meddelelse|besked|message|kommentar|beskrivning)\*?\s*:", re.IGNORECASE
)
_BLOCK_START = re.compile(rf"\s*\*{{0,2}}(?:{_FROM})\s*:\*{{0,2}}\s*\S", re.IGNORECASE)
_BLOCK_LABELS = {
    what: re.compile(rf"\s*\*{{0,2}}(?:{labels})\s*:\*{{0,2}}(?:\s|$)", re.IGNORECASE)
    for what, labels in _OTHER_LABELS.items()
}

# "Den ons 4 nov. 2026 kl 10:12 skrev Anna Berg <…>:" in all its forms ends in a colon and holds one of these verbs.
_WROTE = re.compile(r"\b(?:wrote|writes|skrev|skreiv|kirjoitti|kirjoitit)\b", re.IGNORECASE)
_WROTE_END = re.compile(r"(?::|\bkirjoitti:?|\bwrote:?|\([^()]{6,60}\))\s*\Z", re.IGNORECASE)
_WHEN = re.compile(r"\b\d{1,2}[:.]\d{2}\b")
_MONTHS = (
    r"jan|feb|mar|apr|maj|mai|may|jun|jul|aug|sep|okt|oct|nov|dec|des"
    r"|tammi|helmi|maalis|huhti|touko|kesä|heinä|elo|syys|loka|marras|joulu"
)
_DAY = re.compile(rf"\b(?:(?:19|20)\d\d\b|\d{{1,2}}\.\s?\d{{1,2}}\.|\d{{1,2}}\.?\s+(?:{_MONTHS}))", re.IGNORECASE)
_WHO = re.compile(r"[<(\[][^<>()\[\]\s]{1,200}@[^<>()\[\]\s]{1,200}[>)\]]|\bmailto:")
_ONE_OF_US = re.compile(
    r"\b(?:skrev|skreiv|kirjoitti|wrote)\s+(?:ni|du|jag|vi|I|jeg|eg|dere|de|dokker|de|min|mitt|my|our)\b"
)


def _without_history(lines: list[str]) -> list[str]:
    own: list[str] = []
    number = 0
    while number < len(lines):
        if _QUOTED.match(lines[number]):
            own.append("")
            number += 1
            continue
        introduction = _introduction(lines, number)
        if introduction and not _quoted_follows(lines, number + introduction):
            return _without_rule(own)
        if not introduction:
            own.append(lines[number])
        number += introduction or 1
    return own


def _without_rule(own: list[str]) -> list[str]:
    """Outlook draws a line of underscores above the block of labels."""
    written = [number for number, line in enumerate(own) if line.strip()]
    return own[: written[-1]] if written and _RULE.fullmatch(own[written[-1]]) else own


def _introduction(lines: list[str], number: int) -> int:
    """How many lines, from this one, introduce a quoted mail; 0 when they do not."""
    line = lines[number]
    if len(line) > _MAX_LINE or not line.strip():
        return 0
    if _SEPARATOR.fullmatch(line) or _FORWARDED.fullmatch(line):
        return 1
    if _BLOCK_START.match(line) and _is_header_block(lines, number):
        return 1
    return _wrote_line(lines, number)


def _is_header_block(lines: list[str], number: int) -> bool:
    """A From line with two other labels right below it. With a label for the message itself it is a web form."""
    below = [line[:_MAX_LINE] for line in lines[number + 1 : number + 12] if line.strip()][:7]
    found = {what for line in below for what, label in _BLOCK_LABELS.items() if label.match(line)}
    return len(found) >= 2 and not found.isdisjoint({"subject", "sent"}) and not any(map(_BODY_LABEL.match, below))


def _wrote_line(lines: list[str], number: int) -> int:
    """Mail programs wrap the line above a quotation, so up to three lines are read as one."""
    for count in range(1, _WRAPPED_OVER + 1):
        piece = lines[number : number + count]
        if len(piece) < count or not piece[-1].strip() or _QUOTED.match(piece[-1]) or len(piece[-1]) > _MAX_LINE:
            return 0
        if count > 1 and (not _DAY.search(piece[0]) or _DAY.search(piece[-1])):
            # Only a line that opens with the day can go on below; one with the day is a beginning of its own.
            return 0
        joined = " ".join(line.strip() for line in piece)
        if _WROTE.search(joined) and _WROTE_END.search(joined):
            return count if _names_a_mail(joined, _quoted_follows(lines, number + count)) else 0
    return 0


def _names_a_mail(line: str, quotation_follows: bool) -> bool:
    """A resident who writes "Den 4 maj skrev ni följande:" goes on in own words: a mail is named by hour or address."""
    if quotation_follows:
        return True
    if _ONE_OF_US.search(line):
        return False
    return bool(_WHO.search(line) or (_WHEN.search(line) and _DAY.search(line)))


def _quoted_follows(lines: list[str], number: int) -> bool:
    following = next((line for line in lines[number : number + 3] if line.strip()), "")
    return bool(_QUOTED.match(following))


# --- signature ---

_DEVICE = r"(?:min|mitt|my|minun|outlook|yahoo|mail|e-post|proton|samsung|iphone|ipad|android)"
_SENT_FROM = re.compile(
    rf"\s*\[?(?:sent (?:from|with|via) {_DEVICE}|skickat (?:från|med|via) {_DEVICE}|från min (?:iphone|mobil)"
    rf"|sendt (?:fra|frå|med|via) {_DEVICE}|lähetetty (?:{_DEVICE}|laitteesta|puhelimesta|sähköposti)"
    r"|(?:get|skaffa|hämta|hanki|lataa|få|hent|last ned) outlook\b)",
    re.IGNORECASE,
)
# How mails close in the five languages.
_CLOSINGS = """
    med vänlig hälsning|med vänliga hälsningar|vänlig hälsning|vänliga hälsningar|bästa hälsningar|hälsning|hälsningar
    med bästa hälsningar|många hälsningar|varma hälsningar|glada hälsningar|mvh|m.v.h|vänligen|allt gott|hälsar
    ystävällisin terveisin|ystävällisesti|parhain terveisin|kunnioittaen|terveisin|terveisiä|terv|yst. terv|yst.terv
    yt|t.|lämpimin terveisin|kiittäen|parhaat terveiset|terveiset
    med vennlig hilsen|vennlig hilsen|beste hilsen|mange hilsner|med hilsen|hilsen|hilsener|vh|v.h
    med vennleg helsing|vennleg helsing|med venleg helsing|venleg helsing|beste helsing|helsing
    med venlig hilsen|venlig hilsen|de bedste hilsner|bedste hilsner|hilsner|dbh|kh
    with kind regards|with best regards|kindest regards|kind regards|best regards|warm regards|regards|best wishes
    yours sincerely|yours faithfully|yours truly|sincerely yours|sincerely|respectfully|cheers|br
"""
_CLOSING = re.compile(
    r"[\s*_]{0,10}(?:"
    + "|".join(
        re.escape(phrase.strip())
        for phrase in sorted(
            re.split(r"[|\n]", _CLOSINGS.strip()), key=lambda phrase: len(phrase.strip()), reverse=True
        )
    )
    + r")(?!\w)(?P<name>[^\n]*)",
    re.IGNORECASE,
)
_BETWEEN_NAMES = frozenset({"från", "fra", "frå", "from", "och", "og", "ja", "and", "&", "av", "af", "von", "de"})
_POSTSCRIPT = re.compile(r"\s*p\.?\s?s\.?\b", re.IGNORECASE)
_DISCLAIMER = re.compile(
    r"\b(?:confidential|intended (?:only )?for|disclaimer|before printing|virus"
    r"|sekretess|konfidentiel|avsett för|endast avsedd|personuppgifter|tänk på miljön"
    r"|luottamuksel|tarkoitettu|henkilötieto"
    r"|fortrolig|konfidensiel|taushetsplikt|beregnet (?:for|til)|personopplysninger|personoplysninger)",
    re.IGNORECASE,
)


def _without_sent_from(lines: list[str]) -> list[str]:
    return [line for line in lines if len(line) > 80 or not _SENT_FROM.match(line)]


def _without_signature(lines: list[str]) -> list[str]:
    for number in range(max(0, len(lines) - _SIGNATURE_WITHIN), len(lines)):
        # Something of the sender's own must stand above it: a mail that is all closing is kept.
        if _begins_signature(lines, number) and any(before.strip() for before in lines[:number]):
            return lines[:number]
    return lines


def _begins_signature(lines: list[str], number: int) -> bool:
    line = lines[number]
    # RFC 3676, 4.3: two hyphens and a space. Without the space it may be a line somebody drew between two matters.
    return line == "-- " or ((line.strip() == "--" or _is_closing(line)) and _is_signature(lines[number + 1 :]))


def _is_closing(line: str) -> bool:
    """A closing on a line of its own, at most with a name: "Vänligen återkom i dag" is a request, not a closing."""
    closing = _CLOSING.match(line) if len(line) <= 120 else None
    if closing is None:
        return False
    name = closing["name"].strip(" \t*_,.:;!/–-").split()
    return len(name) <= 4 and all(word[0].isupper() or word in _BETWEEN_NAMES for word in name)


def _is_signature(below: list[str]) -> bool:
    """Names, titles, numbers and disclaimers; a question or a sentence below the closing is still the sender's."""
    lines = [line.strip() for line in below if line.strip()]
    card = [line for line in lines if not _DISCLAIMER.search(line[:_MAX_LINE])]
    return len(card) <= _SIGNATURE_LINES and not any(_is_prose(line) for line in card)


def _is_prose(line: str) -> bool:
    words = len(line.split())
    return (
        line.endswith("?")
        or _POSTSCRIPT.match(line) is not None
        or words > 12
        or (words > 4 and line.endswith((".", "!")))
    )


# --- PGP ---


def _without_armour(lines: list[str]) -> list[str]:
    """The text inside a clear-signed PGP message (RFC 9580, 7), without the lines that frame it."""
    framed = [number for number, line in enumerate(lines) if line.startswith("-----BEGIN PGP SIGNED MESSAGE-----")]
    if not framed:
        return lines
    start = framed[0] + 1
    while start < len(lines) and lines[start].startswith("Hash:"):
        start += 1
    ends = [number for number in range(start, len(lines)) if lines[number].startswith("-----BEGIN PGP SIGNATURE-----")]
    inside = lines[start : ends[0] if ends else len(lines)]
    return lines[: framed[0]] + [line.removeprefix("- ") if line.startswith("- -") else line for line in inside]
