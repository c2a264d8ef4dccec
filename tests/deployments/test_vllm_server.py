"""Starting and ending a vLLM server, with a small program in its place. The real one: tests marked ``vllm``."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from lavad.deployments.vllm_server import VllmServer, command_of, find_vllm
from lavad_core.errors import ModelError, ServiceError

SERVER = """#!{python}
import http.server, json, sys
print("called with", *sys.argv[1:], flush=True)
if {fails}:
    sys.exit("no model there")
class Models(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({{"data": [{{"id": "{serves}"}}]}}).encode())
port = int(sys.argv[sys.argv.index("--port") + 1])
http.server.HTTPServer(("127.0.0.1", port), Models).serve_forever()
"""


def program(folder: Path, *, serves: str = "llama", fails: bool = False) -> str:
    path = folder / "vllm"
    path.write_text(SERVER.format(python=sys.executable, serves=serves, fails=fails))
    path.chmod(0o755)
    return str(path)


def wait_until_gone(process: psutil.Process) -> None:
    deadline = time.monotonic() + 10
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_it_is_there_when_it_serves_the_model_and_gone_when_stopped(tmp_path: Path) -> None:
    log = tmp_path / "log"
    server = VllmServer(tmp_path, log, executable=program(tmp_path), model="llama", flags=["--more", "1"])
    family = psutil.Process(server._process.pid).children(recursive=True)
    assert len(family) == 1
    said = log.read_text()
    assert f"called with serve {tmp_path} --served-model-name llama --port {server.port}" in said
    assert "--more 1" in said
    assert server.base_url == f"http://127.0.0.1:{server.port}/v1"
    server.stop()
    assert server._process.returncode != -signal.SIGKILL
    wait_until_gone(family[0])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"fails": True}, "ended with 1: ….*no model there"),
        ({"serves": "another"}, "not ready after 1 s"),
    ],
    ids=["it ends", "it serves another model"],
)
def test_one_that_does_not_come_is_said_with_its_last_words(
    settings: dict[str, object], message: str, tmp_path: Path
) -> None:
    executable = program(tmp_path, **settings)  # type: ignore[arg-type]
    limit_s = 60 if "fails" in settings else 1
    with pytest.raises(ServiceError, match=f"(?s){message}"):
        VllmServer(tmp_path, tmp_path / "log", executable=executable, model="llama", start_timeout_s=limit_s)
    # Other tests' children may still be there, and may name vLLM too.
    assert not [child for child in psutil.Process().children(recursive=True) if executable in " ".join(child.cmdline())]


def test_it_ends_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from lavad.deployments.vllm_server import VllmServer\n"
        f"server = VllmServer(Path({str(tmp_path)!r}), Path({str(tmp_path / 'log')!r}), "
        f"executable={program(tmp_path)!r}, model='llama')\n"
        "print(server._process.pid, flush=True); time.sleep(60)"
    )
    repository = Path(__file__).resolve().parents[2]
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=repository)
    assert parent.stdout is not None
    server = psutil.Process(int(parent.stdout.readline()))
    family = [server, *server.children(recursive=True)]
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    for process in family:
        wait_until_gone(process)


def test_what_starts_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(ModelError, match=r"make vllm-env.*--vllm or LAVAD_VLLM.*--base-url"):
        find_vllm(None, tmp_path)
    with pytest.raises(ModelError, match="'/nowhere' is not an executable"):
        find_vllm("/nowhere", tmp_path)
    (tmp_path / "bin").mkdir()
    on_path = program(tmp_path / "bin")
    assert find_vllm(None, tmp_path) == find_vllm("vllm", tmp_path) == on_path
    python = tmp_path / ".venv-vllm" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text("")
    assert find_vllm(None, tmp_path) == str(python)
    assert command_of(str(python), tmp_path)[1:] == [
        "-P", "-m", "vllm.entrypoints.openai.api_server", "--model", str(tmp_path),
    ]  # fmt: skip
    assert command_of(on_path, tmp_path) == [on_path, "serve", str(tmp_path)]
