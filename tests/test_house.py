"""The house keeps its own rules: directions of imports, documented settings, no forgotten migration, no loose words."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted(
    path
    for room in ("rules", "connectors", "worker", "review_ui")
    for path in (ROOT / room).rglob("*.py")
    if not path.match("migrations/0001_initial.py")  # written by Django
)


def test_imports_point_one_way() -> None:
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_every_setting_is_documented_and_in_the_example() -> None:
    source = (ROOT / "worker" / "settings.py").read_text(encoding="utf-8")
    names = set(re.findall(r'(?:text|number|flag|one_of)\(\s*"([A-Z_]+)"', source))
    assert len(names) > 8
    running = (ROOT / "docs" / "running.md").read_text(encoding="utf-8")
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    assert not {name for name in names if f"`{name}`" not in running}
    assert not {name for name in names if f"\n{name}=" not in f"\n{example}"}


def test_every_command_of_the_contract_has_help_with_an_example() -> None:
    from click.testing import CliRunner

    from worker.cli import main

    commands = [
        "demo",
        "parse",
        "triage",
        "ingest",
        "draft",
        "ground",
        "train",
        "evaluate",
        "bench",
        "doctor",
        "worker",
        "web",
        "beat",
        "migrate",
        "createuser",
    ]
    groups = [("rules", "check"), ("rules", "test"), ("connectors", "check"), ("audit", "verify")]
    groups += [("models", name) for name in ("list", "show", "use", "back")]
    for words in [*((name,) for name in commands), *groups]:
        shown = CliRunner().invoke(main, [*words, "--help"])
        assert shown.exit_code == 0, words
        assert "Example: kommunpost" in shown.output, words


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_say_what_they_are_for(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    small = len(tree.body) <= 4
    assert small or ast.get_docstring(tree), "a module opens with what it is for"


def test_nothing_personal_and_no_other_host_stands_in_the_sources() -> None:
    """Addresses are under .example, and no lock or document names a package registry."""
    address = re.compile(r"[\w.+-]+@([\w-]+(?:\.[\w-]+)+)")
    allowed = re.compile(r"(^|\.)example(\.(com|org|net))?$|^localhost$|^(test|invalid)$|\.(test|invalid)$")
    for path in [*SOURCES, *ROOT.glob("docs/**/*.md"), ROOT / "README.md"]:
        for domain in address.findall(path.read_text(encoding="utf-8")):
            assert allowed.search(domain) or re.match(r"^\d", domain), f"{path}: {domain}"
    for lock in ROOT.glob("*.lock"):
        assert "://" not in lock.read_text(encoding="utf-8")
