"""``chat.server: managed``, with a small program in the place of vLLM: when it runs, beside which models, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from support.scripted_server import MODEL, MODELS, Reply, scripted

from lavad_core.config.load import load_config
from lavad_core.config.models import Blip2Config, ClipConfig, VllmChatConfig
from lavad_core.config.schema import LavadConfig
from lavad_core.config.secrets import public_settings
from lavad_core.errors import ConfigError, Interrupted, ModelError, ServiceTimeout, ServiceUnavailable
from lavad_core.models import pool as pool_module
from lavad_core.models.chat import managed
from lavad_core.models.kinds.local_chat import FOLDED
from lavad_core.models.pool import ModelPool
from lavad_core.models.protocols import ChatRequest
from lavad_core.pipeline.resources import RunResources
from lavad_core.runs.manifest import list_runs, new_run_id

SERVER = """#!{python}
import http.server, json, os, sys
print("called with", *sys.argv[1:], "key" if os.environ.get("VLLM_API_KEY") else "no key", flush=True)
print("LAVAD_" in " ".join(os.environ) and "sees our variables" or "sees none of our variables", flush=True)
open({note!r}, "a").write(sys.argv[sys.argv.index("--port") + 1] + " " + str(os.getpid()) + "\\n")
if "--fail" in sys.argv:
    sys.exit("no memory left for KEY".replace("KEY", os.environ["VLLM_API_KEY"]))
name = "other" if "--never" in sys.argv else sys.argv[sys.argv.index("--served-model-name") + 1]
class Answers(http.server.BaseHTTPRequestHandler):
    def send(self, status, body):
        if self.headers.get("Authorization") != "Bearer " + os.environ["VLLM_API_KEY"]:
            status, body = 401, {{"error": {{"message": "no key", "type": "x", "code": 401}}}}
        self.send_response(status)
        content = json.dumps(body).encode()
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
    def log_message(self, *args):
        pass
    def do_GET(self):
        rows = [{{"id": name, "max_model_len": 2048, "root": sys.argv[2]}}]
        self.send(200 if self.path == "/v1/models" else 404, {{"data": rows}} if self.path == "/v1/models" else {{}})
    def do_POST(self):
        given = self.rfile.read(int(self.headers["Content-Length"]))
        if "--refuses-system" in sys.argv and b'"system"' in given:
            return self.send(400, {{"error": {{"message": "no system", "type": "BadRequestError", "code": 400}}}})
        message = {{"role": "assistant", "content": "fine."}}
        body = {{"choices": [{{"index": 0, "message": message, "finish_reason": "stop"}}], "usage": {{"prompt_tokens": 5, "completion_tokens": 2}}}}
        self.send(200 if self.path == "/v1/chat/completions" else 404, body)
port = int(sys.argv[sys.argv.index("--port") + 1])
http.server.ThreadingHTTPServer(("127.0.0.1", port), Answers).serve_forever()
"""  # noqa: E501


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "vllm"
    path.write_text(SERVER.format(python=sys.executable, note=str(tmp_path / "starts")))
    path.chmod(0o755)
    return path


def starts(tmp_path: Path) -> list[int]:
    """Processes of the servers that were started, in order."""
    note = tmp_path / "starts"
    return [int(line.split()[1]) for line in note.read_text().splitlines()] if note.exists() else []


def gone(*numbers: int) -> bool:
    """Whether processes have ended; the system takes a moment."""
    running = [psutil.Process(number) for number in numbers if psutil.pid_exists(number)]
    return all(one.status() == psutil.STATUS_ZOMBIE for one in psutil.wait_procs(running, timeout=30)[1])


def section(program: Path, *args: str, **settings: Any) -> VllmChatConfig:
    given = {"model": "tiny", "tokenizer": None, "retries": 0, "max_backoff_s": 0.01, "server_start_s": 60}
    return VllmChatConfig(
        **{**given, "server": "managed", "server_command": (str(program), "serve"), "server_args": args, **settings}
    )


OTHERS: dict[str, Any] = {
    "captioners": {name: Blip2Config(model="random:blip2-opt", device="cpu") for name in ("a", "b")},
    "encoder": ClipConfig(model="random:clip", device="cpu"),
}


class FakeModel:
    def __init__(self, name: str, events: list[str]) -> None:
        self.name, self.events = name, events
        events.append(f"load {name}")

    def close(self) -> None:
        self.events.append(f"free {self.name}")


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Loads and releases in order. The chat model is the real client."""
    found: list[str] = []
    load, start, stop = pool_module.load_model, managed.OwnServer.__init__, managed.OwnServer.stop

    def load_model(config: Any, place: str) -> Any:
        return load(config, place) if place == "chat" else FakeModel(place, found)

    def started(self: Any, *args: Any, **kwargs: Any) -> None:
        found.append("start server")
        start(self, *args, **kwargs)

    def stopped(self: Any) -> None:
        stop(self)
        found.append("stop server")

    monkeypatch.setattr(pool_module, "load_model", load_model)
    monkeypatch.setattr(managed.OwnServer, "__init__", started)
    monkeypatch.setattr(managed.OwnServer, "stop", stopped)
    return found


@pytest.fixture
def pool(program: Path, events: list[str], tmp_path: Path) -> Iterator[ModelPool]:
    config = LavadConfig(store=tmp_path / "store", chat=section(program), **OTHERS)
    with closing(ModelPool(config)) as pool:
        yield pool


def ask(pool: ModelPool) -> str:
    request = ChatRequest((("user", "a dog."),), 50, 0.0, 1.0, 7)
    return next(iter(pool.chat()[0].answer([request])))[1].text


def test_models_and_server_take_turns(pool: ModelPool, events: list[str], tmp_path: Path) -> None:
    pool.captioner("a")
    pool.captioner("b")
    pool.encoder()
    assert ask(pool) == ask(pool) == "fine."
    first = starts(tmp_path)[0]
    pool.captioner("a")
    assert gone(first)
    assert ask(pool) == "fine."
    pool.release("chat")
    pool.close()
    assert events == [
        "load captioners.a", "free captioners.a", "load captioners.b", "load encoder",
        "free captioners.b", "start server", "stop server", "load captioners.a",
        "free captioners.a", "start server", "stop server", "free encoder",
    ]  # fmt: skip
    assert gone(*starts(tmp_path))


def test_the_key_is_in_the_environment_alone_and_ours_are_not(
    pool: ModelPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAVAD_CHAT__API_KEY", "hush-hush")
    ask(pool)
    command = " ".join(psutil.Process(starts(tmp_path)[0]).cmdline())
    assert "--served-model-name tiny --host 127.0.0.1" in command
    key = psutil.Process(starts(tmp_path)[0]).environ()["VLLM_API_KEY"]
    said = pool.server_log.read_text()
    assert len(key) > 40
    assert key not in command + said
    assert " key\nsees none of our variables" in said


@pytest.mark.parametrize(
    ("args", "settings", "says", "count"),
    [
        pytest.param(["--fail"], {}, r"cannot be started: .* ended with 1: ….*no memory left for \*", 2, id="ends"),
        pytest.param(["--never"], {"server_start_s": 2}, r"server_start_s: .* not ready after 2 s", 1, id="never ready"),
        pytest.param([], {"server_command": ("/nowhere/vllm",)}, "'/nowhere/vllm' is not an executable", 0, id="no program"),
    ],
)  # fmt: skip
def test_one_that_does_not_start_is_said_with_its_last_words(
    args: list[str], settings: dict[str, Any], says: str, count: int, program: Path, tmp_path: Path
) -> None:
    config = LavadConfig(store=tmp_path / "store", chat=section(program, *args, **settings))
    with closing(ModelPool(config)) as pool:
        with pytest.raises(ModelError, match=f"(?s){says}"):
            pool.chat()
        assert pool.failed_to_load("chat")
        assert len(starts(tmp_path)) == count
        assert gone(*starts(tmp_path))


def test_one_that_dies_is_started_again_a_few_times(
    pool: ModelPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_module, "MOST_DEATHS", 1)

    def kill() -> None:
        server = pool._servers["chat"]
        os.kill(starts(tmp_path)[-1], signal.SIGKILL)
        server._process.wait(30)

    ask(pool)
    kill()
    assert ask(pool) == "fine."
    assert len(starts(tmp_path)) == 2
    kill()
    with pytest.raises(ModelError, match="has died 2 times in this run"):
        ask(pool)
    assert pool.failed_to_load("chat")


@pytest.mark.parametrize(
    "listed",
    [
        pytest.param(Reply(body=MODELS, cut=10), id="half a list"),
        pytest.param(Reply(body=[1]), id="list of numbers"),
        pytest.param(Reply(body={"data": [1]}), id="numbers in the place of models"),
    ],
)
def test_another_program_at_its_port_is_not_taken_for_it(listed: Reply, tmp_path: Path) -> None:
    with scripted() as other:
        other.models = listed
        command, port = (
            [sys.executable, "-c", "import time; time.sleep(60)"],
            int(other.base_url.rpartition(":")[2].partition("/")[0]),
        )
        own = managed.OwnServer(command, tmp_path / "log", environ=os.environ, model=MODEL, port=port)
        with pytest.raises((ServiceTimeout, ServiceUnavailable)):
            own.wait(0.5)
        assert own.ended


def test_it_is_not_waited_for_when_the_run_is_being_stopped(program: Path, tmp_path: Path) -> None:
    config = LavadConfig(store=tmp_path / "store", chat=section(program, "--never", server_start_s=600))
    with closing(ModelPool(config)) as pool:

        def stop() -> None:
            while not starts(tmp_path):
                time.sleep(0.01)
            pool.interrupt()

        thread = threading.Thread(target=stop)
        thread.start()
        with pytest.raises(Interrupted):
            pool.chat()
        thread.join()
    assert gone(*starts(tmp_path))


def test_a_run_that_is_stopped_while_it_starts_the_server(
    program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find, chat = managed.find_command, section(program, "--never", server_start_s=60)
    with closing(ModelPool(LavadConfig(store=tmp_path / "store", chat=chat))) as pool:

        def find_command(config: VllmChatConfig) -> str:
            pool.interrupt()  # which sees no server yet
            return find(config)

        monkeypatch.setattr(managed, "find_command", find_command)
        with pytest.raises(Interrupted):
            pool.chat()
    assert gone(*starts(tmp_path))


def test_none_is_left_of_a_pool_that_is_closed_before_it_starts(
    program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = ModelPool(LavadConfig(store=tmp_path / "store", chat=section(program)))
    find = managed.find_command
    closing_it = threading.Thread(target=pool.close)

    def find_command(config: VllmChatConfig) -> str:
        if not closing_it.ident:
            closing_it.start()
            pool._closed.wait(30)
            while "chat" in pool._models:
                time.sleep(0.01)
        return find(config)

    monkeypatch.setattr(managed, "find_command", find_command)
    with pytest.raises(Interrupted):
        pool.chat()
    closing_it.join()
    assert gone(*starts(tmp_path))


def test_it_ends_with_a_run_that_is_killed(program: Path, tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from lavad_core.config.load import load_config\n"
        "from lavad_core.models.pool import ModelPool\n"
        f"config = load_config(overrides={[f'store={tmp_path / chr(115)}', 'chat.model=tiny', 'chat.tokenizer=null', 'chat.server=managed', f'chat.server_command=[{program}, serve]']!r}, environ={{}})\n"  # noqa: E501
        "pool = ModelPool(config); pool.chat(); print('ready', flush=True); time.sleep(600)"
    )
    repository = Path(__file__).resolve().parents[2]
    run = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=repository)
    assert run.stdout is not None
    assert run.stdout.readline() == "ready\n"
    (server,) = starts(tmp_path)
    assert psutil.pid_exists(server)
    run.kill()
    run.wait()
    run.stdout.close()
    assert gone(server)


TEMPLATE = "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no') }}{% endif %}{{ m.content }}{% endfor %}"


def test_the_identity_is_known_before_it_is_started_and_checked_when_it_is(program: Path, tmp_path: Path) -> None:
    folder, run_id = tmp_path / "llama", new_run_id()
    folder.mkdir()
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": TEMPLATE}))
    with scripted(Reply(500)) as at_base_url:
        for settings, fits in (({"server_model": str(folder)}, True), ({}, False)):
            chat = section(program, "--refuses-system", base_url=at_base_url.base_url, **settings)
            config = LavadConfig(store=tmp_path / f"store-{fits}", chat=chat, run={"targets": ["summarise"]}, **OTHERS)
            before = starts(tmp_path)
            with closing(RunResources(config, record=True, run_id=run_id)) as resources:
                identity = resources.graph.identities["chat"]
                assert identity.endswith(FOLDED) == fits
                assert starts(tmp_path) == before
                if fits:
                    assert ask(resources.models) == "fine."
                else:
                    with pytest.raises(ModelError, match="not as was assumed"):
                        resources.models.chat()
            assert gone(*starts(tmp_path))
            assert "called with" in (config.store / "runs" / f"{run_id}.chat-server.log").read_text()
            assert list_runs(config.store) == []
        assert at_base_url.seen == []


GIB = 2**30


@pytest.mark.parametrize(
    ("free_gib", "flags"),
    [
        pytest.param(80, ["--gpu-memory-utilization", "0.97"], id="all of it"),
        pytest.param(74, ["--gpu-memory-utilization", "0.90"], id="beside an encoder"),
        pytest.param(2, None, id="nothing"),
    ],
)
def test_its_share_of_a_gpu_is_what_is_free(
    free_gib: int, flags: list[str] | None, program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr("lavad_core.models.devices.free", lambda device: None)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free_gib * GIB, 80 * GIB))
    if flags is None:
        with pytest.raises(ModelError, match="no free memory for the vLLM server"):
            managed.command_of(section(program))
        return
    assert managed.memory_flags() == flags
    for own in ("--gpu-memory-utilization=0.3", "--gpu_memory_utilization=0.3"):
        given = managed.command_of(section(program, own))
        assert [part for part in given if "memory" in part] == [own]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        pytest.param("--api-key=abc", "--api-key cannot be given here: the run makes one", id="key"),
        pytest.param("--port", "--port cannot be given here: the run takes a free port", id="port"),
        pytest.param("--served-model-name=x", "set chat.model", id="name"),
        pytest.param("--served_model_name=x", "set chat.model", id="name with underscores"),
        pytest.param("--hf-token=hf_abcdefghijklmnopqrstuvwxyz0123456789", "looks like a secret", id="secret"),
    ],
)
def test_flags_that_the_program_sets_itself_are_refused(given: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        load_config(settings={"chat": {"server_args": [given]}}, environ={})
    assert "abc" not in str(caught.value)


@pytest.mark.parametrize(
    ("command", "says"),
    [
        pytest.param([], "chat.server_command .*has no program in it", id="nothing"),
        pytest.param([" "], "has no program in it", id="a space"),
        pytest.param(["docker", "run", "HF_TOKEN=hf_abcdefghijklmnopqrstuvwxyz0123456789"], "a secret", id="secret"),
    ],
)
def test_commands_that_cannot_be(command: list[str], says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        load_config(settings={"chat": {"server_command": command}}, environ={})
    assert "abc" not in str(caught.value)


def test_how_it_is_started_travels_with_the_settings(program: Path) -> None:
    config = LavadConfig(chat=section(program, "--max-model-len=4096"))
    assert load_config(settings=json.loads(json.dumps(public_settings(config))), environ={}).chat == config.chat
