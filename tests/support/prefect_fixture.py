"""One real Prefect server for all tests of a session, with a home of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The API of a real server process; Prefect in this process uses it. About 20 s once: a new database is migrated."""
    from prefect.settings import (
        PREFECT_API_URL,
        PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
        PREFECT_HOME,
        PREFECT_RESULTS_LOCAL_STORAGE_PATH,
        temporary_settings,
    )

    from lavad.deployments.prefect_server import private_server
    from lavad.deployments.prefect_settings import environment_with

    home = tmp_path_factory.mktemp("prefect-home")
    with private_server(lambda text: None, home=home) as url:
        settings = {
            PREFECT_API_URL: url,
            PREFECT_HOME: home,
            PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None,
            PREFECT_RESULTS_LOCAL_STORAGE_PATH: tmp_path_factory.mktemp("prefect-results"),
        }
        with (
            environment_with({"PREFECT_API_URL": url, "PREFECT_HOME": str(home)}),
            temporary_settings(updates=settings),
        ):
            yield url
