"""Endpoints that a server of the OpenAI kind need not have: what it serves, how long a prompt is.

Whatever such an endpoint answers, from 401 to a page of HTML, is no reason to stop, and says nothing of the key or the address:
the chat endpoint alone does. A server that cannot be reached at all is another matter and is a ServiceError, as everywhere.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from lavad_core.errors import ModelError, RequestRejected, ServiceTimeout, ServiceUnavailable
from lavad_core.method.summarising import Messages
from lavad_core.models.chat.http import Call, JsonPool
from lavad_core.plain_text import first_few

log = logging.getLogger(__name__)

OPTIONAL_ATTEMPTS = 3
"""Tries of an optional endpoint that answers 5xx or nothing: then it counts as absent."""

OPTIONAL_TIMEOUT_S = 30.0
"""Longest wait for one of its answers."""

ALLOWANCE_PER_MESSAGE = 16
"""Tokens that a chat template puts around a message, at most: Llama-2 needs 10, ChatML 5, Llama-3 6."""

BYTES_PER_TOKEN = 3
"""Estimate for a text whose tokens are not counted. English prose has about four, lists of numbers (as in P_F) fewer."""

MOST_TOKENS = 10_000_000
"""Most tokens of a prompt; a larger count is not one."""

LIMIT, NEWER_LIMIT = "max_tokens", "max_completion_tokens"
"""The field of the most tokens: OpenAI's newer models know the second alone."""

TEMPLATE_FIELDS = ("chat_template", "chat_template_kwargs")
"""Fields of ``extra_body`` that change the prompt, and so its length."""


class EndpointMissing(Exception):
    """The endpoint is not there, or of no use; the words say which."""


def ask_optional(
    pool: JsonPool, method: str, path: str, body: Mapping[str, Any] | None = None, *, at_root: bool
) -> Any:
    """The answer of an optional endpoint, a JSON object.

    Raises:
        Absent: it gave none.
        ServiceUnavailable: the server cannot be reached.
    """
    sent, most = dict(body or {}), OPTIONAL_ATTEMPTS
    call = Call(path, sent, at_root=at_root, attempts=most, timeout_s=OPTIONAL_TIMEOUT_S, optional=True)
    try:
        return pool.ask(method, call)
    except RequestRejected as error:  # without what its message says about the key and the address
        raise EndpointMissing(
            f"{method} {path}: {error.status} {error.words}".rstrip() if error.words else str(error)
        ) from error
    except (ModelError, ServiceTimeout) as error:
        raise EndpointMissing(str(error)) from error
    except ServiceUnavailable as error:
        if not error.answered:
            raise
        raise EndpointMissing(str(error)) from error


def positive(value: object) -> int | None:
    """A count above 0; None for anything else."""
    return value if type(value) is int and 0 < value <= MOST_TOKENS else None


def listed_models(pool: JsonPool) -> list[dict[str, Any]]:
    """Rows of ``/v1/models``.

    Raises:
        Absent: there is no such list.
        ServiceUnavailable: the server cannot be reached.
    """
    listed = ask_optional(pool, "GET", "models", at_root=False).get("data")
    rows = [row for row in listed if isinstance(row, dict) and "id" in row] if isinstance(listed, list) else []
    if not isinstance(listed, list) or (listed and not rows):
        raise EndpointMissing(f"{pool.shown_url}/models is not a list of models")
    return rows


def row_of(rows: Sequence[Mapping[str, Any]], model: str) -> Mapping[str, Any] | None:
    """The row of a model, also where the server adds a tag to its name (``m:latest``)."""
    by_name = {row["id"]: row for row in reversed(rows) if isinstance(row["id"], str)}
    return by_name.get(model) or by_name.get(f"{model}:latest")


def context_of(rows: Sequence[Mapping[str, Any]], model: str) -> int | None:
    """The longest sequence of a model, as its row says, or for an adapter that of the model it is an adapter of."""
    row, seen = row_of(rows, model), 0
    while row is not None and seen <= len(rows):
        if (found := positive(row.get("max_model_len"))) is not None:
            return found
        parent, seen = row.get("parent"), seen + 1
        row = row_of(rows, parent) if isinstance(parent, str) else None
    return None


def names_of(rows: Sequence[Mapping[str, Any]]) -> str:
    """For messages."""
    return first_few(rows, show=lambda row: repr(str(row.get("id"))[:100])) or "none"


def counted_tokens(pool: JsonPool, model: str, messages: Messages, extra: Mapping[str, Any]) -> int:
    """Tokens of the rendered prompt, by vLLM's ``/tokenize``.

    Raises:
        Absent: the server does not say.
        ServiceUnavailable: it cannot be reached.
    """
    body = {
        "model": model,
        "messages": as_objects(messages),
        "add_generation_prompt": True,
        **{name: extra[name] for name in TEMPLATE_FIELDS if name in extra},
    }
    answer = ask_optional(pool, "POST", "tokenize", body, at_root=True)
    count = positive(answer.get("count"))
    if count is None:
        raise EndpointMissing(f"{pool.shown_url.removesuffix('/v1')}/tokenize gave no count")
    return count


def estimated_tokens(messages: Messages) -> int:
    """Tokens of a prompt, without a tokenizer. The number of its bytes, which they cannot exceed, would leave no room for a
    summary beside the paper's prompts in 512 tokens."""
    return sum(-(-len(text.encode(errors="surrogatepass")) // BYTES_PER_TOKEN) for _, text in messages) + (
        ALLOWANCE_PER_MESSAGE * len(messages)
    )


def as_objects(messages: Messages) -> list[dict[str, str]]:
    """Messages as a request has them."""
    return [{"role": role, "content": text} for role, text in messages]
