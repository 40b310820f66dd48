"""Languages, on mails that were written after the settings were chosen."""

from __future__ import annotations

import pytest

from worker.understanding import language_of as identify

OURS = [
    ("sv", "Hej! Lampan utanför nummer nio har varit släckt i en vecka nu."),
    ("sv", "När öppnar badhuset på lördag?"),
    ("sv", "Tack för hjälpen igår, det gick fint."),
    ("fi", "Katuvalo on ollut pimeänä jo viikon."),
    ("fi", "Milloin uimahalli aukeaa lauantaina?"),
    ("fi", "moi, jäteauto ei käynyt"),
    ("nb", "Hei, gatelyset utenfor oss har vært mørkt i en uke."),
    ("nb", "Når åpner svømmehallen på lørdag? Vi kommer med ungene."),
    ("nb", "Hei. Eg lurer på når de tømmer bosset hjå oss, det har ikkje vore nokon her på tre veker."),
    ("da", "Hej, gadelyset ud for os har været slukket i en uge."),
    ("da", "Hvornår åbner svømmehallen på lørdag? Vi kommer med ungerne."),
    ("da", "Skraldebilen kom ikke i dag, hvad gør jeg nu?"),
    ("en", "Hello, the street lamp outside our house has been dark for a week."),
    ("en", "When do you open the swimming hall on Saturday?"),
    ("en", "hi i am new here and want to ask how i get a library card thank you"),
]
OTHERS = [
    "Здравствуйте, фонарь перед нашим домом не горит уже неделю. Кому можно написать об этом?",
    "Доброго дня! Підкажіть, будь ласка, як записати дитину до садочка і які документи потрібні?",
    "مرحبا، أود أن أعرف متى يفتح المكتب وكيف يمكنني تسجيل ابني في المدرسة.",
    "سلام، می‌خواستم بدانم دفتر شما چه ساعتی باز است و چطور می‌توانم وقت بگیرم.",
    "Guten Tag, die Straßenlaterne vor unserem Haus ist seit einer Woche dunkel. Wer ist dafür zuständig?",
    "Dzień dobry, od tygodnia nie świeci latarnia przed naszym domem. Do kogo mam to zgłosić?",
    "Salaan, waxaan rabaa inaan ogaado goorta xafiiskiinu furan yahay iyo sida aan ballan u qabsan karo.",
    "Tere! Meie maja ees olev tänavalamp on juba nädal aega katki. Kellele sellest teada anda?",
    "Goedendag, de straatlantaarn voor ons huis is al een week kapot. Bij wie kan ik dat melden?",
    "Góðan daginn, ljósastaurinn fyrir utan húsið okkar hefur verið slökktur í viku. Hvert á ég að leita?",
    "Bonjour, le lampadaire devant chez nous est éteint depuis une semaine. À qui dois-je m'adresser ?",
    "Buenos días, la farola delante de nuestra casa lleva una semana apagada. ¿A quién debo avisar?",
    "Merhaba, evimizin önündeki sokak lambası bir haftadır yanmıyor. Kime haber vermeliyim?",
    "Sveiki, gatvės žibintas prie mūsų namo nedega jau savaitę. Kam apie tai pranešti?",
    "สวัสดีค่ะ อยากทราบว่าสำนักงานเปิดกี่โมงคะ",
]


@pytest.mark.parametrize(("language", "text"), OURS)
def test_our_languages_are_told_apart(language: str, text: str) -> None:
    assert identify(text).code == language


@pytest.mark.parametrize("text", OTHERS)
def test_other_languages_go_to_a_person(text: str) -> None:
    assert identify(text).code == "other"


@pytest.mark.parametrize("text", ["Hej", "Tack!", "Kiitos", "Hei hei", "moikka", "Thanks", "ok", "Mvh Anna", "snö!!"])
def test_a_word_or_two_is_not_a_foreign_language(text: str) -> None:
    assert identify(text).code != "other"


@pytest.mark.parametrize("text", ["", " \n", "070-174 06 05", "https://norrvik.example/a a@b.example", "?!"])
def test_where_nothing_is_written_nothing_is_known(text: str) -> None:
    language = identify(text)
    assert (language.code, language.confidence) == ("other", 0.0)


def test_the_subject_counts() -> None:
    assert identify("", subject="Fråga om soptunnan på vår gata").code == "sv"
