"""What a server's error answer means, by its status and its fields for programs. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lavad_core.errors import ContentRefused, ModelError, RequestRejected, ServiceUnavailable
from lavad_core.models.chat.replies import refused_by, too_long

LENGTH = "input_tokens"
"""The field that a refusal names whose prompt is too long; vLLM's name for it."""

_RETRIED = frozenset({408, 409, 425, 429})
_NO_MODEL = frozenset({"NotFoundError", "not_found_error", "model_not_found"})
_WORDS = ("message", "msg", "detail", "status_msg", "error_description", "reason", "title")
_NO_ERROR = (None, 0, 200, "", "0", "200")
_MOST_JSON = 2000


def unusable(message: str) -> ServiceUnavailable:
    """The server is there, and what it answered is of no use: 408, 409, 425, 429, 5xx, or no JSON object."""
    error = ServiceUnavailable(message)
    error.answered = True
    return error


def is_error(parsed: Mapping[str, Any] | None) -> bool:
    """Whether an answer with status 200 is an error all the same: ``{"error": …}``, ``{"code": 401, "msg": …}``. One with
    choices is an answer, whatever else is in it."""
    if parsed is None or parsed.get("choices"):
        return False
    if parsed.get("error") or parsed.get("object") == "error" or parsed.get("type") == "error":
        return True
    said = any(isinstance(parsed.get(name), str) for name in _WORDS)
    return said and "data" not in parsed and parsed.get("code") not in _NO_ERROR


@dataclass(frozen=True)
class ErrorAnswer:
    """An error that a server gave."""

    http: int
    """The answer's HTTP status."""
    status: int
    """The status that it stands for; differs from ``http`` where an error comes under 200 and names its own."""
    words: str
    """The words of the server, for people, as they came."""
    detail: Mapping[str, Any]
    """The fields of the error."""
    body: Mapping[str, Any] | None
    """The whole answer, None if it is not a JSON object."""

    @classmethod
    def of(cls, http: int, body: Mapping[str, Any] | None, text: str) -> ErrorAnswer:
        """From the status of HTTP, the parsed answer (None if it is not a JSON object), and its text as it came, or its
        beginning."""
        detail = (body or {}).get("error") or body
        if isinstance(detail, str):
            detail = {"message": detail}
        if not isinstance(detail, Mapping):
            detail = {"message": text}
        said = next((detail[name] for name in _WORDS if detail.get(name)), detail)
        words = said if isinstance(said, str) else json.dumps(said, ensure_ascii=False, default=str)[:_MOST_JSON]
        return cls(http, _status(http, detail, body or {}), words, detail, body)

    def error(self, where: str, words: str, key_setting: str) -> RequestRejected | ModelError | ServiceUnavailable:
        """The error of ours; only a ServiceUnavailable is worth another try. ``where`` is method and address, ``words`` are
        the server's, fit to be shown, and ``key_setting`` is the setting that holds the key."""
        status = self.status
        message = f"{where}: {self.http} {words}"
        if refused_by(self.http, self.body):
            return ContentRefused(status, message)
        if status in _RETRIED or status >= 500 or status == 200:
            error = unusable(message)
            error.busy = status in _RETRIED
            return error
        if status in (401, 403):
            return RequestRejected(status, f"{message}; the key is read from {key_setting}", words=words)
        names = {name for name in (self.detail.get("type"), self.detail.get("code")) if isinstance(name, str)}
        if status == 404 and (self.detail.get("param") == "model" or _NO_MODEL & names):
            return ModelError(message)
        if status == 404:
            message += "; is base_url given up to and including /v1?"
        if 300 <= status < 400:
            message += "; redirects are not followed, give base_url as the server wants it"
        field = LENGTH if too_long(self.body) else self.detail.get("param")
        return RequestRejected(status, message, field if isinstance(field, str) else "", words=words)


def _status(http: int, detail: Mapping[str, Any], body: Mapping[str, Any]) -> int:
    """The status that an error under 200 names; 200 if it names none."""
    if http != 200:
        return http
    for part in (detail, body):
        for name in ("status", "code", "status_code", "http_code"):
            value = part.get(name)
            number = int(value) if isinstance(value, str) and value.isascii() and value.isdecimal() else value
            if type(number) is int and 400 <= number < 600:
                return number
    return http
