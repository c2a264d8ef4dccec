"""``lavad plan``: what a run would cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lavad.deployments.cli.exits import Exit, guarded
from lavad.deployments.cli.options import common as options
from lavad.deployments.cli.options.dataset import DatasetName, LabelGroup, Labels, ListFile
from lavad.deployments.cli.options.group import grouped
from lavad.deployments.cli.options.rate_tables import RatesGroup, three_figures
from lavad.deployments.cli.terminal.json_output import show_document
from lavad.deployments.cli.terminal.text import escape, say, show, show_table, size

if TYPE_CHECKING:
    from lavad_core.planning.cost import Part, RunCost, StageCost, Totals
    from lavad_core.planning.rates import RateTable

NAMED = 5
"""Videos that cannot be counted and are named."""

SHOWN = {
    "frames_decoded": "frames decoded",
    "captions_made": "captions",
    "images_encoded": "images",
    "clips_encoded": "clips",
    "views_encoded": "views",
    "texts_encoded": "texts",
    "llm_requests": "requests",
    "prompt_tokens": "prompt tokens",
    "completion_tokens": "answer tokens",
}
"""Units of the tables, and what they are called there."""


@guarded
@grouped
def plan(
    *,
    given: options.ConfigurationGroup,
    inputs: Annotated[
        list[str] | None,
        typer.Argument(metavar="INPUTS", help="Videos, as for `lavad run`; none with --dataset."),
    ] = None,
    dataset: DatasetName = None,
    labels: Labels = None,
    list_: ListFile = None,
    frame_rate: Annotated[
        float | None,
        typer.Option(help="Frames per second of a data set that has no one rate.", min=0.1, max=1000.0),
    ] = None,
    rates: RatesGroup,
    refresh: Annotated[bool, typer.Option("--refresh", help="Count what is in the store, too.")] = False,
    limit: options.Limit = None,
    json_: options.AsJson = False,
) -> None:
    """Print what a run would cost, without loading a model: frames, captions, clips, tokens, bytes, and hours where a rate is
    known. From videos, or from a data set's list alone."""
    from lavad_core.config.header import header_of
    from lavad_core.planning.survey import cost_of_dataset, cost_of_videos
    from lavad_core.video.discover import discover

    if bool(inputs) == (dataset is not None):
        raise typer.BadParameter("give INPUTS, or a data set with --dataset (for its list alone)")
    if dataset is None and (labels or list_ or frame_rate):
        raise typer.BadParameter("--labels, --list and --frame-rate are for --dataset")
    if dataset is not None and limit:
        raise typer.BadParameter("it is for INPUTS: a data set is counted whole", param_hint="--limit")
    resolved = given.load().config
    table = rates.table(resolved)
    if dataset is not None:
        cost = cost_of_dataset(resolved, LabelGroup(dataset, labels, list_).opened(), table, frame_rate)
    else:
        cost = cost_of_videos(resolved, options.limited(discover(inputs or []), limit), table, refresh=refresh)
    if json_:
        show_document("plan", {**cost_as_json(cost, table), "header": header_of(resolved)})
    else:
        _show(cost, table)
        for name, text in header_of(resolved).items():
            say(f"{name}: {escape(text)}")
    if not cost.everything.part.videos:
        say("lavad: no video could be counted")
        raise typer.Exit(Exit.NOTHING_DONE)


def _show(cost: RunCost, table: RateTable) -> None:
    left, everything = cost.left, cost.everything
    show_table(("", "left", "everything"), _total_rows(left, everything), right=(1, 2))
    show("")
    show_table(
        ("stage", "model", "videos left", "of", "work left", "hours left", "hours in all", "rate"),
        [_stage_row(stage) for stage in cost.stages],
        right=(2, 3, 5, 6),
        omit_empty=True,
    )
    peaks = _peaks(cost, table)
    if peaks:
        show("")
        show_table(
            ("at the peak of, hours", "left", "everything", "source"),
            [
                (row["device"], three_figures(row["hours_left"]), three_figures(row["hours_everything"]), row["source"])
                for row in peaks
            ],
            right=(1, 2),
        )
    _say_notes(cost)


def _total_rows(left: Totals, everything: Totals) -> list[tuple[str, str, str]]:
    rows: list[tuple[str, str, str]] = [
        ("videos", f"{left.part.videos}", f"{everything.part.videos}"),
        ("frames", f"{left.frames}", f"{everything.frames}"),
        ("hours of video", f"{left.hours_of_video:.2f}", f"{everything.hours_of_video:.2f}"),
        ("grid frames", f"{left.grid_frames}", f"{everything.grid_frames}"),
    ]
    rows += [
        (words, _amount(left.part, unit), _amount(everything.part, unit))
        for unit, words in SHOWN.items()
        if unit in everything.part.work
    ]
    rows.append(("bytes of the store, about", _size(left.part.bytes), _size(everything.part.bytes)))
    rows.append(("hours, by rates", _hours(left), _hours(everything)))
    return rows


def _amount(part: Part, unit: str) -> str:
    """``≤`` before what is only bounded; ``≈`` before what earlier results suggest."""
    from lavad_core.stages.units import AT_MOST

    amount = part.work.get(unit, 0)
    mark = "≤ " if unit in AT_MOST and amount else ""
    suggested = part.expected.get(unit)
    return f"{mark}{amount}" + (f" (≈ {suggested})" if suggested is not None and suggested != amount else "")


def _size(count: float | None) -> str:
    return "unknown" if count is None else size(count)


def _hours(totals: Totals) -> str:
    if totals.part.hours is None:
        return "unknown"
    missing = f" + {', '.join(totals.unknown_hours)}: unknown" if totals.unknown_hours else ""
    return three_figures(totals.part.hours) + missing


def _stage_row(stage: StageCost) -> tuple[object, ...]:
    work = ", ".join(
        f"{_amount(stage.left, unit)} {words}"
        for unit, words in SHOWN.items()
        if unit in stage.left.work and unit != "frames_decoded"
    )
    needs_rate = bool(stage.model and work)
    rate = "" if not needs_rate else "unknown"
    if stage.rate is not None and stage.rate.per_second is not None:
        rate = f"{stage.rate.per_second:.3g} {stage.rate.unit} a second ({stage.rate.kind})"
    return (
        stage.node,
        stage.model,
        stage.left.videos,
        stage.everything.videos,
        work,
        three_figures(stage.left.hours),
        three_figures(stage.everything.hours),
        rate,
    )


def _peaks(cost: RunCost, table: RateTable) -> list[dict[str, Any]]:
    """What the counted operations take on each device at the peak of its data sheet."""
    left, everything = cost.left.part.tflop, cost.everything.part.tflop
    if not everything:
        return []
    return [
        {
            "device": device.name,
            "hours_left": (left or 0.0) / device.tflops / 3600,
            "hours_everything": everything / device.tflops / 3600,
            "source": device.source,
        }
        for device in table.devices
    ]


def _say_notes(cost: RunCost) -> None:
    if cost.left.unknown_hours:
        say(
            f"no rate is known for {', '.join(map(escape, cost.left.unknown_hours))}: their hours are unknown; "
            "give rates with --rates FILE, or those of a run with --rates-from RUN"
        )
    if cost.everything.part.tflop:
        without = f"; without {', '.join(map(escape, cost.everything.uncounted))}" if cost.everything.uncounted else ""
        say(
            "hours at a device's peak: the operations of the work above, at its bounds or as expected, were the device to "
            f"reach the peak of its data sheet, which no program does: real runs take a multiple{without}"
        )
    left = [stage for stage in cost.stages if stage.left.videos]
    for rate in dict.fromkeys(stage.rate for stage in left if stage.rate is not None):
        on = f" on {escape(rate.machine)}" if rate.machine else ""
        of = ", ".join(escape(stage.node) for stage in left if stage.rate == rate)
        say(f"rate of {of}: {rate.kind}{on}: {escape(rate.source)}")
    for note in cost.notes:
        say(escape(note))
    for name, why in list(cost.uncounted.items())[:NAMED]:
        say(f"not counted: {escape(name)}: {escape(why)}")
    if len(cost.uncounted) > NAMED:
        say(f"not counted: {len(cost.uncounted) - NAMED} more videos")


def cost_as_json(cost: RunCost, table: RateTable) -> dict[str, Any]:
    """All of it as JSON values; null is unknown."""
    from lavad_core.stages.units import AT_MOST

    return {
        "basis": cost.basis,
        "upper_bounds": sorted(AT_MOST),
        "lengths": dict(cost.lengths),
        "left": _totals(cost.left),
        "everything": _totals(cost.everything),
        "stages": [
            {
                "stage": stage.node,
                "model": stage.model,
                "left": _part(stage.left),
                "everything": _part(stage.everything),
                "rate": None if stage.rate is None else stage.rate.model_dump(mode="json"),
                "computing": None if stage.computing is None else stage.computing.model_dump(mode="json"),
            }
            for stage in cost.stages
        ],
        "hours_at_peak": _peaks(cost, table),
        "not_counted": dict(cost.uncounted),
        "notes": list(cost.notes),
    }


def _totals(totals: Totals) -> dict[str, Any]:
    return {
        "frames": totals.frames,
        "hours_of_video": totals.hours_of_video,
        "grid_frames": totals.grid_frames,
        **_part(totals.part),
        "stages_without_rate": list(totals.unknown_hours),
        "stages_without_operations": list(totals.uncounted),
    }


def _part(part: Part) -> Mapping[str, Any]:
    return {
        "videos": part.videos,
        "work": dict(part.work),
        "expected": dict(part.expected),
        "bytes": None if part.bytes is None else round(part.bytes),
        "hours": part.hours,
        "tflop": part.tflop,
    }
