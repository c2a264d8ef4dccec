"""Scores of clips, in place of captions and summaries: a chat model is shown the frames of each grid frame's window."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lavad_core.config.schema import LavadConfig
from lavad_core.models.chat.read_answer import ReadAnswer
from lavad_core.models.picture_parts import data_uri
from lavad_core.recipes.clips import asked_of_grid
from lavad_core.runs import work
from lavad_core.stages import score
from lavad_core.stages.asking import ask_all, chat_read_if, seeing
from lavad_core.stages.context import StageContext
from lavad_core.stages.node import Condition, Node, Reads, never, settings_of
from lavad_core.stages.passes import call_size, calls_of, decode_frames
from lavad_core.stages.score_direct import picture_request
from lavad_core.stages.units import ROWS, Work, one_pass
from lavad_core.stages.video_frames import FrameTimes, clips_shown, frames_shown, grid_of, load_probe
from lavad_core.stages.yes_no import Judged, ask_thresholds, is_ordinal, threshold_requests
from lavad_core.store.types import Commit
from lavad_core.video.types import Frame, FrameRequest, Geometry

VERSION = 1
DESCRIPTION = "Anomaly scores of windows by a model that is shown their frames (clips)."
SCHEMA = score.ORDINAL_SCHEMA.append(pa.field("reason", pa.string(), nullable=False))


def _spread(config: LavadConfig) -> bool:
    return config.clips.most_frames > 1  # one is the grid frame itself, whatever its window


READ_IF: dict[str, Condition] = (
    chat_read_if("score")
    | score.ANSWER_READ_IF
    | score.ORDINAL_READ_IF
    | dict.fromkeys(("clips.fps", "window.duration_s", "window.align", "window.frame_rate"), _spread)
    | {"window.constant_frame_rate": lambda config: _spread(config) and config.window.frame_rate == "constant"}
    | {"chat.context_tokens": never}  # nothing is shortened to fit
)


def reads(config: LavadConfig) -> list[Reads]:
    """The pictures of the windows."""
    return [
        Reads(
            ("probe",),
            settings_of(config, "score_clips", READ_IF),
            role="chat",
            pictures="score.method=lavad, with imports",
        )
    ]


def costs(config: LavadConfig, node: Node, video: FrameTimes) -> Work:
    """A request for each clip, or one for each threshold, at most; how many tokens a picture is, its model alone knows."""
    rows = len(grid_of(config, video))
    clips, own = len(asked_of_grid(rows, config.clips.stride)), config.score
    requests = clips * (own.thresholds if is_ordinal(config) else 1)
    answers = requests * (1 if is_ordinal(config) else own.max_answer_tokens)
    return one_pass(video) | {work.LLM_REQUESTS: requests, work.COMPLETION_TOKENS: answers, ROWS: rows}


def run(context: StageContext) -> Commit:
    """Commit one row per grid frame, as the stage ``score`` does, with what was said as the reason."""
    probe, config = load_probe(context), context.config
    model, device = context.resources.models.chat()
    seeing(config, model, "score.method 'clips' shows it the frames of windows", "score.method=lavad")
    grid = grid_of(config, probe).tolist()
    asked = asked_of_grid(len(grid), config.clips.stride)
    judged: list[Judged | None] = [None] * len(grid)
    readings: list[ReadAnswer | None] = [None] * len(grid)
    places = iter(asked)
    # Some clips at a time: the pictures of ten hours would take gigabytes.
    size = call_size(config.chat, config.run.queue_frames)
    request = FrameRequest(Geometry("short_side", config.clips.image_side), frames_shown(config, probe))
    with decode_frames(context, probe, [request], model) as pictures:
        for batch in calls_of(_clips(config, clips_shown(config, probe), pictures), size):
            if is_ordinal(config):
                questions = [threshold_requests(config, pictures=clip) for clip in batch]
                for one in ask_thresholds(context, model, device, questions):
                    judged[next(places)] = one
            else:
                for reading in ask_all(context, model, device, [picture_request(config, clip) for clip in batch]):
                    readings[next(places)] = reading
    between = set(range(len(grid))).difference(asked)
    if is_ordinal(config):
        return score.commit_judged(context, grid, judged, SCHEMA, between=between)
    beside = score.Beside({"probabilities": [None] * len(grid)})
    return score.commit_readings(context, grid, readings, SCHEMA, 0, beside, between=between)


def _clips(
    config: LavadConfig, clips: Iterable[NDArray[np.int64]], pictures: Iterator[Frame]
) -> Iterator[tuple[str, ...]]:
    """The pictures of each clip, as they are sent; held as long as a later clip may have them too."""
    held: dict[int, str] = {}
    for clip in clips:
        wanted = clip.tolist()
        held = {frame: picture for frame, picture in held.items() if frame >= wanted[0]}
        while wanted[-1] not in held:
            picture = next(pictures)
            held[picture.index] = data_uri(picture.image, config.clips.jpeg_quality)
        yield tuple(held[frame] for frame in wanted)
