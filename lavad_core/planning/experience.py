"""What the results and runs of a store tell about work that lengths alone only bound: how many texts are distinct, how long
questions and answers are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import pyarrow.compute as pc

from lavad_core.config.schema import LavadConfig
from lavad_core.config.secrets import public_settings
from lavad_core.errors import LavadError
from lavad_core.plain_text import number_of
from lavad_core.runs import work
from lavad_core.runs.manifest import list_runs, load_run
from lavad_core.stages.find_events import MOST_A_GRID_FRAME
from lavad_core.stages.yes_no import is_ordinal
from lavad_core.store.files import FileStore
from lavad_core.store.maintenance import iter_commits

CHARACTERS_PER_TOKEN = 4.0
"""A rule of thumb for English; used only where no run of the store has counted tokens with this language model."""

CHOICE_TOKENS = 5
"""``[0.5]``: at most one a character."""

MAX_RUNS = 50
"""Runs that are looked at, from the latest."""

MAX_TEXTS_OF = 50
"""Videos whose texts are looked at."""


EVENTS_A_GRID_FRAME = {"both": 0.40, "coarse": 0.14, "fine": 0.26}
"""``events.levels`` to the events of the published trees for each grid frame, on the data set where they are most."""

AS_PUBLISHED = (
    "an estimate by VADTree's published trees: {:g} events a grid frame on XD-Violence (UCF-Crime and MSAD have fewer)"
)

ASKING = {"summarise": "summarise", "score": "score", "summarise_events": "summarise", "rate_events": "score"}
"""Stages whose tokens are known from runs, to the section that says what they ask."""


@dataclass(frozen=True)
class TokensPerRequest:
    """Mean tokens of a request."""

    prompt: float
    """Tokens of the prompt."""
    answer: float
    """Tokens of the answer."""
    source: str
    """Where the numbers come from."""


@dataclass(frozen=True)
class Experience:
    """What a store tells; nothing, where it holds nothing of the kind."""

    distinct: Mapping[str, float] = field(default_factory=dict)
    """Stage to the part of its most texts or requests that are distinct, 0 to 1."""
    tokens: Mapping[str, TokensPerRequest] = field(default_factory=dict)
    """Stage to tokens of a request."""
    sources: Mapping[str, str] = field(default_factory=dict)
    """Where each part of ``distinct`` is from."""


def experience_of(store: FileStore | None, config: LavadConfig) -> Experience:
    """What the store, if there is one already, tells about work with a configuration.

    Distinct texts are counted by the results themselves. Tokens are those of earlier runs with the same chat model and the
    same settings of the stage, otherwise an estimate from the lengths of stored texts.
    """
    distinct: dict[str, float] = {}
    sources: dict[str, str] = {}
    if config.score.method == "events":
        asked, source = _events(store, config)
        for stage in ("summarise_events", "rate_events"):
            distinct[stage], sources[stage] = asked, source
    if store is None:
        return Experience(distinct, sources=sources)
    # Equal summaries are one question of the stages that score them, or one for each threshold or statement.
    counted = (("embed_captions", "captions", "embed_captions"), ("embed_summaries", "summaries", "embed_summaries"))
    scored = [("summarise", "summaries", stage) for stage in ("score", "score_definitions")]
    for stage, of, told in (*counted, *scored):
        if (ratio := _distinct(store, stage, of)) is not None:
            distinct[told], videos = ratio
            sources[told] = f"distinct texts of {number_of(videos, 'video')} in the store"
    return Experience(distinct, _tokens_of_texts(store, config) | _tokens_of_runs(store, config), sources)


def _distinct(store: FileStore, stage: str, of: str) -> tuple[float, int] | None:
    total = unique = videos = 0
    for commit in iter_commits(store, stage):
        total += commit.counts.get(of, 0)
        unique += commit.counts.get("unique", 0)
        videos += 1
    return (unique / total, videos) if total and unique else None


def _events(store: FileStore | None, config: LavadConfig) -> tuple[float, str]:
    """The part of the most events that a video may have which it is likely to have, and where that is from."""
    events = grid = videos = 0
    for commit in [] if store is None else iter_commits(store, "find_events"):
        videos += 1
        events, grid = events + commit.counts["events"], grid + commit.counts["grid_frames"]
    most = MOST_A_GRID_FRAME[config.events.levels]
    if grid:
        return min(
            1.0, events / grid / most
        ), f"{events / grid:.2f} events a grid frame in {number_of(videos, 'video')} of the store"
    published = EVENTS_A_GRID_FRAME[config.events.levels]
    return published / most, AS_PUBLISHED.format(published)


def _tokens_of_runs(store: FileStore, config: LavadConfig) -> dict[str, TokensPerRequest]:
    now = public_settings(config)
    sums: dict[str, list[int]] = {}
    for run_id in list_runs(store.root)[::-1][:MAX_RUNS]:
        try:
            run = load_run(store.root, run_id)
        except LavadError:  # one bad record is no reason to know nothing
            continue
        for stage, section in ASKING.items():
            total = run.stages.get(stage)
            if total is None or not total.work.get(work.LLM_REQUESTS) or not _alike(run.config, now, section):
                continue
            mine = sums.setdefault(stage, [0, 0, 0, 0])
            counters = (work.LLM_REQUESTS, work.PROMPT_TOKENS, work.COMPLETION_TOKENS)
            for at, counter in enumerate(counters):
                mine[at] += total.work.get(counter, 0)
            mine[3] += 1
    return {
        stage: TokensPerRequest(
            prompt / requests,
            answer / requests,
            f"{number_of(requests, 'request')} counted in {number_of(runs, 'run')} of the store",
        )
        for stage, (requests, prompt, answer, runs) in sums.items()
    }


def _alike(then: Mapping[str, Any], now: Mapping[str, Any], section: str) -> bool:
    """Whether a run's requests that a section says were of the same kind."""
    window = then.get("window", {}).get("samples") == now["window"]["samples"]
    return bool(
        then.get("chat", {}).get("model") == now["chat"]["model"] and then.get(section) == now[section] and window
    )


def _tokens_of_texts(store: FileStore, config: LavadConfig) -> dict[str, TokensPerRequest]:
    """Tokens estimated from the lengths of stored cleaned captions and summaries."""
    caption, captions = _mean_length(store, "clean", "caption")
    summary, summaries = _mean_length(store, "summarise", "summary")
    found = {}
    if captions and summaries:
        prompt = len(config.summarise.prompt) + config.window.samples * (caption + len(config.summarise.separator))
        found["summarise"] = _by_characters(prompt, summary / CHARACTERS_PER_TOKEN, captions + summaries)
    if summaries:
        own, yes_no = config.score, is_ordinal(config)
        asked = (own.rubric, own.question) if yes_no else (own.context_prompt, own.format_prompt)
        found["score"] = _by_characters(sum(map(len, asked)) + summary, 1 if yes_no else CHOICE_TOKENS, summaries)
    return found


def _by_characters(prompt: float, answer_tokens: float, texts: int) -> TokensPerRequest:
    source = f"lengths of {texts} texts in the store, at {CHARACTERS_PER_TOKEN:g} characters a token (a rule of thumb)"
    return TokensPerRequest(prompt / CHARACTERS_PER_TOKEN, answer_tokens, source)


def _mean_length(store: FileStore, stage: str, column: str) -> tuple[float, int]:
    """Characters of a stage's texts, and how many texts that is the mean of."""
    characters = count = 0
    for commit in islice(iter_commits(store, stage), MAX_TEXTS_OF):
        if commit.status == "rejected":
            continue
        try:
            texts = store.read(commit, [column])[column]
        except LavadError:  # damaged: the run makes it again, and the others tell enough
            continue
        characters += pc.sum(pc.utf8_length(texts)).as_py() or 0
        count += len(texts)
    return (characters / count if count else 0.0), count
