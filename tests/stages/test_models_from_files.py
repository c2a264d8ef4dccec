"""A captioner, an encoder and a chat model given as files, through the whole pipeline with the real pool."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lavad_core.config.load import load_config
from lavad_core.pipeline.execute import run_graph
from lavad_core.pipeline.resources import RunResources
from lavad_core.runs.manifest import new_run_id
from lavad_core.runs.recorder import RunRecorder
from lavad_core.stages.node import PreparedVideo
from lavad_core.video.types import VideoSource

GRID = list(range(0, 200, 16))

FILES = {
    "captioner.py": "from support.fake_models import FakeCaptioner\ndef load(prompt):\n    return FakeCaptioner(prompt)\n",
    "encoder.py": "from support.fake_models import FakeEncoder\ndef load():\n    return FakeEncoder()\n",
    "chat.py": "from support.fake_models import FakeChat\ndef load(answers=None):\n    return FakeChat(answers)\n",
    "lavad.yaml": """
store: store
captioners: {mine: {kind: python, model: captioner.py:load, options: {prompt: camera}}}
encoder: {kind: python, model: encoder.py:load, encodes_clips: true}
chat: {kind: python, model: chat.py:load}
run: {targets: [clean, detect], workers: 1}
window: {duration_s: 4.8}
""",
}

REFINED_BY = {"embed_captions", "embed_frames", "embed_windows", "embed_summaries", "clean"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    return tmp_path


@contextmanager
def bench_of(folder: Path, *overrides: str) -> Iterator[RunResources]:
    resources = RunResources(load_config(files=[folder / "lavad.yaml"], overrides=overrides, environ={}))
    yield resources
    resources.close()


def rows(resources: RunResources, video: PreparedVideo, node_id: str) -> list[dict[str, Any]]:
    commit = resources.store.find(resources.graph.keys(video)[node_id])
    assert commit is not None, node_id
    return resources.store.read(commit).to_pylist()


def run(resources: RunResources, street: VideoSource) -> PreparedVideo:
    video = resources.prepare(street)
    assert run_graph(resources, [video], RunRecorder(resources.store.root, new_run_id(), config={})) == {}
    return video


@pytest.mark.parametrize(
    ("case", "overrides"),
    [
        ("as it is", []),
        ("served elsewhere", ["captioners.mine.exclusive=false", "encoder.exclusive=false", "chat.exclusive=false"]),
        ("windows from frames", ["encoder.encodes_clips=false"]),
        ("free text", ["semantics=reference", "window.constant_frame_rate=10"]),
        ("a module", ["encoder.model=support.fake_models:FakeEncoder", "captioners.mine.batch_size=1"]),
    ],
)
def test_results_are_in_the_store(folder: Path, street: VideoSource, case: str, overrides: list[str]) -> None:
    with bench_of(folder, *overrides) as resources:
        video = run(resources, street)
        assert dict(resources.models.loads) == {"captioner:mine": 1, "encoder": 1, "chat": 1}
        captions = {row["frame"]: row["caption"] for row in rows(resources, video, "caption:mine")}
        assert list(captions) == GRID
        assert (captions[0], captions[48]) == ("camera sees level 3", "camera sees level 20")
        scores = {row["frame"]: row["score"] for row in rows(resources, video, "score")}
        assert scores[64] > scores[176], "brighter is more anomalous"
        assert [row["frame"] for row in rows(resources, video, "refine")] == GRID
        commit = resources.store.find(resources.graph.keys(video)["caption:mine"])
        assert commit is not None
        assert re.fullmatch(r"python:load@unstated#[0-9a-f]{32}", commit.provenance["model"])
        assert commit.provenance["settings"]["captioner.options"] == {"prompt": "camera"}


@pytest.mark.parametrize(
    ("case", "changed_file", "overrides", "stages"),
    [
        ("nothing", None, [], set()),
        ("the captioner's file", "captioner.py", [], {"caption"}),
        ("its revision", None, ["captioners.mine.revision=v3"], {"caption"}),
        ("its options", None, ["captioners.mine.options.prompt=other"], {"caption"}),
        ("the encoder's file", "encoder.py", [], REFINED_BY),
        ("whether it has clips", None, ["encoder.encodes_clips=false"], {"embed_windows"}),
        ("the chat model's file", "chat.py", [], {"summarise", "score"}),
        ("its options", None, ["chat.options.answers={}"], {"summarise", "score"}),
        ("its seed", None, ["chat.seed=1"], {"summarise", "score"}),
        (
            "the size of calls",
            None,
            ["captioners.mine.batch_size=1", "chat.concurrency=1", "chat.exclusive=false"],
            set(),
        ),
    ],
)
def test_what_has_another_key_after_a_change_of(
    folder: Path, street: VideoSource, case: str, changed_file: str | None, overrides: list[str], stages: set[str]
) -> None:
    with bench_of(folder) as resources:
        video = resources.prepare(street)
        before = resources.graph.provenances(video)
    if changed_file is not None:
        (folder / changed_file).write_text(FILES[changed_file] + "# edited\n")
    with bench_of(folder, *overrides) as resources:
        after = resources.graph.provenances(video)
    own = {
        made_of["stage"]
        for node, made_of in before.items()
        if any(made_of.get(part) != after[node].get(part) for part in ("model", "settings"))
    }
    assert own == (stages - {"clean"}), case
    followed = {before[node]["stage"] for node in before if before[node] != after[node]}
    assert stages <= followed, case
    assert bool(followed) == bool(stages), case


def test_the_example_of_the_document(folder: Path, street: VideoSource, repository: Path) -> None:
    text = (repository / "docs/design/captioners.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (section,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    (folder / "my_captioner.py").write_text(example)
    (folder / "lavad.yaml").write_text(f"store: store\nrun: {{targets: [caption]}}\n{section}")
    with bench_of(folder) as resources:
        video = run(resources, street)
        captions = {row["frame"]: row["caption"] for row in rows(resources, video, "caption:mine")}
    assert (captions[0], captions[48]) == ("The street is dark.", "The street is bright.")
