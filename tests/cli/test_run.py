"""``lavad run`` and ``lavad retry`` as a user has them: processes, real files, a real Prefect server, small random models."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
from support.command import lavad, start
from support.video_factory import make_audio, make_video

FAST = ["--preset", "tiny", "--plain"]


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    folder = tmp_path / "videos"
    folder.mkdir()
    make_video(folder / "good.mp4", frames=40)
    make_audio(folder / "audio.mp4")
    (folder / "text.mp4").write_text("#EXTM3U\nfile:///etc/passwd\n")
    (folder / "zero.mp4").touch()
    return folder


def run(*arguments: str, **variables: str) -> tuple[int, str, str]:
    process = start(*arguments, **variables)
    out, err = process.communicate(timeout=240)
    return process.returncode, out, err


@pytest.mark.slow
def test_run_status_retry_and_run_again(videos: Path, tmp_path: Path, prefect_server: str) -> None:
    store = ["--store", str(tmp_path / "store")]
    code, out, err = run("run", str(videos), *FAST, *store)
    assert code == 1, err
    assert "Traceback" not in err
    statuses = {line.split()[0]: line.split()[1] for line in out.splitlines()[1:]}
    assert statuses == {"good": "ok", "audio": "rejected", "text": "rejected", "zero": "rejected"}
    assert "THE SCORES MEAN NOTHING" in err
    assert "6 captions made" in err  # 3 grid frames, 2 captioners
    assert f"scores: {tmp_path / 'store'}" in err

    status = json.loads(lavad("status", "--json", *store).stdout)
    assert {v["name"]: v["reason"] for v in status["videos"]} == {
        "good": "", "audio": "no-video", "text": "format", "zero": "empty",
    }  # fmt: skip
    assert status["work"]["captions_made"] == 6
    shown = json.loads(lavad("show", "good", "--format", "json", *store).stdout)
    assert [row["frame"] for row in shown["grid"]] == [0, 16, 32]
    assert all(0 <= row["score"] <= 1 for row in shown["grid"])

    make_video(videos / "zero.mp4", frames=20)  # repaired
    code, out, err = run("retry", *store, "--plain", "--json", "--name", "mended")
    assert code == 1, err
    retried = json.loads(out)
    assert {video["name"]: video["status"] for video in retried["videos"]} == {
        "zero": "ok", "audio": "rejected", "text": "rejected",
    }  # fmt: skip
    whole = json.loads(lavad("status", "mended", "--json", *store).stdout)
    assert [video["name"] for video in whole.pop("earlier")] == ["good"]
    assert retried == whole
    assert "4 captions made" in err  # of the repaired one alone

    code, out, err = run("run", str(videos / "good.mp4"), str(videos / "zero.mp4"), *FAST, *store)
    assert code == 0, err
    assert "work: none" in err
    code, out, err = run("retry", *store)
    assert (code, out) == (0, "")
    assert "nothing left to do" in err


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_a_run_and_the_next_goes_on(
    number: signal.Signals, code: int, videos: Path, tmp_path: Path, prefect_server: str
) -> None:
    store = ["--store", str(tmp_path / "store")]
    process = start("run", str(videos / "good.mp4"), *FAST, *store)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("probe 1/1"):
            break
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    assert "Traceback" not in err
    assert lavad("store", "verify", *store).exit_code == 0
    code, _, err = run("run", str(videos / "good.mp4"), *FAST, *store)
    assert code == 0, err
    assert "probe 1/1: good: cached" in err


@pytest.mark.slow
def test_a_server_that_is_down_is_said_in_a_sentence(videos: Path, tmp_path: Path) -> None:
    code, out, err = run(
        "run", str(videos / "good.mp4"), *FAST, "--store", str(tmp_path), PREFECT_API_URL="http://127.0.0.1:9/api"
    )
    assert code == 3
    assert out == ""
    assert "the Prefect API at http://127.0.0.1:9/api does not answer" in err
    assert "Traceback" not in err


def test_dry_run_makes_nothing_and_says_why(videos: Path, tmp_path: Path) -> None:
    store = ["--store", str(tmp_path / "store")]
    result = lavad("run", str(videos), "--preset", "tiny", *store, "--dry-run")
    assert result.exit_code == 0, result.stderr
    rows = [line.split() for line in result.stdout.splitlines()]
    assert rows[0] == ["stage", "state", "videos", "why", "which"]
    assert {row[0] for row in rows[1:]} >= {"probe", "caption:random-blip2-opt", "refine", "detect"}
    assert {row[1] for row in rows[1:]} == {"run"}
    assert "rejected: zero: empty" in result.stderr
    assert "36 of 36 results would be made for 3 of 4 videos" in result.stderr
    assert not list((tmp_path / "store").rglob("commit*"))


def test_what_a_run_will_need_and_is_not_there_is_said_first(videos: Path, tmp_path: Path) -> None:
    absent = lavad(
        "run",
        str(videos),
        *FAST,
        "--store",
        str(tmp_path / "s"),
        "--set",
        f"imports.scores={tmp_path}/none",
        "--dry-run",
    )
    assert (absent.exit_code, absent.stdout) == (2, "")
    assert f"no such folder: score: '{tmp_path}/none'" in absent.stderr


@pytest.mark.slow
def test_a_chat_server_that_is_not_there_is_said_before_the_captions(
    videos: Path, tmp_path: Path, prefect_server: str
) -> None:
    nowhere = ("--set", "chat.kind=openai", "--set", "chat.base_url=http://127.0.0.1:9/v1", "--set", "chat.retries=0")
    code, _, err = run(
        "run", str(videos / "good.mp4"), *FAST, *nowhere, "--set", "run.retries=0", "--store", str(tmp_path / "s"),
        PREFECT_API_URL=prefect_server,
    )  # fmt: skip
    assert code == 3
    assert err.index("needed for what stage summarise has to make") < err.index("caption:")


def test_videos_without_labels_are_named_before_the_work(videos: Path, tmp_path: Path) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("good Arson 3 7 -1 -1\ntext.mp4 Normal -1 -1\n")
    result = lavad(
        "run", str(videos), "--preset", "tiny", "--store", str(tmp_path / "s"), "--labels", str(labels), "--dry-run"
    )
    assert result.exit_code == 0, result.stderr
    assert "no line for 2 of 4 videos: 'audio', 'zero';" in result.stderr
    assert "are not given" not in result.stderr
    started = lavad("run", str(videos), "--preset", "tiny", "--store", str(tmp_path / "s"), "--labels", str(labels))
    assert started.exit_code == 2
    assert "have no line for 2 of 4 videos: 'audio', 'zero'" in started.stderr
    assert "run without evaluate.labels (--labels) and evaluate afterwards" in started.stderr
    assert not (tmp_path / "s" / "runs").exists()
    labels.write_text("good Arson 3 7 -1 -1\nelsewhere Fire 1 2 -1 -1\n")
    result = lavad("run", str(videos / "good.mp4"), "--preset", "tiny", "--labels", str(labels), "--dry-run")
    assert "name 1 video not given: 'elsewhere'; metrics will be over 1 of 2" in result.stderr
