"""Direct scores, in place of captions and summaries: a chat model that is shown each grid frame rates it (LLaVA-1.5)."""

from __future__ import annotations

import pyarrow as pa

from lavad_core.config.schema import LavadConfig
from lavad_core.method.scoring import choices
from lavad_core.models.chat.read_answer import ReadAnswer
from lavad_core.models.picture_parts import data_uri
from lavad_core.models.protocols import ChatRequest, Image
from lavad_core.recipes.direct import direct_messages
from lavad_core.runs import work
from lavad_core.stages import score
from lavad_core.stages.asking import ask_all, chat_read_if, seed_of, seeing
from lavad_core.stages.context import StageContext
from lavad_core.stages.node import Condition, Node, Reads, never, settings_of
from lavad_core.stages.passes import call_size, calls_of, decode_frames
from lavad_core.stages.units import ROWS, Work, one_pass
from lavad_core.stages.video_frames import FrameTimes, grid_of, load_probe
from lavad_core.store.types import Commit
from lavad_core.video.types import FrameRequest, Geometry

VERSION = 1
DESCRIPTION = "Anomaly scores of the frames by a model that is shown them (direct)."
SCHEMA = score.SCHEMA.append(pa.field("reason", pa.string(), nullable=False))

READ_IF: dict[str, Condition] = (
    chat_read_if("score") | score.ANSWER_READ_IF | {"chat.context_tokens": never}  # nothing is shortened to fit
)


def reads(config: LavadConfig) -> list[Reads]:
    """The pictures of the grid."""
    return [
        Reads(
            ("probe",),
            settings_of(config, "score_direct", READ_IF),
            role="chat",
            pictures="score.method=lavad, with imports",
        )
    ]


def costs(config: LavadConfig, node: Node, video: FrameTimes) -> Work:
    """A request for each grid frame, at most; how many tokens a picture is, its model alone knows."""
    rows = len(grid_of(config, video))
    answers = {work.LLM_REQUESTS: rows, work.COMPLETION_TOKENS: rows * config.score.max_answer_tokens}
    return one_pass(video) | answers | {ROWS: rows}


def run(context: StageContext) -> Commit:
    """Commit one row per grid frame, as the stage ``score`` does, with the answer as the reason."""
    probe, config = load_probe(context), context.config
    model, device = context.resources.models.chat()
    seeing(config, model, "score.method 'direct' shows it each frame", "score.method=lavad")
    geometry = Geometry("short_side", config.direct.image_side)
    frames: list[int] = []
    readings: list[ReadAnswer | None] = []
    # Some frames at a time: the pictures of ten hours would take gigabytes.
    size = call_size(config.chat, config.run.queue_frames)
    with decode_frames(context, probe, [FrameRequest(geometry, grid_of(config, probe))], model) as pictures:
        for batch in calls_of(pictures, size):
            frames += [picture.index for picture in batch]
            readings += ask_all(context, model, device, [direct_request(config, picture.image) for picture in batch])
    return score.commit_readings(context, frames, readings, SCHEMA)


def direct_request(config: LavadConfig, image: Image) -> ChatRequest:
    """The question about a frame."""
    return picture_request(config, (data_uri(image, config.direct.jpeg_quality),))


def picture_request(config: LavadConfig, pictures: tuple[str, ...]) -> ChatRequest:
    """The question about a frame or a clip, whose pictures are ``data:`` URIs."""
    own = config.score
    messages = direct_messages(own.context_prompt, own.format_prompt)
    constrained = own.answer == "choice"
    return ChatRequest(
        messages=messages,
        max_tokens=own.max_answer_tokens,
        temperature=own.temperature,
        top_p=own.top_p,
        seed=seed_of(config, messages, pictures),
        choices=choices() if constrained else None,
        distribution=constrained and own.expected,
        pictures=pictures,
    )
