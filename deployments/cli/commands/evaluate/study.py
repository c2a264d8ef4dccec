"""``lavad study``: the paper's tables, each by one command."""

from __future__ import annotations

import dataclasses
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from lavad.deployments.cli.exits import Exit, guarded
from lavad.deployments.cli.options import common as options
from lavad.deployments.cli.options import complete
from lavad.deployments.cli.options.dataset import DatasetName, Labels, ListFile
from lavad.deployments.cli.options.group import grouped
from lavad.deployments.cli.options.rate_tables import RatesGroup, three_figures
from lavad.deployments.cli.terminal.json_output import show_document, show_json
from lavad.deployments.cli.terminal.text import escape, say, show, show_csv, show_table
from lavad_core.plain_text import duration_text, number_of

if TYPE_CHECKING:
    from lavad_core.pipeline.side_by_side import SharedStep
    from lavad_core.runs.recorder import StageRecord
    from lavad_core.studies.study_runs import StudyBase
    from lavad_core.studies.study_table import StudyTable
    from lavad_core.video.types import VideoSource

app = typer.Typer(no_args_is_help=True, help="The paper's tables, and tables of your own, each by one command.")

Name = Annotated[
    str,
    typer.Argument(
        metavar="NAME", help="A study of `lavad study list`, or the path of a file.", autocompletion=complete.studies
    ),
]
Inputs = Annotated[
    list[str] | None, typer.Argument(metavar="INPUTS", help="Videos, as for `lavad run`; none with --demo.")
]
Format = Annotated[
    Literal["table", "markdown", "latex", "csv", "json"], typer.Option("--format", help="What is printed on stdout.")
]
Demo = Annotated[bool, typer.Option("--demo", help="On the demonstration's clips and models, after `make demo`.")]
DemoFolder = Annotated[
    Path, typer.Option("--demo-folder", help="Where the demonstration is.", metavar="DIR", parser=options.folder)
]
DEMO_FOLDER = Path("build/demo")

SHOWN_S = 1.0
"""Least time of a result that gets a line of its own."""


@dataclasses.dataclass(frozen=True)
class StudyGroup:
    """What the rows of a study change: a configuration with labels, or the demonstration's."""

    given: options.ConfigurationGroup
    """The configuration; a preset takes the place of the study's own."""
    adapter: DatasetName = None
    """Key of the data set."""
    labels: Labels = None
    """File of its labels."""
    list_: ListFile = None
    """List of its videos."""
    captioner: Annotated[
        list[str] | None,
        typer.Option(
            "--captioner",
            "--model",
            help="Which captioner of the configuration stands for one that the study names, or at which address (or in which "
            "YAML file) a language model is that it names; may be repeated.",
            metavar="NAME=OWN",
        ),
    ] = None
    """Which captioners stand for those that the study names."""
    demo: Demo = False
    """Whether the demonstration is taken."""
    demo_folder: DemoFolder = DEMO_FOLDER
    """Where it is."""

    def base(self) -> StudyBase:
        """The configuration that rows change.

        Raises:
            InputError: there is no demonstration in the folder.
        """
        from lavad_core.studies.study_runs import StudyBase

        stand_ins = dict(_stand_in(text) for text in self.captioner or ())
        paths = {"evaluate.dataset": self.adapter, "evaluate.labels": self.labels, "evaluate.list": self.list_}
        if self.demo:
            from lavad.demo.configuration import STAND_INS, demonstration

            if unused := [key for key, value in {**paths, "--preset": self.given.preset}.items() if value is not None]:
                raise typer.BadParameter(f"{unused[0]} is the demonstration's own with --demo")
            found = demonstration(self.demo_folder)
            own = [f"store={found.store}", f"evaluate.labels={found.labels}"]
            files = [found.file, *(self.given.config or ())]
            overrides = [*(self.given.set_ or ()), *own, *self._store()]
            names = {**STAND_INS, **stand_ins}
            return StudyBase(None, files, overrides, own_preset=False, own_models=False, stand_ins=names)
        overrides = [*(self.given.set_ or ()), *(f"{key}={value}" for key, value in paths.items() if value is not None)]
        overrides += self._store()
        return StudyBase(self.given.preset, self.given.config or (), overrides, stand_ins=stand_ins)

    def _store(self) -> list[str]:
        return [] if self.given.store is None else [f"store={self.given.store}"]

    def check(self, inputs: list[str] | None) -> None:
        """Refuse videos beside --demo, and none without it."""
        if bool(inputs) == self.demo:
            raise typer.BadParameter("give INPUTS, the videos; or --demo, which has its own")

    def sources(self, inputs: list[str] | None) -> list[VideoSource]:
        """The videos.

        Raises:
            InputError: one cannot be found.
        """
        from lavad_core.video.discover import discover

        if self.demo:
            from lavad.demo.configuration import demonstration

            return discover([demonstration(self.demo_folder).videos])
        return discover(inputs or [])


def _stand_in(text: str) -> tuple[str, str]:
    name, equals, own = text.partition("=")
    if not (name and equals and own):
        raise typer.BadParameter(f"{text!r} is not NAME=OWN", param_hint="--captioner")
    return name, own


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
    views, requests, and hours where rates are known."""
    from lavad_core.studies.study_file import find_study
    from lavad_core.studies.study_plan import added_work
    from lavad_core.studies.study_runs import planned_rows

    called, study = find_study(name)
    chosen.check(inputs)
    rows = planned_rows(called, study, chosen.base())
    sources = options.limited(chosen.sources(inputs), limit)
    added, notes = added_work(rows, sources, rates.table)
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
    from lavad.deployments.cli.signals import interruptible
    from lavad_core.pipeline.graph import random_models
    from lavad_core.studies.study_file import find_study
    from lavad_core.studies.study_run import distinct_configs, run_study
    from lavad_core.studies.study_runs import planned_rows

    called, study = find_study(name)
    chosen.check(inputs)
    rows = planned_rows(called, study, chosen.base())
    sources = options.limited(chosen.sources(inputs), limit)
    models = dict.fromkeys(model for config in distinct_configs(rows) for model in random_models(config))
    if models:
        say(f"THE NUMBERS WILL MEAN NOTHING: these models are random: {', '.join(models)}")
    progress = _Progress()
    with interruptible():
        table = run_study(called, study, rows, sources, listener=progress, on_step=progress.step)
    _print(table, "json" if json_ else format_)
    made, found = table.results["made"], table.results["found"]
    say(f"{number_of(made, 'result')} made, {found} found in the store; {duration_text(table.seconds)}")
    if table.partial:
        raise typer.Exit(Exit.SOME_FAILED)


@app.command("show", short_help="Print the latest table of a study again.")
@guarded
def show_(
    name: Name,
    store: options.StoreFolder = None,
    demo: Demo = False,
    demo_folder: DemoFolder = DEMO_FOLDER,
    format_: Format = "table",
    json_: options.AsJson = False,
) -> None:
    """Print the table that the latest `lavad study run` of a study has recorded in a store. Nothing is computed."""
    from lavad_core.studies.study_file import find_study
    from lavad_core.studies.study_run import saved_table

    called = find_study(name)[0]
    if demo:
        from lavad.demo.configuration import demonstration

        store = store or demonstration(demo_folder).store
    _print(saved_table(options.store_root(store), called), "json" if json_ else format_)


def _print(table: StudyTable, format_: str) -> None:
    from lavad_core.studies import study_text
    from lavad_core.studies.study_table import STUDY

    if format_ == "json":
        show(STUDY.text(table).rstrip("\n"))
        return
    if format_ == "csv":
        show_csv(study_text.headers(table), study_text.cells(table))
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
            say(f"{escape(nodes[0])}: {results} results for {len({at for at, _ in step.nodes})} configurations")

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
