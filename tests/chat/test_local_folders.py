"""Folders that are loaded as a language model in this process: what is refused, and what is made of a template."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from support import templates
from support.local_chat import SCENES, answers_of, summary_of
from tokenizers import Tokenizer

from lavad_core.config.models import LocalChatConfig
from lavad_core.errors import InternalError, ModelError
from lavad_core.method import prompts
from lavad_core.models.chat.in_process import LocalChat
from lavad_core.models.kinds import load_model

pytestmark = pytest.mark.usefixtures("one_thread")


def test_folders_that_hold_no_chat_model(tiny_llama: Path, tmp_path: Path) -> None:
    def load(folder: Path) -> None:
        load_model(LocalChatConfig(model=str(folder)), random_folder=lambda name: tiny_llama)

    with pytest.raises(ModelError, match="cannot be loaded"):
        load(tmp_path / "absent")
    base = shutil.copytree(tiny_llama, tmp_path / "base")
    (base / "chat_template.jinja").unlink()
    with pytest.raises(ModelError, match="no chat template"):
        load(base)
    cut = shutil.copytree(tiny_llama, tmp_path / "cut")
    weights = cut / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ModelError, match="cannot be loaded"):
        load(cut)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("", id="empty"),
        pytest.param("{}", id="another table"),
        pytest.param('{"added_tokens": [], "model": {"type": "BPE"}}', id="no vocabulary"),
    ],
)
def test_damaged_tokenizers(tiny_llama: Path, tmp_path: Path, content: str) -> None:
    folder = shutil.copytree(tiny_llama, tmp_path / "model")
    (folder / "tokenizer.json").write_text(content)
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_model(LocalChatConfig(model=str(folder)), random_folder=lambda name: tiny_llama)


def test_a_tokenizers_own_padding_and_truncation_are_off_before_two_threads_use_it(
    tiny_llama: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(tiny_llama, tmp_path / "model")
    file = folder / "tokenizer.json"
    core = Tokenizer.from_file(str(file))
    core.enable_truncation(3)
    core.enable_padding(length=50)
    core.save(str(file))
    config = LocalChatConfig(model=str(folder), device="cpu")
    loaded = load_model(config, random_folder=lambda name: tiny_llama)
    assert isinstance(loaded, LocalChat)
    backend = loaded._tokenizer.backend_tokenizer
    assert (backend.truncation, backend.padding) == (None, None)
    loaded.close()
    with pytest.raises(InternalError, match="released"):
        list(loaded.answer([summary_of("a dog.")]))


@pytest.mark.parametrize("source", templates.FOLDS.values(), ids=templates.FOLDS)
def test_a_template_without_a_system_role(tiny_llama: Path, tmp_path: Path, source: str) -> None:
    folder = shutil.copytree(tiny_llama, tmp_path / "model")
    (folder / "chat_template.jinja").write_text(source)
    request = summary_of(SCENES[0])

    def loaded(role: str) -> LocalChat:
        config = LocalChatConfig(model=str(folder), system_role=role)  # type: ignore[arg-type]
        model = load_model(config, random_folder=lambda name: tiny_llama)
        assert isinstance(model, LocalChat)
        return model

    by_itself, told = loaded("auto"), loaded("fold")
    try:
        assert by_itself.count_tokens(request.messages) == told.count_tokens(request.messages)
        assert answers_of(by_itself, [request]) == answers_of(told, [request])
        shown = by_itself._tokenizer.decode(by_itself._render(request.messages))
        assert prompts.SUMMARY in shown
        assert SCENES[0] in shown
    finally:
        by_itself.close()
        told.close()
    with pytest.raises(ModelError, match=r"takes no system message.*chat\.system_role=auto or fold"):
        loaded("refuse")


def test_a_template_that_does_not_end(tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = shutil.copytree(tiny_llama, tmp_path / "model")
    (folder / "chat_template.jinja").write_text(
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
    )
    monkeypatch.setattr("lavad_core.models.chat.template.RENDER_TIMEOUT_S", 1.0)
    with pytest.raises(ModelError, match="took longer than 1 s"):
        load_model(LocalChatConfig(model=str(folder)), random_folder=lambda name: tiny_llama)
