"""``lavad download`` against a hub on this machine: what is fetched, with whose consent, and what cannot be."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.command import start
from support.fake_hub import COMMIT, Hub, Repository, served

from lavad_core.models.download import loaded_files, remove_own_parts

FILES = {
    "README.md": b"a card",
    "config.json": b"{}",
    "tokenizer.json": b"[]",
    "model.safetensors": b"w" * 100_000,
    "pytorch_model.bin": b"p" * 100_000,
    "onnx/model.json": b"{}",
}
OPEN, GATED = "google/siglip2-small", "meta-llama/Llama-2-7b-chat-hf"
SIGLIP, LLAMA = "Apache-2.0", "Llama 2 Community License"


@pytest.fixture
def hub() -> Iterator[Hub]:
    with served({OPEN: Repository(FILES, licence="apache-2.0"), GATED: Repository(FILES, gated=True)}) as found:
        yield found


class Command:
    """``lavad download`` of two models; the random captioners of the preset need no download."""

    def __init__(self, home: Path, hub: Hub) -> None:
        self.home = home
        models = {"encoder.kind": "clip", "encoder.model": OPEN, "chat.kind": "transformers", "chat.model": GATED}
        self.settings = [part for key, value in models.items() for part in ("--set", f"{key}={value}")]
        self.variables = {"HF_ENDPOINT": hub.url, "HF_HOME": str(home), "HF_TOKEN": "hf_token", "HF_HUB_OFFLINE": "0"}

    def start(self, *arguments: str, **variables: str) -> subprocess.Popen[str]:
        command = ("download", "--preset", "tiny", *self.settings, *arguments)
        return start(*command, **{**self.variables, **variables})

    def __call__(self, *arguments: str, **variables: str) -> tuple[int, str, str]:
        process = self.start(*arguments, **variables)
        out, err = process.communicate(timeout=120)
        assert "Traceback" not in err
        return process.returncode, out, err

    def of_cache(self, model: str) -> Path:
        return self.home / "hub" / f"models--{model.replace('/', '--')}"

    def there(self, model: str) -> set[str]:
        return {path.name for path in (self.of_cache(model) / "snapshots" / COMMIT).glob("*")}

    def parts(self, model: str) -> Path:
        return self.of_cache(model) / "blobs"


@pytest.fixture
def download(tmp_path: Path, hub: Hub) -> Command:
    return Command(tmp_path, hub)


def test_the_tokenizer_of_a_served_model_is_fetched_without_weights(download: Command, hub: Hub) -> None:
    download.settings = ["--set", "chat.kind=openai", "--set", "chat.model=served", "--set", f"chat.tokenizer={OPEN}"]
    code, _, err = download("--accept-licence", SIGLIP)
    assert code == 0, err
    assert download.there(OPEN) == {"config.json", "tokenizer.json"}


def test_what_the_loaders_read_is_fetched_once(download: Command, hub: Hub) -> None:
    code, out, err = download("--dry-run")
    assert (code, hub.downloads()) == (0, [])
    assert "195 KiB would be downloaded" in err
    assert {line.split()[0]: " yes " in line for line in out.splitlines()[1:]} == {OPEN: False, GATED: True}
    hub.cut_after["model.safetensors"] = 40_000  # the hub's library tries again by itself
    code, out, err = download("--accept-licence", SIGLIP, "--accept-licence", GATED.lower(), "--json")
    assert code == 0, err
    found = json.loads(out)
    assert (found["format"], found["failed"]) == ("lavad-download", {})
    assert {model["model"]: model["bytes_to_download"] for model in found["models"]} == {OPEN: 100_004, GATED: 100_004}
    wanted = {"config.json", "tokenizer.json", "model.safetensors"}
    assert download.there(OPEN) == download.there(GATED) == wanted
    assert set(hub.downloads()) == wanted
    hub.asked.clear()
    code, _, err = download()
    assert (code, hub.downloads()) == (0, []), "no consent is needed where nothing is fetched"
    assert "all models of the hub are in" in err


def test_a_run_finds_the_models_without_the_hub(download: Command, hub: Hub) -> None:
    assert download("--yes")[0] == 0
    hub.models.clear()
    settings = ("--preset", "tiny", *download.settings)
    process = start("doctor", *settings, "--json", **{**download.variables, "HF_HUB_OFFLINE": "1"})
    out, _ = process.communicate(timeout=120)
    checks = {check["check"]: check["verdict"] for check in json.loads(out)["checks"]}
    assert (checks["encoder"], checks["chat"]) == ("ok", "ok")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        pytest.param([], f'"{LLAMA}", "{SIGLIP}"', id="none"),
        pytest.param(["--accept-licence", SIGLIP], f'to be accepted: "{LLAMA}"', id="one of two"),
    ],
)
def test_nothing_is_fetched_without_consent(given: list[str], says: str, download: Command, hub: Hub) -> None:
    code, _, err = download(*given)
    assert (code, hub.downloads()) == (2, [])
    assert says in " ".join(err.split())


@pytest.mark.parametrize(
    ("variables", "setting", "code", "says"),
    [
        pytest.param({"HF_TOKEN": "hf_no"}, "", 1, f"model '{GATED}' is gated: accept its terms on", id="gated"),
        pytest.param({}, f"chat.revision={'9' * 40}", 1, f"has no revision '{'9' * 40}'", id="no such revision"),
        pytest.param(
            {}, "chat.model=no/such", 1, "the hub has no model 'no/such', or it is private", id="no such model"
        ),
        pytest.param({}, "chat.model=/no/such", 1, "it is not the id of a hub repository", id="no id"),
        pytest.param({"HF_HUB_OFFLINE": "1"}, "", 3, "downloads are switched off (HF_HUB_OFFLINE)", id="offline"),
        pytest.param(
            {"HF_ENDPOINT": "http://127.0.0.1:9"}, "", 3, "cannot be fetched from http://127.0.0.1:9", id="down"
        ),
    ],
)
def test_what_cannot_be_had(variables: dict[str, str], setting: str, code: int, says: str, download: Command) -> None:
    found, _, err = download("--yes", *(["--set", setting] if setting else []), **variables)
    assert (found, says in err) == (code, True), err
    assert bool(download.there(OPEN)) == (code == 1), "the other model is fetched all the same"


def test_a_file_that_is_not_what_the_hub_says_is_removed(download: Command, hub: Hub) -> None:
    hub.lies.add("model.safetensors")
    code, _, err = download("--yes")
    assert code == 3
    assert "is not what the hub has" in err
    assert not any(path.stat().st_size == 100_000 for path in download.home.rglob("blobs/*"))


def test_a_signal_leaves_complete_files_and_no_others(download: Command, hub: Hub) -> None:
    hub.held.add("model.safetensors")
    process = download.start("--yes")
    assert hub.holding.wait(60)
    complete = {"config.json", "tokenizer.json"}
    while download.there(GATED) != complete:  # other threads fetch them at the same time
        assert process.poll() is None
        time.sleep(0.01)
    of_another = download.parts(GATED) / "another.incomplete"
    of_another.write_bytes(b"a process that began after this one is writing it")
    assert len(list(download.parts(GATED).glob("*.incomplete"))) == 2
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err.splitlines()[-1].startswith("lavad: stopped; files that are complete are kept")
    assert list(download.home.rglob("*.incomplete")) == [of_another]
    assert download.there(GATED) == complete


def test_a_file_that_has_just_come_is_not_removed(tmp_path: Path) -> None:
    complete, part = tmp_path / "complete.incomplete", tmp_path / "part.incomplete"
    complete.write_bytes(b"all of it; a thread is about to give it its name")
    with part.open("wb"):
        remove_own_parts()
    assert list(tmp_path.iterdir()) == [complete]


@pytest.mark.parametrize(
    ("names", "read"),
    [
        pytest.param(
            ["config.json", "merges.txt", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
             "model.safetensors.index.json", "pytorch_model-00001-of-00001.bin", "pytorch_model.bin.index.json"],
            ["config.json", "merges.txt", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
             "model.safetensors.index.json"],
            id="shards",
        ),
        pytest.param(
            ["config.json", "pytorch_model.bin", "flax_model.msgpack", "tf_model.h5", "open_clip_pytorch_model.bin"],
            ["config.json", "pytorch_model.bin"],
            id="no safetensors",
        ),
        pytest.param(["tokenizer.model", "original/x.pth", "chat_template.jinja", ".gitattributes", "LICENSE.txt"],
                     ["chat_template.jinja", "tokenizer.model"], id="small files"),
    ],
)  # fmt: skip
def test_files_of_the_loaders(names: list[str], read: list[str]) -> None:
    assert loaded_files(names) == read
