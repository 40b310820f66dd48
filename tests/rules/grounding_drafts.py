"""Drafts as the pack would write them: phrases of five languages filled from records, with greeting, cited passages and
closing. Everything in them is true."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from hypothesis import strategies as st

from rules.grounding import write
from rules.values import LANGUAGES, Evidence, Fact, Kind, Passage, Source

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)

PHRASES: Mapping[str, Sequence[str]] = {
    "sv": (
        "Fakturan {invoice_no} är på {amount} och förfaller den {due_date}.",
        "Den gäller perioden {period}.",
        "Vi har tagit emot ditt mejl och du får svar senast den {answer_by}.",
        "Ärendet {case_no} handläggs av {officer}.",
        "Ansökan {case_no} kom in den {received_on}. Du behöver inte göra något.",
        "Mötet hålls kl. {starts} på {place}.",
        "Du betalar {share} av avgiften för kärlet på {volume}.",
        "Har du frågor, ring {unit} på {phone} eller skriv till {email}.",
        "Läs mer på {link}.",
        "Beslutet fattas enligt {law}.",
        "Rabatten är {share}.",
        "Kontoret har öppet kl. {hours}.",
    ),
    "fi": (
        "Lasku {invoice_no}: summa {amount}, eräpäivä {due_date}.",
        "Lasku koskee ajanjaksoa {period}.",
        "Olemme saaneet viestisi ja vastaamme viimeistään {answer_by}.",
        "Asiaa {case_no} hoitaa {officer}.",
        "Hakemus {case_no} saapui {received_on}. Sinun ei tarvitse tehdä mitään.",
        "Kokous alkaa klo {starts}. Paikka: {place}.",
        "Maksusta peritään {share}, astian koko on {volume}.",
        "Lisätietoja antaa {unit}, puhelin {phone}, sähköposti {email}.",
        "Lue lisää: {link}.",
        "Päätös perustuu lakiin: {law}.",
        "Alennus on {share}.",
        "Toimisto on avoinna klo {hours}.",
    ),
    "nb": (
        "Faktura {invoice_no} er på {amount} og forfaller {due_date}.",
        "Den gjelder perioden {period}.",
        "Vi har fått e-posten din, og du får svar senest {answer_by}.",
        "Sak {case_no} behandles av {officer}.",
        "Søknaden {case_no} kom inn {received_on}. Du trenger ikke gjøre noe.",
        "Møtet er kl. {starts} på {place}.",
        "Du betaler {share} av gebyret for dunken på {volume}.",
        "Har du spørsmål, kan du ringe {unit} på {phone} eller skrive til {email}.",
        "Les mer på {link}.",
        "Vedtaket er gjort etter {law}.",
        "Rabatten er {share}.",
        "Kontoret er åpent kl. {hours}.",
    ),
    "da": (
        "Faktura {invoice_no} er på {amount}, og fristen er den {due_date}.",
        "Den gælder perioden {period}.",
        "Vi har modtaget din mail, og du får svar senest den {answer_by}.",
        "Sag {case_no} behandles af {officer}.",
        "Ansøgningen {case_no} kom ind den {received_on}. Du behøver ikke gøre noget.",
        "Mødet begynder kl. {starts} på {place}.",
        "Du betaler {share} af gebyret for beholderen på {volume}.",
        "Har du spørgsmål, kan du ringe til {unit} på {phone} eller skrive til {email}.",
        "Læs mere på {link}.",
        "Afgørelsen er truffet efter {law}.",
        "Rabatten er {share}.",
        "Beløbet er {amount}.",
    ),
    "en": (
        "Invoice {invoice_no} is for {amount} and is due by {due_date}.",
        "It covers the period {period}.",
        "We have received your email and will reply by {answer_by}.",
        "Case {case_no} is being handled by {officer}.",
        "We received your application {case_no} on {received_on}. You do not need to do anything.",
        "The meeting starts at {starts} in {place}.",
        "You pay {share} of the fee for the {volume} bin.",
        "If you have questions, call {unit} on {phone} or write to {email}.",
        "Read more at {link}.",
        "The decision is made under {law}.",
        "The discount is {share}.",
        "The office is open {hours}.",
    ),
}

FRAMES: Mapping[str, tuple[str, str]] = {
    "sv": ("Hej!", "Med vänlig hälsning\n{unit}"),
    "fi": ("Hei", "Ystävällisin terveisin\n{unit}"),
    "nb": ("Hei", "Vennlig hilsen\n{unit}"),
    "da": ("Hej", "Med venlig hilsen\n{unit}"),
    "en": ("Hello,", "Kind regards\n{unit}"),
}

PASSAGES: Mapping[str, Sequence[str]] = {
    "sv": (
        "Återvinningscentralen är öppen måndag–fredag kl. 10–18. Du får inte lämna asbest.",
        "Från den 1 maj till den 30 september får du bara vattna mellan kl. 20 och 6. Avgiften är 250 kr om du bryter "
        "mot det.",
    ),
    "fi": (
        "Jäteasema on avoinna maanantaista perjantaihin klo 10–18. Asbestia ei saa tuoda.",
        "Hakemus käsitellään kahden viikon kuluessa. Maksu on 49,50 euroa, jos asut muualla.",
    ),
    "nb": (
        "Gjenvinningsstasjonen er åpen mandag–fredag kl. 10–18. Du kan ikke levere asbest.",
        "Du kan brenne hageavfall fra 1. mai hvis det ikke er bålforbud. Gebyret er 1 250 kroner.",
    ),
    "da": (
        "Genbrugspladsen har åbent mandag–fredag kl. 10-18. Du må ikke aflevere asbest.",
        "Ansøgningen behandles inden for to uger. Gebyret er 1.250 kr., hvis du bor i en anden kommune.",
    ),
    "en": (
        "The recycling centre is open Monday to Friday from 10am to 6pm. You must not bring asbestos.",
        "The application is handled within two weeks. The fee is €49.50 if you live elsewhere.",
    ),
}

NAMES = ("Anna Berg", "Kari Nordmann", "Matti Virtanen", "Lars Holm", "Eva-Lena Åberg")
UNITS = ("Tekniska förvaltningen", "Rakennusvalvonta", "Servicekontoret", "Norrvik kommun")
PHONES = ("+46470123456", "+358401234567", "+4722222222", "+4512345678", "+4681234567")
PLACES = ("Storgatan 1, 352 30 Växjö", "Kauppapuistikko 1 A 2, 65100 Vaasa", "Rådhuset")
LAWS = ("11 § förvaltningslagen", "hallintolain 9 §", "offentleglova § 3", "forvaltningslovens § 9, stk. 1")
CURRENCY = {"sv": "SEK", "fi": "EUR", "nb": "NOK", "da": "DKK", "en": "EUR"}

dates = st.dates(min_value=date(2026, 1, 1), max_value=date(2027, 10, 1)).map(str)
times = st.builds("{:02}:{:02}".format, st.integers(0, 23), st.sampled_from((0, 15, 30, 45)))
amounts = st.integers(1, 2_000_000).map(lambda cents: f"{cents / 100:.2f}")


@dataclass(frozen=True)
class TrueDraft:
    language: str
    text: str
    evidence: Evidence
    names: tuple[str, ...]


def fact(kind: Kind, label: str, value: str, subject: str) -> Fact:
    return Fact(f"{subject}/{label}", kind, label, value, subject, Source("register", subject, label), NOW)


@st.composite
def facts(draw: st.DrawFn, language: str) -> tuple[Fact, ...]:
    invoice = f"2026-{draw(st.integers(100000, 999999))}"
    case = f"BN {draw(st.integers(2020, 2026))}-{draw(st.integers(100, 9999))}"
    period = sorted(draw(st.tuples(dates, dates)))
    hours = sorted(draw(st.tuples(times, times)))
    shares = draw(st.integers(1, 100))
    return (
        fact(Kind.IDENTIFIER, "invoice_no", invoice, invoice),
        fact(Kind.AMOUNT, "amount", f"{draw(amounts)} {CURRENCY[language]}", invoice),
        fact(Kind.DATE, "due_date", draw(dates), invoice),
        fact(Kind.PERIOD, "period", "/".join(period), invoice),
        fact(Kind.STATUS, "invoice_status", draw(st.sampled_from(("paid", "unpaid"))), invoice),
        fact(Kind.IDENTIFIER, "case_no", case, case),
        fact(Kind.PERSON, "officer", draw(st.sampled_from(NAMES)), case),
        fact(Kind.DATE, "received_on", draw(dates), case),
        fact(Kind.STATUS, "case_status", "in_progress", case),
        fact(Kind.DATE, "answer_by", draw(dates), ""),
        fact(Kind.TIME, "starts", draw(times), "meeting"),
        fact(Kind.ADDRESS, "place", draw(st.sampled_from(PLACES)), "meeting"),
        fact(Kind.PERCENTAGE, "share", f"{shares} %", ""),
        fact(Kind.QUANTITY, "volume", f"{draw(st.integers(1, 660))} l", ""),
        fact(Kind.UNIT, "unit", draw(st.sampled_from(UNITS)), "contact"),
        fact(Kind.PHONE, "phone", draw(st.sampled_from(PHONES)), "contact"),
        fact(Kind.EMAIL, "email", "post@norrvik.example", "contact"),
        fact(Kind.LINK, "link", "https://norrvik.example/avgifter", "article"),
        fact(Kind.LEGAL_REFERENCE, "law", draw(st.sampled_from(LAWS)), ""),
        fact(Kind.PERIOD, "hours", "/".join(hours), "contact"),
    )


@st.composite
def true_drafts(draw: st.DrawFn) -> TrueDraft:
    language = draw(st.sampled_from(LANGUAGES))
    held = draw(facts(language))
    values = {one.label: write(one.kind, one.value, language) for one in held}
    said = [phrase.format(**values) for phrase in draw(st.permutations(PHRASES[language]))[: draw(st.integers(1, 8))]]
    cited = draw(st.lists(st.sampled_from(PASSAGES[language]), max_size=2, unique=True))
    greeting, closing = FRAMES[language]
    paragraphs = [greeting, *_in_paragraphs(said, draw(st.integers(1, 3))), *cited, closing.format(**values)]
    evidence = Evidence(
        facts=held,
        passages=tuple(Passage(f"a{n}#p1", f"a{n}", text) for n, text in enumerate(PASSAGES[language])),
        phrases=tuple(PHRASES[language]),
    )
    persons = tuple(one.value for one in held if one.kind is Kind.PERSON)
    return TrueDraft(language, "\n\n".join(paragraphs), evidence, persons)


def _in_paragraphs(sentences: Sequence[str], size: int) -> list[str]:
    return [" ".join(sentences[at : at + size]) for at in range(0, len(sentences), size)]
