"""compose.yaml, judged by the compose specification's own schema, since no engine may be at hand."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
OURS = ("migrate", "worker", "beat", "listen", "web")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    content = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
    assert isinstance(content, dict)
    return content


def test_it_fits_the_compose_specification() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", "compose.yaml"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_every_service_that_stays_up_has_a_health_check(compose: dict[str, Any]) -> None:
    lasting = {name: service for name, service in compose["services"].items() if service.get("restart") != "no"}
    assert all("healthcheck" in service for service in lasting.values())
    assert {"database", "broker", "worker", "beat", "listen", "web"} == set(lasting)


def test_every_setting_reaches_our_containers(compose: dict[str, Any]) -> None:
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    settings = {line.partition("=")[0] for line in example.splitlines() if not line.startswith("#")}
    for name in OURS:
        passed = {setting.removesuffix("_FILE") for setting in compose["services"][name]["environment"]}
        assert passed == settings


def test_no_secret_stands_in_the_file(compose: dict[str, Any]) -> None:
    assert all(set(secret) == {"file"} for secret in compose["secrets"].values())
    for service in compose["services"].values():
        for name, value in service.get("environment", {}).items():
            secret = any(word in name for word in ("PASSWORD", "SECRET", "KEYS", "DATABASE_URL"))
            assert not secret or name.endswith("_FILE"), f"{name}={value}"


def test_our_containers_can_do_no_more_than_they_must(compose: dict[str, Any]) -> None:
    for name in OURS:
        service = compose["services"][name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
    assert "USER 10001" in (ROOT / "Dockerfile").read_text(encoding="utf-8")


def test_the_screen_is_published_on_loopback_only(compose: dict[str, Any]) -> None:
    assert all(port.startswith("127.0.0.1:") for port in compose["services"]["web"]["ports"])


def test_data_lies_in_named_volumes(compose: dict[str, Any]) -> None:
    assert set(compose["volumes"]) == {"database", "broker", "data"}


def test_a_worker_may_finish_its_task_before_it_is_stopped(compose: dict[str, Any]) -> None:
    from worker.celery import TIME_LIMIT_S, VISIBILITY_TIMEOUT_S

    assert int(compose["services"]["worker"]["stop_grace_period"].rstrip("s")) > TIME_LIMIT_S
    assert TIME_LIMIT_S < VISIBILITY_TIMEOUT_S
