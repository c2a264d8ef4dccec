"""Put everything of ``prefect.yaml`` onto a server, fresh or not: ``python -m lavad.deployments.apply``.

The file of the current folder is used, otherwise the one of the installation.

The work pools come first: ``prefect deploy`` refuses deployments whose pool is not there, before any of its own steps could
make one. Then the deployments, then the automations. What somebody has changed on the server and the file does not name stays:
a schedule that is switched off, a paused deployment, a queue's limit.
"""

from __future__ import annotations

import subprocess
import sys
from argparse import ArgumentParser
from contextlib import suppress
from pathlib import Path
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
from prefect.workers.process import ProcessWorker

from lavad.deployments import automations
from lavad.deployments.prefect_advice import OURS, server_advice
from lavad_core.errors import InputError

POOL = "lavad-gpu"

POOLS = {
    POOL: "One worker per GPU; a flow run's process holds the models.",
    "lavad-cpu": "Runs over data sets, which wait for their shards.",
}
"""Name of a work pool to what it is for."""

QUEUE = "scheduled"
"""Queue of the scheduled deployments, which follow each other in it. Its limit is counted from the runs that are going and
needs no lease (:mod:`lavad.deployments.prefect_advice`)."""

PACKAGED = Path(__file__).absolute().with_name("prefect.yaml")

DEPLOY_TIMEOUT_S = 300.0
"""Eight deployments take some seconds; a server that hangs must not hold a script for ever."""


def ensure_pools() -> None:
    """Make the process work pools and the queue of scheduled runs, where there is none of that name."""
    template = ProcessWorker.get_default_base_job_template()
    with get_client(sync_client=True) as client:
        for name, description in POOLS.items():
            pool = WorkPoolCreate(name=name, type="process", description=description, base_job_template=template)
            with suppress(ObjectAlreadyExists):
                client.create_work_pool(pool)
        with suppress(ObjectAlreadyExists):
            client.create_work_queue(QUEUE, concurrency_limit=1, work_pool_name=POOL)


def paused_deployments() -> list[UUID]:
    """Those of LAVAD that somebody has paused as a whole; a schedule that is switched off stays so by itself."""
    with get_client(sync_client=True) as client:
        return [one.id for one in client.read_deployments(deployment_filter=OURS) if one.paused]


def notification_block(given: str) -> UUID:
    """The id of a saved block.

    Raises:
        InputError: there is none of that type and name.
    """
    kind, _, name = given.partition("/")
    try:
        with get_client(sync_client=True) as client:
            return client.read_block_document_by_name(name, kind).id
    except ObjectNotFound:
        raise InputError(
            f"{given!r} is not a block of this server; TYPE/NAME of one is wanted, `prefect block ls` lists them, and the page "
            "Blocks of the UI makes them (Slack, e-mail, a webhook of your own: custom-webhook/NAME)"
        ) from None


def main() -> int:
    """Pool, deployments, automations; the exit code."""
    parser = ArgumentParser(prog="python -m lavad.deployments.apply", description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument(
        "--notify",
        metavar="TYPE/NAME",
        help="a notification block that is saved on the server (slack-webhook/ops): from now on it hears about red runs, "
        "metrics that fell below their baseline, and runs that take more than a day",
    )
    notify = parser.parse_args().notify
    file = Path("prefect.yaml")
    if not file.is_file():
        file = PACKAGED
        print(f"there is no prefect.yaml in this folder: taking {file}", file=sys.stderr)
    try:
        block = None if notify is None else notification_block(notify)
    except InputError as error:
        parser.error(str(error))
    ensure_pools()
    paused = paused_deployments()
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", str(file)]
    code = subprocess.run(command, timeout=DEPLOY_TIMEOUT_S, check=False).returncode
    if code == 0:
        for name, done in automations.apply_automations(block).items():
            print(f"automation {name!r}: {done}")
        with get_client(sync_client=True) as client:
            for deployment_id in paused:  # a deployment of the file is not paused unless it says so
                client.pause_deployment(deployment_id)
            for advice in server_advice(client):
                print(f"WARNING: {advice}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
