"""A model's chat template, rendered under limits of time and size, and what it does with a system message."""

from __future__ import annotations

import functools
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from typing import Any

from lavad_core.errors import ModelError, RequestRejected, ServiceUnavailable
from lavad_core.escape import escape
from lavad_core.method.summarising import Messages
from lavad_core.models.chat.roles import SystemHandling, folded
from lavad_core.video.process import child_environment

RENDER_TIMEOUT_S = 10.0
"""Longest rendering of one prompt: a template of a real model takes under a millisecond."""

START_TIMEOUT_S = 60.0
"""Longest start of the process that renders: a quarter of a second, or a minute on an overloaded machine."""

RENDER_MEMORY_BYTES = 512 * 2**20
"""Memory that a template may take beyond the process's own."""

MAX_PROMPT_CHARACTERS = 4 * 2**20
"""Longest prompt: eight times what fits a context of 128,000 tokens."""

MAX_TEMPLATE_CHARACTERS = 2**20
"""Longest template; the longest published ones have some 20,000."""

ALARM_FACTOR = 2.0
"""The process's own limit is this much longer than the parent's: for when nobody is left to end it."""

_LINE_BYTES = 6 * MAX_PROMPT_CHARACTERS + 1024
"""Limit for a line that answers: JSON writes a character in up to six bytes, or twelve where it has two code units."""

_BROKEN = frozenset({"TemplateSyntaxError", "TemplateAssertionError"})
_PIECE = 1 << 16

SYSTEM_MARK = "lavadsystemtext"
USER_MARK = "lavadusertext"
"""Texts that no template contains."""


class TemplateLimit(ModelError):
    """A chat template took more time or made more text than it may."""


class ChatTemplate:
    """A chat template in a process of its own, started when it is first needed. Safe to use from several threads.

    Attributes:
        source: Jinja source.
        model: name of the model, for messages.
    """

    def __init__(self, template: str, variables: Mapping[str, Any], model: str) -> None:
        """``variables`` are what the template may name: the special tokens (``bos_token``, …), and the user's own."""
        self.source, self.model, self._variables = template, model, dict(variables)
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def render(self, messages: Messages) -> str:
        """The prompt that the model is given.

        Raises:
            RequestRejected: the template refuses the messages.
            ModelError: it is not a template, or takes more time, memory or text than it may.
            ServiceUnavailable: the process that renders was ended from outside.
        """
        dialog = [{"role": role, "content": text} for role, text in messages]
        with self._lock:
            if self._process is None:
                self._start()
            answer = self._ask({"messages": dialog}, RENDER_TIMEOUT_S)
        if "text" in answer:
            return str(answer["text"])
        raise self._refusal(answer)

    def close(self) -> None:
        """End the process. The template can be used again, and then starts another."""
        with self._lock:
            self._end()

    def _start(self) -> None:
        if len(self.source) > MAX_TEMPLATE_CHARACTERS:
            raise TemplateLimit(
                f"the chat template of {self.model!r} has {len(self.source)} characters; the limit is "
                f"{MAX_TEMPLATE_CHARACTERS}"
            )
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "lavad_core.models.chat.template_child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=child_environment(),
            bufsize=0,
            start_new_session=True,  # Ctrl-C is for the parent, which then ends the child
        )
        setup = {
            "template": self.source,
            "variables": self._variables,
            "memory_bytes": RENDER_MEMORY_BYTES,
            "timeout_s": ALARM_FACTOR * RENDER_TIMEOUT_S,
            "characters": MAX_PROMPT_CHARACTERS,
        }
        self._ask(None, START_TIMEOUT_S)  # it says that it is there
        answer = self._ask(setup, RENDER_TIMEOUT_S)  # compiling computes what is constant
        if "text" not in answer:
            self._end()
            raise self._refusal(answer)

    def _ask(self, request: Mapping[str, Any] | None, timeout_s: float) -> dict[str, Any]:
        """One line there (None: nothing), one line back; the process is gone after a failure."""
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        deadline = time.monotonic() + timeout_s
        try:
            if request is not None:
                _send(process.stdin.fileno(), json.dumps(request).encode() + b"\n", deadline)
            answer: dict[str, Any] = json.loads(_receive(process.stdout.fileno(), deadline))
        except TimeoutError:
            self._end()
            raise self._too_slow(timeout_s) from None
        except (EOFError, OSError, ValueError):
            code = self._end(patience_s=1.0)
            if code == -signal.SIGALRM:  # this process was stopped for as long
                raise self._too_slow(timeout_s) from None
            raise ServiceUnavailable(
                f"the process that renders the chat template of {self.model!r} ended with {code}"
            ) from None
        except BaseException:
            self._end()  # an answer under way would be taken for that to the next question
            raise
        return answer

    def _end(self, patience_s: float = 0.0) -> int | None:
        """End the process, and return its exit code. ``patience_s`` is how long it may take to end by itself, which tells
        why it did."""
        process, self._process = self._process, None
        if process is None:
            return None
        with suppress(subprocess.TimeoutExpired):
            process.wait(patience_s)
        process.kill()
        code = process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        return code

    def _too_slow(self, timeout_s: float) -> TemplateLimit:
        return TemplateLimit(
            f"the chat template of {self.model!r} took longer than {timeout_s:g} s to render a prompt; its template is "
            "broken, or not one to trust: give another model, or mend its chat_template"
        )

    def _refusal(self, answer: Mapping[str, Any]) -> ModelError | RequestRejected:
        fault, words = str(answer.get("fault")), str(answer.get("words"))
        if fault == "too-long":
            return TemplateLimit(
                f"the chat template of {self.model!r} makes a prompt of more than {MAX_PROMPT_CHARACTERS} characters"
            )
        if fault == "memory":
            return TemplateLimit(
                f"the chat template of {self.model!r} needs more than {RENDER_MEMORY_BYTES // 2**20} MiB to render a prompt"
            )
        said = escape(f"{fault}: {words}" if words else fault)
        if fault in _BROKEN:
            return ModelError(f"the chat template of {self.model!r} cannot be used: {said}")
        return RequestRejected(400, f"the chat template of {self.model!r} refuses the messages: {said}")

    def __del__(self) -> None:
        if getattr(self, "_process", None) is not None:
            self._end()


def _send(fd: int, data: bytes, deadline: float) -> None:
    os.set_blocking(fd, False)
    view = memoryview(data)
    while view:
        _wait(fd, select.POLLOUT, deadline)
        with suppress(BlockingIOError):
            view = view[os.write(fd, view[:_PIECE]) :]


def _receive(fd: int, deadline: float) -> bytes:
    content = bytearray()
    while not content.endswith(b"\n"):
        _wait(fd, select.POLLIN, deadline)
        piece = os.read(fd, _PIECE)
        if not piece or len(content) > 2 * _LINE_BYTES:
            raise EOFError
        content += piece
    return bytes(content)


def _wait(fd: int, event: int, deadline: float) -> None:
    poll = select.poll()
    poll.register(fd, event)
    if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
        raise TimeoutError


def system_role_of(template: ChatTemplate) -> SystemHandling:
    """What is to be done with a system message: ``send`` it, or ``fold`` it into the user's turn since the template refuses it
    or leaves it out without a word.

    Raises:
        ModelError: it takes a user's message neither with one nor without, or is beyond its limits.
    """
    messages = ("system", SYSTEM_MARK), ("user", USER_MARK)
    why = ""
    for role, tried in (("send", messages), ("fold", folded(messages))):
        try:
            text = template.render(tried)
        except RequestRejected as error:
            why = str(error)
            continue
        if SYSTEM_MARK in text and USER_MARK in text:
            return "send" if role == "send" else "fold"
        why = f"the chat template of {template.model!r} leaves out what it is given"
    raise ModelError(f"{why}; give a model whose template takes a user's message")


@functools.lru_cache(maxsize=64)
def resolved_role(template: str, variables: str, model: str) -> SystemHandling:
    """:func:`system_role_of`, once for each template of a process. ``variables`` is a JSON object."""
    with closing(ChatTemplate(template, json.loads(variables), model)) as one:
        return system_role_of(one)


def special_tokens(given: Mapping[str, Any]) -> dict[str, str]:
    """The special tokens in a tokenizer's configuration, as a template may name them."""
    found: dict[str, str] = {}
    for name, value in given.items():
        text = value.get("content") if isinstance(value, Mapping) else value
        if name.endswith("_token") and isinstance(text, str):
            found[name] = text
    return found


def default_template(templates: object) -> str | None:
    """The template of a tokenizer that may have several by name: the default one, as transformers chooses."""
    if isinstance(templates, Mapping):
        templates = templates.get("default")
    if isinstance(templates, Sequence) and not isinstance(templates, str):  # the form within tokenizer_config.json
        named = {row.get("name"): row.get("template") for row in templates if isinstance(row, Mapping)}
        templates = named.get("default")
    return templates if isinstance(templates, str) and templates else None
