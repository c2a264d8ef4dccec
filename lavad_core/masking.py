"""Secrets out of what is written down."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Iterable, Mapping
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
_PLURALS = frozenset({"tokens", "keys"})  # numbers of tokens are not secrets

_OWN_NAMES = frozenset({"captions", "captioners"})
"""Fields whose keys are the names of captioners, which the user chose. One that is called "key-frames" is not a secret."""

_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+")

# The structures that a secret stands in. A word alone ("passwd", "basic", "secret") is never one: it may be in a caption, a
# file's name or a sentence.
_USER_INFO = re.compile(r"(?<=//)[^/?#\s'\"<>]*@")
# A password with a slash, unless what is before the slash is a port.
_USER_INFO_WITH_SLASH = re.compile(r"(?<=://)[^/?#\s'\"<>@:]*:(?![0-9]+/)[^?#\s'\"<>@]*@")
_PAIR = re.compile(r"(?<![\w@/.+-])[\w.+-]+:(?=[^\s@]*[0-9])(?=[^\s@]*[A-Za-z])[^\s'\"<>@/]{6,}@(?=[\w-]+[.:])")
_QUERY = re.compile(r"((?:[A-Za-z][A-Za-z0-9+.-]*)://[^\s'\"<>?#]*)([?#])[^\s'\"<>]+")
_KEY = r"(?=[^\s'\",;&]*[0-9])[^\s'\",;&]{6,}"
"""A value that is a key rather than a word."""
_HEADER = re.compile(
    r"(\bauthorization['\"]?\s*[:=,]\s*b?['\"]?)(?:((?:bearer|basic)\s+)[^\s'\",;]+|((?:[a-z]+\s+)?)" + _KEY + ")",
    re.IGNORECASE,
)
_COOKIE = re.compile(r"(\bcookie:\s*)\S+=[^\r\n'\"]+", re.IGNORECASE)
_BEARER = re.compile(r"\b(bearer\s+)(?=[^\s'\"]*[0-9])[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE)
_BASIC = re.compile(r"\b(basic\s+)([A-Za-z0-9+/]{8,}={0,2})", re.IGNORECASE)
_NAMES = r"(?:x-)?api[_-]?key|password|passwd|secret|(?:access|auth|client|api)[_-]?(?:token|secret|key)"
_ASSIGNED = re.compile(
    # Nothing may stand between name, sign and value: "/etc/passwd: no such file" assigns nothing.
    rf"((?<![/\w])(?:[A-Z][A-Z0-9_]*(?:KEY|TOKEN|SECRET|PASSWORD)|(?i:{_NAMES}))=)['\"]?[^\s,;'\"&]+"
)
_PARAMETER = re.compile(rf"([?&;](?i:{_NAMES}|key|token|sig|signature)=)[^\s'\"<>&;#]+")
_TOKEN = re.compile(rf"((?<![/\w])token=)['\"]?{_KEY}", re.IGNORECASE)
_NAMED = re.compile(
    rf"((?<![/\w])(?i:(?:x-)?(?:api|auth|access)[_-](?:key|token)|(?:client|api)[_-]secret)['\"]?\s*:\s*b?['\"]?){_KEY}"
)
_IN_JSON = re.compile(rf"""((["'])(?i:{_NAMES}|token)\2\s*:\s*)["'][^'"]+""")
_ISSUED = re.compile(r"\b(?:sk-|hf_|gh[opsru]_|github_pat_|pn[bu]_|xox[abp]-)(?=[\w-]*[0-9])[\w-]{16,}")
"""A key by its beginning: those of OpenAI, Hugging Face, GitHub, Prefect Cloud and Slack."""

_VARIABLE = re.compile(r"(?:^|_)(?:KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS|AUTH_STRING)$")
"""How the names of environment variables that hold a secret end."""

MIN_SECRET = 6
"""Characters of a known secret that is looked for in texts; a shorter one would be found in words."""

_known: set[str] = set()


def remember_secrets(values: Iterable[str]) -> None:
    """From now on these values are masked wherever they stand in a text, whatever is around them."""
    _known.update(value for value in values if _is_distinct(value))


def _is_distinct(value: str) -> bool:
    """Whether a value can be told from words: placeholders such as ``EMPTY`` and ``secret`` are given as keys too."""
    return len(value) >= MIN_SECRET and not (value.isalpha() and len(value) < 2 * MIN_SECRET)


def _secrets() -> list[str]:
    """The longest first: one may be a part of another."""
    given = {value.strip() for name, value in os.environ.items() if _VARIABLE.search(name)}
    return sorted(_known | {value for value in given if _is_distinct(value)}, key=lambda value: (-len(value), value))


def masked_text(text: str) -> str:
    """``text`` without secrets: user, password, query and fragment of URLs, headers, assignments of keys, and every value that
    the configuration or the environment gives as a secret."""
    if not text:  # most results have no message
        return text
    for secret in _secrets():
        if secret in text:
            text = re.sub(rf"(?<![A-Za-z0-9]){re.escape(secret)}(?![A-Za-z0-9])", MASK, text)
    text = _USER_INFO_WITH_SLASH.sub(f"{MASK}@", _USER_INFO.sub(f"{MASK}@", text))
    text = _PAIR.sub(f"{MASK}@", text)
    text = _QUERY.sub(rf"\g<1>\g<2>{MASK}", text)
    text = _HEADER.sub(lambda found: f"{found[1]}{found[2] or found[3] or ''}{MASK}", text)
    text = _BASIC.sub(_masked_basic, text)
    for structure in (_COOKIE, _BEARER, _IN_JSON, _ASSIGNED, _PARAMETER, _TOKEN, _NAMED):
        text = structure.sub(rf"\g<1>{MASK}", text)
    return _ISSUED.sub(MASK, text)


def _masked_basic(found: re.Match[str]) -> str:
    """Only what is user and password once it is decoded: "basic training" is not."""
    try:
        is_pair = b":" in base64.b64decode(found[2], validate=True)
    except ValueError:
        is_pair = False
    return f"{found[1]}{MASK}" if is_pair else found[0]


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
        own = key in _OWN_NAMES
        return {str(name): masked(below, "" if own else str(name)) for name, below in value.items()}
    if isinstance(value, (list, tuple)):
        return [masked(below, key if key in _OWN_NAMES else "") for below in value]
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return masked_text(str(value))
