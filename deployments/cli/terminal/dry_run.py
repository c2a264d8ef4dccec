"""``lavad run --dry-run``: what would run, and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lavad.deployments.cli.terminal.json_output import show_document
from lavad.deployments.cli.terminal.text import escape, say, show_table
from lavad_core.plain_text import first_few

if TYPE_CHECKING:
    from lavad_core.config.schema import LavadConfig
    from lavad_core.video.types import VideoSource

NAMED = 3
"""Videos named in a row."""


def show_plan(
    config: LavadConfig, sources: Sequence[VideoSource], *, refresh: bool = False, as_json: bool = False
) -> None:
    """Stage by stage on stdout: how many videos are cached, rejected or would run, and why; as JSON with all names."""
    from lavad_core.pipeline.pending import PlannedWork, survey
    from lavad_core.pipeline.prepare import check_imports
    from lavad_core.pipeline.resources import RunResources

    check_imports(config)
    found = survey(RunResources(config), sources, refresh=refresh)
    groups: dict[tuple[str, str, str], list[PlannedWork]] = {}
    for item in found.work:
        groups.setdefault((item.node_id, item.state, item.why), []).append(item)
    if as_json:
        work = [
            {"stage": node_id, "state": state, "why": why, "videos": [item.video for item in items]}
            for (node_id, state, why), items in groups.items()
        ]
        rejected = {name: {"reason": why.reason, "message": str(why)} for name, why in found.rejected.items()}
        show_document("dry-run", {"work": work, "rejected": rejected, "videos": len(sources)})
    else:
        show_table(
            ("stage", "state", "videos", "why", "which"),
            [
                (
                    node_id,
                    state,
                    len(items),
                    why,
                    first_few(items, NAMED, lambda item: escape(item.video)),
                )
                for (node_id, state, why), items in groups.items()
            ],
            right=(2,),
        )
    for name, why in found.rejected.items():
        say(f"rejected: {escape(name)}: {why.reason}: {escape(why)}")
    would = sum(item.state == "run" for item in found.work)
    usable = len(sources) - len(found.bad) - len(found.rejected)
    say(f"{would} of {len(found.work)} results would be made for {usable} of {len(sources)} videos; nothing was run")
