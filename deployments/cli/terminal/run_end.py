"""What is printed at the end of a run, and its exit code."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from lavad.deployments.cli.exits import Exit
from lavad.deployments.cli.terminal.missing_files import GONE, missing_files
from lavad.deployments.cli.terminal.run_facts import headline, metric_rows
from lavad.deployments.cli.terminal.set_lines import set_line, store_option, ways_on
from lavad.deployments.cli.terminal.text import escape, say, show, show_table
from lavad_core.config.header import threshold_note
from lavad_core.location import shown
from lavad_core.pipeline.graph import random_models
from lavad_core.plain_text import number_of
from lavad_core.runs.manifest import SCORED
from lavad_core.stages.node import final_scores_node

if TYPE_CHECKING:
    from lavad_core.pipeline.resources import RunResources
    from lavad_core.planning.set_state import SetState
    from lavad_core.runs.manifest import RunManifest, VideoOutcome

SHOWN = 100
"""Videos in the table at the end; `lavad status` has all."""

_WAYS_OUT = {
    "no-scores": "its answers are kept; set score.answer=choice, or change the prompts, the chat model or chat.seed",
    "no-captions": "take another captioner, or its dtype float32",
    "too-large": "raise video.max_pixels or video.max_frames",
}
"""By reason of a rejection: what to change."""

_STORE_ERRORS = ("StoreError", "StoreUnavailable", "DamagedResult")


def print_run_end(manifest: RunManifest, resources: RunResources, *, tables: bool = True) -> None:
    """The videos on stdout, if ``tables`` are wanted there; work, place of the scores and warnings on stderr."""
    config = resources.config
    if tables:
        _videos(manifest, resources)
    say(headline(manifest))
    say("work: " + (work_line(manifest) or "none"))
    for line in pace(manifest):
        say(line)
    scored = [video for video in manifest.videos if video.status in SCORED]
    with_scores = resources.graph.has(final_scores_node(config))
    say(f"{'scores' if with_scores else 'results'}: {escape(shown(config.store))}")
    if scored and with_scores:
        say(f"  look: {escape(_show_command(scored[0].name, shown(config.store)))}")
    if scored and resources.graph.has("detect") and (note := threshold_note(config)):
        say(note)
    if (offer := worth_a_retry(manifest)) is not None:
        say(offer)
    if absent := missing_files(manifest):
        say(absent)
    for line in rejected_for_good(manifest):
        say(line)
    if random := random_models(config):
        say(f"THE SCORES MEAN NOTHING: these models are random: {', '.join(random)}")


def _repeats(video: VideoOutcome) -> bool:
    """Whether trying again would meet the same content, or the same answers, which are kept."""
    from lavad_core.pipeline.execute import REJECTED_BY_CONTENT

    return video.status == "rejected" and video.reason in REJECTED_BY_CONTENT


def worth_a_retry(manifest: RunManifest) -> str | None:
    """The offer of ``lavad retry``; None where it would change nothing."""
    missing = [video for video in manifest.videos if not video.settled]
    again = [video for video in missing if not _repeats(video) and video.reason != GONE]
    if not again:
        return None
    which = "them" if len(again) == len(missing) else f"{len(again)} of them"
    retry = f"lavad retry {manifest.run_id}{store_option(manifest)}"
    return f"{len(missing)} of {len(manifest.videos)} videos have no scores; `{retry}` tries {which} again"


def rejected_for_good(manifest: RunManifest) -> list[str]:
    """What is to be changed for videos that would be rejected again."""
    reasons = Counter(video.reason for video in manifest.videos if _repeats(video) and not video.known_bad)
    return [
        f"{count} of {len(manifest.videos)} videos are rejected ({reason}), and trying again would find the same: "
        f"{_WAYS_OUT.get(reason, 'mend the files, or leave them out, or acknowledge them (lavad store known-bad)')}"
        for reason, count in sorted(reasons.items())
    ]


def _show_command(name: str, store: str) -> str:
    video, folder = shlex.quote(name) if name.isprintable() else "…", f"--store {shlex.quote(store)}"
    return f"lavad show {folder} -- {video}" if name.startswith("-") else f"lavad show {video} {folder}"


def _videos(manifest: RunManifest, resources: RunResources) -> None:
    wanted = sorted(manifest.videos, key=lambda video: video.status in SCORED)  # those with trouble first
    peaks = _peaks(manifest, resources)
    rows = [
        (
            video.name,
            video.word,
            *peaks.get(video.name, (None, None)),
            float(video.seconds or 0),
            "" if video.status == "ok" else ": ".join(part for part in (video.reason, video.message) if part),
        )
        for video in wanted[:SHOWN]
    ]
    headers = ("video", "status", "segments", "peak", "seconds", "reason")
    show_table(headers, rows, right=(2, 3, 4), omit_empty=True)
    if noted := sum(video.status == "ok" and bool(video.message) for video in wanted):
        told = f"lavad status {manifest.run_id}{store_option(manifest)}"
        say(f"{number_of(noted, 'video', 'are')} ok with a note: {told}")
    if len(wanted) > SHOWN:
        show(f"… {len(wanted) - SHOWN} more: lavad status {manifest.run_id}{store_option(manifest)}")


def _peaks(manifest: RunManifest, resources: RunResources) -> dict[str, tuple[int, float]]:
    """Name to number of segments and highest score, where segments were made."""
    from lavad_core.errors import LavadError
    from lavad_core.results.open import open_results

    found: dict[str, tuple[int, float]] = {}
    try:
        results = open_results(resources.store.root, manifest.run_id)
        for name in [video.name for video in manifest.videos if video.status in SCORED][:SHOWN]:
            count, facts = results[name].segment_count, results[name].facts
            if count is not None and "peak_score" in facts:
                found[name] = (count, float(facts["peak_score"]))
    except LavadError as error:
        say(f"lavad: {escape(error)}")  # the run is over and its results are there: the table goes on without
    return found


def work_line(manifest: RunManifest) -> str:
    """The counted work, in words."""
    from lavad_core.runs.work import COUNTERS

    return ", ".join(f"{manifest.work[name]} {name.replace('_', ' ')}" for name in COUNTERS if manifest.work.get(name))


def pace(manifest: RunManifest) -> list[str]:
    """How often videos were decoded, and for how much of the time the models that look at frames were at work."""
    lines = []
    if most := max((video.passes for video in manifest.videos), default=0):
        total = sum(video.passes for video in manifest.videos)
        passes, videos = number_of(total, "pass"), number_of(len(manifest.videos), "video")
        lines.append(f"decoding: {passes} over {videos}, at most {most} over one")
    shares = {node: share for node, totals in manifest.stages.items() if (share := totals.share_at_work) is not None}
    if shares:
        told = ", ".join(f"{escape(node)} {share:.0%}" for node, share in shares.items())
        lines.append(f"models at work, and not waiting for frames: {told}")
    return lines


def end_of_set(manifest: RunManifest, resources: RunResources, state: SetState, *, tables: bool = True) -> None:
    """How far the set of a shard's run is: the metrics once it is whole, and before that what is to be done for it."""
    say(set_line(state))
    for line in ways_on(state, manifest):
        say(line)
    if state.whole:
        others = [video.outcome for video in state.videos if video.run_id != manifest.run_id]
        every = replace(manifest, videos=tuple(video.outcome for video in state.videos))
        if any(not video.settled for video in others) and (offer := worth_a_retry(every)) is not None:
            say(offer)
        metrics(resources, every.videos, tables=tables)
    elif resources.config.evaluate.labels is not None:
        say(
            "the metrics are over the whole set: the shard that ends last prints them, and "
            f"`lavad evaluate --run {manifest.run_id}{store_option(manifest)}` those of the videos that have scores by then"
        )


def metrics(resources: RunResources, videos: Sequence[VideoOutcome], *, tables: bool = True) -> None:
    """The metrics over ``videos``, if the configuration names labels: a table on stdout, if ``tables`` are wanted; what they
    are of on stderr."""
    from lavad_core.pipeline.prepare import import_digests
    from lavad_core.run_metrics import RUN_METRICS, evaluate_run
    from lavad_core.stages.node import PreparedVideo

    scored = [
        PreparedVideo(video.name, "", "file", video.video_id, import_digests(resources.config, video.name))
        for video in videos
        if video.status in SCORED
    ]
    if not scored:
        return
    unscored = [video.name for video in videos if video.status not in SCORED]
    commit = evaluate_run(resources, scored, unscored)
    if commit is None:
        return
    counts = commit.counts
    if tables:
        show("")
        show_table(("metric", "value"), metric_rows({name: commit.facts[name] for name in RUN_METRICS}), right=(1,))
    say(
        f"over {counts['videos_scored']} of {counts['videos_expected']} videos, {counts['frames']} frames, "
        f"{counts['positive_frames']} of them positive; labels {escape(resources.config.evaluate.labels)} "
        f"(SHA-256 {commit.facts['labels_sha256'][:16]}…)" + (f"; {escape(commit.message)}" if commit.message else "")
    )
    if reading := commit.facts.get("reading"):
        say(f"read as: {escape(reading)}")
    if clipped := counts["clipped_intervals"]:
        say(f"{number_of(clipped, 'annotated interval')} beyond the end of the video, cut there")
    if others := counts["labels_without_video"]:
        say(f"the labels name {number_of(others, 'other video')}: a metric over a part is not that of the data set")


def exit_code(videos: Sequence[VideoOutcome]) -> Exit:
    """For the outcomes of a run."""
    scored = [video for video in videos if video.status in SCORED]
    if videos and all(video.settled for video in videos):
        return Exit.OK
    if scored or any(video.status == "rejected" for video in videos):
        return Exit.SOME_FAILED
    if any(video.reason in _STORE_ERRORS for video in videos):
        return Exit.STORE
    return Exit.NOTHING_DONE
