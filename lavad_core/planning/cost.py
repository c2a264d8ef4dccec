"""What a run would cost: the work of all videos, what of it is left, and hours where a rate is known. No I/O here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from lavad_core.config.schema import LavadConfig
from lavad_core.method.sampling import cannot_be_had
from lavad_core.planning.experience import Experience
from lavad_core.planning.rates import Rate, RateTable
from lavad_core.planning.video_length import VideoLength
from lavad_core.runs import work
from lavad_core.stages.node import Graph, Node
from lavad_core.stages.passes import sharing_a_pass
from lavad_core.stages.registry import STAGES
from lavad_core.stages.units import FRAMES_DECODED, ROWS, TOKENS, Work
from lavad_core.stages.vectors import VECTOR
from lavad_core.stages.video_frames import FrameTimes, samples_of

NO_MODEL = frozenset({ROWS, FRAMES_DECODED, work.VIDEOS_DECODED})
"""Units that take no model."""

BYTES_OF_A_VALUE = 8.0
"""A number in a column of a stage that the table of rates does not know; not compressed."""


@dataclass(frozen=True)
class PlannedVideo:
    """A video of the plan."""

    video: VideoLength
    """How many frames the video has."""
    left: frozenset[str]
    """Nodes whose results are not in the store."""


@dataclass(frozen=True)
class Part:
    """The work of a stage, or of a run: of all videos, or of what is left."""

    videos: int = 0
    """How many videos have work in it."""
    work: Mapping[str, int] = field(default_factory=dict)
    """Unit to how much; units of :data:`lavad_core.stages.units.AT_MOST` are upper bounds."""
    expected: Mapping[str, int] = field(default_factory=dict)
    """Some of those units, as earlier results and runs suggest."""
    bytes: float | None = None
    """Bytes that it takes in the store; None where the length of a vector is not known."""
    hours: float | None = None
    """Hours by the stage's rate; None without one. For a run: the sum over the stages that have one."""
    tflop: float | None = None
    """10^12 operations; None where they have not been counted. For a run: the sum over the stages where they have."""


@dataclass(frozen=True)
class StageCost:
    """One node of the graph."""

    node: str
    """Id of the node."""
    model: str
    """The model that it uses; empty if none."""
    everything: Part
    """The work as if the store were empty."""
    left: Part
    """The work that the store does not hold yet."""
    rate: Rate | None
    """The rate from which the hours are computed; None if there is none."""
    computing: Rate | None
    """The rate from which the operations are computed."""


@dataclass(frozen=True)
class Totals:
    """The cost of all stages together."""

    frames: int
    """Frames of the videos; here and in the next two, of ``left`` only the videos with work left."""
    hours_of_video: float
    """Length of the videos, hours."""
    grid_frames: int
    """Grid frames of the videos."""
    part: Part
    """The sums; hours lack the stages of ``unknown_hours``, operations those of ``uncounted``."""
    unknown_hours: tuple[str, ...]
    """Nodes with a model and work but without a rate."""
    uncounted: tuple[str, ...]
    """Nodes with a model and work whose operations have not been counted."""


@dataclass(frozen=True)
class RunCost:
    """What a run would cost."""

    basis: Literal["videos", "list"]
    """Lengths are of ``videos`` that are here, or of a data set's ``list``."""
    stages: Sequence[StageCost]
    """The stages, in the order in which they would run."""
    everything: Totals
    """The work as if the store were empty."""
    left: Totals
    """The work that the store does not hold yet."""
    uncounted: Mapping[str, str]
    """Videos that are not in it, with the reason."""
    lengths: Mapping[str, int]
    """Source of the videos' lengths to how many (``probe``, ``header``, ``list``)."""
    notes: Sequence[str]
    """What a reader should know about the numbers."""


def work_of(config: LavadConfig, graph: Graph, video: FrameTimes) -> dict[str, Work]:
    """The work of each node for one video, as each stage says it, as if nothing were in the store.

    Every node that looks at pictures has a pass over the video; where several run they share one
    (:func:`~lavad_core.stages.passes.sharing_a_pass`). Identities of the graph's models are not looked at.
    """
    return {node.id: STAGES[node.stage].costs(config, node, video) for node in graph.nodes}


def run_cost(
    config: LavadConfig,
    graph: Graph,
    items: Iterable[PlannedVideo],
    table: RateTable,
    told: Experience,
    *,
    basis: Literal["videos", "list"],
    uncounted: Mapping[str, str],
    notes: Sequence[str] = (),
) -> RunCost:
    """Add up what a run would cost.

    Args:
        graph: identities of its models are not looked at.
        items: the videos; each is looked at once, and its times can go then.
        told: what the store shows of distinct texts and of tokens.
        basis: where the lengths come from.
        uncounted: videos that cannot be counted, with the reason.
        notes: put in front of those that are found here.
    """
    sums = {(node.id, side): _Sum() for node in graph.nodes for side in ("everything", "left")}
    heads = {"everything": _Head(), "left": _Head()}
    lengths: Counter[str] = Counter()
    short = windows = 0
    samples_windows = any("window.samples" in node.settings for node in graph.nodes)
    for item in items:
        lengths[item.video.source] += 1
        if samples_windows:
            sampled = samples_of(config, item.video)
            short, windows = short + sampled.short, windows + len(sampled)
        works = work_of(config, graph, item.video)
        nodes = {node.id for node in graph.nodes}
        for side, running in (("everything", nodes), ("left", nodes & item.left)):
            sharing = sharing_a_pass(config, graph, running)
            for node_id in running:
                sums[node_id, side].add(works[node_id], without_pass=node_id in sharing)
            if running:
                heads[side].add(item.video, config.video.frame_interval)
    thin = cannot_be_had(short, windows, config.window.samples, config.window.sampling)
    stages = [
        _stage(config, node, sums[node.id, "everything"], sums[node.id, "left"], table, told) for node in graph.nodes
    ]
    return RunCost(
        basis=basis,
        stages=stages,
        everything=_totals(stages, heads["everything"], "everything"),
        left=_totals(stages, heads["left"], "left"),
        uncounted=uncounted,
        lengths=dict(lengths),
        notes=(*notes, *([thin] if thin else []), *_notes(stages, told, table)),
    )


@dataclass
class _Sum:
    videos: int = 0
    work: Counter[str] = field(default_factory=Counter)

    def add(self, more: Work, *, without_pass: bool) -> None:
        self.videos += 1
        for unit, amount in more.items():
            if not (without_pass and unit in (FRAMES_DECODED, work.VIDEOS_DECODED)):
                self.work[unit] += amount


@dataclass
class _Head:
    videos: int = 0
    frames: int = 0
    seconds: float = 0.0
    grid: int = 0

    def add(self, video: VideoLength, interval: int) -> None:
        self.videos += 1
        self.frames += video.frames
        self.seconds += video.duration_s
        self.grid += -(-video.frames // interval)


def _stage(
    config: LavadConfig, node: Node, everything: _Sum, left: _Sum, table: RateTable, told: Experience
) -> StageCost:
    section = config.models.get(node.role)
    model = "" if section is None else section.model
    rate = computing = None
    if section is not None:
        rate = table.first("per_second", node.id, model, everything.work)
        computing = table.first("tflop", node.id, model, everything.work)
    schema = STAGES[node.stage].SCHEMA
    dimension = table.dimension(config.encoder.model) if VECTOR in schema.types else 0

    def part(found: _Sum) -> Part:
        expected = _expected(node.stage, found.work, told)
        amounts = {**found.work, **expected}
        return Part(
            videos=found.videos,
            work=dict(found.work),
            expected=expected,
            bytes=_bytes(node.stage, found.videos, amounts, table, dimension, len(schema)),
            hours=None
            if rate is None or rate.per_second is None
            else amounts.get(rate.unit, 0) / rate.per_second / 3600,
            tflop=None
            if computing is None or computing.tflop is None
            else amounts.get(computing.unit, 0) * computing.tflop,
        )

    return StageCost(node.id, model, part(everything), part(left), rate, computing)


def _expected(stage: str, bounds: Mapping[str, int], told: Experience) -> dict[str, int]:
    """Bounds made smaller by what the store tells."""
    found: dict[str, int] = {}
    ratio = told.distinct.get(stage)
    if ratio is not None:
        found = {
            unit: round(bounds[unit] * ratio) for unit in (work.TEXTS_ENCODED, work.LLM_REQUESTS) if unit in bounds
        }
        if work.TEXTS_ENCODED in found:
            found[ROWS] = found[work.TEXTS_ENCODED]
    tokens = told.tokens.get(stage)
    if tokens is not None and work.LLM_REQUESTS in bounds:
        requests = found.get(work.LLM_REQUESTS, bounds[work.LLM_REQUESTS])
        prompt, answer = round(requests * tokens.prompt), round(requests * tokens.answer)
        made = {work.PROMPT_TOKENS: prompt, work.COMPLETION_TOKENS: answer, TOKENS: prompt + answer}
        found |= {unit: min(amount, bounds[unit]) for unit, amount in made.items()}
    return found


def _bytes(
    stage: str, videos: int, amounts: Mapping[str, int], table: RateTable, dimension: int | None, columns: int
) -> float | None:
    stored = table.stored
    if stored is None or dimension is None:
        return None
    row = stored.per_row.get(stage, columns * BYTES_OF_A_VALUE) + dimension * stored.per_number
    return videos * stored.per_result + amounts.get(ROWS, 0) * row


def _totals(stages: Sequence[StageCost], head: _Head, side: Literal["everything", "left"]) -> Totals:
    parts: list[tuple[StageCost, Part]] = [(stage, getattr(stage, side)) for stage in stages]
    summed: Counter[str] = Counter()
    expected: Counter[str] = Counter()
    suggested = {unit for _, part in parts for unit in part.expected if unit != ROWS}
    for _, part in parts:
        summed.update({unit: amount for unit, amount in part.work.items() if unit != ROWS})
        expected.update({unit: part.expected.get(unit, part.work.get(unit, 0)) for unit in suggested})
    busy = [(stage, part) for stage, part in parts if stage.model and part.work.keys() - NO_MODEL]
    known_bytes = [part.bytes for _, part in parts]
    return Totals(
        frames=head.frames,
        hours_of_video=head.seconds / 3600,
        grid_frames=head.grid,
        part=Part(
            videos=head.videos,
            work=dict(summed),
            expected=dict(expected),
            bytes=None if None in known_bytes else sum(amount or 0.0 for amount in known_bytes),
            hours=_sum_of([part.hours for _, part in busy]),
            tflop=_sum_of([part.tflop for _, part in busy]),
        ),
        unknown_hours=tuple(stage.node for stage, part in busy if part.hours is None),
        uncounted=tuple(stage.node for stage, part in busy if part.tflop is None),
    )


def _sum_of(values: Sequence[float | None]) -> float | None:
    """The sum of the known values; None if there are values and none is known."""
    known = [value for value in values if value is not None]
    return sum(known) if known or not values else None


def _notes(stages: Sequence[StageCost], told: Experience, table: RateTable) -> list[str]:
    """What is expected by what, of the stages that have something to do."""
    units = {stage.node: stage.everything.work.keys() for stage in stages if stage.left.videos}
    notes = [
        f"{node}: expected number of {'requests' if work.LLM_REQUESTS in units[node] else 'texts'} by {source}"
        for node, source in told.sources.items()
        if node in units
    ]
    notes += [f"{node}: expected tokens by {tokens.source}" for node, tokens in told.tokens.items() if node in units]
    if table.stored is not None:
        notes.append(f"bytes of the store: by {table.stored.source}; without the cache of the language model's answers")
    return notes
