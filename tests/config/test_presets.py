"""What the presets of the package say, against the method."""

from __future__ import annotations

import math
import re

import pytest

from lavad_core.config.header import header_of, lookahead_s, threshold_note
from lavad_core.config.load import load_config, presets
from lavad_core.config.schema import SEMANTICS
from lavad_core.config.tree import ROOT, child, known_paths
from lavad_core.evaluation.leaderboard import later_methods
from lavad_core.evaluation.published import published_rows
from lavad_core.method import prompts

SALESFORCE = [
    "blip2-opt-6.7b-coco",
    "blip2-opt-6.7b",
    "blip2-flan-t5-xxl",
    "blip2-flan-t5-xl",
    "blip2-flan-t5-xl-coco",
]


def test_names() -> None:
    assert list(presets()) == [
        "bank", "causal", "definitions", "flashback", "generic", "llava", "nova", "ordinal", "probe-vad",
        "tiny", "ucf-crime", "urf", "vadtree", "xd-violence", "zero-shot-clip", "zero-shot-imagebind",
        "zero-shot-imagebind-video",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("preset", "captioners", "encoder", "context", "frame_rate"),
    [
        ("ucf-crime", SALESFORCE, "imagebind", "impersonation", 30),
        ("xd-violence", ["blip2-flan-t5-xxl"], "imagebind", "prior", 24),
        ("generic", ["blip2-flan-t5-xl"], "clip", "prior", 30),
    ],
)
def test_constants_of_the_method(
    preset: str, captioners: list[str], encoder: str, context: str, frame_rate: float
) -> None:
    config = load_config(preset=preset, environ={})
    assert list(config.captioners) == captioners
    assert [captioner.model for captioner in config.captioners.values()] == [
        f"Salesforce/{name}" for name in captioners
    ]
    assert config.encoder.kind == encoder
    assert config.score.context_prompt == prompts.CONTEXT[context]
    assert config.summarise.prompt == prompts.SUMMARY
    assert config.score.format_prompt == prompts.FORMAT
    assert config.window.constant_frame_rate == frame_rate
    assert (config.window.duration_s, config.window.samples, config.refine.neighbours) == (10, 10, 10)
    assert config.video.frame_interval == 16
    assert (config.chat.kind, config.chat.model) == ("openai", "meta-llama/Llama-2-13b-chat-hf")
    assert (config.summarise.temperature, config.summarise.top_p, config.summarise.total_tokens) == (0.6, 0.9, 512)


@pytest.mark.parametrize("preset", list(presets()))
@pytest.mark.parametrize("semantics", list(SEMANTICS))
def test_semantics_are_the_user_s_choice(preset: str, semantics: str) -> None:
    config = load_config(preset=preset, overrides=[f"semantics={semantics}"], environ={})
    for path, value in SEMANTICS[semantics].items():
        section, name = path.split(".")
        holder = getattr(config, section)
        if (preset, path) == ("tiny", "score.answer"):
            assert config.score.answer == "choice", "its random chat model writes no bracketed number by itself"
        elif (preset, path) in (("ordinal", "score.answer"), ("probe-vad", "score.answer")):
            assert config.score.answer == "ordinal", "its own readout"
        elif path == "window.sampling" and preset in (
            "zero-shot-clip",
            "zero-shot-imagebind",
            "bank",
            "nova",
            "vadtree",
        ):
            assert config.window.sampling == "grid", "it compares the grid's own frames"
        elif child(ROOT, section) is not None and hasattr(holder, name):
            assert getattr(holder, name) == value, path


@pytest.mark.parametrize(
    ("preset", "overrides", "seconds"),
    [
        pytest.param("ucf-crime", [], math.inf, id="the paper"),
        pytest.param("ucf-crime", ["refine.enabled=false"], math.inf, id="cleaning looks at all captions"),
        pytest.param("ucf-crime", ["refine.enabled=false", "clean.enabled=false"], 5, id="half a window"),
        pytest.param(
            "ucf-crime", [f"{step}.enabled=false" for step in ("refine", "clean", "summarise")], 0, id="captions alone"
        ),
        pytest.param("zero-shot-clip", [], 0, id="a frame"),
        pytest.param("zero-shot-imagebind-video", ["window.duration_s=4"], 2, id="a window"),
        pytest.param("bank", [], 0, id="a bank's frame"),
        pytest.param("flashback", ["window.duration_s=4"], 2, id="a bank's window"),
        pytest.param("vadtree", ["clean.enabled=false"], math.inf, id="boundaries among all of the video's"),
        pytest.param(
            "nova",
            ["smooth.kind=none", "bank.anchor_frames=16", "video.frame_interval=15"],
            7.5,
            id="the beginning of the video",
        ),
        pytest.param("definitions", [], math.inf, id="definitions, as the paper's own way"),
        pytest.param("llava", [], 0, id="a frame that is shown"),
        pytest.param("probe-vad", ["video.frame_interval=15"], 25, id="half a clip, and a Gaussian"),
        pytest.param("probe-vad", ["smooth.kind=none"], 5, id="half a clip"),
        pytest.param("probe-vad", ["smooth.kind=none", "clips.most_frames=1"], 0, id="a clip of one frame"),
        pytest.param(
            "probe-vad",
            ["smooth.kind=none", "clips.stride=16", "video.frame_interval=10"],
            10,
            id="and the clip after it",
        ),
        pytest.param("probe-vad", ["smooth.kind=ema", "window.align=past"], 0, id="a clip and a mean of the past"),
        pytest.param("ordinal", [], math.inf, id="another readout of summaries"),
        pytest.param("causal", [], 0, id="windows and a mean of the past"),
        pytest.param("causal", ["window.align=centred"], 5, id="half a window, and a mean of the past"),
        pytest.param("zero-shot-imagebind-video", ["window.align=past"], 0, id="a window of the past"),
        pytest.param("urf", [], math.inf, id="which part is the most suspicious"),
        pytest.param("probe-vad", ["window.align=past", "smooth.kind=ema"], 0, id="clips and a mean of the past"),
        pytest.param("llava", ["smooth.kind=ema"], 0, id="and a mean of the past"),
        pytest.param("llava", ["smooth.kind=gaussian", "smooth.sigma_s=2"], 8, id="and a Gaussian"),
        pytest.param("llava", ["smooth.kind=kernel", "video.frame_interval=15"], 3.5, id="and half a kernel"),
        pytest.param("llava", ["smooth.kind=ema", "smooth.prior=centre"], math.inf, id="and the video's middle"),
    ],
)
def test_how_far_a_configuration_looks_ahead(preset: str, overrides: list[str], seconds: float) -> None:
    config = load_config(preset=preset, overrides=overrides, environ={})
    assert lookahead_s(config) == seconds
    words = "to the end of the video" if math.isinf(seconds) else f"{seconds:g} s"
    assert header_of(config)["looks ahead"] == words


def test_what_presets_say_about_themselves_is_true() -> None:
    """Expected figures are published; what is said to be fitted is a setting."""
    values = [value for row in published_rows() for value in (row.auc, row.ap)]
    values += [value for _, row in later_methods() for value in (row.auc, row.ap)]
    published = {f"{100 * value:.2f}" for value in values if value is not None}
    for name in presets():
        config = load_config(preset=name, environ={})
        assert set(config.about.tuned_on_test) <= {*known_paths()}, name
        assert set(re.findall(r"\d\d\.\d\d", config.about.expected)) <= published, name
        assert bool(header_of(config)) == (name not in ("generic", "tiny"))


def test_no_preset_chooses_semantics_or_a_store() -> None:
    for name in presets():
        config = load_config(preset=name, environ={})
        assert config.semantics == "paper"
        assert config.store == load_config(environ={}).store


def test_tiny_needs_no_download_and_says_so() -> None:
    config = load_config(preset="tiny", environ={})
    models = [*(captioner.model for captioner in config.captioners.values()), config.encoder.model, config.chat.model]
    assert all(model.startswith("random:") for model in models)
    assert len({captioner.model.split("?")[0] for captioner in config.captioners.values()}) == 2
    assert config.chat.kind == "transformers"
    assert "SCORES MEAN NOTHING" in presets()["tiny"]


@pytest.mark.parametrize("name", list(prompts.CONTEXT))
def test_context_prompts_of_the_tables_can_be_named(name: str) -> None:
    named = load_config(preset="ucf-crime", overrides=[f"score.context_prompt={name}"], environ={})
    assert named.score.context_prompt == prompts.CONTEXT[name]
    assert (
        load_config(preset="ucf-crime", overrides=["score.context_prompt=plain text"], environ={}).score.context_prompt
        == "plain text"
    )


def test_p_f_of_xd_violence_has_the_two_spaces_of_the_authors_program() -> None:
    def given(text: str) -> str:
        return load_config(
            preset="xd-violence", overrides=[f"score.format_prompt={text}"], environ={}
        ).score.format_prompt

    theirs = given("xd-violence")
    assert theirs.endswith("It should begin with '[' and end with  ']'.")
    assert theirs.replace("  ", " ") == prompts.FORMAT == given("ucf-crime")
    assert given("plain text") == "plain text"


@pytest.mark.parametrize(
    ("preset", "given", "told"),
    [
        ("bank", [], True),
        ("nova", [], True),
        ("flashback", [], True),
        ("zero-shot-clip", [], True),
        ("zero-shot-imagebind-video", [], True),
        ("bank", ["detect.threshold=0.45"], False),
        ("bank", ["imports.scores=/scores"], False),
        ("ucf-crime", [], False),
        ("probe-vad", [], False),
    ],
)
def test_a_threshold_that_was_not_chosen_for_such_scores(preset: str, given: list[str], told: bool) -> None:
    config = load_config(preset=preset, overrides=given, environ={})
    assert ("lavad threshold" in threshold_note(config)) == told
