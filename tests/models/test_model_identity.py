"""What a model is called in the keys of results."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support import templates

from lavad_core.config.models import (
    Blip2Config,
    ClipConfig,
    ImageBindConfig,
    LocalChatConfig,
    OpenAICaptionerConfig,
    VllmChatConfig,
)
from lavad_core.config.section import ModelSection
from lavad_core.errors import ModelError
from lavad_core.models.kinds import find_model, local_identity, model_identity, pinned
from lavad_core.models.kinds.hub import _resolve, hub_commit
from lavad_core.models.kinds.imagebind_kind import IMAGEBIND_FILES
from lavad_core.models.kinds.local_chat import FOLDED
from lavad_core.models.random_models import RECIPE
from lavad_core.video.identity import IdentityCache

REPOSITORY = Path(__file__).resolve().parents[2]
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def blip2(model: str | Path, revision: str | None = None) -> Blip2Config:
    return Blip2Config(model=str(model), revision=revision)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model's folder, as far as files go."""
    folder = tmp_path / "model"
    folder.mkdir()
    for name in ("config.json", "tokenizer.json", "model.safetensors", "preprocessor_config.json", "README.md"):
        (folder / name).write_text(f"content of {name}")
    return folder


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    _resolve.cache_clear()
    return tmp_path / "hub"


def download(hub: Path, model: str, commit: str, *, ref: str = "main", weights: bool = True) -> Path:
    """What a download of a repository leaves in the cache."""
    repository = hub / f"models--{model.replace('/', '--')}"
    snapshot = repository / "snapshots" / commit
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")
    if weights:
        (snapshot / "model-00001-of-00002.safetensors").write_text("x")
    (repository / "refs").mkdir(exist_ok=True)
    (repository / "refs" / ref).write_text(commit)
    return snapshot


class TestLocal:
    def test_moves_with_the_folder(self, folder: Path) -> None:
        before = model_identity(blip2(folder), None)
        assert before.startswith("local:")
        assert str(folder) not in before
        moved = folder.rename(folder.parent / "elsewhere")
        assert model_identity(blip2(moved), None) == before

    def test_is_the_same_for_every_kind_of_section(self, folder: Path) -> None:
        sections = (blip2(folder), ClipConfig(model=str(folder)), LocalChatConfig(model=str(folder)))
        assert len({model_identity(section, None) for section in sections}) == 1

    @pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json", "preprocessor_config.json"])
    def test_changes_with_one_byte(self, folder: Path, name: str, tmp_path: Path) -> None:
        cache = IdentityCache(tmp_path / "digests.sqlite")
        for file in folder.iterdir():
            os.utime(file, (1, 1))
        before = model_identity(blip2(folder), cache)
        assert model_identity(blip2(folder), cache) == before
        content = bytearray((folder / name).read_bytes())
        content[3] ^= 1
        (folder / name).write_bytes(content)
        assert model_identity(blip2(folder), cache) != before

    @pytest.mark.parametrize("name", ["README.md", "LICENSE.txt", ".gitattributes", "notes.txt", ".cache.json"])
    def test_does_not_change_with_files_that_do_not_count(self, folder: Path, name: str) -> None:
        before = model_identity(blip2(folder), None)
        (folder / name).write_text("another")
        assert model_identity(blip2(folder), None) == before

    @pytest.mark.parametrize("name", ["merges.txt", "spiece.model", "chat_template.jinja", "model-2.safetensors"])
    def test_changes_with_a_file_that_counts(self, folder: Path, name: str) -> None:
        before = model_identity(blip2(folder), None)
        (folder / name).write_text("new")
        assert model_identity(blip2(folder), None) != before

    def test_changes_when_two_files_swap_contents(self, folder: Path) -> None:
        before = model_identity(blip2(folder), None)
        (folder / "config.json").rename(folder / "x")
        (folder / "tokenizer.json").rename(folder / "config.json")
        (folder / "x").rename(folder / "tokenizer.json")
        assert model_identity(blip2(folder), None) != before

    def test_weights_behind_links_count(self, folder: Path, tmp_path: Path) -> None:
        before = model_identity(blip2(folder), None)
        blob = shutil.move(folder / "model.safetensors", tmp_path / "blob")
        (folder / "model.safetensors").symlink_to(blob)
        assert model_identity(blip2(folder), None) == before
        (folder / "model.safetensors").unlink()
        (folder / "model.safetensors").symlink_to(tmp_path / "gone")
        assert model_identity(blip2(folder), None) != before

    def test_a_folder_of_something_else(self, tmp_path: Path) -> None:
        with pytest.raises(ModelError, match=r"no config\.json"):
            model_identity(blip2(tmp_path), None)


class TestImageBind:
    @pytest.fixture
    def checkpoint(self, tmp_path: Path) -> Path:
        folder = tmp_path / "ib"
        folder.mkdir()
        for name in ("imagebind_huge.pth", "vocab.json", "merges.txt"):
            (folder / name).write_text(name)
        return folder / "imagebind_huge.pth"

    def test_file_and_folder_are_the_same(self, checkpoint: Path) -> None:
        by_file = model_identity(ImageBindConfig(model=str(checkpoint)), None)
        assert model_identity(ImageBindConfig(model=str(checkpoint.parent)), None) == by_file

    def test_the_tokenizer_counts_wherever_it_is(self, checkpoint: Path, tmp_path: Path) -> None:
        before = model_identity(ImageBindConfig(model=str(checkpoint)), None)
        other = tmp_path / "tokenizer"
        other.mkdir()
        for name in ("vocab.json", "merges.txt"):
            shutil.copy(checkpoint.parent / name, other / name)
        config = ImageBindConfig(model=str(checkpoint), tokenizer=str(other))
        assert model_identity(config, None) == before
        (other / "merges.txt").write_text("others")
        assert model_identity(config, None) != before

    def test_without_a_tokenizer_the_packaged_one_counts(self, checkpoint: Path) -> None:
        before = model_identity(ImageBindConfig(model=str(checkpoint)), None)
        for name in ("vocab.json", "merges.txt"):
            (checkpoint.parent / name).unlink()
        alone = ImageBindConfig(model=str(checkpoint))
        assert model_identity(alone, None) not in (before, "")
        assert find_model(alone).found is True

    @pytest.mark.parametrize(("missing", "said"), [("imagebind_huge.pth", "CC BY-NC-SA"), ("merges.txt", "merges.txt")])
    def test_missing(self, checkpoint: Path, missing: str, said: str) -> None:
        (checkpoint.parent / missing).unlink()
        config = ImageBindConfig(model=str(checkpoint))
        with pytest.raises(ModelError, match=said):
            model_identity(config, None)
        finding = find_model(config)
        assert finding.found is False
        assert said in finding.where

    def test_names_are_the_loaders(self) -> None:
        from lavad_core.models.encoders.imagebind.checkpoint import FILE_NAMES

        assert IMAGEBIND_FILES == FILE_NAMES


class TestHub:
    def test_a_commit_is_taken_as_given(self, hub: Path) -> None:
        assert model_identity(blip2("some/model", COMMIT), None) == f"hub:some/model@{COMMIT}"

    @pytest.mark.parametrize("revision", [None, "main"])
    def test_a_download_says_which_commit_it_is(self, hub: Path, revision: str | None) -> None:
        snapshot = download(hub, "some/model", COMMIT)
        config = blip2("some/model", revision)
        assert model_identity(config, None) == f"hub:some/model@{COMMIT}"
        assert pinned(config).revision == COMMIT
        finding = find_model(config)
        assert (finding.found, finding.where) == (True, str(snapshot))

    def test_stays_for_the_life_of_the_process(self, hub: Path) -> None:
        download(hub, "some/model", COMMIT)
        assert hub_commit("some/model", None) == COMMIT
        download(hub, "some/model", COMMIT[::-1])
        assert hub_commit("some/model", None) == COMMIT

    def test_another_branch(self, hub: Path) -> None:
        download(hub, "some/model", COMMIT, ref="v2")
        assert hub_commit("some/model", "v2") == COMMIT

    def test_asks_the_hub_otherwise(self, hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        asked: list[Any] = []

        def answer(*arguments: Any, **options: Any) -> str:
            asked.append((arguments, options["revision"]))
            return str(hub / "models--some--model" / "snapshots" / COMMIT / "config.json")

        monkeypatch.setattr("huggingface_hub.hf_hub_download", answer)
        assert hub_commit("some/model", None) == COMMIT
        assert asked == [(("some/model", "config.json"), "main")]

    def test_offline_and_not_downloaded(self, hub: Path) -> None:
        with pytest.raises(ModelError, match=r"hf download some/model --revision v2.*local folder"):
            model_identity(blip2("some/model", "v2"), None)
        finding = find_model(blip2("some/model", "v2"))
        assert (finding.found, finding.where) == (
            False,
            "not downloaded; `lavad download`, or `hf download some/model --revision v2`",
        )

    def test_half_a_download_is_not_found(self, hub: Path) -> None:
        download(hub, "some/model", COMMIT, weights=False)
        assert find_model(blip2("some/model")).found is False

    def test_a_missing_path_is_no_hub_id(self, hub: Path) -> None:
        for path in ("/nowhere/model", "./model", "a/b/c", "../x", "x\ny"):
            with pytest.raises(ModelError, match="no such file or folder"):
                model_identity(blip2(path), None)
            assert find_model(blip2(path)).found is False


def test_nothing_heavy_is_imported() -> None:
    """Plans and `lavad doctor` ask for identities; torch alone would take seconds."""
    script = "import sys, lavad_core.models.kinds, lavad_core.models.pool; print(*sys.modules)"
    out = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True, timeout=60, cwd=REPOSITORY
    ).stdout.split()
    assert "lavad_core.models.pool" in out
    assert not {"torch", "transformers", "huggingface_hub", "httpx", "PIL", "av"} & set(out)


class TestOthers:
    @pytest.mark.parametrize(
        ("config", "expected"),
        [
            pytest.param(VllmChatConfig(model="llama"), "served:llama@unstated", id="unstated"),
            pytest.param(VllmChatConfig(model="llama", revision="abc"), "served:llama@abc", id="stated"),
            pytest.param(OpenAICaptionerConfig(model="vlm"), "served:vlm@unstated", id="captioner"),
            pytest.param(LocalChatConfig(model="random:llama"), f"random:llama#{RECIPE}", id="random"),
            pytest.param(blip2("random:blip2-t5?seed=0"), f"random:blip2-t5#{RECIPE}", id="the default seed"),
            pytest.param(
                blip2("random:blip2-t5?seed=3&image=28"),
                f"random:blip2-t5?image=28&seed=3#{RECIPE}",
                id="options in order",
            ),
        ],
    )
    def test_identity(self, config: ModelSection, expected: str) -> None:
        assert model_identity(config, None) == expected

    def test_the_server_is_no_part_of_it(self) -> None:
        one, two = (VllmChatConfig(model="m", base_url=f"http://{host}/v1") for host in ("a", "b"))
        assert model_identity(one, None) == model_identity(two, None)

    def test_pinned_leaves_random_models_alone_and_expands_home(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert pinned(blip2("random:blip2-opt")) == blip2("random:blip2-opt")
        monkeypatch.setenv("HOME", str(folder.parent))
        assert pinned(blip2("~/model")).model == str(folder)

    def test_findings(self) -> None:
        served = find_model(VllmChatConfig(model="meta-llama/Llama-2-13b-chat-hf"))
        assert (served.found, served.where) == (None, "http://127.0.0.1:8000/v1")
        assert "Llama 2" in served.licence
        random = find_model(blip2("random:blip2-opt"))
        assert random.found is True
        assert "made on the spot" in random.where
        assert find_model(blip2("random:nothing")).found is False


@pytest.mark.parametrize(
    ("source", "setting", "folds"),
    [
        *[pytest.param(source, "auto", False, id=f"auto: {name}") for name, source in templates.TAKES_SYSTEM.items()],
        *[pytest.param(source, "auto", True, id=f"auto: {name}") for name, source in templates.FOLDS.items()],
        pytest.param(templates.GEMMA, "send", False, id="sent as asked"),
        pytest.param(templates.QWEN, "fold", True, id="folded as asked"),
        pytest.param("", "auto", False, id="no template"),
    ],
)
@pytest.mark.parametrize("where", ["file", "configuration", "hub"])
def test_what_becomes_of_system_messages_is_part_of_the_identity(
    folder: Path, hub: Path, source: str, setting: Any, folds: bool, where: str
) -> None:
    at = download(hub, "org/chat", COMMIT) if where == "hub" else folder
    tokens = {"bos_token": "<s>", "eos_token": {"content": "</s>"}}
    if where == "configuration":
        (at / "tokenizer_config.json").write_text(json.dumps({**tokens, "chat_template": source}))
    else:
        (at / "tokenizer_config.json").write_text(json.dumps(tokens))
        (at / "chat_template.jinja").write_text(source)
    config = LocalChatConfig(model="org/chat" if where == "hub" else str(at), system_role=setting)
    bare = LocalChatConfig(model=config.model, system_role="send")
    expected = model_identity(bare, None) + (FOLDED if folds else "")
    assert model_identity(config, None) == local_identity(config, None) == expected
    assert pinned(config).system_role == ("fold" if folds else "send")


def test_a_template_without_an_end_is_an_error_of_the_model(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loop = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
    (folder / "chat_template.jinja").write_text(loop)
    monkeypatch.setattr("lavad_core.models.chat.template.RENDER_TIMEOUT_S", 1.0)
    with pytest.raises(ModelError, match="took longer than 1 s"):
        model_identity(LocalChatConfig(model=str(folder)), None)
