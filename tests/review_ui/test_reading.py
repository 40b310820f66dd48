"""A resident's mail in pieces: masked numbers, dotted look-up words, and nothing lost."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from review_ui import words
from review_ui.present import file_name
from review_ui.reading import LONGEST_SHOWN, marked, original, without_ids
from rules import message as mime
from tests.factories import Written

PERSONNUMMER = "640823-3234"


def pieces(text: str, *looked_up: str) -> list[tuple[str, str]]:
    return [(piece.text, piece.mark) for piece in marked(text, looked_up) if piece.text]


def test_words_used_in_a_look_up_are_marked_as_written() -> None:
    assert pieces("Faktura 2026-1 och 2026-12.", "2026-1") == [
        ("Faktura ", ""),
        ("2026-1", "ent"),
        (" och 2026-12.", ""),
    ]


def test_a_national_id_is_masked_and_never_there_in_full() -> None:
    shown = pieces(f"Mitt nummer är {PERSONNUMMER}.", PERSONNUMMER)
    assert "mask" in [mark for _, mark in shown]
    assert PERSONNUMMER not in "".join(text for text, _ in shown)


@pytest.mark.parametrize("hostile", ["(", "a(b", "[", "\\", ".*", "$", " "])
def test_a_look_up_word_is_never_a_pattern(hostile: str) -> None:
    assert "".join(text for text, _ in pieces("a(b [c] \\ .* $", hostile)) == "a(b [c] \\ .* $"


@given(st.text(max_size=200), st.lists(st.text(min_size=1, max_size=5), max_size=4))
def test_apart_from_masks_every_character_is_kept(text: str, looked_up: list[str]) -> None:
    shown = list(marked(text, looked_up))
    if not any(piece.mark == "mask" for piece in shown):
        assert "".join(piece.text for piece in shown) == text


def test_ids_are_masked_wherever_text_of_the_mail_is_shown() -> None:
    written = Written(
        subject=f"Ang. {PERSONNUMMER}",
        body=f"Jag är {PERSONNUMMER}.\n\n> tidigare: {PERSONNUMMER}\n",
        sender=f'"{PERSONNUMMER}" <a@mail.example>',
        html=f"<p>Jag är {PERSONNUMMER}.</p><p style='display:none'>dolt {PERSONNUMMER}</p>",
        attachments=[(f"{PERSONNUMMER}.pdf", "application/pdf", b"x")],
    )
    shown = original(mime.read(written.as_bytes()), ())
    assert PERSONNUMMER not in repr(shown)
    assert without_ids(PERSONNUMMER) in repr(shown)


def test_an_endless_mail_is_cut_and_that_is_said() -> None:
    message = replace(mime.read(Written().as_bytes()), reply_text="a" * (LONGEST_SHOWN + 1))
    assert original(message, ()).cut_off


@pytest.mark.parametrize(
    ("given_name", "saved"),
    [
        ("faktura.pdf", "faktura.pdf"),
        ("../../etc/passwd", "passwd"),
        ("C:\\temp\\a.exe", "a.exe"),
        ("gpj.\u202eexe", "gpj.exe"),
        ("a\r\nSet-Cookie: b.txt", "aSet-Cookie: b.txt"),
        ("", "attachment-1"),
        ("...", "attachment-1"),
        ("å" * 400, "å" * 120),
    ],
)
def test_a_download_gets_a_harmless_name(given_name: str, saved: str) -> None:
    assert file_name(given_name, 0) == saved


@pytest.mark.parametrize(("share", "shown"), [(0.94, "94\u00a0%"), (0.999, "99\u00a0%"), (0.0, "0\u00a0%"), (None, "")])
def test_no_guess_is_shown_as_certain(share: float | None, shown: str) -> None:
    assert words.percent(share) == shown


@pytest.mark.parametrize(
    ("name", "letters"), [("Elin Forsgård", "EF"), ("Pirjo Kallionpää-Hautamäki", "PK"), ("alice", "AL"), ("", "")]
)
def test_initials(name: str, letters: str) -> None:
    assert words.initials(name) == letters
