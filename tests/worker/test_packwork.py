"""The shipped pack's own tests, and what is said of a pack that is wrong."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from rules import entities
from rules.pack import PackError
from rules.values import LANGUAGES
from worker import packs, packwork

PACK = packs.read(packs.shipped())
NO_FILE = Path("no-municipality.yaml")
RESULTS = packwork.run_examples("nordic", NO_FILE)


@pytest.mark.parametrize("result", RESULTS, ids=lambda result: result.name)
def test_each_example_of_the_shipped_pack_comes_out_as_expected(result: packwork.Result) -> None:
    assert result.faults == ()


def test_there_are_examples_in_every_language() -> None:
    assert len(RESULTS) >= 25
    assert {example.language for example in PACK.examples} >= set(LANGUAGES)


def test_the_shipped_pack_is_in_order() -> None:
    assert packwork.faults("nordic", NO_FILE) == []


def test_every_fault_of_a_pack_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "pack"
    shutil.copytree(packs.shipped(), folder)
    (folder / "reasons.yaml").write_text("- {name: odd, reason: weather, pattern: '('}\n", encoding="utf-8")
    (folder / "entities.yaml").write_text("- {kind: colour, pattern: red, not_after: '['}\n", encoding="utf-8")
    faults = packwork.faults(str(folder), NO_FILE)
    assert any("weather" in fault for fault in faults)
    assert any("colour" in fault for fault in faults)
    assert sum("does not compile" in fault for fault in faults) == 2


def test_a_pack_that_is_not_there_cannot_be_checked() -> None:
    with pytest.raises(PackError, match="no rule pack"):
        packwork.faults("nowhere", NO_FILE)


def test_an_example_that_comes_out_otherwise_says_how(tmp_path: Path) -> None:
    folder = tmp_path / "pack"
    shutil.copytree(packs.shipped(), folder)
    wrong = "- {name: odd, language: sv, body: Jag tänker på självmord, expect: {reply: none, reasons: [], queue: registrar}}\n"
    (folder / "examples.yaml").write_text(wrong, encoding="utf-8")
    (result,) = packwork.run_examples(str(folder), NO_FILE)
    assert "reply is person, not none" in result.faults
    assert "queue is restricted, not registrar" in result.faults


def test_a_copied_pack_may_add_patterns_of_its_own(tmp_path: Path) -> None:
    own = tmp_path / "own"
    shutil.copytree(packs.shipped(), own)
    rule = "- kind: case_no  # Solvik's own: SBK-77/2026\n  pattern: '(?<!\\w)SBK-\\d{1,4}/(?:19|20)\\d\\d(?!\\w)'\n"
    with (own / "entities.yaml").open("a", encoding="utf-8") as file:
        file.write(f"\n{rule}")
    found = entities.find(packs.read(own), "Gäller SBK-77/2026 på Björkstigen 5.", "sv", ())
    assert found == {"case_no": ("SBK-77/2026",), "address": ("Björkstigen 5",)}
    assert packs.read(own).sha256 != packs.read(packs.shipped()).sha256
