"""How many tokens the prompts of a served model have: by its own tokenizer where that is here and its server counts the same;
otherwise by the server; otherwise an estimate.
"""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from lavad_core.config.models import VllmChatConfig
from lavad_core.errors import ModelError, RequestRejected
from lavad_core.method.summarising import Messages
from lavad_core.models.chat.http import JsonPool
from lavad_core.models.chat.optional import EndpointMissing, counted_tokens, estimated_tokens
from lavad_core.models.chat.own_counts import NoTokenizer, OwnCounts, tokenizer_folder
from lavad_core.models.served.ask_server import length_by_count, length_by_usage

COUNTS_KEPT = 65_536
"""Token counts remembered; a video has a few thousand windows."""

SHORTEST = "a"
"""Stands for a text whose tokens are not counted; templates may refuse an empty one."""

SEAM_TOKENS = 16
"""Tokens that a text may have beyond its bytes, since it is not split into the same tokens beside other texts."""

CHECKED: tuple[Messages, ...] = (
    (("system", "Say in one sentence what happens."), ("user", "A man walks a dog. A car stops at the kerb.")),
    (
        ("system", "Rate it: [0] to [1.0]."),
        ("user", "Ein Kind läuft über die Straße: «¿qué?», 一辆车着火了 🚗🔥\n\n1. a"),
    ),
    (("user", "  Two spaces before,\ta tab within, and numbers: 3.14159, 2026-01-02.  "),),
)
"""Prompts that server and tokenizer must count alike: with a system message and without one, in several scripts, and with the
white space and numbers in which tokenizers and templates differ."""

log = logging.getLogger(__name__)


class PromptCounts:
    """Counts of one server's prompts. Safe to use from several threads.

    Args:
        forms: the forms in which messages may leave, the likeliest first.
    """

    def __init__(self, config: VllmChatConfig, pool: JsonPool, forms: Callable[[Messages], Sequence[Messages]]) -> None:
        self._config, self._pool, self._forms = config, pool, forms
        self._own: OwnCounts | None = None
        self._by_server: bool | None = None  # not known before the first count
        self._finding = threading.RLock()
        self._count = functools.lru_cache(COUNTS_KEPT)(self._count_once)

    @property
    def folder(self) -> Path | None:
        """The folder of the tokenizer that counts; None if none does."""
        return None if self._own is None else self._own.folder

    def use_tokenizer(self, root: object, *, download: bool = True) -> str:
        """Count with ``chat.tokenizer`` from now on, if the server counts the same.

        Args:
            root: what the server says it serves, or None.
            download: whether its files may be downloaded.

        Returns:
            Why it is not used; empty if it is, or none is wanted.

        Raises:
            ServiceError: the server does not answer.
        """
        try:
            folder = tokenizer_folder(self._config, root, download=download)
            if folder is None:
                return ""
            own = OwnCounts(folder, self._config.model, self._config.extra_body)
        except NoTokenizer as error:
            return str(error)
        with ExitStack() as unused:
            unused.callback(own.close)
            try:
                why = self._difference(own)
            except ModelError as error:
                return str(error)
            if not why:
                self._own = own
                unused.pop_all()
            return why

    def exact(self, messages: Messages) -> int:
        """Tokens of the rendered prompt.

        For a server without ``/tokenize``, and no tokenizer here, it is an estimate
        (:func:`~lavad_core.models.chat.optional.estimated_tokens`).
        """
        return self._count(tuple((role, text) for role, text in messages))

    def at_most(self, messages: Messages) -> int:
        """A number of tokens that :meth:`exact` is not above. Prompts that differ in the last message alone are counted
        once: a token is a byte or more."""
        *before, (role, text) = messages
        if not text.isascii():  # a tokenizer may write one character as several others
            return self.exact(messages)
        with self._finding:  # threads that ask at once wait for the first
            return self.exact((*before, (role, SHORTEST))) + len(text) + SEAM_TOKENS

    def close(self) -> None:
        if self._own is not None:
            self._own.close()

    def _difference(self, own: OwnCounts) -> str:
        """What tells a tokenizer from that of the server; empty if nothing does."""
        try:
            ours = [self._in_a_form(dialog, own.count) for dialog in CHECKED]
        except EndpointMissing as refusal:
            return str(refusal)
        for length in (length_by_count, length_by_usage):

            def theirs(form: Messages, length: Callable[..., int | None] = length) -> int:
                count = length(self._pool, self._config, form)
                if count is None:
                    raise EndpointMissing("no count")
                return count

            try:
                for dialog, count in zip(CHECKED, ours, strict=True):
                    if (told := self._in_a_form(dialog, theirs)) != count:
                        return (
                            f"the prompt {dialog[-1][1]!r} has {count} tokens by {str(own.folder)!r} and {told} by "
                            f"{self._pool.shown_url}"
                        )
            except EndpointMissing:
                continue
            return ""
        return f"{self._pool.shown_url} says neither how many tokens a prompt has nor how many an answer took"

    def _in_a_form(self, messages: Messages, count: Callable[[Messages], int]) -> int:
        """Tokens of a prompt in the first of its forms that is taken.

        Raises:
            EndpointMissing: none is.
        """
        why = ""
        for form in self._forms(messages):
            try:
                return count(form)
            except (EndpointMissing, RequestRejected) as refusal:
                why = why or str(refusal)
        raise EndpointMissing(why)

    def _count_once(self, messages: Messages) -> int:
        if self._own is not None:
            try:
                return self._in_a_form(messages, self._own.count)
            except EndpointMissing:
                pass  # its template refuses them; the server may not
        if self._by_server is None:
            with self._finding:  # threads that count at once wait for the first to find out
                if self._by_server is None:
                    return self._count_at_server(messages)
        return self._count_at_server(messages)

    def _count_at_server(self, messages: Messages) -> int:
        if self._by_server is not None and not self._by_server:
            return estimated_tokens(messages)
        config = self._config
        try:
            count = self._in_a_form(
                messages, lambda form: counted_tokens(self._pool, config.model, form, config.extra_body)
            )
        except EndpointMissing as absent:
            with self._finding:
                if self._by_server is not None and not self._by_server:  # said by another thread meanwhile
                    return estimated_tokens(messages)
                self._by_server = False
                log.warning(
                    "token counts of %r are estimates, about a fifth too high for English: its server does not count (%s); "
                    "captions may be left out that would have fitted", config.model, absent,
                )  # fmt: skip
            return estimated_tokens(messages)
        self._by_server = True
        return count
