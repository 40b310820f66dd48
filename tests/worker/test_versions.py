"""Versions of the model: known by their content, copied in whole or not at all, chosen by name, and never a crash."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from worker.understanding import versions
from worker.understanding.versions import SHIPPED, Version, VersionError

BETTER = {"better": True, "rows": [], "why": []}
NOT_BETTER = {"better": False, "rows": [], "why": []}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "made"
    made.mkdir()
    (made / "model.json").write_text(json.dumps({"name": "linear", "version": versions.KIND}))
    (made / "weights.npz").write_bytes(b"\x00\x01" * 1000)
    return made


def trained(folder: Path, data: Path, name: str, kind: str = versions.KIND) -> Version:
    (folder / "model.json").write_text(json.dumps({"name": name, "version": kind}))
    return versions.register(folder, data)


def beaten(data: Path, folder: Path, name: str, kind: str = versions.KIND) -> Version:
    """A new version that beat the one in use, and is used."""
    version = trained(folder, data, name, kind)
    versions.keep_comparison(data, version, versions.running(data), BETTER)
    versions.use(data, version, by="elin")
    return version


def test_a_version_is_known_by_names_and_contents_of_its_files(folder: Path) -> None:
    first = versions.sha256(folder)
    (folder / "model.md").write_text("What is told about it.")
    assert versions.sha256(folder) == first, "papers are no part of it"
    (folder / "weights.npz").rename(folder / "other.npz")
    assert versions.sha256(folder) != first


@pytest.mark.parametrize("kind", ["2", "", "99"])
def test_a_version_of_another_release_makes_way_for_the_shipped_one_until_one_is_trained(
    folder: Path, data: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as then:
        then.setattr(versions, "KIND", kind)
        older = beaten(data, folder, "old", kind)
    assert versions.active(data) == versions.SHIPPED
    assert versions.fault(data) == (
        f"the chosen version {older.name} of the model was made for another release, so the shipped one is served"
    )
    newer = beaten(data, folder, "new")
    assert (versions.active(data), versions.fault(data)) == (newer.folder, "")
    with pytest.raises(VersionError, match="was made for another release"):
        versions.use(data, older, by="elin", reason="I liked it.")
    assert versions.back(data, by="elin").version == "shipped"


def test_the_same_content_twice_is_one_version(folder: Path, data: Path) -> None:
    first, second = versions.register(folder, data), versions.register(folder, data)
    assert first == second
    assert first.name == first.sha256[:12]
    assert [one.name for one in versions.known(data)] == ["shipped", first.name]
    assert (first.folder / "weights.npz").read_bytes() == (folder / "weights.npz").read_bytes()


def test_what_was_left_half_copied_is_no_version(folder: Path, data: Path) -> None:
    left = data / "models" / ".coming-0011223344556677"
    left.mkdir(parents=True)
    (left / "model.json").write_text("{}")
    assert [one.name for one in versions.known(data)] == ["shipped"]


@pytest.mark.parametrize("odd", ["folder", "link"])
def test_only_plain_files_are_taken(folder: Path, data: Path, odd: str) -> None:
    (folder / "odd").mkdir() if odd == "folder" else (folder / "odd").symlink_to("/etc/hostname")
    with pytest.raises(VersionError, match="holds odd, which is no plain file"):
        versions.register(folder, data)
    assert not list((data / "models").glob("*"))


def test_a_folder_without_a_model_is_refused(tmp_path: Path, data: Path) -> None:
    with pytest.raises(VersionError, match=r"model\.json is missing"):
        versions.register(tmp_path, data)


def test_many_who_register_at_once_make_one_version(folder: Path, data: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = set(pool.map(lambda _: versions.register(folder, data), range(16)))
    assert len(made) == 1
    assert versions.find(data, made.pop().name).is_whole
    assert not list((data / "models").glob(".coming-*"))


def test_when_none_was_chosen_the_shipped_one_is_served(data: Path) -> None:
    assert versions.active(data) == SHIPPED
    assert not versions.fault(data)
    assert not data.exists(), "asking writes nothing"


def test_a_version_that_beat_the_running_one_is_served_at_once(folder: Path, data: Path) -> None:
    assert versions.active(data) == SHIPPED
    version = beaten(data, folder, "a")
    assert versions.active(data) == version.folder
    assert versions.history(data)[-1].comparison["better"] is True


@pytest.mark.parametrize(
    ("compared", "sentence"), [(None, "has not been compared"), (NOT_BETTER, "did not beat"), ({}, "did not beat")]
)
def test_a_version_that_did_not_beat_the_running_one_needs_a_reason(
    folder: Path, data: Path, compared: dict[str, object] | None, sentence: str
) -> None:
    version = trained(folder, data, "a")
    if compared is not None:
        versions.keep_comparison(data, version, versions.shipped(), compared)
    with pytest.raises(VersionError, match=sentence):
        versions.use(data, version, by="elin", reason="  ")
    assert versions.active(data) == SHIPPED
    versions.use(data, version, by="elin", reason="Finnish is what we need")
    assert versions.active(data) == version.folder
    assert (versions.history(data)[-1].by, versions.history(data)[-1].reason) == ("elin", "Finnish is what we need")


def test_having_beaten_another_than_the_running_one_is_not_enough(folder: Path, data: Path) -> None:
    second = trained(folder, data, "second")
    versions.keep_comparison(data, second, versions.shipped(), BETTER)
    beaten(data, folder, "first")
    with pytest.raises(VersionError, match="has not been compared"):
        versions.use(data, second, by="elin")


def test_the_version_in_use_is_not_chosen_again(folder: Path, data: Path) -> None:
    version = beaten(data, folder, "a")
    with pytest.raises(VersionError, match="is the one in use"):
        versions.use(data, version, by="elin", reason="because")


def test_back_leads_step_by_step_to_the_shipped_one(folder: Path, data: Path) -> None:
    first, second = beaten(data, folder, "first"), beaten(data, folder, "second")
    assert versions.active(data) == second.folder
    assert [versions.back(data, by="elin").version for _ in range(2)] == [first.sha256, "shipped"]
    assert versions.active(data) == SHIPPED
    with pytest.raises(VersionError, match="no way back"):
        versions.back(data, by="elin")
    versions.use(data, second, by="elin", reason="again")
    assert versions.back(data, by="elin").version == "shipped"


def test_back_passes_over_a_version_that_is_gone(folder: Path, data: Path) -> None:
    first = beaten(data, folder, "first")
    beaten(data, folder, "second")
    (first.folder / "weights.npz").write_bytes(b"")
    assert versions.back(data, by="elin").version == "shipped"
    assert versions.active(data) == SHIPPED


@pytest.mark.parametrize("damage", ["changed", "gone", "more"])
def test_a_damaged_version_is_not_served_and_that_is_said(
    folder: Path, data: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    version = beaten(data, folder, "a")
    weights = version.folder / "weights.npz"
    if damage == "changed":
        weights.write_bytes(b"\x00")
    elif damage == "gone":
        weights.unlink()
    else:
        (version.folder / "more.bin").write_bytes(b"x")
    with caplog.at_level(logging.WARNING):
        assert versions.active(data) == SHIPPED
    assert "missing or damaged, so the shipped one is served" in caplog.text
    assert "missing or damaged" in versions.fault(data)
    trained(folder, data, "a")
    assert versions.active(data) == version.folder, "trained again, it is whole again"


def test_a_version_that_is_mended_in_place_is_served_after_a_minute(
    folder: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = beaten(data, folder, "a")
    weights = version.folder / "weights.npz"
    right = weights.read_bytes()
    weights.write_bytes(b"")
    now = versions.monotonic()
    monkeypatch.setattr(versions, "monotonic", lambda: now)
    assert versions.active(data) == SHIPPED
    weights.write_bytes(right)
    assert versions.active(data) == SHIPPED, "a fault is not looked into at every mail"
    now += versions.FAULT_HOLDS_S + 1
    assert versions.active(data) == version.folder


@pytest.mark.parametrize(
    "line",
    [
        "",
        "{",
        "[]",
        "[" * 5_000,
        '{"version": "../../etc"}',
        '{"version": "/etc"}',
        '{"version": 3}',
        '{"version": "' + "f" * 64 + '\\n"}',
        '{"version": "' + "f" * 64 + '", "back": true}',
        '{"version": "' + "f" * 64 + '"}',
        "\udc00",
    ],
)
def test_whatever_stands_in_the_file_of_choices_a_model_is_served(data: Path, line: str) -> None:
    file = data / "models" / "chosen.jsonl"
    file.parent.mkdir(parents=True)
    file.write_bytes(line.encode("utf-8", "surrogatepass") + b"\n\xff\xfe\n")
    assert versions.active(data) == SHIPPED


def test_a_line_cut_off_in_the_middle_hides_no_other(folder: Path, data: Path) -> None:
    first = beaten(data, folder, "first")
    file = data / "models" / "chosen.jsonl"
    file.write_bytes(file.read_bytes() + b'{"at": "2026-')
    second = beaten(data, folder, "second")
    assert versions.standing(data) == ["shipped", first.sha256, second.sha256]


@pytest.mark.parametrize("name", ["nope", "", "..", "ab", "../models", "/"])
def test_a_version_that_is_not_there_is_said_with_those_that_are(folder: Path, data: Path, name: str) -> None:
    trained(folder, data, "a")
    with pytest.raises(VersionError, match=r"There is no version .*there are: shipped, "):
        versions.find(data, name)


def test_a_version_is_found_by_the_start_of_its_hash(folder: Path, data: Path) -> None:
    version = trained(folder, data, "a")
    assert versions.find(data, version.sha256[:5]) == version
    assert versions.find(data, "shipped").folder == SHIPPED


def test_choosing_needs_no_django() -> None:
    check = "import sys, worker.understanding.versions; sys.exit('django' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
