"""What the UI shows of flow runs before anybody opens one: their names, and the forms that start them."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from prefect.client.orchestration import get_client
from support.fake_stages import FakeStages, make_videos, raising, settings
from support.flow_runs import artifacts, flow_run

from lavad.flows.check_store import check_store
from lavad.flows.evaluate import evaluate
from lavad.flows.retry_failed import retry_failed
from lavad.flows.score_data_set import score_data_set
from lavad.flows.score_video import score_video
from lavad.flows.score_videos import score_videos
from lavad_core.config.load import presets
from lavad_core.errors import InputError, ServiceUnavailable
from lavad_core.runs.environment import gpus
from lavad_core.runs.manifest import list_runs, load_run

FLOWS = (score_videos, score_video, score_data_set, retry_failed, evaluate, check_store)


@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: flow.name)
def test_a_form_offers_the_presets_and_takes_a_configuration(flow: object) -> None:
    schema = flow.parameters.model_dump()["properties"]  # type: ignore[attr-defined]
    assert {"type": "string", "enum": sorted(presets())} in schema["preset"]["anyOf"]
    assert "config" in schema


@pytest.mark.usefixtures("prefect_server")
def test_a_configuration_of_the_worker_is_taken_and_settings_win_over_it(
    stages: FakeStages, tmp_path: Path, store: Path
) -> None:
    videos = make_videos(tmp_path / "videos", "a.mp4")
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump({**settings(store, workers=1), "window": {"samples": 7}}))
    state = score_videos([str(videos)], config=str(file), settings={"run": {"workers": 3}}, return_state=True)
    assert state.is_completed(), state.message
    (run_id,) = list_runs(store)
    config = load_run(store).config
    assert (config["window"]["samples"], config["run"]["workers"]) == (7, 3)
    with get_client(sync_client=True) as client:
        assert client.read_flow_run(flow_run(state)).name == f"mine.yaml · videos · {run_id}"
    assert f"on {load_run(store).host['name']}" in artifacts(state)["lavad-summary"].replace("\\", "")


@pytest.mark.usefixtures("prefect_server")
def test_the_name_of_a_red_run_ends_with_its_reason(stages: FakeStages, tmp_path: Path, store: Path) -> None:
    videos = make_videos(tmp_path / "videos", "a.mp4", "b.mp4")
    stages.actions["b", "score"] = raising(ServiceUnavailable("away"))
    partial = score_videos([str(videos)], settings=settings(store), return_state=True)
    none = evaluate(labels=tmp_path / "absent.txt", run_id="nobody", settings=settings(store), return_state=True)
    with get_client(sync_client=True) as client:
        names = [client.read_flow_run(flow_run(state)).name for state in (partial, none)]
    assert names[0] == f"videos · {list_runs(store)[-1]} · 1 of 2 videos have no scores (1 failed)"
    assert names[1].startswith(f"evaluate · {InputError.__name__}: 'nobody' is not an id of a run")


@pytest.mark.parametrize(
    ("models", "visible", "words"),
    [
        pytest.param([], "0", "", id="no driver"),
        pytest.param(["NVIDIA H100 80GB HBM3"], None, "NVIDIA H100 80GB HBM3", id="one"),
        pytest.param(["H100", "H100"], "1", "2 x H100 (CUDA_VISIBLE_DEVICES=1)", id="one of two"),
    ],
)
def test_the_gpus_by_the_words_of_their_driver(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, models: list[str], visible: str | None, words: str
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    for number, model in enumerate(models):
        folder = tmp_path / "gpus" / f"0000:0{number}:00.0"
        folder.mkdir(parents=True)
        (folder / "information").write_text(f"Model: \t\t {model}\nIRQ:   \t\t 98\nGPU UUID: \t GPU-1\n")
    assert gpus(tmp_path) == words
