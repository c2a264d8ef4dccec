"""Limits of deployments that a restart of the Prefect server turns against the runs that they let in.

A run of a deployment with a ``concurrency_limit`` holds a lease of 300 s and has it renewed. A server that keeps leases in its
memory, which is Prefect's default, has forgotten them after a restart, and Prefect then ends the run. LAVAD's deployments have
no limit; somebody may have given them one in the UI or in a ``prefect.yaml`` of their own.
"""

from __future__ import annotations

import os

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterTags
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from lavad.deployments.prefect_settings import environment_with, loopback_unproxied
from lavad.tasks.client import ClientError
from lavad_core.plain_text import first_few

OURS = DeploymentFilter(tags=DeploymentFilterTags(all_=["lavad"]))
"""The deployments of ``prefect.yaml``, all of which have this tag."""

IN_MEMORY = "prefect.server.concurrency.lease_storage.memory"
"""Prefect's default."""

LEASES_TIMEOUT_S = 10.0
"""For each question to the server."""

WAY_OUT = (
    "take the limit away (`concurrency_limit`; a worker with --limit 1 takes one run at a time anyway), or start the server "
    "with PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE=prefect.server.concurrency.lease_storage.filesystem"
)


def lease_notice(client: SyncPrefectClient) -> str:
    """A sentence where LAVAD's deployments have limits whose leases the server keeps in memory; otherwise empty, also where
    the server does not say how it keeps them, as Prefect Cloud does not."""
    try:
        limited = [one.name for one in client.read_deployments(deployment_filter=OURS) if one.global_concurrency_limit]
        settings = client.request("GET", "/admin/settings").json() if limited else {}
        in_memory = bool(limited) and settings["server"]["concurrency"]["lease_storage"] == IN_MEMORY
    except (ClientError, OSError, ValueError, KeyError, TypeError):
        return ""
    if not in_memory:
        return ""
    return (
        f"a restart of the Prefect server will end runs of the deployments {first_few(limited, 5)}: each holds a lease on its "
        f"deployment's limit, and this server keeps leases in memory; {WAY_OUT}"
    )


def lease_notice_of(url: str) -> str:
    """:func:`lease_notice` of the server at ``url``, which has answered before."""
    with (
        environment_with(loopback_unproxied(os.environ, url)),
        temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0, PREFECT_API_URL: url}),
        get_client(sync_client=True, httpx_settings={"timeout": LEASES_TIMEOUT_S}) as client,
    ):
        return lease_notice(client)
