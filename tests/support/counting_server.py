"""A scripted server that counts tokens as vLLM does, with transformers and the demonstration's Llama."""

from __future__ import annotations

import functools
from collections import Counter
from pathlib import Path
from typing import Any

from support.scripted_server import MODELS, Reply, Seen, chat_body

LLAMA = Path(__file__).resolve().parents[2] / "demo" / "models" / "llama"


@functools.cache
def _tokenizer() -> Any:
    import transformers

    return transformers.AutoTokenizer.from_pretrained(LLAMA, trust_remote_code=False)


def llama_count(messages: list[dict[str, str]], **kwargs: Any) -> int:
    """Tokens of a rendered prompt."""
    text = _tokenizer().apply_chat_template(messages, tokenize=False, add_generation_prompt=True, **kwargs)
    return len(_tokenizer()(text, add_special_tokens=False).input_ids)


class CountingServer:
    """A script that answers by what a prompt says and how long its answer may be.

    Args:
        tokenize: whether there is ``/tokenize``.
        usage: whether answers say how many tokens the prompt had.
        wrong: what is added to each count of a prompt with letters beyond ASCII.

    Attributes:
        paths: path to requests.
    """

    def __init__(self, *, tokenize: bool = True, usage: bool = True, wrong: int = 0) -> None:
        self.tokenize, self.usage, self.wrong = tokenize, usage, wrong
        self.paths: Counter[str] = Counter()
        _tokenizer()  # loaded before anybody waits for an answer

    def __call__(self, seen: Seen) -> Reply:
        self.paths[seen.path] += 1
        if seen.path == "/tokenize" and self.tokenize:
            return Reply(body={"count": self.count(seen)})
        if seen.path != "/v1/chat/completions":
            return Reply(404, {"detail": "Not Found"})
        said = seen.body["messages"][-1]["content"].splitlines()[-1].strip()
        rated = seen.body.get("structured_outputs")
        body = chat_body(rated["choice"][len(said) % 11] if rated else f"{seen.body['max_tokens']} left after: {said}")
        body["usage"] = {"prompt_tokens": self.count(seen), "completion_tokens": 6} if self.usage else None
        return Reply(body=body)

    def count(self, seen: Seen) -> int:
        """Tokens of a request's prompt."""
        messages = seen.body["messages"]
        strange = not all(message["content"].isascii() for message in messages)
        return llama_count(messages, **seen.body.get("chat_template_kwargs", {})) + self.wrong * strange


def models_of(root: object) -> Reply:
    """What ``/v1/models`` says of a model with these files."""
    (row,) = MODELS["data"]
    return Reply(body={"object": "list", "data": [{**row, "root": root}]})  # type: ignore[dict-item]
