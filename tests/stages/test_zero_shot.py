"""Zero-shot scores against computations of a few lines that share no code with them, and what of them is computed again."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from scipy.special import softmax
from sklearn.metrics import average_precision_score, roc_auc_score
from support.fake_models import FakePool, vector_of

from lavad_core.config.load import load_config
from lavad_core.config.models import ImageBindConfig
from lavad_core.errors import ConfigError, ModelError
from lavad_core.models.encoders.imagebind.encoder import ImageBindEncoder
from lavad_core.models.random_models import random_folder
from lavad_core.pipeline.execute import run_graph
from lavad_core.pipeline.resources import RunResources
from lavad_core.recipes.zero_shot import anomalous_probability
from lavad_core.results.run import results_of_keys
from lavad_core.runs import work
from lavad_core.runs.manifest import new_run_id
from lavad_core.runs.recorder import RunRecorder
from lavad_core.video.types import VideoSource

TEXTS = ["a standard scene", "a scene with suspicious or potentially criminal activities"]
INTERVAL = 4


@pytest.mark.parametrize("temperature", [0.01, 0.07, 1.0, 30.0])
def test_the_softmax_of_two_cosines(temperature: float) -> None:
    cosines = np.random.default_rng(0).uniform(-1, 1, (200, 2))
    expected = softmax(cosines / temperature, axis=1)[:, 1]
    np.testing.assert_allclose(anomalous_probability(*cosines.T, temperature), expected, rtol=1e-12, atol=1e-300)


def test_a_difference_beyond_any_exponent_is_no_overflow() -> None:
    ends = anomalous_probability(np.array([-1.0, 1.0]), np.array([1.0, -1.0]), 1e-6)
    assert ends.tolist() == [1.0, 0.0]


def test_the_temperature_changes_no_metric_of_ranks() -> None:
    draw = np.random.default_rng(1)
    labels = draw.random(500) < 0.3
    normal, anomalous = draw.normal(0.2, 0.02, (2, 500))
    scores = [anomalous_probability(normal, anomalous, each) for each in (0.01, 0.05, 1.0, 7.0)]
    assert len({roc_auc_score(labels, each) for each in scores}) == 1
    assert len({average_precision_score(labels, each) for each in scores}) == 1
    assert np.ptp(scores[-1]) < 0.02 < 0.5 < np.ptp(scores[0])


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video as a folder of twelve pictures without loss; the grid is 0, 4, 8."""
    folder = tmp_path_factory.mktemp("videos") / "corridor"
    folder.mkdir()
    draw = np.random.default_rng(3)
    for index in range(12):
        small = Image.fromarray(draw.integers(0, 256, (5, 6, 3), dtype=np.uint8))
        small.resize((96, 72), Image.Resampling.BICUBIC).save(folder / f"{index:05d}.png")
    return folder


def pictures(folder: Path) -> list[Image.Image]:
    return [Image.open(path).convert("RGB") for path in sorted(folder.iterdir())[::INTERVAL]]


def scored(store: Path, video: Path, *overrides: str) -> dict[str, list[Any]]:
    """Columns of the stage's rows after a run with the real models."""
    given = (f"store={store}", "score.method=zero-shot", f"video.frame_interval={INTERVAL}", *overrides)
    resources = RunResources(load_config(preset="tiny", overrides=given, environ={}))
    prepared = resources.prepare(VideoSource(video.name, video, "frames"))
    recorder = RunRecorder(resources.store.root, new_run_id(), config={})
    assert run_graph(resources, [prepared], recorder) == {}
    commit = resources.store.find(resources.graph.keys(prepared)["score_zero_shot"])
    assert commit is not None
    columns = resources.store.read(commit).to_pydict()
    columns["temperature"] = commit.facts["temperature"]
    results = results_of_keys(resources.store, resources.config, {video.name: resources.graph.keys(prepared)})
    columns["final"] = results.scores(video.name).scores.tolist()
    resources.close()
    return columns


@pytest.mark.parametrize("temperature", ["model", "1", "0.5"])
@pytest.mark.parametrize("family", ["clip", "siglip"])
def test_a_random_clip_as_transformers_has_it(family: str, temperature: str, frames: Path, tmp_path: Path) -> None:
    name = f"{family}?seed=7"
    found = scored(
        tmp_path, frames, f"encoder={{kind: clip, model: 'random:{name}'}}", f"zero_shot.temperature={temperature}"
    )
    folder = random_folder(name)
    model = transformers.AutoModel.from_pretrained(folder)
    processor = transformers.AutoProcessor.from_pretrained(folder)
    texts = TEXTS if family == "clip" else [text.lower() for text in TEXTS]
    length = model.config.text_config.max_position_embeddings
    padded = {"padding": "max_length", "max_length": length, "truncation": True, "return_tensors": "pt"}
    given = processor(images=pictures(frames), text=texts, **padded)
    if family == "siglip":
        del given["attention_mask"]  # padding is part of what it reads
    with torch.inference_mode():
        said = model(**given)
    cosines = said.image_embeds.double() @ said.text_embeds.double().T
    scale = float(model.logit_scale.detach().exp()) if temperature == "model" else 1 / float(temperature)
    expected = (cosines * scale).softmax(dim=1)[:, 1].numpy()
    np.testing.assert_allclose(found["score"], expected, rtol=0, atol=1e-6)
    if temperature == "model":
        np.testing.assert_allclose(
            found["score"], said.logits_per_image.softmax(dim=1)[:, 1].numpy(), rtol=0, atol=1e-6
        )
    assert found["frame"] == [0, 4, 8]
    assert found["final"] == found["score"]
    assert np.ptp(found["score"]) > 0


@pytest.mark.parametrize("model", ["demonstration", "random"])
@pytest.mark.parametrize("vector", ["frame", "window"])
def test_imagebind_on_frames_and_on_windows(
    vector: str, model: str, frames: Path, tmp_path: Path, repository: Path
) -> None:
    where = repository / "demo" / "models" / "imagebind" if model == "demonstration" else random_folder("imagebind")
    found = scored(
        tmp_path,
        frames,
        f"encoder={{kind: imagebind, model: '{where}'}}",
        f"zero_shot.vector={vector}",
        "window={duration_s: 20, samples: 3, clips: 1, frame_rate: constant, constant_frame_rate: 1}",
    )
    encoder = ImageBindEncoder.load(ImageBindConfig(model=str(where)))
    images = [np.asarray(picture) for picture in pictures(frames)]
    if vector == "frame":
        seen = encoder.embed_images(images).astype(float)
    else:  # every window of 20 s holds the whole video, and its samples are the three frames: one clip, of the first two
        seen = np.repeat(encoder.embed_clips([(images[0], images[1])]).astype(float), len(images), axis=0)
        seen /= np.linalg.norm(seen, axis=1, keepdims=True)
    cosines = seen @ encoder.embed_texts(TEXTS).astype(float).T
    assert encoder.logit_scale == pytest.approx(19.92, abs=0.01) if model == "demonstration" else 1 / 0.07
    expected = softmax(cosines * encoder.logit_scale, axis=1)[:, 1]
    np.testing.assert_allclose(found["score"], expected, rtol=0, atol=1e-6)
    assert found["temperature"] == pytest.approx(1 / encoder.logit_scale)
    encoder.close()


def test_a_scale_is_what_imagebind_makes_of_it(tmp_path: Path) -> None:
    """At most 100, as there; not known where the checkpoint lacks it."""
    from safetensors import safe_open
    from safetensors.torch import save_file

    name = "modality_postprocessors.text.1.log_logit_scale"
    for path in random_folder("imagebind").iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    checkpoint = tmp_path / "imagebind.safetensors"
    with safe_open(checkpoint, "pt") as file:
        state, metadata = {key: file.get_tensor(key) for key in file.keys()}, file.metadata()  # noqa: SIM118
    del state[name]
    for given, expected in ((1e6, 100.0), (math.log(40), 40.0), (None, None)):
        save_file(state | ({} if given is None else {name: torch.tensor(given)}), checkpoint, metadata)
        encoder = ImageBindEncoder.load(ImageBindConfig(model=str(tmp_path)))
        assert encoder.logit_scale == (None if expected is None else pytest.approx(expected))


class ScaledPool(FakePool):
    """Its encoder says a temperature."""

    def __init__(self, scale: float | None) -> None:
        super().__init__()
        self.encoder_model.logit_scale = scale  # type: ignore[attr-defined]


OWN = {"normal": "level 3", "anomalous": "level 20"}


def test_frames_vectors_are_those_of_the_paper_s_own_way(make_bench: Callable[..., Any], street: VideoSource) -> None:
    whole = make_bench()
    assert whole.run(whole.prepare(street)) == {}
    own = make_bench(ScaledPool(10.0), score={"method": "zero-shot"}, zero_shot=OWN)
    video = own.prepare(street)
    assert own.run(video) == {}
    assert [node.id for node in own.graph.nodes] == ["probe", "embed_frames", "score_zero_shot", "refine", "detect"]
    done = own.recorder.totals()
    assert done == {work.TEXTS_ENCODED: 2}
    assert own.pool.released == ["encoder"]
    bright = {row["frame"]: row for row in own.rows(video, "score_zero_shot")}
    difference = float(vector_of(20) @ vector_of(20) - vector_of(20) @ vector_of(3))
    assert bright[64]["score"] == pytest.approx(1 / (1 + math.exp(-10 * difference)))
    (segment,) = own.rows(video, "detect")
    assert (segment["start_frame"], segment["end_frame"]) == (48, 95)
    assert (
        segment["summary"]
        == bright[48]["reason"]
        == f"1.000 to 'level 20', {vector_of(20) @ vector_of(3):.3f} to 'level 3'"
    )


@pytest.mark.parametrize(
    ("change", "again"),
    [
        pytest.param({"temperature": 0.5}, 1, id="the temperature: the scores alone"),
        pytest.param({"anomalous": "level 21"}, 1, id="a text: the scores alone"),
        pytest.param({"vector": "window"}, 2, id="windows: their vectors, and the scores"),
    ],
)
def test_one_changed_setting_runs_what_it_changes(
    change: dict[str, Any], again: int, make_bench: Callable[..., Any], street: VideoSource
) -> None:
    settings = {"temperature": 1.0, **OWN}
    first = make_bench(score={"method": "zero-shot"}, zero_shot=settings)
    assert first.run(first.prepare(street)) == {}
    second = make_bench(score={"method": "zero-shot"}, zero_shot={**settings, **change})
    video = second.prepare(street)
    assert second.run(video) == {}
    made = [record.node for record in second.recorder.records if not record.cached]
    assert len([node for node in made if node not in ("refine", "detect")]) == again
    assert made[-2:] == ["refine", "detect"]


@pytest.mark.parametrize("scale", [10, np.float32(10)], ids=["whole number", "NumPy's"])
def test_a_temperature_may_be_any_number(scale: float, make_bench: Callable[..., Any], street: VideoSource) -> None:
    bench = make_bench(ScaledPool(scale), score={"method": "zero-shot"}, zero_shot=OWN)
    assert bench.run(bench.prepare(street)) == {}


@pytest.mark.parametrize("scale", [None, math.nan, -1.0])
def test_an_encoder_without_a_temperature_is_an_error_with_a_way_out(
    scale: float | None, make_bench: Callable[..., Any], street: VideoSource
) -> None:
    bench = make_bench(ScaledPool(scale), score={"method": "zero-shot"}, zero_shot=OWN)
    failed = bench.run(bench.prepare(street))
    assert isinstance(failed["street"], ModelError)
    assert "has no temperature of its own" in str(failed["street"])
    assert "zero_shot.temperature=1" in str(failed["street"])


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        pytest.param(["refine.enabled=true"], "set refine.enabled=false", id="refinement without summaries"),
        pytest.param(
            ["semantics=reference"], "set window.sampling=grid, or zero_shot.vector=window", id="other frames"
        ),
        pytest.param(["zero_shot.temperature=0"], "give model, or a number above 0", id="no temperature"),
        pytest.param(["zero_shot.temperature=hot"], "give model, or a number above 0", id="a word for it"),
    ],
)
def test_settings_that_do_not_go_together(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(overrides=["score.method=zero-shot", *overrides], environ={})


def test_what_the_method_sets_can_be_set() -> None:
    config = load_config(overrides=["score.method=zero-shot"], environ={})
    assert (config.refine.enabled, config.run.targets) == (False, ("detect",))
    config = load_config(overrides=["score.method=zero-shot", "run.targets=[clean, refine]"], environ={})
    assert config.run.targets == ("clean", "refine")
    assert load_config(environ={}).run.targets == ("clean", "detect")
