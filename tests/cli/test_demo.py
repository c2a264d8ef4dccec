"""``lavad demo`` with two short clips and random models, in this process; with real clips and models it is the README's."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import pytest
from PIL import Image
from support.command import lavad
from support.video_factory import make_video

from lavad.demo import world
from lavad.demo.clip import Event, Truth
from lavad.demo.picture import main as make_picture
from lavad_core.config.load import load_config
from lavad_core.errors import ModelError

FRAMES = 40
CAPTIONERS = '{one: {kind: blip2, model: "random:blip2-opt"}, two: {kind: blip2, model: "random:blip2-t5"}}'
RANDOM = (
    *("--set", "captioners=null", "--set", f"captioners={CAPTIONERS}", "--set", "encoder.model=random:imagebind"),
    *(
        "--set",
        "chat.model=random:llama",
        "--set",
        "summarise.total_tokens=256",
        "--set",
        "summarise.min_answer_tokens=16",
    ),
)


@pytest.fixture
def clips(monkeypatch: pytest.MonkeyPatch) -> list[Truth]:
    """In place of the rendered world."""
    event = Event("fire", 10, 29)
    truths = [
        Truth("01_normal", FRAMES, 10, (), ("nobody",) * FRAMES),
        Truth("02_fire", FRAMES, 10, (event,), ("a fire",) * FRAMES),
    ]

    def write_set(folder: Path, seed: int, clips: int) -> list[Truth]:
        assert (seed, clips) == (3, 2)
        (folder / "videos").mkdir(exist_ok=True)
        for truth in truths:
            if not (folder / "videos" / f"{truth.name}.mp4").exists():
                make_video(folder / "videos" / f"{truth.name}.mp4", frames=FRAMES + int(truth.name[:2]) - 1, fps=10)
        (folder / "labels.txt").write_text("01_normal.mp4 Normal -1 -1\n02_fire.mp4 fire 10 29 -1 -1\n")
        return truths

    truths[1] = Truth("02_fire", FRAMES + 1, 10, (event,), ("a fire",) * (FRAMES + 1))  # not the same content
    monkeypatch.setattr(world, "write_set", write_set)
    monkeypatch.setattr(world, "read_truth", lambda folder: truths)
    return truths


def test_it_ends_with_tables_and_a_page(
    clips: list[Truth], prefect_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "out"
    result = lavad(
        "demo", "--output", str(output), "--seed", "3", "--clips", "2", "--plain", *RANDOM,
        env={"LAVAD_STORE": str(tmp_path / "elsewhere")},
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["video", "event", "seconds", "peak", "at", "overlap", "summary", "at", "the", "peak"]
    assert lines[1].split()[:2] == ["01_normal", "none"]
    assert lines[2].split()[:3] == ["02_fire", "fire", "1.0–3.0"]
    metrics = [re.split(r"\s{2,}", line.strip()) for line in lines[4:9]]
    assert [row[0] for row in metrics[:5]] == [
        "scores", "LAVAD", "constant", "clip-centre prior", "motion energy",
    ]  # fmt: skip
    assert all(0 <= float(value) <= 1 for row in metrics[1:] for value in row[1:])
    assert metrics[2][1] == "0.500"
    assert lines[-1] == f"page: {output / 'demo.html'}"
    assert "THE SCORES WILL MEAN NOTHING" in result.stderr

    page = (output / "demo.html").read_text(encoding="utf-8")
    pictures = [Image.open(io.BytesIO(base64.b64decode(raw))) for raw in re.findall(r"base64,([^\"]+)", page)]
    assert len(pictures) == 6  # of three grid frames each
    assert {picture.height for picture in pictures} == {180}
    assert page.count("random:llama") == 1
    assert page.count("<svg") == 2
    assert "fire 0:01.0–0:03.0" in page

    written = load_config(files=[output / "lavad.yaml"], environ={})
    assert written.store == output / "store"
    assert written.evaluate.labels == output / "labels.txt"
    assert Path(written.chat.model).parts[-3:] == ("demo", "models", "llama")
    assert (written.summarise.temperature, written.score.temperature) == (0, 0)
    assert not (tmp_path / "elsewhere").exists()

    readme = tmp_path / "README.md"
    readme.write_text("before\n<!-- demo:begin -->\nold\n<!-- demo:end -->\nafter\n")
    png = tmp_path / "images" / "demo.png"
    monkeypatch.setattr("sys.argv", ["picture", str(output), "--picture", str(png), "--readme", str(readme)])
    make_picture()
    assert readme.read_text() == (
        f"before\n<!-- demo:begin -->\n```\n{result.stdout.rstrip()}\n```\n<!-- demo:end -->\nafter\n"
    )
    assert Image.open(png).width > 1000


def test_absent_models_are_an_error_that_says_how_to_make_them(tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"
    result = lavad("demo", "--output", str(tmp_path / "out"), *RANDOM, "--set", f"chat.model={nowhere}")
    assert (result.exit_code, result.stdout) == (3, "")
    assert f"1 of the demonstration's models are not there: chat: {nowhere}" in result.stderr
    assert "python -m lavad.demo.train" in result.stderr
    assert not (tmp_path / "out" / "videos").exists()


def test_no_vllm_is_an_error_before_anything_is_rendered(tmp_path: Path) -> None:
    result = lavad(
        "demo", "--output", str(tmp_path / "out"), *RANDOM, "--llm", "vllm", env={"LAVAD_VLLM": str(tmp_path / "none")}
    )
    assert (result.exit_code, result.stdout) == (3, "")
    assert "is not an executable file; give the `vllm` of its environment" in result.stderr
    assert not (tmp_path / "out" / "videos").exists()
    assert lavad("demo", "--base-url", "http://127.0.0.1:9/v1").exit_code == 2


def test_vllm_is_looked_for_in_the_checkout(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lavad.deployments import vllm_server

    def found(given: str | None, beside: Path) -> str:
        raise ModelError(f"asked for {given} beside {beside}")

    monkeypatch.setattr(vllm_server, "find_vllm", found)
    result = lavad("demo", "--output", str(tmp_path / "out"), *RANDOM, "--llm", "vllm")
    assert f"asked for None beside {repository}" in result.stderr


def test_clips_of_somebody_else_are_not_touched(tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "mine.mp4").touch()
    result = lavad("demo", "--output", str(tmp_path), *RANDOM)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "was not made by `lavad demo`" in result.stderr
    assert [path.name for path in (tmp_path / "videos").iterdir()] == ["mine.mp4"]


def test_the_demonstration_says_how_lavad_becomes_a_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lavad.deployments.cli.commands.run import demo

    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.executable", str(tmp_path / "env" / "bin" / "python"))
    assert demo.path_hint() == f"`lavad` is not on the PATH: it is {tmp_path}/env/bin/lavad"
    (tmp_path / "env" / "bin").mkdir(parents=True)
    (tmp_path / "env" / "bin" / "activate").write_text("")
    monkeypatch.chdir(tmp_path)
    assert demo.path_hint().endswith("first `source env/bin/activate`")
    command = tmp_path / "env" / "bin" / "lavad"
    command.write_text("#!/bin/sh\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(command.parent))
    assert demo.path_hint() == ""
