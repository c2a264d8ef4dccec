"""What the sections of served models have in common: fields of a request that the program sets itself, and addresses."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator

from lavad_core.address import Addresses, checked_address, each_address

_WHOLE = "answers are read whole, and one for each request; leave it out"
_NO_STREAM = {"stream": _WHOLE, "stream_options": _WHOLE, "n": _WHOLE, "best_of": _WHOLE, "echo": _WHOLE}

CHAT_FIELDS = {
    **_NO_STREAM,
    "model": "set chat.model",
    "messages": "set summarise.prompt, score.context_prompt and score.format_prompt",
    "prompt": "set summarise.prompt, score.context_prompt and score.format_prompt",
    **dict.fromkeys(
        ("max_tokens", "max_completion_tokens"),
        "set summarise.total_tokens, score.total_tokens and score.max_answer_tokens",
    ),
    "temperature": "set summarise.temperature and score.temperature",
    "top_p": "set summarise.top_p and score.top_p",
    "seed": "set chat.seed",
    **dict.fromkeys(
        ("structured_outputs", "response_format", "guided_choice", "guided_json", "guided_regex", "guided_grammar"),
        "set score.answer",
    ),
    **dict.fromkeys(
        ("logprobs", "top_logprobs", "return_tokens_as_token_ids", "return_token_ids", "add_special_tokens"),
        "set score.expected",
    ),
}
"""Fields of a request that are not for ``extra_body``, with what is to be set in their place."""

CAPTION_FIELDS = {
    **_NO_STREAM,
    "model": "set the captioner's model",
    "messages": "set the captioner's prompt",
    **dict.fromkeys(("max_tokens", "max_completion_tokens"), "set the captioner's max_new_tokens"),
    "temperature": "captions are greedy; leave it out",
    "seed": "captions are greedy; leave it out",
}


SERVER_FLAGS = {
    "--model": "set chat.server_model",
    "--served-model-name": "set chat.model",
    "--api-key": "the run makes one, and gives it to the server in its environment",
    **dict.fromkeys(("--host", "--port"), "the run takes a free port of 127.0.0.1"),
}
"""Flags of a managed server that the program sets itself, with what is to be set in their place."""


def flag_of(given: str) -> str:
    """The name of a flag, without its value. vLLM takes ``_`` for ``-`` in it."""
    name = given.partition("=")[0]
    return name.replace("_", "-") if name.startswith("--") else name


Address = Annotated[str, AfterValidator(checked_address)]
"""The address of a server. Anything else is refused before it is recorded anywhere."""


def addresses(value: Any) -> Addresses:
    """One address as it is, several as a tuple."""
    if not isinstance(value, str | list | tuple) or not all(isinstance(one, str) for one in value):
        raise ValueError("give an address, or a list of addresses")
    found = tuple(map(checked_address, each_address(value)))
    if not found or len(set(found)) < len(found):
        raise ValueError("has no address in it" if not found else "has an address twice")
    return found[0] if len(found) == 1 else found
