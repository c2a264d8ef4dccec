"""Recording runs and reading them again."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from support.store_work import CONTEXT, start

from lavad_core.errors import InputError, InternalError, ServiceUnavailable, StoreUnavailable, VideoRejected
from lavad_core.masking import MASK, masked, masked_text, remember_secrets
from lavad_core.runs import environment, work
from lavad_core.runs.manifest import VideoOutcome, is_running, list_runs, load_run, new_run_id
from lavad_core.runs.recorder import RunRecorder
from lavad_core.runs.records import StageRecord
from lavad_core.runs.run_log import load_records

CONFIG = {"window": {"samples": 10}, "chat": {"api_key": SecretStr("hunter2"), "base_url": "http://u:hunter2@host/v1"}}


def recorder(root: Path, **arguments: Any) -> RunRecorder:
    return RunRecorder(root, arguments.pop("run_id", new_run_id()), **{"config": CONFIG, **arguments})


def test_a_finished_run_reads_as_it_was_recorded(tmp_path: Path) -> None:
    told: list[tuple[str, bool]] = []
    run = recorder(tmp_path, listeners=[lambda record: told.append((record.node, record.seconds is None))])
    with run.stage("street", "ab" * 32, "caption:opt") as record:
        record.work[work.CAPTIONS_MADE] += 3
        assert run.totals() == {work.CAPTIONS_MADE: 3}
        time.sleep(0.05)
    with run.stage("street", "ab" * 32, "clean") as record:
        record.cached = True
        record.status, record.reason, record.message = "ok_with_gaps", "gaps", "2 frames are missing"
    assert told == [("caption:opt", True), ("caption:opt", False), ("clean", True), ("clean", False)]
    outcome = VideoOutcome("street", "ab" * 32, "ok_with_gaps", "gaps", "2 frames are missing")
    manifest = run.finish("ok", [outcome])
    found = load_run(tmp_path)
    assert found == manifest
    assert (found.status, found.run_id) == ("ok", run.run_id)
    assert found.config["window"] == {"samples": 10}
    assert found.versions["lavad"]
    assert found.host["cpus"] >= 1
    assert found.stages["caption:opt"].work == {"captions_made": 3}
    assert found.stages["caption:opt"].seconds >= 0.05
    assert found.stages["caption:opt"].peak_rss_bytes > 10_000_000
    assert (found.stages["clean"].cached, found.stages["clean"].done) == (1, 0)
    assert found.work == {"captions_made": 3}
    assert found.videos[0].seconds == pytest.approx(sum(totals.seconds for totals in found.stages.values()), abs=1e-3)
    assert found.ended >= found.started
    assert [record.node for record in load_records(tmp_path, run.run_id)] == ["caption:opt", "clean"]


FAILURES = {
    "an error": (ValueError("no\x1bgood"), "failed", "ValueError", "no\x1bgood"),
    "a rejected video": (VideoRejected("no-video", "only sound"), "rejected", "no-video", "only sound"),
    "interrupted": (KeyboardInterrupt(), "failed", "KeyboardInterrupt", ""),
    "a secret in the message": (
        RuntimeError("GET https://me:hunter2@host/v1?token=hunter2 failed"),
        "failed",
        "RuntimeError",
        f"GET https://{MASK}@host/v1?{MASK} failed",
    ),
}


@pytest.mark.parametrize(("error", "status", "reason", "message"), FAILURES.values(), ids=FAILURES.keys())
def test_an_exception_is_recorded_and_goes_on(
    tmp_path: Path, error: BaseException, status: str, reason: str, message: str
) -> None:
    run = recorder(tmp_path)
    with pytest.raises(type(error)), run.stage("v", "id", "probe"):
        raise error
    run.close()
    (record,) = load_records(tmp_path, run.run_id)
    assert (record.status, record.reason, record.message) == (status, reason, message)
    assert load_run(tmp_path).stages["probe"].failed == 1


def test_cpu_and_memory_of_children_count(tmp_path: Path) -> None:
    run = recorder(tmp_path)
    with run.stage("v", "id", "before") as before:
        pass
    code = (
        "import time; data = bytearray(200_000_000); time.sleep(0.8); end = time.process_time() + 0.3\n"
        "while time.process_time() < end: pass"
    )
    with run.stage("v", "id", "child") as child:
        subprocess.run([sys.executable, "-S", "-c", code], check=True)
    assert child.peak_rss_bytes > before.peak_rss_bytes + 150_000_000
    assert child.cpu_seconds > 0.25
    assert run.peak_rss_bytes == child.peak_rss_bytes
    run.close()


def test_stages_of_many_threads(tmp_path: Path) -> None:
    run = recorder(tmp_path)

    def do(number: int) -> None:
        for step in range(10):
            with run.stage(f"v{number}", str(number), f"stage{step}") as record:
                record.work[work.LLM_REQUESTS] += 1

    threads = [threading.Thread(target=do, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    manifest = run.finish("ok")
    assert manifest.work == {work.LLM_REQUESTS: 80}
    assert all(totals.done == 8 for totals in manifest.stages.values())
    assert len(list(load_records(tmp_path, run.run_id))) == 80


def work_until_killed(root: Path, run_id: str, connection: Any) -> None:
    """A run of three videos that is killed in the third."""
    run = RunRecorder(root, run_id, config=CONFIG)
    with run.stage("good", "1", "probe") as record:
        record.work[work.VIDEOS_DECODED] += 1
    run.outcome(VideoOutcome("good", "1", "ok"))
    try:
        with run.stage("bad", "2", "probe"):
            raise VideoRejected("empty", "zero bytes")
    except VideoRejected:
        pass
    with run.stage("half", "3", "probe"):
        pass
    with run.stage("half", "3", "caption"):
        connection.send("at work")
        connection.recv()


def test_of_several_tries_the_last_one_counts(tmp_path: Path) -> None:
    run = recorder(tmp_path)
    for number in range(3):
        with suppress(ServiceUnavailable), run.stage("street", "ab" * 32, "score") as record:
            record.work[work.LLM_REQUESTS] += 1
            if number < 2:
                raise ServiceUnavailable("busy")
    with suppress(ServiceUnavailable), run.stage("lane", "cd" * 32, "score"):
        raise ServiceUnavailable("busy")
    run.close()  # killed
    found = load_run(tmp_path)
    totals = found.stages["score"]
    assert (totals.done, totals.failed, totals.work) == (1, 1, {"llm_requests": 3})
    assert {video.name: (video.status, video.reason) for video in found.videos} == {
        "street": ("not-run", "interrupted"),
        "lane": ("failed", "ServiceUnavailable"),
    }


def test_a_killed_run_reads_as_interrupted_with_what_it_had_done(tmp_path: Path) -> None:
    run_id = new_run_id()
    ours, theirs = CONTEXT.Pipe()
    process = start(work_until_killed, tmp_path, run_id, theirs)
    assert ours.recv() == "at work"
    assert load_run(tmp_path).status == "running"
    process.kill()
    process.join(30)
    with open(tmp_path / "runs" / f"{run_id}.jsonl", "ab") as file:
        file.write(b'{"kind": "stage", "vid')  # a line cut by a full disk
    found = load_run(tmp_path, run_id)
    assert found.status == "interrupted"
    assert found.work == {work.VIDEOS_DECODED: 1}
    assert found.config["window"] == {"samples": 10}
    assert found.versions["lavad"]
    assert [(video.name, video.status, video.reason) for video in found.videos] == [
        ("good", "ok", ""),
        ("bad", "rejected", "empty"),
        ("half", "not-run", "interrupted"),
    ]

    resumed = recorder(tmp_path, run_id=run_id)
    with resumed.stage("half", "3", "caption"):
        pass
    resumed.close()
    assert [record.node for record in load_records(tmp_path, run_id)] == ["probe", "probe", "probe", "caption"]


def test_a_damaged_manifest_is_read_from_the_records(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run = recorder(tmp_path)
    with run.stage("v", "1", "probe"):
        pass
    run.finish("ok")
    (tmp_path / "runs" / f"{run.run_id}.json").write_text('{"run_id": 1')
    assert load_run(tmp_path).status == "ok"  # the log has how it ended, too
    assert "does not parse" in caplog.text


def test_the_latest_run_is_the_last_to_start(tmp_path: Path) -> None:
    runs = []
    for _ in range(3):
        run = recorder(tmp_path)
        run.finish("ok", [])
        runs.append(run.run_id)
        time.sleep(0.002)
    (tmp_path / "runs" / "zzz.json").write_text("{}")
    assert list_runs(tmp_path) == runs == sorted(runs)
    assert load_run(tmp_path).run_id == runs[-1]
    assert load_run(tmp_path, runs[0]).run_id == runs[0]
    assert not is_running(tmp_path, runs[0])


@pytest.mark.parametrize("run_id", ["../../etc/passwd", "", "20250101T000000000-abcdef\n", "latest"])
def test_what_is_no_run_id_is_refused(tmp_path: Path, run_id: str) -> None:
    with pytest.raises(InputError, match="is not an id of a run"):
        load_run(tmp_path, run_id)
    with pytest.raises(InputError):
        recorder(tmp_path, run_id=run_id)


def test_absent_runs(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no runs yet"):
        load_run(tmp_path)
    with pytest.raises(InputError, match="no run 2025"):
        load_run(tmp_path, "20250101T000000000-abcdef")


def test_after_the_end_nothing_is_recorded(tmp_path: Path) -> None:
    run = recorder(tmp_path)
    run.finish("ok", [])
    with pytest.raises(InternalError, match="no longer recorded"), run.stage("v", "1", "probe"):
        pass


def test_records_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnavailable, match="Not a directory"):
        recorder(tmp_path / "file")


def test_no_secret_is_in_any_file(tmp_path: Path) -> None:
    run = recorder(
        tmp_path, config={**CONFIG, "list": [{"hf_token": "hunter2"}], "url": "s3://k:hunter2@b/x?sig=hunter2"}
    )
    with run.stage("v", "1", "probe") as record:
        record.message = "Authorization: Bearer hunter2hunter2"
    run.finish("failed", [VideoOutcome("v", "1", "failed", "x", "password=hunter2")])
    for path in (tmp_path / "runs").iterdir():
        text = path.read_text()
        assert "hunter2" not in text
        assert MASK in text
        assert text.isascii()


MASKING = {
    "api key": ({"api_key": "x"}, {"api_key": MASK}),
    "camel case": ({"accessToken": "x"}, {"accessToken": MASK}),
    "header": ({"Authorization": "Basic abc"}, {"Authorization": MASK}),
    "number as password": ({"db_password": 1234}, {"db_password": MASK}),
    "no key given": ({"api_key": None}, {"api_key": None}),
    "a number of tokens": ({"total_tokens": 512, "keys": 3}, {"total_tokens": 512, "keys": 3}),
    "tokens themselves": ({"tokens": ["x"]}, {"tokens": MASK}),
    "words that only contain one": (
        {"tokenizer": "a", "keep": "b", "monkey": "c", "keyframes": 1},
        {"tokenizer": "a", "keep": "b", "monkey": "c", "keyframes": 1},
    ),
    "path": ({"store": Path("/data")}, {"store": "/data"}),
    "nested": ({"a": ({"secret": "x"},)}, {"a": [{"secret": MASK}]}),
}


@pytest.mark.parametrize(("value", "expected"), MASKING.values(), ids=MASKING.keys())
def test_masking_of_values(value: Any, expected: Any) -> None:
    assert masked(value) == expected


TEXTS = {
    "plain": ("is it 10:30? yes", "is it 10:30? yes"),
    "plain url": ("http://host:8000/v1 is down", "http://host:8000/v1 is down"),
    "user": ("at http://me@host/v1", f"at http://{MASK}@host/v1"),
    "user and password": ("postgresql+asyncpg://me:p@ss@host/db", f"postgresql+asyncpg://{MASK}@host/db"),
    "query": ("'https://host/a?key=1&b=2'", f"'https://host/a?{MASK}'"),
    "bearer": ("bearer abcdef123", f"bearer {MASK}"),
    "assignment": ("OPENAI_API_KEY=sk-123, retry", f"OPENAI_API_KEY={MASK}, retry"),
    "in JSON": ('{"password": "x"}', f'{{"password": {MASK}"}}'),
    "fragment": ("https://host/a#access_token=1", f"https://host/a#{MASK}"),
    "header": ("authorization: Basic eDp5", f"authorization: Basic {MASK}"),
    "basic": ("Basic dXNlcjpwYXNzd29yZA==", f"Basic {MASK}"),
    "a word for a file": ("'/etc/passwd': no such file", "'/etc/passwd': no such file"),
    "words of a caption": ("a secret: a man hides the password", "a secret: a man hides the password"),
    "a word and a colon": ("passwd: not a directory", "passwd: not a directory"),
    "basic words": ("basic training of recruits", "basic training of recruits"),
    "a bearer of something": ("the bearer carrying boxes", "the bearer carrying boxes"),
    "a slash in a password": ("http://u:a/b7@host/v1", f"http://{MASK}@host/v1"),
    "a port, and an at sign in the path": ("http://host:8000/@me/x", "http://host:8000/@me/x"),
    "user and password without a scheme": ("proxy u:zK7pq2x9@host:80", f"proxy {MASK}@host:80"),
    "times and places": ("10:30@gate and 3:a@b", "10:30@gate and 3:a@b"),
    "relative address": ("//u:pw@host/v1", f"//{MASK}@host/v1"),
    "path with a query": ("GET /v1?token=abc&x=1 HTTP/1.1", f"GET /v1?token={MASK}&x=1 HTTP/1.1"),
    "signature": ("/x?sig=abc", f"/x?sig={MASK}"),
    "header of another scheme": ("Authorization: Token zK7pq2x9", f"Authorization: Token {MASK}"),
    "header without a scheme": ("'authorization': 'zK7pq2x9'", f"'authorization': '{MASK}'"),
    "headers as pairs of bytes": ("(b'Authorization', b'Bearer zK7pq2x9')", f"(b'Authorization', b'Bearer {MASK}')"),
    "a word for a header": ("Authorization: required", "Authorization: required"),
    "key header": ("x-api-key: zK7pq2x9", f"x-api-key: {MASK}"),
    "key field": ("api_key: zK7pq2x9", f"api_key: {MASK}"),
    "a word for a key field": ("chat.api_key: give it in the environment", "chat.api_key: give it in the environment"),
    "dotted setting": ("--set chat.api_key=zK7pq2x9", f"--set chat.api_key={MASK}"),
    "cookie": ("Cookie: session=abc; id=7", f"Cookie: {MASK}"),
    "token": ("token=zK7pq2x9", f"token={MASK}"),
    "a number of tokens": ("max_tokens=512 token=3", "max_tokens=512 token=3"),
    "issued key": ("got sk-proj-a1B2a1B2a1B2a1B2 here", f"got {MASK} here"),
    "a word with sk-": ("task-a1B2a1B2a1B2a1B2a1B2", "task-a1B2a1B2a1B2a1B2a1B2"),
    "a video's name": ("/videos/secret=1.mp4", "/videos/secret=1.mp4"),
}


@pytest.mark.parametrize(("text", "expected"), TEXTS.values(), ids=TEXTS.keys())
def test_masking_of_text(text: str, expected: str) -> None:
    assert masked_text(text) == expected


def test_known_secrets_are_masked_wherever_they_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_zU7")
    monkeypatch.setenv("SOME_API_KEY", "secret")  # a word: it would be found in sentences
    remember_secrets(["p4ss/w0rd", "EMPTY"])
    assert masked_text("got p4ss/w0rd, hf_zU7, xhf_zU7 and EMPTY in secret") == (
        f"got {MASK}, {MASK}, xhf_zU7 and EMPTY in secret"
    )


def test_names_that_the_user_chose_are_no_fields() -> None:
    config = {"imports": {"captions": {"key-frames": "/a", "auth": "/b"}}, "x": {"auth": "y"}}
    assert masked(config) == {"imports": config["imports"], "x": {"auth": MASK}}


def test_the_environment_is_described_without_imports(repository: Path) -> None:
    assert environment.versions(["pyarrow", "no-such-package"]).keys() == {"lavad", "python", "pyarrow"}
    revision = environment.git_revision(repository)
    assert revision is None or len(revision.partition("+")[0]) == 40
    code = "import sys, lavad_core.runs.recorder; print({'torch', 'prefect', 'pandas', 'pyarrow'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True, cwd=repository).strip() == "set()"


def test_a_record_has_json_values_only(tmp_path: Path) -> None:
    run = recorder(tmp_path)
    with run.stage("v\udc80\u202e", "1", "probe") as record:
        record.work["x"] += __import__("numpy").int64(3)
    (found,) = load_records(tmp_path, run.run_id)
    assert isinstance(found, StageRecord)
    assert (found.video, found.work) == ("v\udc80\u202e", {"x": 3})
    json.loads((tmp_path / "runs" / f"{run.run_id}.jsonl").read_text().splitlines()[1])
    run.close()
