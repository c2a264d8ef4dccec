"""Secrets out of what is written down."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

MASK = "**********"

_SECRET_WORDS = frozenset(
    [
        "key",
        "apikey",
        "token",
        "password",
        "passwd",
        "passphrase",
        "pwd",
        "secret",
        "secrets",
        "credential",
        "credentials",
        "auth",
        "authorization",
        "cookie",
    ]
)
_PLURALS = frozenset({"tokens", "keys"})  # numbers of tokens are no secrets

_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+")
_USER_INFO = re.compile(r"(?<=://)[^/?#\s'\"<>]*@")
_QUERY = re.compile(r"((?:[A-Za-z][A-Za-z0-9+.-]*)://[^\s'\"<>?#]*\?)[^\s'\"<>#]+")
_BEARER = re.compile(r"\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{6,}", re.IGNORECASE)
_ASSIGNED = re.compile(
    r"\b([\w-]*(?:api[_-]?key|password|passwd|secret|access[_-]?token|auth[_-]?token)['\"]?\s*[=:]\s*)['\"]?[^\s,;'\"]+",
    re.IGNORECASE,
)


def masked_text(text: str) -> str:
    """``text`` without user, password and query of URLs, bearer tokens, and ``password=…``."""
    text = _USER_INFO.sub(f"{MASK}@", text)
    text = _QUERY.sub(rf"\g<1>{MASK}", text)
    text = _BEARER.sub(rf"\g<1> {MASK}", text)
    return _ASSIGNED.sub(rf"\g<1>{MASK}", text)


def names_secret(key: str, value: Any) -> bool:
    """Whether the value under a key is to be hidden: one of the key's words is "key", "token", "password", …"""
    words = {word.lower() for word in _WORD.findall(key)}
    if words & {"id", "ids"} and isinstance(value, list | tuple) and all(type(number) is int for number in value):
        return False  # of tokens: stop_token_ids
    if words & _SECRET_WORDS:
        return value is not None
    return bool(words & _PLURALS) and not isinstance(value, (int, float)) and value is not None


def masked(value: Any, key: str = "") -> Any:
    """A JSON value without secrets; what JSON does not know (paths, pydantic's secrets) becomes its text."""
    if key and names_secret(key, value):
        return MASK
    if isinstance(value, Mapping):
        return {str(name): masked(below, str(name)) for name, below in value.items()}
    if isinstance(value, (list, tuple)):
        return [masked(below) for below in value]
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return masked_text(str(value))
