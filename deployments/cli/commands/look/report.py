"""``lavad report``: a folder of pages about a run or an import."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lavad.deployments.cli.exits import Exit, guarded
from lavad.deployments.cli.options import common as options
from lavad.deployments.cli.options.group import grouped
from lavad.deployments.cli.options.metrics import ProtocolGroup
from lavad.deployments.cli.options.shown import ShownGroup, counting_bar, writing
from lavad.deployments.cli.terminal.json_output import show_document
from lavad.deployments.cli.terminal.text import escape, say, show
from lavad_core.location import shown
from lavad_core.plain_text import number_of


@guarded
@grouped
def report(
    *,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="Folder of the report; an existing one is replaced.", parser=options.place),
    ],
    given: ShownGroup,
    protocol: ProtocolGroup,
    json_: options.AsJson = False,
) -> None:
    """Write pages about a run or an import: metrics, curves, and for each video why its scores are what they are.

    Without labels there are no metrics; a run's own labels are taken if none are given. Without videos there are no pictures;
    a run's are looked for where it found them.
    """
    from lavad_core.evaluation.compute import evaluate
    from lavad_core.method.detection import SegmentRule
    from lavad_core.pipeline.graph import random_models
    from lavad_core.remote_files import written
    from lavad_core.reports.site import write_report

    reported = given.open()
    evaluation = None
    if reported.dataset is not None:
        rule = SegmentRule(reported.rule.threshold)
        evaluation = evaluate(reported.dataset, reported.results, protocol.options(rule))
    else:
        say("there are no labels: the report has no metrics; give --dataset and --labels for them")
    random = [] if reported.results.config is None else random_models(reported.results.config)
    warnings = [f"THE SCORES MEAN NOTHING: these models are random: {', '.join(random)}."] if random else []
    with writing(), written(output, "report") as folder, counting_bar(len(reported.names), "pages") as done:
        page = write_report(reported, evaluation, folder, warnings, done)
    if page.trouble:
        say(f"{number_of(len(page.trouble), 'video', 'have')} no scores; the page says which")
    index = shown(output / "index.html")
    if json_:
        facts = {"run": reported.results.set_id, "pages": len(page.rows), "videos": len(reported.names)}
        show_document("report", {"page": index, **facts, "without_scores": len(page.trouble)})
    else:
        show(f"page: {escape(index)}")
    if len(page.rows) < len(reported.names):
        raise typer.Exit(Exit.SOME_FAILED)
