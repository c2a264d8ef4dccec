"""A task for each stage of a video (docs/design/method.md has the figure)."""

from __future__ import annotations

from lavad.tasks.stage_task import StageTask, stage_task

probe = stage_task("probe", "Find a video's true frames and time stamps.")
caption = stage_task("caption", "Caption every grid frame, with one captioner.")
embed_captions = stage_task("embed_captions", "Vectors of all captions.")
embed_frames = stage_task("embed_frames", "Vectors of the frames that are cleaned.")
embed_windows = stage_task("embed_windows", "Vectors of the windows around grid frames.")
clean = stage_task("clean", "Give each frame the caption nearest to it (Eq. 2).")
summarise = stage_task("summarise", "Summaries of each window's captions by the language model (Eq. 3).")
score = stage_task("score", "Anomaly scores of the summaries by the language model (Eq. 4).")
embed_summaries = stage_task("embed_summaries", "Vectors of all summaries.")
refine = stage_task("refine", "Scores refined by those of similar summaries (Eq. 5).")
detect = stage_task("detect", "Segments above the threshold.")

STAGE_TASKS: dict[str, StageTask] = {
    "probe": probe,
    "caption": caption,
    "embed_captions": embed_captions,
    "embed_frames": embed_frames,
    "embed_windows": embed_windows,
    "clean": clean,
    "summarise": summarise,
    "score": score,
    "embed_summaries": embed_summaries,
    "refine": refine,
    "detect": detect,
}
"""Stage name to task."""
