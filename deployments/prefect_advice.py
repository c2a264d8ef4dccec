"""Settings of the Prefect server that a data set's runs suffer from, by the server's own word.

A run of a deployment with a ``concurrency_limit`` holds a lease of 300 s and has it renewed. A server that keeps leases in its
memory, which is Prefect's default, has forgotten them after a restart, and Prefect then ends the run. LAVAD's deployments have
no limit; somebody may have given them one in the UI or in a ``prefect.yaml`` of their own.
"""

from __future__ import annotations

import os

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterTags
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from lavad.deployments.prefect_server import RECORDER
from lavad.deployments.prefect_settings import environment_with, loopback_unproxied
from lavad.tasks.client import ClientError
from lavad_core.plain_text import first_few

OURS = DeploymentFilter(tags=DeploymentFilterTags(all_=["lavad"]))
"""The deployments of ``prefect.yaml``, all of which have this tag."""

IN_MEMORY = "prefect.server.concurrency.lease_storage.memory"
"""Prefect's default."""

ADVICE_TIMEOUT_S = 10.0
"""For each question to the server."""

RECORDER_BATCH = 50
"""Task runs; fewer at a time are worth a word."""

WAY_OUT = (
    "take the limit away (`concurrency_limit`; a worker with --limit 1 takes one run at a time anyway), or start the server "
    "with PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE=prefect.server.concurrency.lease_storage.filesystem"
)


def server_advice(client: SyncPrefectClient) -> list[str]:
    """A sentence for each setting that should be another; none where the server does not tell its settings, as Prefect Cloud
    does not."""
    try:
        server = client.request("GET", "/admin/settings").json()["server"]
        in_memory = server["concurrency"]["lease_storage"] == IN_MEMORY
        batch = int(server["services"]["task_run_recorder"]["batch_size"])
        limited = [one.name for one in client.read_deployments(deployment_filter=OURS) if one.global_concurrency_limit]
    except (ClientError, OSError, ValueError, KeyError, TypeError):
        return []
    advice = []
    if in_memory and limited:
        advice.append(
            f"a restart of the Prefect server will end runs of the deployments {first_few(limited, 5)}: each holds a lease on "
            f"its deployment's limit, and this server keeps leases in memory; {WAY_OUT}"
        )
    if batch < RECORDER_BATCH:
        variables = " ".join(f"{name}={value}" for name, value in RECORDER.items())
        advice.append(
            f"this server records task runs {batch} at a time, at five times the CPU; start it with {variables}"
        )
    return advice


def server_advice_of(url: str) -> list[str]:
    """:func:`server_advice` about the server at ``url``, which has answered before."""
    with (
        environment_with(loopback_unproxied(os.environ, url)),
        temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0, PREFECT_API_URL: url}),
        get_client(sync_client=True, httpx_settings={"timeout": ADVICE_TIMEOUT_S}) as client,
    ):
        return server_advice(client)
