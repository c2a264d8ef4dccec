"""``lavad doctor``: it finds what would stop a run, and nothing else."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from support import templates
from support.command import lavad
from support.counting_server import LLAMA, CountingServer, models_of
from support.s3_server import S3Server
from support.scripted_server import Reply, chat_body, scripted

from lavad_core.models.random_models import random_folder

TINY = ["--preset", "tiny"]


def checks(output: str) -> dict[str, str]:
    """Name of the check to verdict; names and verdicts are divided by at least two spaces."""
    rows = [[cell for cell in line.split("  ") if cell] for line in output.splitlines()[1:]]
    return {row[0].strip(): row[1].strip() for row in rows}


@pytest.fixture(scope="module")
def model_server() -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps({"data": [{"id": "served-model"}]}).encode()
            self.send_response(200 if self.path == "/v1/models" else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()


def test_nothing_is_missing_for_random_models(tmp_path: Path) -> None:
    result = lavad("doctor", *TINY, "--store", str(tmp_path / "store"))
    assert result.exit_code == 0, result.output
    verdicts = checks(result.stdout)
    assert set(verdicts) >= {
        "lavad",
        "packages",
        "video",
        "machine",
        "encoder",
        "encoder licence",
        "chat",
        "Prefect",
        "store",
    }
    assert "fault" not in verdicts.values()
    assert "libavcodec" in result.stdout
    assert not (tmp_path / "store").exists()


def test_faults_of_a_configuration_that_needs_what_is_not_here(tmp_path: Path) -> None:
    result = lavad(
        "doctor", "--preset", "xd-violence", "--store", str(tmp_path), "--set", "chat.base_url=http://127.0.0.1:9/v1",
        "--set", f"evaluate.labels={tmp_path}/none.txt", "--set", "encoder.device=cuda:77",
        env={"LAVAD_CHAT__API_KEY": "hush", "HF_HOME": str(tmp_path)},
    )  # fmt: skip
    assert result.exit_code == 1
    verdicts = checks(result.stdout)
    faults = {name for name, verdict in verdicts.items() if verdict == "fault"}
    assert faults == {"captioner:blip2-flan-t5-xxl", "encoder", "encoder device", "chat", "labels"}
    assert "CC BY-NC-SA 4.0" in result.stdout
    assert "hf download Salesforce/blip2-flan-t5-xxl" in result.stdout
    assert "hush" not in result.output


def test_a_model_that_the_run_would_download_is_no_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    captioner = "captioners.a={kind: blip2, model: Salesforce/blip2-flan-t5-xxl}"
    result = lavad("doctor", *TINY, "--store", str(tmp_path), "--set", captioner)
    assert checks(result.stdout)["captioner:a"] == "note"
    assert "the run downloads it, if it reaches the hub" in result.stdout
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize(
    ("model", "verdict", "says"), [("served-model", "ok", "at"), ("another", "fault", "serves served-model")]
)
def test_served_models(model: str, verdict: str, says: str, model_server: str, tmp_path: Path) -> None:
    chat = f"chat={{kind: openai, model: {model}, base_url: {model_server}}}"
    result = lavad("doctor", *TINY, "--store", str(tmp_path), "--set", chat)
    assert checks(result.stdout)["chat"] == verdict
    assert says in result.stdout
    assert result.exit_code == (verdict == "fault")


def test_each_of_several_servers_is_named(model_server: str, tmp_path: Path) -> None:
    gone = "http://127.0.0.1:9/v1"
    chat = f"chat={{kind: openai, model: served-model, base_url: [{model_server}, {gone}]}}"
    result = lavad("doctor", *TINY, "--store", str(tmp_path), "--set", chat, "--json")
    found = [(row["verdict"], row["found"]) for row in json.loads(result.stdout)["checks"] if row["check"] == "chat"]
    assert found[0] == ("ok", f"served-model at {model_server}")
    assert found[1][0] == "note"
    assert gone in found[1][1]
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize(
    ("function", "verdict", "says"),
    [("load", "ok", "looked at, not imported"), ("laod", "fault", "did you mean 'load'?")],
)
def test_models_of_the_user_s_own(function: str, verdict: str, says: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("def load(): ...\nraise AssertionError('imported')\n")
    encoder = f"encoder={{kind: python, model: '{file}:{function}'}}"
    result = lavad("doctor", *TINY, "--store", str(tmp_path / "store"), "--set", encoder)
    assert checks(result.stdout)["encoder"] == verdict
    assert says in result.stdout
    assert checks(result.stdout)["encoder licence"] == "note"
    assert result.exit_code == (verdict == "fault")


def test_a_prefect_server_that_is_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings({PREFECT_API_URL: "http://user:hush@127.0.0.1:9/api"}):
        result = lavad("doctor", *TINY, "--store", str(tmp_path))
    assert checks(result.stdout)["Prefect"] == "fault"
    assert result.exit_code == 1
    assert "hush" not in result.output


def test_a_store_on_an_object_storage_is_asked(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    result = lavad("doctor", *TINY, "--store", "s3://bucket/store")
    assert checks(result.stdout)["store"] in ("ok", "note")
    assert "s3://bucket/store: made by the first run, " in result.stdout
    s3.client.put_object(Bucket="bucket", Key="store/runs/a.json", Body=b"{}")
    assert "s3://bucket/store: there, " in lavad("doctor", *TINY, "--store", "s3://bucket/store").stdout
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    s3.outage.touch()
    try:
        result = lavad("doctor", *TINY, "--store", "s3://bucket/store")
    finally:
        s3.outage.unlink()
    assert checks(result.stdout)["store"] == "fault"
    assert "it needs the storage to answer" in result.stdout


def test_a_store_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = lavad("doctor", *TINY, "--store", str(tmp_path / "file" / "store"))
    assert checks(result.stdout)["store"] == "fault"


def test_prompts_are_rendered(tmp_path: Path) -> None:
    result = lavad("doctor", *TINY, "--store", str(tmp_path / "store"))
    assert checks(result.stdout)["prompt summarise"] == checks(result.stdout)["prompt score"] == "ok"
    result = lavad("doctor", *TINY, "--store", str(tmp_path / "store"), "--set", "score.total_tokens=100")
    assert checks(result.stdout)["prompt score"] == "fault"
    assert "allow more (score.total_tokens)" in result.stdout
    assert result.exit_code == 1


def test_a_template_that_refuses_the_system_role(tmp_path: Path) -> None:
    folder = shutil.copytree(random_folder("llama"), tmp_path / "model")
    (folder / "chat_template.jinja").write_text(templates.MISTRAL)
    chat = f"chat={{kind: transformers, model: {folder}}}"
    result = lavad("doctor", *TINY, "--store", str(tmp_path / "store"), "--set", chat)
    assert result.exit_code == 0, result.output
    assert "system messages are folded into the user's turn" in result.stdout
    result = lavad("doctor", *TINY, "--store", str(tmp_path / "store"), "--set", chat, "--set", "chat.system_role=send")
    assert checks(result.stdout)["prompts"] == "fault"
    assert "Conversation roles must alternate" in result.stdout
    assert result.exit_code == 1


def test_the_prompts_are_shown(tmp_path: Path) -> None:
    result = lavad("config", "prompts", *TINY, "--store", str(tmp_path / "store"))
    assert result.exit_code == 0, result.output
    assert "# summarise: " in result.stdout
    assert "<s>[INST] <<SYS>>" in result.stdout
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("answer", [404, 401, 403, 501])
def test_a_server_that_does_not_list_its_models_is_no_fault(answer: int, tmp_path: Path) -> None:
    with scripted(script=lambda seen: Reply(body=chat_body("fine"))) as server:
        server.models = Reply(answer, {"error": "no"})
        chat = f"chat={{kind: openai, model: m, base_url: {server.base_url}}}"
        result = lavad("doctor", *TINY, "--store", str(tmp_path), "--set", chat)
    assert checks(result.stdout)["chat"] == "note"
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize(
    ("wrong", "given", "verdict", "words"),
    [
        pytest.param(0, "auto", "ok", f"the tokens of prompts are counted with {LLAMA}", id="the server's own folder"),
        pytest.param(0, str(LLAMA), "ok", f"the tokens of prompts are counted with {LLAMA}", id="named"),
        pytest.param(1, "auto", "note", "the server counts the tokens of prompts: the prompt 'Ein Kind", id="another"),
        pytest.param(0, "org/m", "note", "its tokenizer.json is not downloaded yet", id="on the hub"),
        pytest.param(0, "null", None, "", id="not wanted"),
    ],
)
def test_who_counts_tokens(wrong: int, given: str, verdict: str | None, words: str, tmp_path: Path) -> None:
    with scripted(script=CountingServer(wrong=wrong)) as server:
        server.models = models_of(str(LLAMA))
        result = lavad(
            "doctor", *TINY, "--store", str(tmp_path), "--set", "chat.kind=openai", "--set", "chat.model=tiny",
            "--set", f"chat.base_url={server.base_url}", "--set", f"chat.tokenizer={given}",
        )  # fmt: skip
    assert checks(result.stdout).get("chat tokenizer") == verdict, result.stdout
    assert words in " ".join(result.stdout.split())
