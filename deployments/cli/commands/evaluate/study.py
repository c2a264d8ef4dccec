"""``lavad study``: the paper's tables, each by one command."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from lavad.deployments.cli.exits import Exit, guarded
from lavad.deployments.cli.options import common as options
from lavad.deployments.cli.options.group import grouped
from lavad.deployments.cli.options.rate_tables import RatesGroup, three_figures
from lavad.deployments.cli.options.shown import writing
from lavad.deployments.cli.options.studies import (
    DEMO_FOLDER,
    Demo,
    DemoFolder,
    Inputs,
    Name,
    StudyGroup,
    demonstration_in,
)
from lavad.deployments.cli.terminal.json_output import show_document, show_json
from lavad.deployments.cli.terminal.text import escape, say, show, show_csv, show_table
from lavad_core.errors import InternalError
from lavad_core.location import shown
from lavad_core.plain_text import duration_text, number_of

if TYPE_CHECKING:
    from lavad_core.config.schema import LavadConfig
    from lavad_core.pipeline.side_by_side import SharedStep
    from lavad_core.runs.recorder import StageRecord
    from lavad_core.studies.study_runs import StudyBase
    from lavad_core.studies.study_table import StudyTable

app = typer.Typer(no_args_is_help=True, help="The paper's tables, and tables of your own, each by one command.")

Format = Annotated[
    Literal["table", "markdown", "latex", "csv", "json"], typer.Option("--format", help="What is printed on stdout.")
]

PICTURES = ("svg", "png")
"""Formats that need a file."""

ShownFormat = Annotated[
    Literal["table", "markdown", "latex", "csv", "json", "svg", "png"],
    typer.Option("--format", help="What is printed on stdout; svg and png are pictures, and need --output."),
]

SHOWN_S = 1.0
"""Least time of a result that gets a line of its own."""


@app.command("list", short_help="The studies that come with the program.")
@guarded
def list_(json_: options.AsJson = False) -> None:
    """The studies that come with the program: what each stands for, and how many rows it has."""
    from lavad_core.studies.study_file import shipped_studies

    rows = [
        {"study": name, "stands_for": one.stands_for, "title": one.title, "preset": one.preset, "rows": len(one.rows)}
        for name, one in shipped_studies().items()
    ]
    if json_:
        show_json(rows)
        return
    show_table(("study", "stands for", "title", "preset", "rows"), [tuple(row.values()) for row in rows], right=(4,))


PLANNED = {
    "captions_made": "captions",
    "images_encoded": "images",
    "views_encoded": "views",
    "llm_requests": "requests",
}
"""Units of the table of a plan, and what they are called there."""


@app.command("plan", short_help="What each row of a study adds, without loading a model.")
@guarded
@grouped
def plan(
    name: Name,
    chosen: StudyGroup,
    rates: RatesGroup,
    inputs: Inputs = None,
    limit: options.Limit = None,
    json_: options.AsJson = False,
) -> None:
    """Print what each row of a study adds to the store and to the rows above it, without loading a model: captions, images,
    views, requests, and hours where rates are known. Without INPUTS from the data set's list alone, as for an empty store."""
    from lavad_core.planning.survey import cost_of_dataset, cost_of_videos
    from lavad_core.studies.study_file import find_study
    from lavad_core.studies.study_plan import added_work
    from lavad_core.studies.study_run import distinct_configs, labels_of
    from lavad_core.studies.study_runs import planned_rows

    called, study = find_study(name)
    rows = planned_rows(called, study, chosen.base())
    if inputs or chosen.demo or chosen.adapter is None:
        chosen.check(inputs)
        sources = options.limited(chosen.sources(inputs), chosen.limited(limit))
        added, notes = added_work(
            rows, lambda config, counted: cost_of_videos(config, sources, rates.table(config), counted=counted)
        )
    else:
        dataset = labels_of(distinct_configs(rows)[0])
        added, notes = added_work(
            rows, lambda config, counted: cost_of_dataset(config, dataset, rates.table(config), None, counted=counted)
        )
    found: list[dict[str, Any]] = [
        {
            "row": one.row,
            "runs": one.runs,
            **{unit: one.work.get(unit, 0) for unit in PLANNED},
            "hours": one.hours,
            "stages_without_rate": list(one.stages_without_rate),
        }
        for one in added
    ]
    if json_:
        show_document("study-plan", {"study": called, "rows": found, "notes": notes})
        return
    show_table(
        ("row", "runs", *PLANNED.values(), "hours"),
        [
            (
                one["row"],
                one["runs"],
                *(one[unit] for unit in PLANNED),
                _hours(one["hours"], one["stages_without_rate"]),
            )
            for one in found
        ],
        right=range(1, 7),
    )
    for note in notes:
        say(escape(note))


def _hours(hours: float | None, unknown: list[str]) -> str:
    if hours is None:
        return "unknown" if unknown else ""
    return three_figures(hours) + (" + unknown" if unknown else "")


@app.command("run", short_help="Run all rows of a study, and print its table.")
@guarded
@grouped
def run(
    name: Name,
    chosen: StudyGroup,
    inputs: Inputs = None,
    limit: options.Limit = None,
    format_: Format = "table",
    json_: options.AsJson = False,
) -> None:
    """Run all rows of a study, and print its table. What rows share is computed once, and each model is loaded once. Stopped,
    it goes on where it was: give the same command again."""
    from lavad_core.pipeline.graph import random_models
    from lavad_core.studies.study_file import find_study
    from lavad_core.studies.study_run import distinct_configs, labels_of
    from lavad_core.studies.study_runs import planned_rows

    called, study = find_study(name)
    chosen.check(inputs)
    base = chosen.base()
    configs = distinct_configs(planned_rows(called, study, base))
    labels_of(configs[0])  # what is wrong is said before hours of work, not after
    limit = chosen.limited(limit)
    options.limited(chosen.sources(inputs), limit)
    models = dict.fromkeys(model for config in configs for model in random_models(config))
    if models:
        say(f"THE NUMBERS WILL MEAN NOTHING: these models are random: {', '.join(models)}")
    table = _run(called, name, configs, base, chosen.inputs(inputs), limit)
    _print(table, "json" if json_ else format_)
    made, found = table.results["made"], table.results["found"]
    say(f"{number_of(made, 'result')} made, {found} found in the store; {duration_text(table.seconds)}")
    if code := _exit_code(table):
        raise typer.Exit(code)


def _run(
    called: str, name: str, configs: Sequence[LavadConfig], base: StudyBase, inputs: Sequence[str], limit: int | None
) -> StudyTable:
    """The table of the study ``called`` so, by a flow under Prefect."""
    from lavad.deployments.cli.exits import SAME_AGAIN
    from lavad.deployments.cli.flow import Ending, call_flow
    from lavad.deployments.cli.signals import interruptible
    from lavad_core.config.load import given_settings, load_config
    from lavad_core.runs.manifest import new_run_id
    from lavad_core.runs.video_list import encode_input
    from lavad_core.studies.study_file import find_study
    from lavad_core.studies.study_run import table_of_run

    run_id = new_run_id()

    @contextmanager
    def watched() -> Iterator[Callable[[str], None]]:
        from lavad.tasks.job import watching
        from lavad.tasks.study_work import watching_steps

        progress = _Progress()
        with watching(progress), watching_steps(progress.step):
            yield say

    def start() -> object:
        from lavad.flows.study import run_study

        return run_study(
            study=name,
            inputs=[encode_input(item) for item in inputs],
            preset=base.preset,
            settings=given_settings(base.overrides),
            run_id=run_id,
            limit=limit,
            config=[str(file) for file in base.files],
            whole_config=not base.own_preset,
            stand_ins=dict(base.stand_ins),
            return_state=True,
        )

    end: Ending[StudyTable] = Ending(
        "study", lambda: table_of_run(configs[0].store, called, run_id), lambda table: _exit_code(table)
    )
    # Secrets of the user's own; a row that has others brings a file, which the flow reads itself.
    preset = base.preset or (find_study(name)[1].preset if base.own_preset else None)
    given = load_config(preset=preset, files=base.files, overrides=base.overrides)
    with interruptible(go_on=SAME_AGAIN) as stop:
        call_flow([given], start, stop, watched, end)
    table = end.record()
    if table is None:
        raise InternalError(f"study {called!r} ended without a table")
    return table


def _exit_code(table: StudyTable) -> Exit:
    return Exit.SOME_FAILED if table.partial else Exit.OK


@app.command("show", short_help="Print the latest table of a study again.")
@guarded
def show_(
    name: Name,
    store: options.StoreFolder = None,
    demo: Demo = False,
    demo_folder: DemoFolder = DEMO_FOLDER,
    format_: ShownFormat = "table",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="File of the picture, for --format svg and png.",
            metavar="FILE",
            parser=options.place,
        ),
    ] = None,
    json_: options.AsJson = False,
) -> None:
    """Print the table that the latest `lavad study run` of a study has recorded in a store, or draw it. Nothing is computed."""
    from lavad_core.studies.study_file import find_study
    from lavad_core.studies.study_run import saved_table

    drawn = None if json_ else next((one for one in PICTURES if one == format_), None)
    if (output is None) == (drawn is not None) or (output and output.suffix.lower() != f".{drawn}"):
        ending = drawn or "svg"
        raise typer.BadParameter(
            f"a picture is a file (--format {ending} --output FILE.{ending}); all else goes to stdout"
        )

    called = find_study(name)[0]
    if demo:
        store = store or demonstration_in(demo_folder).store
    table = saved_table(options.store_root(store), called)
    if output is None:
        _print(table, "json" if json_ else format_)
        return
    from lavad_core.remote_files import written
    from lavad_core.studies.study_plot import plot_study

    with writing(), written(output, "replace") as file:
        plot_study(table, file)
    show(f"picture: {escape(shown(output))}")


def _print(table: StudyTable, format_: str) -> None:
    from lavad_core.studies import study_text
    from lavad_core.studies.study_table import STUDY

    if format_ == "json":
        show(STUDY.text(table).rstrip("\n"))
        return
    if format_ == "csv":
        show_csv(study_text.headers(table), study_text.numbers(table))
        return
    if format_ != "table":
        show(study_text.as_markdown(table) if format_ == "markdown" else study_text.as_latex(table))
        return
    show(escape(study_text.caption(table)))
    show("")
    headers = study_text.headers(table)
    show_table(headers, study_text.cells(table), right=range(1, len(headers)))
    for note in table.notes:
        show(f"note: {escape(note)}")
    if table.source:
        show(f"the paper's numbers: {escape(table.source)}")


class _Progress:
    """Lines on stderr: each step of a study, and each result that is made."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._total = self._ended = 0

    def step(self, step: SharedStep, results: int) -> None:
        nodes = list(dict.fromkeys(node for _, node in step.nodes))
        with self._guard:
            self._total, self._ended = results, 0
        if results:
            configurations = number_of(len({at for at, _ in step.nodes}), "configuration")
            say(f"{escape(nodes[0])}: {number_of(results, 'result')} for {configurations}")

    def __call__(self, record: StageRecord) -> None:
        if record.seconds is None:
            return
        with self._guard:
            self._ended += 1
            ended, total = self._ended, self._total
        failed = record.status in ("failed", "rejected")
        if failed or (not record.cached and record.seconds >= SHOWN_S):
            said = f": {record.message}" if failed else ""
            how = f"{record.status}, {duration_text(record.seconds)}{said}"
            say(f"{escape(record.node)} {ended}/{total}: {escape(record.video)}: {escape(how)}")
