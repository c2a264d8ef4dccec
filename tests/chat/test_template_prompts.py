"""The prompts of the method in the chat templates of known families, each written out to the last character."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from support import templates
from support.scripted_server import Reply, Seen, chat_body, error_body, scripted
from support.served import config_of
from transformers import AutoTokenizer
from transformers.utils.chat_template_utils import render_jinja_template

from lavad_core.config.load import load_config
from lavad_core.config.models import LocalChatConfig
from lavad_core.models.chat.in_process import LocalChat
from lavad_core.models.chat.prompt_readers import LocalReader
from lavad_core.models.kinds import load_model
from lavad_core.models.protocols import ChatModel, ChatRequest
from lavad_core.stages.score import score_request
from lavad_core.stages.summarise import summary_request

pytestmark = pytest.mark.usefixtures("one_thread")

TOKENS = {"bos_token": "<s>", "eos_token": "</s>"}
CAPTIONS = ["a man runs", "a fire – 火"]
SUMMARY = "A man runs from a fire"
SETTINGS: dict[str, Any] = {
    "summarise": {"prompt": "Summarise."},
    "score": {"context_prompt": "How suspicious is it?", "format_prompt": "Answer [0.1]."},
}


@dataclass(frozen=True)
class Family:
    """A template, and what it makes of the two questions."""

    source: str
    summarise: str
    score: str
    kwargs: dict[str, Any] = field(default_factory=dict)


FAMILIES = {
    "mistral": Family(
        templates.MISTRAL,
        "<s>[INST] Summarise.\n\na man runs\n a fire – 火 [/INST]",
        "<s>[INST] How suspicious is it? Answer [0.1].\n\nA man runs from a fire. [/INST]",
    ),
    "llama-2": Family(
        templates.LLAMA_2,
        "<s>[INST] <<SYS>>\nSummarise.\n<</SYS>>\n\na man runs\n a fire – 火 [/INST]",
        "<s>[INST] <<SYS>>\nHow suspicious is it? Answer [0.1].\n<</SYS>>\n\nA man runs from a fire. [/INST]",
    ),
    "llama-3": Family(
        templates.LLAMA_3,
        "<s><|start_header_id|>system<|end_header_id|>\n\nSummarise.<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\na man runs\n a fire – 火<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n",
        "<s><|start_header_id|>system<|end_header_id|>\n\nHow suspicious is it? Answer [0.1].<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nA man runs from a fire.<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n",
    ),
    "gemma": Family(
        templates.GEMMA,
        "<s><start_of_turn>user\nSummarise.\n\na man runs\n a fire – 火<end_of_turn>\n<start_of_turn>model\n",
        "<s><start_of_turn>user\nHow suspicious is it? Answer [0.1].\n\nA man runs from a fire.<end_of_turn>\n"
        "<start_of_turn>model\n",
    ),
    "qwen, thinking": Family(
        templates.QWEN_3,
        "<|im_start|>system\nSummarise.<|im_end|>\n<|im_start|>user\na man runs\n a fire – 火<|im_end|>\n"
        "<|im_start|>assistant\n",
        "<|im_start|>system\nHow suspicious is it? Answer [0.1].<|im_end|>\n"
        "<|im_start|>user\nA man runs from a fire.<|im_end|>\n<|im_start|>assistant\n",
    ),
    "qwen, told not to think": Family(
        templates.QWEN_3,
        "<|im_start|>system\nSummarise.<|im_end|>\n<|im_start|>user\na man runs\n a fire – 火<|im_end|>\n"
        "<|im_start|>assistant\n<think>\n\n</think>\n\n",
        "<|im_start|>system\nHow suspicious is it? Answer [0.1].<|im_end|>\n"
        "<|im_start|>user\nA man runs from a fire.<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n",
        {"enable_thinking": False},
    ),
    "always thinking": Family(
        templates.OPENS_THE_THOUGHT,
        "<s>Summarise.<|User|>a man runs\n a fire – 火<|Assistant|><think>\n",
        "<s>How suspicious is it? Answer [0.1].<|User|>A man runs from a fire.<|Assistant|><think>\n",
    ),
}

families = pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)


def questions(model: ChatModel) -> tuple[ChatRequest, ChatRequest]:
    """As the stages ask them."""
    config = load_config(preset="tiny", settings=SETTINGS, environ={})
    return summary_request(config, model, CAPTIONS, 0)[0], score_request(config, model, SUMMARY)[0]


@families
def test_in_this_process(family: Family, tiny_llama: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_llama, tmp_path / "model")
    (folder / "chat_template.jinja").write_text(family.source)
    config = LocalChatConfig(model=str(folder), device="cpu", template_kwargs=family.kwargs)
    model = load_model(config, random_folder=lambda name: pytest.fail(name))
    assert isinstance(model, LocalChat)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    reader = LocalReader(folder, config, folds=model._folds)
    try:
        for request, expected in zip(questions(model), (family.summarise, family.score), strict=True):
            leaves = [{"role": role, "content": text} for role, text in request.messages]
            if model._folds:
                leaves = [{"role": "user", "content": "\n\n".join(message["content"] for message in leaves)}]
            by_library = tokenizer.apply_chat_template(
                leaves, tokenize=False, add_generation_prompt=True, **family.kwargs
            )
            assert by_library == expected
            assert reader.render([(one["role"], one["content"]) for one in leaves]) == expected  # type: ignore[arg-type]
            tokens = tokenizer(expected, add_special_tokens=False)["input_ids"]
            assert model._render(request.messages) == tokens
            assert model.count_tokens(request.messages) == len(tokens)
    finally:
        model.close()
        reader.close()


class Server:
    """Renders what it is sent as vLLM does: the template that transformers would apply, 400 where that raises."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.rendered: list[str] = []

    def __call__(self, seen: Seen) -> Reply:
        if seen.path != "/v1/chat/completions":
            return Reply(404, b"")
        variables = {**TOKENS, **seen.body.get("chat_template_kwargs", {})}
        try:
            (text,), _ = render_jinja_template(
                [seen.body["messages"]], chat_template=self.source, add_generation_prompt=True, **variables
            )
        except Exception as error:  # whatever a template raises
            return Reply(400, error_body(str(error), "BadRequestError", 400))
        self.rendered.append(text)
        return Reply(body=chat_body("[0.1]"))


@families
@pytest.mark.parametrize("role", ["auto", "fold"])
def test_served(family: Family, role: str) -> None:
    server = Server(family.source)
    extra = {"chat_template_kwargs": family.kwargs} if family.kwargs else {}
    with scripted(script=server) as at:
        model = load_model(
            config_of(at, system_role=role, extra_body=extra), random_folder=lambda name: pytest.fail(name)
        )
        try:
            for request in questions(model):
                list(model.answer([request]))
        finally:
            model.close()
    if role == "auto" or family in (FAMILIES["mistral"], FAMILIES["gemma"]):
        assert server.rendered == [family.summarise, family.score]
    else:  # folded as asked, though the template has a system role
        assert [text.count("\n\na man runs") for text in server.rendered] == [1, 0]
        assert all("<<SYS>>" not in text and "system" not in text for text in server.rendered)
        assert "[0.1].\n\nA man runs from a fire." in server.rendered[1]
