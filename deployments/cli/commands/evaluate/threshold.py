"""``lavad threshold``: a threshold chosen on labelled videos."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from lavad.deployments.cli.exits import guarded
from lavad.deployments.cli.options import common as options
from lavad.deployments.cli.options.dataset import LabelGroup
from lavad.deployments.cli.options.group import grouped
from lavad.deployments.cli.options.metrics import AnswerGroup, SegmentGroup
from lavad.deployments.cli.terminal.text import escape, say, show_lines
from lavad_core.plain_text import number_of

if TYPE_CHECKING:
    from lavad_core.evaluation.threshold import ChosenThreshold

VALUE = {"f1": "F1 of frames", "youden": "Youden's J of frames", "false-alarms-per-hour": "false alarms an hour"}
"""What each rule looks at."""


@guarded
@grouped
def threshold(
    *,
    run: options.Run = None,
    labels: LabelGroup,
    rule: Annotated[str, typer.Option("--rule", help="f1, youden, or false-alarms-per-hour=X.", metavar="RULE")] = "f1",
    segments: SegmentGroup,
    answer: AnswerGroup,
    store: options.StoreFolder = None,
) -> None:
    """Choose the threshold of segments on labelled training or validation videos, by a stated rule. Not on the videos that
    are evaluated with it."""
    from lavad_core.evaluation.threshold import CHOSEN_THRESHOLD, choose_threshold, parse_rule
    from lavad_core.results.open import open_results

    parsed = parse_rule(rule)
    dataset = labels.dataset()
    lowest = [] if segments.low_threshold is None else [segments.low_threshold]
    chosen = choose_threshold(dataset, open_results(options.store_root(store), run), parsed, segments.rules(*lowest)[0])
    if answer.wants_tables(CHOSEN_THRESHOLD.text(chosen)):
        _show(chosen, parsed.name)
    say(
        "a threshold is chosen on training or validation videos; its events on the videos that it was chosen on are not the "
        "result of a test (lavad evaluate --threshold-from FILE says so)"
    )
    if tests := [file["name"] for file in chosen.files if "test" in file["name"].lower()]:
        say(
            f"WARNING: {escape(repr(tests[0]))} looks like the labels of a test set: do not evaluate on it with this threshold"
        )
    if not 0 <= chosen.threshold <= 1:
        say(f"WARNING: {chosen.threshold:g} is outside [0, 1]: detect.threshold does not take it")


def _show(chosen: ChosenThreshold, rule: str) -> None:
    from lavad_core.results.types import in_words

    lines = [
        ("threshold", repr(chosen.threshold)),
        ("rule", f"{chosen.rule}: {chosen.definition}"),
        (VALUE[rule], f"{chosen.value:.4f}"),
        ("chosen on", f"{number_of(len(chosen.names), 'video')} of {chosen.dataset} ({chosen.adapter}) with scores"),
        ("frames", f"{chosen.frames}, {chosen.positive} of them anomalous"),
        *((file["role"], f"{file['name']}, SHA-256 {file['sha256']}") for file in chosen.files),
        ("labels", f"digest {chosen.labels}"),
        ("results", in_words(chosen.results) + ("" if "smoothing" in chosen.results else ", unsmoothed")),
        ("to use it", f"--set detect.threshold={chosen.threshold!r}, or lavad evaluate --threshold-from FILE"),
    ]
    show_lines(lines)
