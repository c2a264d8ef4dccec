"""What a server of the OpenAI kind says in an answer, by its structured fields alone. Pure.

Servers name one thing in many ways: the end of an answer is ``stop`` or ``eos_token``, a content filter is a finish reason, a
``refusal``, or an error's code. Prose is never searched: a message that talks of filters is not a refusal.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Any

import yaml

from lavad_core.errors import RequestRejected, ServiceUnavailable
from lavad_core.models.protocols import FinishReason

ONLY_THOUGHT = "<think>"
"""Text of an answer whose server keeps the thought in a field of its own and gave nothing else: a thought without an end."""

MOST_CHARACTERS_PER_TOKEN = 128
"""Limit for an answer; the longest tokens of real models are rows of 128 spaces."""

MOST_CHARACTERS_BESIDE = 4096
"""Characters that an answer may have beyond its tokens: a server may not count thoughts."""

MOST_COUNTED_TOKENS = 10_000_000
"""A larger number is not a count of tokens."""

_WORDS: dict[str, list[str]] = yaml.safe_load(
    files("lavad_core.models.chat").joinpath("reply_words.yaml").read_text(encoding="utf-8")
)
_REFUSED = frozenset(tuple(name.split("_")) for name in _WORDS["refused"])
_TOO_LONG = frozenset(tuple(name.split("_")) for name in _WORDS["too_long"])

_LEGAL_REASONS = 451
_DEEPEST = 6
_MOST_ITEMS = 20
_MOST_SHOWN = 200
_MOST_CODE_CHARACTERS = 100
_WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+")


def finish_reason_of(word: object) -> FinishReason | None:
    """What a server's finish reason means; None for one that says that the answer was not finished, or says nothing."""
    if not isinstance(word, str):
        return None
    plain = re.sub(r"^finish_?reason[._]", "", word.strip().lower())  # FinishReason.STOP, FINISH_REASON_STOP
    if plain in _WORDS["stopped"]:
        return "stop"
    if plain in _WORDS["cut"]:
        return "length"
    return "refused" if any(_says_refused(part) for part in re.split(r"[:\s]+", word.strip())) else None


def refused_by(status: int, body: Mapping[str, Any] | None) -> bool:
    """Whether an error answer says, in a field for programs, that the content of the request was refused. ``body`` is None
    if the answer is not a JSON object."""
    return status == _LEGAL_REASONS or (body is not None and any(_is_refusal(part) for part in _parts(body)))


def too_long(body: Mapping[str, Any] | None) -> bool:
    """Whether an error answer says, in a field for programs, that the prompt is too long."""
    return body is not None and any(
        isinstance(part.get(name), str) and _names(part[name], _TOO_LONG)
        for part in _parts(body)
        for name in _WORDS["codes"]
    )


def parse_chat_answer(answer: Mapping[str, Any]) -> tuple[str, FinishReason]:
    """Text and finish reason of a chat answer with status 200.

    Text is what the model said to the user: ``reasoning`` and ``reasoning_content`` are not part of it, nor are the parts of a
    list that hold a thought. It is empty for ``null``, and :data:`ONLY_THOUGHT` where there is a thought and nothing else.

    Raises:
        ServiceUnavailable: it is not a whole answer.
    """
    try:
        choice = answer["choices"][0]
        message, reason = choice["message"], choice["finish_reason"]
        content = message.get("content")
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        if refused_by(200, answer):
            return "", "refused"
        words = json.dumps(answer, ensure_ascii=False, default=str)[:_MOST_SHOWN]
        raise ServiceUnavailable(f"an answer without choices, message or finish_reason: {words}") from error
    text, refused = _text(content)
    if refused or message.get("refusal"):
        return text, "refused"
    finish_reason = finish_reason_of(reason)
    if finish_reason is None:
        # A server that is shut down answers 200 with part of the text and "abort".
        raise ServiceUnavailable(f"an answer that was not finished (finish_reason {str(reason)[:40]!r})")
    if not text.strip() and (_is_thought(content) or message.get("reasoning") or message.get("reasoning_content")):
        text = ONLY_THOUGHT
    return text, finish_reason


def checked_length(text: str, max_tokens: int) -> None:
    """Raises RequestRejected for a text that ``max_tokens`` tokens cannot be: the server ignores the limit, and answers of
    megabytes would fill the store."""
    most = MOST_CHARACTERS_PER_TOKEN * max_tokens + MOST_CHARACTERS_BESIDE
    if len(text) > most:
        raise RequestRejected(
            200,
            f"an answer of {len(text)} characters, where {max_tokens} tokens were asked for (at most {most} characters): the "
            "server ignores max_tokens, or is not a language model's",
        )


def token_counts(answer: Mapping[str, Any]) -> tuple[int, int]:
    """Tokens of prompt and answer; 0 where the server does not say, or says what cannot be."""
    usage = answer.get("usage")
    given = usage if isinstance(usage, dict) else {}
    return token_count(given.get("prompt_tokens")), token_count(given.get("completion_tokens"))


def token_count(value: object) -> int:
    """A count as a server or a model of the user's own gives it; 0 for what is not one."""
    if isinstance(value, float) and value.is_integer():  # some servers write 12.0
        value = int(value)
    return value if type(value) is int and 0 <= value <= MOST_COUNTED_TOKENS else 0


def _text(content: object) -> tuple[str, bool]:
    """(the text of a message's content, whether a part of it is a refusal)."""
    if content is None or isinstance(content, str):
        return content or "", False
    if not isinstance(content, list) or not all(
        isinstance(part, dict) and isinstance(part.get("type"), str) for part in content
    ):
        raise ServiceUnavailable("an answer whose text has another type")
    texts = [part.get("text") for part in content if part["type"] in ("text", "output_text")]
    if not all(isinstance(text, str) for text in texts):
        raise ServiceUnavailable("an answer whose text has another type")
    return "".join(map(str, texts)), any(part["type"] == "refusal" for part in content)


def _is_thought(content: object) -> bool:
    return isinstance(content, list) and any(part["type"] not in ("text", "output_text") for part in content)


def _parts(body: Mapping[str, Any], deep: int = 0) -> Iterator[Mapping[str, Any]]:
    """An error and those inside it. Fields that may repeat what was asked are left alone."""
    yield body
    if deep >= _DEEPEST:
        return
    for name in _WORDS["inside"]:
        value = body.get(name)
        for item in value[:_MOST_ITEMS] if isinstance(value, list) else [value]:
            if isinstance(item, dict):
                yield from _parts(item, deep + 1)


def _is_refusal(part: Mapping[str, Any]) -> bool:
    if part.get("flagged_input") or any(part.get(f"{side}_sensitive") is True for side in ("input", "output")):
        return True  # OpenRouter; MiniMax
    for name in ("content_filter_result", "content_filter_results"):
        results = part.get(name)
        if isinstance(results, dict) and any(
            isinstance(found, dict) and found.get("filtered") is True for found in results.values()
        ):
            return True  # Azure
    for name in _WORDS["codes"]:
        value = part.get(name)
        for code in value[:_MOST_ITEMS] if isinstance(value, list) else [value]:
            if isinstance(code, str) and _says_refused(code):
                return True
    return False


def _says_refused(code: str) -> bool:
    """Whether a word for programs names a content filter or a refusal."""
    words = _words(code)
    if not set(words).isdisjoint(_WORDS["not_the_content"]):
        return False
    if len(words) == 1 and words[0] in _WORDS["refused_whole"]:
        return True
    return _names(code, _REFUSED)


def _names(code: str, names: frozenset[tuple[str, ...]]) -> bool:
    """Whether the words of some name are next to each other in a word for programs."""
    words = _words(code)
    runs = {tuple(words[at : at + size]) for size in (1, 2, 3) for at in range(len(words) - size + 1)}
    return bool(runs & names)


def _words(code: str) -> list[str]:
    """The words of an error code; prose has none."""
    if len(code) > _MOST_CODE_CHARACTERS or re.search(r"\s", code):
        return []
    return [word.lower() for word in _WORD.findall(code)]
