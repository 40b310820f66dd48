"""`kommunpost models`: what is shown, what is refused, and that every choice stands in the event log."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from django.contrib.auth.models import User

from worker.cli import main
from worker.models import Event
from worker.understanding import comparison, versions
from worker.understanding.comparison import Measured
from worker.understanding.versions import Version

FIGURES = {
    "mails": 900,
    "intent": {"accuracy": 0.80},
    "must_verify": {"recall": 0.95},
    "calibration": {"ece": 0.03},
    "abstaining": {"coverage_at_95_precision": 0.40},
}


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KOMMUNPOST_DATA", str(tmp_path))
    return tmp_path


@pytest.fixture
def candidate(data: Path) -> Version:
    made = data / "made"
    made.mkdir()
    (made / "model.json").write_text(json.dumps({"version": versions.KIND}))
    return versions.register(made, data)


def compared(data: Path, candidate: Version, accuracy: float) -> None:
    running, new = Measured(FIGURES), Measured({**FIGURES, "intent": {"accuracy": accuracy}})
    versions.keep_comparison(
        data, candidate, versions.running(data), comparison.as_json(comparison.beats(running, new))
    )


def models(*words: str) -> Result:
    return CliRunner().invoke(main, ["models", *words])


@pytest.mark.django_db
def test_a_choice_and_its_way_back_are_logged_by_name(data: Path, candidate: Version, alice: User) -> None:
    compared(data, candidate, 0.82)
    done = models("use", candidate.name, "--by", "alice")
    assert done.output == f"Version {candidate.name} is in use from now on, before it was shipped.\n"
    chosen = Event.objects.get(action="model version chosen")
    assert (chosen.actor, chosen.object) == ("person:alice", f"model:{candidate.name}")
    assert chosen.payload == {"before": versions.shipped().sha256, "after": candidate.sha256, "better": True}
    assert models("back", "--by", "alice").output == f"Back to version shipped, before it was {candidate.name}.\n"
    assert Event.objects.get(action="model version rolled back").payload["after"] == versions.shipped().sha256
    assert versions.active(data) == versions.SHIPPED


@pytest.mark.django_db
def test_a_worse_version_is_taken_only_by_name_and_reason(data: Path, candidate: Version, alice: User) -> None:
    compared(data, candidate, 0.70)
    refused = models("use", candidate.name)
    assert (refused.exit_code, "did not beat the one in use (shipped)" in refused.output) == (1, True)
    for missing in (["--reason", "x"], ["--by", "alice"], []):
        assert models("use", candidate.name, "--even-if-worse", *missing).exit_code == 2
    nobody = models("use", candidate.name, "--even-if-worse", "--reason", "x", "--by", "nobody")
    assert (nobody.exit_code, "no colleague nobody" in nobody.output) == (1, True)
    assert not Event.objects.filter(action="model version chosen").exists()
    assert versions.active(data) == versions.SHIPPED

    assert models("use", candidate.name, "--even-if-worse", "--reason", "Finnish first", "--by", "alice").exit_code == 0
    event = Event.objects.get(action="model version chosen")
    assert (event.reason, event.payload["better"]) == ("Finnish first", False)
    assert versions.active(data) == candidate.folder


def test_without_a_database_the_file_of_choices_is_the_record(
    data: Path, candidate: Version, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DATABASE_URL")
    compared(data, candidate, 0.82)
    assert models("use", candidate.name, "--by", "elin").exit_code == 0
    assert versions.history(data)[-1].by == "elin"


def test_what_is_shown_of_a_version(data: Path, candidate: Version, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL")
    compared(data, candidate, 0.82)
    assert f"  {candidate.name}  {candidate.sha256[:16]}  beats the one in use" in models("list").output
    models("use", candidate.name)
    told = [json.loads(line) for line in models("list", "--json").output.splitlines()]
    assert [(one["version"], one["in_use"]) for one in told] == [("shipped", False), (candidate.name, True)]
    shown = models("show", candidate.name[:5]).output
    assert "80.0 %  82.0 %  better" in shown
    assert "chosen by" in shown
    assert json.loads(models("show", candidate.name, "--json").output)["comparison"]["better"] is True
    assert "There is no version nope" in models("show", "nope").output
