"""How the scores of a set were made: the part of a report's protocol that is not about labels and metrics.

One function for runs and one for imports; evaluations, comparisons, pages, artifacts and ``lavad status --all`` show what
these say.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping
from pathlib import PurePath
from typing import Any

from lavad_core.config.header import header_of, threshold_note
from lavad_core.config.load import load_recorded
from lavad_core.config.schema import SEMANTICS, LavadConfig
from lavad_core.config.section import leaves
from lavad_core.errors import ConfigError
from lavad_core.method import prompts
from lavad_core.pipeline.graph import build_graph
from lavad_core.plain_text import number_of
from lavad_core.recipes import definitions, ordinal
from lavad_core.results.types import Recipe
from lavad_core.runs.manifest import RunManifest
from lavad_core.stage_names import OF_SUMMARIES
from lavad_core.stages.node import scores_node
from lavad_core.stages.yes_no import is_ordinal
from lavad_core.store.types import Commit

NOT_KNOWN = "not known: an import does not say"

SMOOTHING = "smoothing of scores"
"""Name of the line that says how the run smoothed its scores; there is none where it did not."""

DIGITS = 12
"""Digits that are shown of a prompt's SHA-256, where it is not one of the paper's."""


def recipe_of_run(run: RunManifest, config: LavadConfig, commits: Mapping[str, Commit] | None = None) -> Recipe:
    """The recipe of a run. ``commits``, node id to the commits of one of its videos, say which weights and which version of a
    stage it was."""
    commits = commits or {}
    models = {
        node: str(commit.provenance["model"]) for node, commit in commits.items() if commit.provenance.get("model")
    }
    lines = dict(_lines(config))
    lines["program"] = ", ".join(f"{name} {run.versions[name]}" for name in ("lavad",) if name in run.versions)
    if run.git_revision:
        lines["program"] += f", {run.git_revision}"
    settings = {
        ".".join(path): _text(value) for path, stages, value in leaves(config) if stages and path[0] != "evaluate"
    }
    settings |= {f"model of {node}": model for node, model in models.items()}
    settings |= {
        f"version of {node}": str(commit.provenance["version"])
        for node, commit in commits.items()
        if "version" in commit.provenance
    }
    return Recipe({name: text for name, text in lines.items() if text}, settings)


def recipe_of_import(run: RunManifest, captioners: tuple[str, ...]) -> Recipe:
    """The recipe of an import: where its values came from, and what is not known about them."""
    given: Mapping[str, Any] = run.config.get("import", {})
    sources = given.get("sources", {})
    lines = {
        f"imported {role}": ", ".join(
            (source.get("name", ""), number_of(source.get("files", 0), "file"), f"SHA-256 {source.get('sha256', '')}")
        )
        for role, source in sources.items()
    }
    if given.get("interpolated"):
        lines["scores between"] = f"interpolated to every {given['interval']}th frame"
    lines["captioners"] = ", ".join(captioners) or NOT_KNOWN
    lines |= dict.fromkeys(
        ("encoder", "chat model", "prompts", "semantics", "window", "neighbours", "switches"), NOT_KNOWN
    )
    return Recipe(lines, lines)


def recorded_recipe(run: RunManifest) -> Recipe:
    """How a run's or import's scores were made, by its record alone; nothing if another version recorded what this one does not
    know."""
    if run.origin == "import":
        sources = run.config.get("import", {}).get("sources", {})
        mark = "captions of "
        return recipe_of_import(run, tuple(role.removeprefix(mark) for role in sources if mark in role))
    try:
        return recipe_of_run(run, load_recorded(run.config))
    except ConfigError:
        return Recipe()


def recipe_differences(a: Recipe, b: Recipe) -> tuple[tuple[str, str, str], ...]:
    """What two recipes have different: name, of A, of B. Every setting that a result depends on, weights and versions of
    stages are compared where both say them."""
    own, other = (a.settings, b.settings) if a.settings.keys() & b.settings.keys() else (a.lines, b.lines)
    names = dict.fromkeys([*own, *other])
    return tuple(
        (name, own.get(name, "–"), other.get(name, "–")) for name in names if own.get(name, "–") != other.get(name, "–")
    )


def in_short(recipe: Recipe) -> str:
    """A line for a table of runs."""
    kept = (
        "method",
        "captioners",
        "encoder",
        "chat model",
        "prompts",
        "semantics",
        "window",
        "neighbours",
        "switches",
        SMOOTHING,
    )
    return "; ".join(f"{name}: {recipe.lines[name]}" for name in kept if recipe.lines.get(name, NOT_KNOWN) != NOT_KNOWN)


def _lines(config: LavadConfig) -> Iterator[tuple[str, str]]:
    graph = build_graph(config, dict.fromkeys(config.models, "?"))
    used, read = graph.identities, {path for node in graph.nodes for path in node.settings}
    given = config.imports
    method = config.score.method
    own_way = scores_node(config) == "score"
    if not own_way:
        section = getattr(config, method.replace("-", "_"))
        yield "method", f"{method}: " + ", ".join(f"{name} {value}" for name, value in section.model_dump().items())
    named = ", ".join(name for name in config.captioners if f"captioner:{name}" in used)
    yield "captioners", f"imported: {', '.join(given.captions)}" if given.captions else named or "none"
    long_text = getattr(config.encoder, "long_text", "")  # ImageBind's alone
    encoder = f"{config.encoder.kind} {_model(config.encoder.model)}" + (
        f", long texts {long_text}" if long_text else ""
    )
    yield "encoder", encoder if "encoder" in used else "none"
    chat = config.chat
    served = chat.kind if chat.served is None else "served"
    revision = f" at {chat.revision}" if chat.revision else ""
    yield "chat model", f"{_model(chat.model)}{revision}, {served}, seed {chat.seed}" if "chat" in used else "none"
    yield "prompts", _prompts(config, read) if "chat" in used else "none"
    yield "semantics", _semantics(config)
    window = config.window
    rate = f"{window.constant_frame_rate:g} frames a second" if window.frame_rate == "constant" else "own frame rate"
    past = " before the frame" if window.align == "past" else ""
    vector = number_of(window.clips, "clip") if window.vector == "spread" else "first and last sample"
    yield (
        "window",
        (
            f"T {window.duration_s:g} s{past}, N {window.samples} of {window.sampling}, {rate}, {vector}; "
            f"every {config.video.frame_interval}th frame"
        ),
    )
    yield "neighbours", f"K {config.refine.neighbours} of {config.refine.pool}" if config.refine.enabled else "none"
    on = {name: getattr(config, name).enabled for name in ("clean", "summarise", "refine")}
    made = {"clean": given.cleaned, "summarise": given.summaries, "score": given.scores, "refine": given.refined}
    words = [f"{name} {'imported' if made[name] else 'on' if on.get(name, True) else 'off'}" for name in made]
    yield "switches", ", ".join(words) if own_way or method in OF_SUMMARIES else ""
    yield SMOOTHING, config.smooth.in_words
    yield "threshold of segments", threshold_note(config)
    if config.rescore.enabled:
        own = config.rescore
        band = "the variance of its scores" if own.band is None else f"{own.band:g}"
        yield "second rating", f"0.5 ± {band}, tags {own.tags}, P_C {_digest(own.context_prompt)}"
    yield from header_of(config).items()
    score = config.score
    expected = ", expected" if score.expected else ""
    if method == "definitions" and "chat" in used:
        yield "answers", f"yes/no, first token {score.yes} or {score.no}"
    elif (own_way or "chat" in used) and is_ordinal(config):
        yield "answers", f"ordinal, {number_of(score.thresholds, 'threshold')}, first token {score.yes} or {score.no}"
    elif own_way or "chat" in used:
        yield "answers", f"{score.answer}{expected}, temperature {score.temperature:g}, top-p {score.top_p:g}"


def _model(name: str) -> str:
    """A path of one machine says less than its last part."""
    return PurePath(name).name if PurePath(name).is_absolute() else name


def _prompts(config: LavadConfig, read: Collection[str]) -> str:
    """Those that stages read."""
    own = config.score
    given: list[tuple[str, str, str, dict[str, str]]] = [
        ("summarise.prompt", "P_S", config.summarise.prompt, {prompts.SUMMARY: "paper"})
    ]
    if is_ordinal(config):
        given.append(("score.rubric", "rubric", own.rubric, {ordinal.RUBRIC: "the program's"}))
        given.append(("score.question", "question", own.question, {ordinal.QUESTION: "the program's"}))
    else:
        known = {text: name for name, text in prompts.CONTEXT.items()}
        given.append(("score.context_prompt", "P_C", own.context_prompt, known))
        given.append(("score.format_prompt", "P_F", own.format_prompt, {prompts.FORMAT: "paper"}))
    rubric, question = config.definitions.rubric, config.definitions.question
    given.append(("definitions.rubric", "rubric", rubric, {definitions.RUBRIC: "the program's"}))
    given.append(("definitions.question", "question", question, {definitions.STATEMENT: "the program's"}))
    return ", ".join(f"{name} {known.get(text) or _digest(text)}" for path, name, text, known in given if path in read)


def _digest(text: str) -> str:
    return f"own (SHA-256 {hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:DIGITS]}…)"


def _semantics(config: LavadConfig) -> str:
    values = {".".join(path): value for path, _, value in leaves(config)}
    fields = SEMANTICS[config.semantics]
    others = [f"{path} {values[path]}" for path, value in fields.items() if path in values and values[path] != value]
    return config.semantics + (f", but {', '.join(others)}" if others else "")


def _text(value: Any) -> str:
    text = repr(list(value) if isinstance(value, tuple) else value) if not isinstance(value, str) else value
    return text if len(text) <= 80 else f"{text[:60]}… (SHA-256 {hashlib.sha256(text.encode()).hexdigest()[:DIGITS]}…)"
