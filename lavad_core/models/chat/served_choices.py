"""How probable each choice is to a served model: what its log-probabilities tell, and what has to be asked beside.

One request tells all of a value list such as the eleven scores where the server lets it be led: ``logit_bias`` takes the answer
through ``[0.``, from where ten of eleven values can be seen, and the log-probabilities are those before the bias (vLLM's
``--logprobs-mode raw_logprobs``, its default). What the model would have said is then read from the probabilities.
"""

from __future__ import annotations

import asyncio
import dataclasses
import math
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from lavad_core.errors import ContentRefused, ModelError, RequestRejected, ServiceUnavailable
from lavad_core.models.chat.choices import MASKED, ChoiceTree, NotConstrained, Position, leading_characters
from lavad_core.models.chat.http import Call, Post
from lavad_core.models.chat.replies import finish_reason_of, token_counts

TOP_LOGPROBS = 20
"""vLLM's own limit (``--max-logprobs``). The grammar leaves fewer tokens than that for the 11 scores."""

MAX_FOLLOW_UPS = 64
"""Requests made for one distribution beside the answer's own. A chat model needs none, or one for each other spelling of the
first character that it likes as well; a random model, which likes every spelling of a choice alike, about 20."""

MAX_LEFT = 0.05
"""Most probability of a distribution that may stay untraced before it is refused."""

ENOUGH_LEFT = 5e-4
"""Untraced probability at which nothing more is asked: it is shared out, and moves an expected score by less than that."""

LEAD = 100.0
"""The largest ``logit_bias`` that servers take: no model's preference outweighs it."""

FORBIDDEN = -1000.0
"""Between this and :data:`MASKED` no log-probability of a model lies: the bias is in them."""

_ID = "token_id:"


@dataclasses.dataclass(frozen=True)
class TracedAnswer:
    """What was found out of one answer."""

    log_probabilities: dict[str, float]
    """Stripped choice to natural log-probability; they sum to 1."""
    first: frozenset[int]
    """Ids of the tokens that may come first."""
    spent: tuple[tuple[int, int], ...] = ()
    """Tokens of prompt and answer of each request that was made beside the answer's own."""

    @property
    def most_probable(self) -> str:
        """The choice; of equally probable ones the first in their order."""
        return max(self.log_probabilities, key=self.log_probabilities.__getitem__)


class ServedChoices:
    """Distributions from one server's model; safe with the tasks of one event loop.

    Attributes:
        pieces: texts of tokens, as far as they were needed.
    """

    def __init__(self, model: str, shown_url: str, extra: Mapping[str, Any]) -> None:
        """``extra`` are fields of every completion; the address is for messages."""
        self._model, self._shown_url, self._extra = model, shown_url, extra
        self.pieces: dict[int, str] = {}
        self._leads = True
        self._first, self._asked_first = asyncio.Lock(), False

    @asynccontextmanager
    async def in_turn(self) -> AsyncIterator[None]:
        """Around each answer with a distribution: the first is alone. It shows how all others can be led, each of which would
        otherwise take the same side questions at the same time."""
        if not self._asked_first:
            async with self._first:
                if not self._asked_first:
                    try:
                        yield
                    finally:
                        self._asked_first = True  # whatever came of it: no other is waited for
                    return
        yield

    def asked(self, choices: tuple[str, ...]) -> dict[str, Any]:
        """Fields of a chat request that make its log-probabilities tell as much as they can."""
        return self.shown() | {"return_token_ids": True} | self._lead(choices)

    def shown(self) -> dict[str, Any]:
        """Fields of a chat request that show the most probable tokens, as ids."""
        return {"logprobs": True, "top_logprobs": TOP_LOGPROBS, "return_tokens_as_token_ids": True}

    def lost_its_lead(self, answer: dict[str, Any]) -> bool:
        """Whether the log-probabilities of a led answer hold the bias; nothing is led from then on."""
        if not self._leads:
            return False
        try:
            rows = [
                top["logprob"] for row in answer["choices"][0]["logprobs"]["content"] for top in row["top_logprobs"]
            ]
            biased = any(FORBIDDEN < value <= MASKED for value in rows)
        except (KeyError, IndexError, TypeError):
            return False  # :meth:`trace` says what is wrong with them
        self._leads = not biased
        return biased

    async def trace(self, choices: tuple[str, ...], answer: dict[str, Any], post: Post) -> TracedAnswer:
        """Follow what the answer's own tokens do not tell, until little is left (see :mod:`.choices`).

        A follow-up is a completion of the very token ids of prompt and branch, held to what the branch still allows:
        the server's state is then exactly that of an answer which had gone the other way.

        Raises:
            RequestRejected: the log-probabilities are not those of a choice.
            ModelError: the probability is spread over more spellings than can be followed.
        """
        tree = ChoiceTree(choices)
        spent: list[tuple[int, int]] = []
        first: frozenset[int] = frozenset()
        try:
            prompt = [int(number) for number in answer["prompt_token_ids"]]
            positions = [chat_position(row) for row in answer["choices"][0]["logprobs"]["content"]]
            while len(spent) <= MAX_FOLLOW_UPS:
                branch = tree.next()
                if branch is None or (branch.tokens and tree.left() <= ENOUGH_LEFT):
                    break
                if branch.tokens:
                    body = self._follow_up(prompt + list(branch.tokens), tuple(tree.suffixes(branch)), choices)
                    more = await self._beside(post, Call("completions", body, check_finished))
                    spent.append(token_counts(more))
                    positions = completion_positions(more)
                else:
                    first = frozenset(n for n, value in positions[0].log_probabilities.items() if value > MASKED)
                await self.learn_pieces(positions, post)
                tree.follow(branch, positions, self.pieces)
        except (NotConstrained, KeyError, IndexError, TypeError, ValueError) as error:
            raise RequestRejected(
                200,
                f"{self._shown_url}: its log-probabilities are not those of a choice ({error}); score.expected "
                "needs vLLM with return_token_ids and structured_outputs (0.12 or later)",
            ) from error
        if tree.left() > MAX_LEFT:
            raise ModelError(
                f"model {self._model!r}: {tree.left():.2g} of the probability of its choices is spread over more "
                f"spellings than can be followed (at most {MAX_LEFT:g}); set score.expected=false"
            )
        return TracedAnswer(tree.result(), first, tuple(spent))

    async def _beside(self, post: Post, call: Call) -> dict[str, Any]:
        """The answer to what only vLLM can be asked; a server without it has the right address and key all the same."""
        try:
            return await post(call)
        except ContentRefused:
            raise
        except RequestRejected as refusal:
            raise RequestRejected(
                refusal.status,
                f"{self._shown_url}: {refusal.status} to {call.path} ({refusal.words or refusal}); score.expected needs vLLM, "
                "with completions and detokenize: set score.expected=false for another server",
            ) from refusal

    def _follow_up(self, tokens: list[int], suffixes: tuple[str, ...], choices: tuple[str, ...]) -> dict[str, Any]:
        most = max(map(len, suffixes)) + 2  # a token is a byte or more; and the end
        held = {"structured_outputs": {"choice": list(suffixes)}}
        return self.completion(tokens, most) | held | self._lead(choices)

    def completion(self, tokens: list[int], max_tokens: int) -> dict[str, Any]:
        """Fields of a completion of token ids that shows the most probable tokens, as ids."""
        return {
            **self._extra,
            "model": self._model,
            "prompt": tokens,
            "max_tokens": max_tokens,
            "temperature": 0.0,
            "logprobs": TOP_LOGPROBS,
            "return_tokens_as_token_ids": True,
            "add_special_tokens": False,
        }

    def _lead(self, choices: tuple[str, ...]) -> dict[str, Any]:
        """Empty until an answer has shown which tokens spell the characters."""
        characters = leading_characters(choices)
        numbers = sorted(number for number, piece in list(self.pieces.items()) if piece in characters)
        return {"logit_bias": {str(number): LEAD for number in numbers}} if self._leads and numbers else {}

    async def learn_pieces(self, positions: Sequence[Position], post: Post) -> None:
        """Add the texts of tokens to :attr:`pieces`. Decoders drop the space in front of a text's first token, so each is
        decoded once and twice in a row: what the second adds is its true text."""
        seen = {number for p in positions for number, value in p.log_probabilities.items() if value > MASKED}
        for number in sorted(seen - self.pieces.keys()):
            texts = []
            for tokens in ([number], [number, number]):
                call = Call("detokenize", {"model": self._model, "tokens": tokens}, at_root=True)
                texts.append((await self._beside(post, call))["prompt"])
            self.pieces[number] = texts[1].removeprefix(texts[0])


def outside_of(answer: dict[str, Any], first: frozenset[int]) -> float | None:
    """The probability of a free answer's first token to be none of ``first``; None if it does not say.

    A token that is not among the most probable ones shown counts as outside.
    """
    try:
        shown = answer["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
        inside = sum(math.exp(min(row["logprob"], 0.0)) for row in shown if _number(row["token"]) in first)
    except (KeyError, IndexError, TypeError, ValueError):
        return None
    return min(1.0, max(0.0, 1.0 - inside))


def chat_position(row: dict[str, Any]) -> Position:
    """A token of a chat answer; raises KeyError, TypeError or ValueError where it is not of the form that was asked for."""
    return Position(_number(row["token"]), {_number(top["token"]): top["logprob"] for top in row["top_logprobs"]})


def completion_positions(answer: dict[str, Any]) -> list[Position]:
    """The tokens of a completion; raises as :func:`chat_position`."""
    logprobs = answer["choices"][0]["logprobs"]
    return [
        Position(_number(chosen), {_number(token): value for token, value in top.items()})
        for chosen, top in zip(logprobs["tokens"], logprobs["top_logprobs"], strict=True)
    ]


def _number(token: str) -> int:
    """The id in ``token_id:123``, as the server writes tokens when asked to."""
    if not token.startswith(_ID):
        raise ValueError(f"token {token!r} is not written as its id")
    return int(token.removeprefix(_ID))


def check_finished(answer: dict[str, Any], attempt: int, last: int) -> None:
    """Only a whole answer counts; see :class:`~lavad_core.models.chat.http.Call`."""
    try:
        reason = answer["choices"][0]["finish_reason"]
    except (KeyError, IndexError, TypeError) as error:
        raise ServiceUnavailable("an answer without choices or finish_reason") from error
    if finish_reason_of(reason) is None:
        raise ServiceUnavailable(f"an answer that was not finished (finish_reason {str(reason)[:40]!r})")
