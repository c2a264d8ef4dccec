"""What is for Kubernetes and Slurm, as far as it can be checked without either."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import typer
import yaml
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.settings.legacy import _get_valid_setting_names
from prefect.settings.models.root import Settings
from prefect.utilities.templating import apply_values

from lavad.deployments.cli.main import app

KUBERNETES = Path("deployments/kubernetes")
MANIFESTS = ("storage.yaml", "vllm.yaml", "deploy.yaml")
VALUES = ("prefect-server-values.yaml", "prefect-worker-values.yaml")

VERSION = "1.31"
"""Of Kubernetes: the manifests use nothing newer."""


@pytest.fixture
def folder(repository: Path) -> Path:
    return repository / KUBERNETES


def documents(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(path.read_text(encoding="utf-8")))


def template(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "gpu-job-template.json").read_text(encoding="utf-8"))
    return found


def job(made_of: dict[str, Any], **given: Any) -> dict[str, Any]:
    """The Kubernetes job of a flow run, as the worker fills a template in."""
    variables = made_of["variables"]["properties"]
    values = {name: one["default"] for name, one in variables.items() if "default" in one}
    values |= {
        "command": ["prefect", "flow-run", "execute"],
        "env": [{"name": "A", "value": "1"}],
        "name": "run",
        **given,
    }
    made: dict[str, Any] = apply_values(made_of["job_configuration"], values)["job_manifest"]
    return made


def containers(found: Any) -> Iterator[dict[str, Any]]:
    if isinstance(found, dict):
        yield from found.get("containers", [])
        found = list(found.values())
    if isinstance(found, list):
        for one in found:
            yield from containers(one)


@pytest.mark.parametrize("name", MANIFESTS)
def test_manifests_keep_the_schemas_of_kubernetes(folder: Path, name: str) -> None:
    for document in documents(folder / name):
        kubernetes_validate.validate(document, VERSION, strict=True)
        assert document["metadata"]["namespace"] == "lavad"


def test_a_manifest_with_an_unknown_field_is_found(folder: Path) -> None:
    (deployment, _) = documents(folder / "vllm.yaml")
    deployment["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError, match="readynessProbe"):
        kubernetes_validate.validate(deployment, VERSION, strict=True)


@pytest.mark.parametrize("gpus", [1, 2])
def test_the_job_of_a_flow_run_has_a_gpu_and_is_not_root(folder: Path, gpus: int) -> None:
    made = job(template(folder), gpu_limit=gpus, node_selector={"nvidia.com/gpu.product": "H100"})
    kubernetes_validate.validate(made, VERSION, strict=True)
    pod = made["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == gpus
    assert container["args"] == ["prefect", "flow-run", "execute"]
    assert (pod["securityContext"]["runAsUser"], pod["securityContext"]["runAsNonRoot"]) == (10001, True)
    assert pod["nodeSelector"] == {"nvidia.com/gpu.product": "H100"}


def test_what_pods_mount_and_read_is_there(folder: Path, repository: Path) -> None:
    stored = documents(folder / "storage.yaml")
    claims = {one["metadata"]["name"] for one in stored if one["kind"] == "PersistentVolumeClaim"}
    (settings,) = (one for one in stored if one["kind"] == "ConfigMap")
    pods = [
        job(template(folder))["spec"]["template"]["spec"],
        documents(folder / "vllm.yaml")[0]["spec"]["template"]["spec"],
    ]
    for pod in pods:
        volumes = {one["name"]: one for one in pod["volumes"]}
        named = {
            one["persistentVolumeClaim"]["claimName"] for one in volumes.values() if "persistentVolumeClaim" in one
        }
        assert named <= claims
        for container in containers(pod):
            assert {one["name"] for one in container["volumeMounts"]} == set(volumes)
    assert pods[0]["containers"][0]["envFrom"][0]["configMapRef"]["name"] == settings["metadata"]["name"]
    mounted = [one["mountPath"] for one in pods[0]["containers"][0]["volumeMounts"]]
    for path in (*settings["data"].values(), "/data/videos", "/data/labels"):
        assert not path.startswith("/") or any(path == at or path.startswith(f"{at}/") for at in mounted), path
    service = documents(folder / "vllm.yaml")[1]
    assert f"//{service['metadata']['name']}.lavad.svc" in settings["data"]["LAVAD_CHAT__BASE_URL"]


def changed(repository: Path, found: dict[str, Any], *made: str) -> dict[str, Any]:
    """A template, changed by those commands of the guide that make files of these names, one after the other."""
    jq = shutil.which("jq")
    if made and jq is None:
        pytest.skip("no jq (Debian's package jq)")
    guide = (repository / "docs/operations/kubernetes.md").read_text(encoding="utf-8")
    programs = {name: program for program, name in re.findall(r"(?ms)^jq '([^']*)' \"\$template\" > (\S+)$", guide)}
    for name in made:
        done = subprocess.run(
            [jq, programs[name]], input=json.dumps(found), capture_output=True, text=True, timeout=60, check=True
        )
        found = json.loads(done.stdout)
    return found


CLAIMS = {
    (): ["lavad-data", "lavad-store", "lavad-models"],
    ("object-storage-template.json",): ["lavad-models"],
    ("object-storage-template.json", "own-models-template.json"): [],
}
"""Files that the guide's commands make of the template, to the claims that pods then wait for."""


@pytest.mark.parametrize("for_sets", [False, True], ids=["scoring", "waiting for shards"])
@pytest.mark.parametrize("files", CLAIMS, ids=["shared volumes", "object storage", "models of each node"])
def test_pods_wait_for_no_more_than_they_need(
    repository: Path, folder: Path, files: tuple[str, ...], for_sets: bool
) -> None:
    made = job(changed(repository, template(folder), *files, *(["cpu-job-template.json"] if for_sets else [])))
    kubernetes_validate.validate(made, VERSION, strict=True)
    pod = made["spec"]["template"]["spec"]
    volumes = {one["name"]: one for one in pod["volumes"]}
    claimed = [one["persistentVolumeClaim"]["claimName"] for one in volumes.values() if "persistentVolumeClaim" in one]
    assert claimed == CLAIMS[files]
    (container,) = pod["containers"]
    mounted = {one["mountPath"]: volumes[one["name"]] for one in container["volumeMounts"]}
    assert len(mounted) == len(volumes)
    assert "/models" in mounted
    expected = ("1", "4Gi", "8Gi", 0) if for_sets else ("4", "48Gi", "64Gi", 1)
    requests, limits = container["resources"]["requests"], container["resources"]["limits"]
    assert (requests["cpu"], requests["memory"], limits["memory"], limits["nvidia.com/gpu"]) == expected


def test_what_one_machine_alone_may_write_is_not_on_a_shared_volume(folder: Path) -> None:
    """SQLite, and the home of a store at ``s3://``, which is of one machine. The image, for Docker, says otherwise."""
    (settings,) = (one["data"] for one in documents(folder / "storage.yaml") if one["kind"] == "ConfigMap")
    pod = job(template(folder))["spec"]["template"]["spec"]
    own = {one["name"] for one in pod["volumes"] if "emptyDir" in one}
    places = [one["mountPath"] for one in pod["containers"][0]["volumeMounts"] if one["name"] in own]
    for name in ("XDG_CACHE_HOME", "LAVAD_RUN__SCRATCH", "LAVAD_RUN__ANSWERS"):
        assert any(Path(settings[name]).is_relative_to(place) for place in places), name


def test_the_settings_of_pods_are_settings_of_lavad(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lavad_core.config.load import load_config

    (settings,) = (one for one in documents(folder / "storage.yaml") if one["kind"] == "ConfigMap")
    assert load_config(preset="ucf-crime", environ=settings["data"]).store == Path("/store")


def test_vllm_is_started_as_in_compose_and_is_probed(folder: Path, repository: Path) -> None:
    compose = yaml.safe_load((repository / "docker/compose.yaml").read_text(encoding="utf-8"))["services"]["vllm"]
    (container,) = containers(documents(folder / "vllm.yaml")[0])
    here = [re.sub(r"\$\{[A-Z_]+:-(.*)\}", r"\1", word) for word in compose["command"]]
    assert sorted(container["args"]) == sorted(here)
    assert container["image"] == compose["image"]
    assert {name for name in container if name.endswith("Probe")} == {"startupProbe", "readinessProbe", "livenessProbe"}


def test_no_secret_is_in_a_manifest(repository: Path) -> None:
    for path in sorted((repository / KUBERNETES).iterdir()):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"(?i)kind: Secret|(password|token|api_key)\s*[:=]\s*[\w']", text), path.name


@pytest.mark.parametrize("name", VALUES)
def test_values_of_charts_have_images_and_settings_that_exist(folder: Path, repository: Path, name: str) -> None:
    (values,) = documents(folder / name)
    compose = (repository / "docker/compose.yaml").read_text(encoding="utf-8")
    version = re.search(r"prefecthq/prefect:([\d.]+)-", compose)[1]  # type: ignore[index]
    tag = re.search(r"prefectTag: (\S+)", (folder / name).read_text(encoding="utf-8"))[1]  # type: ignore[index]
    assert tag.startswith(f"{version}-")
    names = {one["name"] for one in values.get("server", {}).get("env", []) if one["name"].startswith("PREFECT_")}
    assert names <= set(_get_valid_setting_names(Settings))
    if name == "prefect-worker-values.yaml":
        assert values["worker"]["config"]["workPool"] == "lavad-gpu"


@pytest.mark.parametrize("files", [(), (*max(CLAIMS, key=len), "cpu-job-template.json")], ids=["as it is", "changed"])
def test_the_work_pool_takes_the_template(
    prefect_server: str, repository: Path, folder: Path, files: tuple[str, ...]
) -> None:
    """Prefect checks that each placeholder is a variable, and each default of its variable's type."""
    given = changed(repository, template(folder), *files)
    with get_client(sync_client=True) as client:
        pool = client.create_work_pool(WorkPoolCreate(name="a-test", type="kubernetes", base_job_template=given))
        client.delete_work_pool("a-test")
    assert pool.base_job_template == given


def run_script(repository: Path, tmp_path: Path, variables: dict[str, str], *arguments: str) -> tuple[int, str]:
    """The script of the array with an `srun` that prints what it is to run."""
    fake = tmp_path / "srun"
    fake.write_text(
        '#!/bin/bash\nprintf "%s\\n" "$@" "home=$PREFECT_HOME" "api=${PREFECT_API_URL-none}" "caches=$XDG_CACHE_HOME" '
        '"hub=$HF_HOME" "torch=$TORCH_HOME"\ntest -d "${PREFECT_HOME%/*}"\n'
    )
    fake.chmod(0o755)
    environment = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "HOME": "/home/somebody",
        "TMPDIR": str(tmp_path),
        "PREFECT_API_URL": "http://x/api",
    }
    done = subprocess.run(
        ["bash", str(repository / "deployments/slurm/lavad.sbatch"), *arguments],
        env={**environment, **variables}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


TASK = {
    "SLURM_ARRAY_TASK_ID": "3",
    "SLURM_ARRAY_TASK_COUNT": "8",
    "SLURM_JOB_ID": "17",
    "SLURM_CPUS_PER_TASK": "8",
}


@pytest.mark.parametrize(
    "variables",
    [
        pytest.param(TASK, id="one of an array"),
        pytest.param({**TASK, "SLURM_ARRAY_TASK_COUNT": "1", "LAVAD_SHARDS": "8"}, id="submitted again alone"),
    ],
)
def test_a_task_of_the_slurm_array_runs_its_shard(repository: Path, tmp_path: Path, variables: dict[str, str]) -> None:
    code, said = run_script(repository, tmp_path, variables, "/data/my videos", "--preset", "tiny")
    assert code == 0, said
    node = tmp_path / "lavad-17"
    expected = ["--cpus-per-task=8", "lavad", "run", "/data/my videos", "--preset", "tiny", "--shard", "4/8", "--plain"]
    assert said.splitlines()[: len(expected)] == expected
    assert f"home={node / 'prefect'}" in said.splitlines()
    assert "api=none" in said.splitlines()
    assert not node.exists(), "nothing stays on the node"
    known = {name for parameter in typer.main.get_command(app).commands["run"].params for name in parameter.opts}  # type: ignore[attr-defined]
    assert {word for word in expected[2:] if word.startswith("--")} <= known


def test_a_job_without_cpus_per_task_asks_srun_for_none(repository: Path, tmp_path: Path) -> None:
    variables = {name: value for name, value in TASK.items() if name != "SLURM_CPUS_PER_TASK"}
    code, said = run_script(repository, tmp_path, variables, "/data")
    assert (code, said.splitlines()[:2]) == (0, ["lavad", "run"])


@pytest.mark.parametrize(
    ("variables", "weights"),
    [
        pytest.param({}, ["/home/somebody/.cache/huggingface", "/home/somebody/.cache/torch"], id="the user's"),
        pytest.param(
            {"XDG_CACHE_HOME": "/net/x"}, ["/net/x/huggingface", "/net/x/torch"], id="a user's cache elsewhere"
        ),
        pytest.param({"HF_HOME": "/net/hf", "TORCH_HOME": "/net/t"}, ["/net/hf", "/net/t"], id="named"),
    ],
)
def test_caches_are_on_the_node_and_weights_where_they_were(
    repository: Path, tmp_path: Path, variables: dict[str, str], weights: list[str]
) -> None:
    """What a store at ``s3://`` has on a machine, SQLite among it, is below XDG_CACHE_HOME; so are the hub's weights."""
    code, said = run_script(repository, tmp_path, {**TASK, **variables}, "/data", "--store", "s3://bucket/store")
    assert code == 0, said
    hub, torch = weights
    assert said.splitlines()[-3:] == [f"caches={tmp_path / 'lavad-17' / 'cache'}", f"hub={hub}", f"torch={torch}"]


@pytest.mark.parametrize(
    ("variables", "arguments", "word"),
    [
        pytest.param({}, ["/data"], "SLURM_ARRAY_TASK_ID: submit it as an array", id="no array"),
        pytest.param(TASK, [], "usage:", id="no videos"),
        pytest.param({**TASK, "LAVAD_SHARDS": "3"}, ["/data"], "usage:", id="beyond the last shard"),
    ],
)
def test_a_wrong_submission_says_how(
    repository: Path, tmp_path: Path, variables: dict[str, str], arguments: list[str], word: str
) -> None:
    code, said = run_script(repository, tmp_path, variables, *arguments)
    assert code != 0
    assert word in said


def test_the_script_passes_shellcheck(repository: Path) -> None:
    command = [str(Path(sys.executable).with_name("shellcheck")), str(repository / "deployments/slurm/lavad.sbatch")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
