"""Whether a server refuses one question or all questions: where a refusal's words do not tell, a control question does.

Many servers refuse what is in a question with a plain 400 and a sentence (DeepSeek: "Content Exists Risk"; a firewall: 403). So
do servers that do not know a parameter. The two are told apart by a question of the same form about nothing in particular.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable, Hashable

from lavad_core.errors import RequestRejected

CONTROL_TEXT = "A man walks."
"""The subject of the control question."""

MOST_WORDS = 300
"""Characters of a server's words that an answer keeps."""

_OF_ONE_QUESTION = frozenset({400, 403, 406, 422})
_CONTENT = ("", "messages", "content", "prompt", "input")

log = logging.getLogger(__name__)


class Control:
    """What is sent to one server, and when. It is used by the tasks of one event loop; ``name`` is the served model's, for
    messages."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._one_at_a_time = asyncio.Lock()
        self._answered: dict[Hashable, float] = {}
        self._told = False

    async def blame(
        self, refusal: RequestRejected, form: Hashable, ask: Callable[[], Awaitable[tuple[int, int]]]
    ) -> tuple[int, int]:
        """Tokens spent to find out that a refusal is of this one question.

        Args:
            form: questions of one form differ in their texts alone.
            ask: asks the control question of that form; tokens of prompt and answer. It is asked after the refusal, not
                before: a key can be taken away and a quota used up in the middle of a run.

        Raises:
            RequestRejected: ``refusal``; the server refuses the control question too, or what it names as the reason is not in
                the text: a parameter, or the prompt's length.
            ServiceError: the server does not answer.
        """
        field = refusal.field.partition("[")[0].partition(".")[0]
        if refusal.status not in _OF_ONE_QUESTION or not refusal.words or field not in _CONTENT:
            raise refusal
        refused_at, spent = time.monotonic(), (0, 0)
        async with self._one_at_a_time:
            if self._answered.get(form, -math.inf) < refused_at:
                try:
                    spent = await ask()
                except RequestRejected:
                    raise refusal from None
                self._answered[form] = time.monotonic()
        if not self._told:
            self._told = True
            log.warning(
                "%r: its server refuses single questions and answers others like them; they count as refused: %s",
                self._name, refusal,
            )  # fmt: skip
        return spent
