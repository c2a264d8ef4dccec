"""Asking a server what identifies it: a handful of small requests, once a process."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from typing import Any

from PIL import Image as PillowImage

from lavad_core.config.section import ServedSection
from lavad_core.errors import ContentRefused, ModelError, RequestRejected, ServiceTimeout, ServiceUnavailable
from lavad_core.escape import escape
from lavad_core.method.summarising import Messages
from lavad_core.models.chat.http import Call, JsonPool
from lavad_core.models.chat.optional import (
    LIMIT,
    NEWER_LIMIT,
    EndpointMissing,
    as_objects,
    ask_optional,
    counted_tokens,
    listed_models,
    positive,
    row_of,
)
from lavad_core.models.chat.replies import parse_chat_answer
from lavad_core.models.chat.roles import folded
from lavad_core.models.served.model_facts import MOST_CHARACTERS, NoServerFacts, ServerFacts

MEETING_TIMEOUT_S = 20.0
"""Time for each of the requests; a server that needs longer is asked by the run itself."""

QUESTION = "Name ten things that can be seen in a street, separated by commas."
PICTURE_QUESTION = "Describe this picture in one sentence."
ANSWER_TOKENS = 32
"""Length of the answer to the fixed question: enough for other weights to say other words."""

_SHORT, _LONG = "Be brief.", "Be brief, and say nothing that was not asked for. " * 4
_REFUSED = (RequestRejected, ModelError)
_PICTURE_SIDE = 64


def ask_for_facts(config: ServedSection) -> ServerFacts:
    """What the server of a model says about it.

    Raises:
        NoServerFacts: nothing; the words say why.
    """
    pool = JsonPool.for_one_look(config, MEETING_TIMEOUT_S)
    try:
        facts = _facts(pool, config)
    except (ServiceUnavailable, ServiceTimeout) as error:
        raise NoServerFacts(str(error)) from error
    finally:
        pool.close()
    if facts == ServerFacts():
        raise NoServerFacts(f"{pool.shown_url} says neither what it serves nor anything else")
    return facts


def _facts(pool: JsonPool, config: ServedSection) -> ServerFacts:
    try:
        row: Mapping[str, Any] | None = row_of(listed_models(pool), config.model)
    except EndpointMissing as absent:
        if isinstance(absent.__cause__, ServiceTimeout):
            raise NoServerFacts(str(absent)) from absent  # each of the other requests would take as long
        row = None
    root = row.get("root") if row is not None else None
    try:
        version = ask_optional(pool, "GET", "version", at_root=True).get("version")
    except EndpointMissing:
        version = None
    folds = _folds(pool, config) if config.system_messages in ("auto", "refuse") else None
    return ServerFacts(_short(root), _short(version), _answer(pool, config, bool(folds)), folds)


def _short(value: object) -> str | None:
    if not isinstance(value, str) or not value:
        return None
    return escape(value[:MOST_CHARACTERS])


def _answer(pool: JsonPool, config: ServedSection, folds: bool) -> str | None:
    """To the fixed question; None if two answers differ, or there is none."""
    if config.role == "captioner":
        content: Any = [
            {"type": "image_url", "image_url": {"url": picture()}},
            {"type": "text", "text": PICTURE_QUESTION},
        ]
    else:
        content = QUESTION
    messages = [{"role": "user", "content": content}]
    found = set()
    for _ in range(2):
        try:
            found.add(_said(_chat(pool, config, messages, ANSWER_TOKENS)))
        except (*_REFUSED, ServiceUnavailable, ServiceTimeout):
            return None
    return found.pop()[:MOST_CHARACTERS] if len(found) == 1 else None


def _said(answer: dict[str, Any]) -> str:
    """The text and the thought, wherever the server puts it."""
    text, _ = parse_chat_answer(answer)
    message = answer["choices"][0]["message"]
    thought = message.get("reasoning_content") or message.get("reasoning") or ""
    return f"{thought}{text}" if isinstance(thought, str) else text


def _chat(pool: JsonPool, config: ServedSection, messages: list[dict[str, Any]], max_tokens: int) -> dict[str, Any]:
    body = {
        **config.extra_body,
        "model": config.model,
        "messages": messages,
        LIMIT: max_tokens,
        "temperature": 0.0,
        "seed": 0,
    }
    try:
        return pool.ask("POST", Call("chat/completions", body))
    except RequestRejected as refusal:
        if refusal.field != LIMIT:
            raise
        body[NEWER_LIMIT] = body.pop(LIMIT)
        return pool.ask("POST", Call("chat/completions", body))


def try_chat(pool: JsonPool, config: ServedSection) -> None:
    """Ask for a short answer, whatever it says; a refusal is one, but that of the key.

    Raises:
        ServiceError: there is none.
        RequestRejected: it refuses the key.
    """
    try:
        _chat(pool, config, [{"role": "user", "content": "Hello"}], ANSWER_TOKENS // 4)
    except (ContentRefused, ModelError):
        pass
    except RequestRejected as refusal:
        if refusal.status in (401, 403):
            raise


def _folds(pool: JsonPool, config: ServedSection) -> bool | None:
    """Whether system messages must be folded: the server refuses them and takes the same folded, or the prompt has as many
    tokens whatever they say. None if that does not come out."""
    for length in (length_by_count, length_by_usage):
        try:
            try:
                short = length(pool, config, _dialog(_SHORT))
            except (EndpointMissing, *_REFUSED):
                length(pool, config, folded(_dialog(_SHORT)))
                return True
            long = length(pool, config, _dialog(_LONG))
            if short is None or long is None or short != long:
                return False
            # A server that always says the same counts nothing.
            return length(pool, config, _dialog(_SHORT, _LONG)) != short
        except (EndpointMissing, *_REFUSED):
            continue
    return None


def refuses_system(pool: JsonPool, config: ServedSection) -> bool:
    """Whether a server refuses a question with a system message and answers the same one folded; False where it answers
    neither, or not in time: then something else is wrong, or not known.

    Raises:
        ServiceUnavailable: it cannot be reached.
    """
    found = []
    for messages in (_dialog(_SHORT), folded(_dialog(_SHORT))):
        try:
            _chat(pool, config, as_objects(messages), ANSWER_TOKENS // 4)
        except _REFUSED:
            found.append(True)
        except ServiceTimeout:
            return False
        except ServiceUnavailable as error:
            if not error.answered:
                raise
            return False
        else:
            found.append(False)
        if not found[0]:
            break
    return found == [True, False]


def _dialog(system: str, user: str = "Hello") -> Messages:
    return ("system", system), ("user", user)


def length_by_count(pool: JsonPool, config: ServedSection, messages: Messages) -> int | None:
    """Tokens of a prompt, by ``/tokenize``.

    Raises:
        EndpointMissing: the server does not say.
        ServiceUnavailable: it cannot be reached.
    """
    return counted_tokens(pool, config.model, messages, config.extra_body)


def length_by_usage(pool: JsonPool, config: ServedSection, messages: Messages) -> int | None:
    """Tokens of a prompt, by what the server says that a short answer took; None if it does not say.

    Raises:
        EndpointMissing: the server fails at it.
        RequestRejected: it refuses the messages.
        ServiceUnavailable, ServiceTimeout: it cannot be reached, or does not answer in time.
    """
    try:
        usage = _chat(pool, config, as_objects(messages), ANSWER_TOKENS // 4).get("usage")
    except ServiceUnavailable as error:
        if not error.answered:
            raise
        raise EndpointMissing(str(error)) from error  # some servers fail where their template refuses
    return positive(usage.get("prompt_tokens")) if isinstance(usage, dict) else None


def picture() -> str:
    """A picture that is the same everywhere, as a data URI: a white square on a black ground."""
    image = PillowImage.new("RGB", (_PICTURE_SIDE, _PICTURE_SIDE))
    quarter = _PICTURE_SIDE // 4
    image.paste((255, 255, 255), (quarter, quarter, 3 * quarter, 3 * quarter))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
