"""Read a store again, every byte."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from lavad.flows.run_steps import Preset, configuration, run_name
from lavad.tasks.artifacts import publish_findings
from lavad.tasks.flow_run import RED, name_flow_run
from lavad.tasks.store import collect_garbage, verify_store
from lavad_core.escape import escape
from lavad_core.location import shown
from lavad_core.plain_text import number_of


@flow(name="check-store", flow_run_name=run_name, persist_result=False, **RED)
def check_store(
    preset: Preset | None = None,
    settings: dict[str, Any] | None = None,
    collect: bool = False,
    lease_s: float = 86_400.0,
    config: str | None = None,
) -> State[Any]:
    """Read every result in the store, and say whether it is what its commit says; count or remove what no reader can use.

    Args:
        preset: name of a preset; it, ``config`` and ``settings`` say where the store is.
        settings: nested values over preset and ``config``.
        collect: remove what no reader can use; otherwise it is only counted.
        lease_s: unfinished work older than this is taken for dead, seconds.
        config: path of a YAML configuration on the machine that runs this.

    Returns:
        ``Completed``; ``Failed`` (red) if a result is damaged or the record of a run was altered. A damaged result is never
        used: the next run computes it again.
    """
    store = str(configuration(preset, settings, config).store)
    name_flow_run(f"of {escape(shown(store), limit=80)}")
    findings = verify_store(store)
    note = collect_garbage(store, lease_s, not collect)
    damaged = sum(finding.kind == "damaged" for finding in findings)
    altered = sum(finding.kind == "altered" for finding in findings)
    publish_findings(
        findings,
        f"{number_of(len(findings), 'finding')}, {damaged} damaged, {number_of(altered, 'altered record')}; {note}",
    )
    if altered:
        return Failed(
            message=f"{number_of(altered, 'record', 'were')} altered; {number_of(damaged, 'result', 'are')} damaged"
        )
    if damaged:
        return Failed(
            message=f"{number_of(damaged, 'result', 'are')} damaged; the next run that needs it computes it again"
        )
    return Completed(message=f"no result is damaged; {number_of(len(findings), 'other finding')}; {note}")
