"""prefect.yaml and the automations, against a real server."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from prefect.client.orchestration import get_client

from lavad.deployments.apply import QUEUE
from lavad.deployments.automations import OUR_FLOWS
from lavad.deployments.prefect_advice import server_advice
from lavad.deployments.prefect_settings import HEARTBEAT_S
from lavad_core.errors import InputError

NAMES = {
    "score-videos/on-demand",
    "score-videos/nightly",
    "score-data-set/data-set",
    "score-shard/shard",
    "score-video/one-video",
    "retry-failed/retry",
    "check-store/weekly",
    "evaluate/metrics",
    "study/table",
}


@pytest.fixture
def document(repository: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((repository / "prefect.yaml").read_text(encoding="utf-8"))
    return found


def test_the_page_on_schedules_names_the_active_schedules(document: dict[str, Any], repository: Path) -> None:
    section = (repository / "docs" / "operations" / "nightly.md").read_text(encoding="utf-8")
    for deployment in document["deployments"]:
        for schedule in deployment.get("schedules", []):
            minute, hour = map(int, schedule["cron"].split()[:2])
            assert "active" not in schedule, "applying again would switch it on"
            assert f"`{deployment['name']}`" in section
            assert f"{hour:02d}:{minute:02d} {schedule['timezone']}" in section.replace("\n", " ")
            assert f"`{deployment['parameters']['preset']}`" in section
            assert all(f"`{given}`" in section for given in deployment["parameters"].get("inputs", []))


def test_entrypoints_and_parameters_are_those_of_the_flows(document: dict[str, Any], repository: Path) -> None:
    from prefect.flows import load_flow_from_entrypoint

    names = set()
    for deployment in document["deployments"]:
        flow = load_flow_from_entrypoint(deployment["entrypoint"], use_placeholder_flow=False)
        names.add(f"{flow.name}/{deployment['name']}")
        assert set(deployment.get("parameters", {})) <= set(flow.parameters.properties), deployment["name"]
        assert deployment["enforce_parameter_schema"] is True
        assert "concurrency_limit" not in deployment, "its lease would not outlive a restart of the server"
        queue = deployment["work_pool"].get("work_queue_name")
        assert queue == (QUEUE if "schedules" in deployment else None), deployment["name"]
        assert deployment["work_pool"]["job_variables"]["env"]["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"] == str(HEARTBEAT_S)
    assert names == NAMES
    assert {name.partition("/")[0] for name in names} == set(OUR_FLOWS)


def applied(repository: Path, command: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, *command],
        cwd=repository,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_everything_is_put_on_a_fresh_server_and_again(prefect_server: str, repository: Path) -> None:
    applied(repository, ["-m", "lavad.deployments.apply"])
    with get_client(sync_client=True) as client:
        weekly = client.read_deployment_by_name("check-store/weekly")
        client.update_deployment_schedule(weekly.id, weekly.schedules[0].id, active=False)
        client.pause_deployment(client.read_deployment_by_name("score-videos/on-demand").id)
        queue = client.read_work_queue_by_name(QUEUE, work_pool_name="lavad-gpu")
        assert queue.concurrency_limit == 1
        client.update_work_queue(queue.id, concurrency_limit=3)
    applied(repository, ["-m", "lavad.deployments.apply"])
    with get_client(sync_client=True) as client:
        deployed = {}
        for name in NAMES:
            deployed[name] = client.read_deployment_by_name(name)
        queue = client.read_work_queue_by_name(QUEUE, work_pool_name="lavad-gpu")
        assert {client.read_work_pool(name).type for name in ("lavad-gpu", "lavad-cpu")} == {"process"}
    assert {name for name, one in deployed.items() if one.work_pool_name != "lavad-gpu"} == {"score-data-set/data-set"}
    assert [schedule.active for schedule in deployed["score-videos/nightly"].schedules] == [True]
    assert [schedule.active for schedule in deployed["check-store/weekly"].schedules] == [False], "it was switched off"
    assert queue.concurrency_limit == 3, "what somebody has set stays"
    assert deployed["score-videos/on-demand"].schedules == []
    assert [name for name in NAMES if deployed[name].paused] == ["score-videos/on-demand"]
    assert deployed["score-videos/on-demand"].enforce_parameter_schema


def test_automations_are_put_in_place_once_and_stay_switched_off(prefect_server: str) -> None:
    from prefect.automations import Automation
    from prefect.blocks.notifications import CustomWebhookNotificationBlock

    from lavad.deployments import automations
    from lavad.deployments.apply import notification_block

    CustomWebhookNotificationBlock(name="ops", url="http://127.0.0.1:9/").save("ops")
    block = notification_block("custom-webhook/ops")
    names = [getattr(automations, name) for name in ("LOST", "RED", "FELL", "FELL_FAR", "HANGING")]
    with suppress(ValueError):  # another test has applied everything
        Automation.read(name=automations.LOST).delete()
    assert automations.apply_automations() == {automations.LOST: "created"}
    assert automations.apply_automations(block) == dict(zip(names, ["updated", *["created"] * 4], strict=True))
    hanging = Automation.read(name=automations.HANGING)
    hanging.disable()
    assert automations.apply_automations(block) == dict.fromkeys(names, "updated")
    assert not Automation.read(name=automations.HANGING).enabled
    lost = Automation.read(name=automations.LOST)
    assert {"prefect.flow-run.PartiallyFailed", "prefect.flow-run.Regressed"} <= set(lost.trigger.expect)
    assert lost.trigger.within == automations.SILENCE
    for name in names:
        Automation.read(name=name).delete()
    with pytest.raises(InputError, match=r"'slack-webhook/nobody' is not a block.*prefect block ls"):
        notification_block("slack-webhook/nobody")


@pytest.mark.parametrize(
    ("storage", "batch", "limits", "named"),
    [
        pytest.param("filesystem", 200, [1], [], id="as LAVAD starts a server"),
        pytest.param("memory", 200, [None, None], [], id="leases in memory, and nothing that has one"),
        pytest.param("memory", 200, [None, 1], ["LEASE_STORAGE"], id="a limit whose lease a restart forgets"),
        pytest.param("memory", 1, [None], ["RECORDER_BATCH_SIZE"], id="task runs one by one"),
        pytest.param(None, 1, [1], [], id="a server that does not tell"),
    ],
)
def test_settings_of_a_server_that_runs_suffer_from(
    storage: str | None, batch: int, limits: list[int | None], named: list[str]
) -> None:
    told = {
        "concurrency": {"lease_storage": f"prefect.server.concurrency.lease_storage.{storage}"},
        "services": {"task_run_recorder": {"batch_size": batch}},
    }
    client = SimpleNamespace(
        request=lambda *_: SimpleNamespace(json=lambda: {"server": told} if storage else {"detail": "Not Found"}),
        read_deployments=lambda **_: [
            SimpleNamespace(name="nightly", global_concurrency_limit=limit) for limit in limits
        ],
    )
    advice = server_advice(client)  # type: ignore[arg-type]
    assert len(advice) == len(named)
    assert all(name in sentence for name, sentence in zip(named, advice, strict=True))


@pytest.mark.parametrize(("option", "code"), [("--help", 0), ("--dry-run", 2)])
def test_what_apply_does_not_know_deploys_nothing(option: str, code: int, tmp_path: Path) -> None:
    """With an address where nothing answers, anything else would be an error of the connection."""
    environment = os.environ | {"PREFECT_API_URL": "http://127.0.0.1:9/api"}
    command = [sys.executable, "-m", "lavad.deployments.apply", option]
    done = subprocess.run(
        command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == code
    assert "usage: python -m lavad.deployments.apply" in done.stdout + done.stderr
