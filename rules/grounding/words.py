"""The words of five languages that grounding has to know, as tables. Data only; it must never decide anything."""

from __future__ import annotations

from collections.abc import Mapping


def listed(words: str) -> tuple[str, ...]:
    return tuple(words.split())


def _split(**by_language: str) -> Mapping[str, frozenset[str]]:
    return {language: frozenset(words.split()) for language, words in by_language.items()}


_LIKE = str.maketrans("ıİſK", "iisk")


def fold(text: str) -> str:
    """Small letters, also for the letters that patterns take for their look-alikes when case is ignored."""
    return text.translate(_LIKE).lower()


def _classes(**by_class: str) -> Mapping[str, str]:
    return {word: name for name, words in by_class.items() for word in words.split()}


_MONTHS_NORDIC = "jan feb mar apr maj jun jul aug sep okt nov dec"
MONTH_STARTS: Mapping[str, tuple[str, ...]] = {
    "sv": tuple(_MONTHS_NORDIC.split()),
    "fi": listed("tam hel maa huh tou kes hei elo syy lok mar jou"),
    "nb": listed("jan feb mar apr mai jun jul aug sep okt nov des"),
    "da": tuple(_MONTHS_NORDIC.split()),
    "en": listed("jan feb mar apr may jun jul aug sep oct nov dec"),
}
"""The first three letters of each month are enough to tell it from the others of its language."""

MONTH_NAMES: Mapping[str, tuple[str, ...]] = {
    "sv": listed("januari februari mars april maj juni juli augusti september oktober november december"),
    "nb": listed("januar februar mars april mai juni juli august september oktober november desember"),
    "da": listed("januar februar marts april maj juni juli august september oktober november december"),
    "en": listed("January February March April May June July August September October November December"),
}

_FI_MONTHS = listed("tammi helmi maalis huhti touko kesä heinä elo syys loka marras joulu")
FI_MONTH_STEM = "|".join(_FI_MONTHS)

MONTH: Mapping[str, str] = {
    language: "|".join(sorted(names, key=len, reverse=True))
    + "|(?:"
    + "|".join(MONTH_STARTS[language])
    + r")(?:t\b)?\.?"
    for language, names in MONTH_NAMES.items()
} | {"fi": rf"(?:{FI_MONTH_STEM})(?:kuu(?:ta|n|ssa|hun|sta|lle|lta)?|k\.)"}

WEEKDAY_STARTS: Mapping[str, tuple[str, ...]] = {
    "sv": listed("må ti on to fr lö sö"),
    "fi": listed("ma ti ke to pe la su"),
    "nb": listed("ma ti on to fr lø sø"),
    "da": listed("ma ti on to fr lø sø"),
    "en": listed("mo tu we th fr sa su"),
}

WEEKDAY: Mapping[str, str] = {
    "sv": r"(?:mån|tis|ons|tors|fre|lör|sön)(?:dag(?:en|s)?|\.)?",
    "fi": r"(?:(?:maanantai|tiistai|keskiviikko|torstai|perjantai|lauantai|sunnuntai)\w{0,4}|ma|ti|ke|to|pe|la|su)\.?",
    "nb": r"(?:man|tirs|tir|ons|tors|tor|fre|lør|søn)(?:dag(?:en)?|\.)?",
    "da": r"(?:man|tirs|tir|ons|tors|tor|fre|lør|søn)(?:dag(?:en)?|\.)?",
    "en": r"(?:Mon|Tues?|Wed|Thurs?|Fri|Sat|Sun)(?:day|nesday|rsday|urday)?\.?",
}

NUMBER_WORDS: Mapping[str, Mapping[str, int]] = {
    "sv": {w: n for n, w in enumerate(listed("två tre fyra fem sex sju åtta nio tio elva tolv"), 2)}
    | {"en": 1, "ett": 1},
    "nb": {w: n for n, w in enumerate(listed("to tre fire fem seks sju åtte ni ti elleve tolv"), 2)}
    | {"en": 1, "ett": 1, "én": 1, "et": 1},
    "da": {w: n for n, w in enumerate(listed("to tre fire fem seks syv otte ni ti elleve tolv"), 2)}
    | {"en": 1, "et": 1, "én": 1},
    "en": {w: n for n, w in enumerate(listed("two three four five six seven eight nine ten eleven twelve"), 2)}
    | {"one": 1, "a": 1},
    "fi": {
        form: number
        for number, forms in {
            1: "yksi yhden yhdessä yhtä",
            2: "kaksi kahden kahdessa kahta",
            3: "kolme kolmen kolmessa kolmea",
            4: "neljä neljän neljässä neljää",
            5: "viisi viiden viidessä viittä",
            6: "kuusi kuuden kuudessa kuutta",
            7: "seitsemän seitsemässä",
            8: "kahdeksan kahdeksassa",
            9: "yhdeksän yhdeksässä",
            10: "kymmenen kymmenessä",
            11: "yksitoista",
            12: "kaksitoista",
        }.items()
        for form in forms.split()
    },
}

UNITS: Mapping[str, str] = {
    form: unit
    for unit, forms in {
        "working d": "arbetsdag arbetsdagar vardagar arkipäivä arkipäivää arkipäivän arkipäivässä työpäivä työpäivää"
        " työpäivän virkedag virkedager arbeidsdager arbejdsdag arbejdsdage hverdage",
        "d": "d dag dagar dagars dagers dager dage dages dygn døgn päivä päivää päivän päivässä day days vrk",
        "week": "vecka veckor veckors viikko viikkoa viikon viikossa uke uker ukers uge uger ugers week weeks",
        "month": "månad månader månaders kuukausi kuukautta kuukauden kuukaudessa kk måned måneder måneders mnd month"
        " months",
        "year": "år års vuosi vuotta vuoden vuodessa year years",
        "h": "h tim timme timmar timmars tunti tuntia tunnin tunnissa time timer timers hour hours",
        "min": "min minut minuter minuters minutter minutters minuutti minuuttia minuutin minuutissa minute minutes",
        "l": "l liter liters litra litraa litran litre litres",
        "kg": "kg kilo kilogram kilogramman kiloa",
        "ton": "ton tonnia tonn tonne tonnes",
        "m": "m meter meters metriä metrin metre metres",
        "km": "km kilometer kilometers kilometriä kilometre kilometres",
        "cm": "cm centimeter centimeters senttiä senttimetriä",
        "m2": "m2 m² kvm kvadratmeter neliömetriä neliötä kvadratmetre",
        "m3": "m3 m³ kubikmeter kuutiometriä kuutiota kubikkmeter",
        "kWh": "kwh",
        "dB": "db",
    }.items()
    for form in forms.split()
}

SAME_AS: Mapping[str, tuple[str, int]] = {
    "week": ("d", 7),
    "year": ("month", 12),
    "h": ("min", 60),
    "km": ("cm", 100_000),
    "m": ("cm", 100),
    "ton": ("kg", 1000),
}
"""A unit as a multiple of another, so that two weeks and 14 days are the same length."""

UNIT_WORDS: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "sv": {
        "d": ("dag", "dagar"),
        "working d": ("arbetsdag", "arbetsdagar"),
        "week": ("vecka", "veckor"),
        "month": ("månad", "månader"),
        "year": ("år", "år"),
        "h": ("timme", "timmar"),
        "min": ("minut", "minuter"),
    },
    "fi": {
        "d": ("päivä", "päivää"),
        "working d": ("arkipäivä", "arkipäivää"),
        "week": ("viikko", "viikkoa"),
        "month": ("kuukausi", "kuukautta"),
        "year": ("vuosi", "vuotta"),
        "h": ("tunti", "tuntia"),
        "min": ("minuutti", "minuuttia"),
    },
    "nb": {
        "d": ("dag", "dager"),
        "working d": ("virkedag", "virkedager"),
        "week": ("uke", "uker"),
        "month": ("måned", "måneder"),
        "year": ("år", "år"),
        "h": ("time", "timer"),
        "min": ("minutt", "minutter"),
    },
    "da": {
        "d": ("dag", "dage"),
        "working d": ("arbejdsdag", "arbejdsdage"),
        "week": ("uge", "uger"),
        "month": ("måned", "måneder"),
        "year": ("år", "år"),
        "h": ("time", "timer"),
        "min": ("minut", "minutter"),
    },
    "en": {
        "d": ("day", "days"),
        "working d": ("working day", "working days"),
        "week": ("week", "weeks"),
        "month": ("month", "months"),
        "year": ("year", "years"),
        "h": ("hour", "hours"),
        "min": ("minute", "minutes"),
    },
}

POLARITY: Mapping[str, Mapping[str, str]] = {
    "sv": _classes(
        no="inte ej icke aldrig ingen inget inga utan varken",
        when="om ifall såvida när därest förutsatt villkor",
        only="bara endast enbart utom undantag förutom",
        must="måste ska skall behöver skyldig",
        ought="bör borde",
        who="som vilka vilken vilket vars",
        may="kan får kunde möjligt möjligen kanske eventuellt",
        most="senast högst max maximalt",
        least="tidigst minst lägst",
        before="före innan",
        after="efter sedan",
        over="över mer fler längre större äldre",
        under="under mindre färre kortare yngre",
    ),
    "fi": _classes(
        no="ei en emme et ette eivät eikä älä älkää ilman eivätkä emmekä",
        when="jos mikäli kun ellei",
        only="vain ainoastaan pelkästään paitsi lukuun",
        must="pitää täytyy tulee velvollinen",
        ought="pitäisi kannattaa",
        who="joka jotka jonka joiden jota joita jolla joilla jolle joille jolta joilta jossa"
        " joissa josta joista johon joihin",
        may="voi voit voimme voitte voivat voisi saa saat saatte saavat ehkä mahdollisesti mahdollista",
        most="viimeistään enintään korkeintaan",
        least="aikaisintaan vähintään",
        before="ennen",
        after="jälkeen",
        over="yli enemmän suurempi pidempi",
        under="alle vähemmän pienempi lyhyempi",
    ),
    "nb": _classes(
        no="ikke aldri ingen intet inga uten verken",
        when="om hvis dersom når såfremt forutsatt",
        only="bare kun utelukkende unntatt unntak unntatt",
        must="må skal plikter plikt pliktig",
        ought="bør burde",
        who="som",
        may="kan får kunne mulig muligens kanskje",
        most="senest høyst maksimalt maks",
        least="tidligst minst",
        before="før innen",
        after="etter",
        over="over mer flere lengre større eldre",
        under="under mindre færre kortere yngre",
    ),
    "da": _classes(
        no="ikke aldrig ingen intet uden hverken",
        when="om hvis såfremt når forudsat medmindre",
        only="kun bare udelukkende undtagen undtaget",
        must="skal må pligt",
        ought="bør burde",
        who="som der",
        may="kan får kunne muligt muligvis måske",
        most="senest højst maksimalt",
        least="tidligst mindst",
        before="før inden",
        after="efter",
        over="over mere flere længere større ældre",
        under="under mindre færre kortere yngre",
    ),
    "en": _classes(
        no="not no never none nobody nothing neither nor without cannot",
        when="if unless when whenever once provided until",
        only="only except solely just",
        must="must shall required obliged",
        ought="should ought",
        who="who whom whose which that",
        may="can may might could possibly perhaps",
        most="latest most maximum by",
        least="earliest least minimum",
        before="before",
        after="after",
        over="over more above longer exceeding",
        under="under less below fewer shorter",
    ),
}
"""Words that turn, condition or bound what a sentence says. None of them may be added, dropped or exchanged."""

FUNCTION_WORDS = _split(
    sv="""en ett den det de dem denna detta dessa du dig din ditt dina vi oss vår vårt våra ni er ert era hon han sin
    sitt sina som att och eller men så är var blir blev har hade i på av för till från med hos vid mot genom enligt
    där här då nu också även där därför vilket vilken vilka sig man kl""",
    fi="""se ne ja tai sekä että joka jotka jonka jota on ovat oli olivat ole olet olemme olette hän he me te sinä minä
    tämä tämän tätä nämä sen niiden sinun meidän teidän myös nyt siis niin myös kuin eli tässä siinä siellä klo""",
    nb="""en et ei ett den det de dem denne dette disse du deg din ditt dine vi oss vår vårt våre dere deres hun han
    sin sitt sine som at og eller men så er var blir ble har hadde i på av for til fra med hos ved mot gjennom
    der her da nå også derfor hvilken seg man å kl""",
    da="""en et den det de dem denne dette disse du dig din dit dine vi os vores vor I jer jeres hun han sin sit sine
    som at og eller men så er var bliver blev har havde i på af for til fra med hos ved mod gennem ifølge der her da nu
    også derfor hvilken sig man kl""",
    en="""a an the this that these those you your we us our they them their it its he she his her and or but so is are
    was were be been being has have had in on at of for to from with by as there here now also which who whom will
    do does did""",
)

PREPOSITIONS = _split(
    sv="i på av för till från med hos vid mot genom enligt om under över efter före innan utan mellan inom per åt",
    fi="",
    nb="i på av for til fra med hos ved mot gjennom om under over etter før innen uten mellom per hos",
    da="i på af for til fra med hos ved mod gennem ifølge om under over efter før inden uden mellem per ad",
    en="in on at of for to from with by under over after before without between within per as through into against",
)
"""Whether a word is said of or to something hangs on the preposition before it. Finnish says it in the word's case."""

ASSERTING = _split(
    sv="""vi du ni jag det den är var blir har hade kan får ska skall måste kommer vill behöver gäller finns ligger
    ring kontakta skriv betala skicka""",
    fi="""me sinä te hän on ovat oli ole olet olemme olette voit voi voimme saat saa saamme pitää täytyy tulee
    käsittelemme emme ei soita maksa lähetä ota""",
    nb="""vi du dere jeg det den er var blir har hadde kan får skal må kommer vil trenger gjelder finnes ligger ring
    kontakt skriv betal send""",
    da="""vi du jeg det den er var bliver har havde kan får skal må kommer vil behøver gælder findes ligger ring
    kontakt skriv betal send""",
    en="""we you i it they is are was were has have had can may must will shall should need do does call contact write
    pay send""",
)
"""A short line with one of these says something; without, it is a heading or a signature line."""

GREETING_WORDS = frozenset(
    listed("hej hejsan hei heippa moi hallo hello hi dear kära käre kære bästa gode hyvä goddag tervehdys")
)
GREETED = frozenset(
    listed(
        "alla du där igen resident neighbour sir madam all both again vastaanottaja asukas asiakas invånare innbygger"
        " borger kund og och and ja mr mrs ms"
    )
)

CLOSING = (
    r"(?:med )?(?:vänliga?|venlig|vennlig|bästa|beste|bedste) (?:hälsning(?:ar)?|hilsen|hilsner)"
    r"|(?:ystävällisin |parhain )?terveisin|ystävällisesti"
    r"|(?:kind|best|warm) regards|regards|yours (?:sincerely|faithfully)|sincerely"
    r"|hälsningar|hilsen|mvh|vh|med hilsen"
)

COURTESY = (
    r"tack(?: så mycket)?(?: för (?:ditt|ert|din|att du)"
    r" (?:mejl|mail|meddelande|brev|fråga|samtal|svar|tålamod|förståelse|e-post|e-postmeddelande"
    r"|skrev|skriver|hör av dig|hörde av dig))?"
    r"|takk(?: for (?:e-posten|meldingen|henvendelsen|spørsmålet|brevet|svaret|tålmodigheten)(?: din| ditt)?)?"
    r"|tak(?: for (?:din|dit) (?:mail|besked|henvendelse|spørgsmål|brev|svar|tålmodighed))?"
    r"|kiitos(?: (?:viestistäsi|viestistänne|kysymyksestäsi|yhteydenotostasi|sähköpostistasi|kärsivällisyydestäsi))?"
    r"|(?:thank you|thanks)(?: very much)?(?: for (?:your (?:email|e-mail|message|letter|question|patience|reply)"
    r"|writing(?: to us)?|contacting us|getting in touch))?"
    r"|ha en (?:fin|bra|trevlig|god) (?:dag|kväll|helg|kveld)|trevlig helg|god helg|hav en god dag|fortsat god dag"
    r"|hyvää (?:päivänjatkoa|viikonloppua|päivää)|mukavaa (?:päivää|viikonloppua|päivänjatkoa)"
    r"|have a (?:nice|good) (?:day|weekend|evening)"
)
"""Thanks and wishes that assert nothing, whole sentences only."""

ABBREVIATIONS = frozenset(
    listed(
        "kl nr dnr dnro tel tlf puh t.ex ex bl.a d.v.s dvs f.eks fx bl jf jfr jmf ca cirka kap stk mom pkt mr mrs ms dr"
        " e.g i.e esim mm ks os p.g.a pga m.fl inkl exkl ev evt resp adr ps p.s"
    )
)
"""Words after which a full stop does not end the sentence."""

ORGANISATION_WORDS = frozenset(
    listed("kommun kommune ab oy oyj as asa aps a/s energi vatten kunta kaupunki municipality council ltd act")
)
