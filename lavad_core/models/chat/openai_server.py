"""A chat model behind vLLM's OpenAI-compatible server.

What is believed of its answers and what is checked: ``docs/design/trust-in-text.md``.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lavad_core.config.models import VllmChatConfig
from lavad_core.errors import ContentRefused, ModelError, RequestRejected, ServiceUnavailable
from lavad_core.models.chat.choices import MASKED, ChoiceTree, NotConstrained, Position
from lavad_core.models.chat.http import Call, JsonPool, Post
from lavad_core.models.chat.optional import (
    TEMPLATE_FIELDS,
    Absent,
    as_objects,
    context_of,
    counted_tokens,
    estimated_tokens,
    listed_models,
    names_of,
    row_of,
)
from lavad_core.models.chat.replies import checked_length, finish_reason_of, said, token_counts
from lavad_core.models.chat.roles import Messages, folded, has_system
from lavad_core.models.chat.thoughts import without_thoughts
from lavad_core.models.protocols import ChatAnswer, ChatRequest

TOP_LOGPROBS = 20
"""vLLM's own limit (``--max-logprobs``). The grammar leaves fewer tokens than that for the 11 scores."""

MAX_FOLLOW_UPS = 64
"""Requests made for one distribution. A chat model needs none or one; a random model, which likes every spelling of a
choice as well as any other, about 30."""

MAX_LEFT = 0.05
"""Most probability of a distribution that may stay untraced before it is refused."""

TRIES_OUTSIDE_CHOICES = 3
"""A server that ignores ``structured_outputs`` does so every time: a few tries, fewer than for a lost connection."""

COUNTS_KEPT = 65_536
"""Token counts remembered; a video has a few thousand windows."""

TRIAL_TOKENS = 8
"""Most tokens of the answer that shows whether a server can be used which does not say what it serves."""

_ID = "token_id:"

_MALFORMED = frozenset({400, 422})
"""A request of this form is not taken, whoever asks."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Way:
    """How requests are written where servers differ.

    Attributes:
        folds: system messages go into the user's turn.
        limit: the field of the most tokens: OpenAI's newer models know ``max_completion_tokens`` alone.
    """

    folds: bool
    limit: str = "max_tokens"

    def messages(self, messages: Messages) -> list[dict[str, str]]:
        """As a request has them."""
        return as_objects(folded(messages) if self.folds else messages)


class ServedChat:
    """A :class:`~lavad_core.models.protocols.ChatModel` that asks a server."""

    def __init__(self, config: VllmChatConfig) -> None:
        """
        Raises:
            ModelError: the server does not serve ``config.model``.
            ServiceError: it cannot be reached, after the configured retries.
            RequestRejected: it refuses the key.
        """
        self._model, self._extra = config.model, config.extra_body
        self._way, self._may_fold = Way(folds=config.system_role == "fold"), config.system_role == "auto"
        self._pool = JsonPool(
            config.base_url,
            config.api_key,
            concurrency=config.concurrency,
            timeout_s=config.timeout_s,
            retries=config.retries,
            max_backoff_s=config.max_backoff_s,
            key_setting="chat.api_key (LAVAD_CHAT__API_KEY)",
        )
        self._pieces: dict[int, str] = {}
        self._tokenizes = True
        self._count = functools.lru_cache(COUNTS_KEPT)(self._count_at_server)
        try:
            self._context_tokens = self._find_model(config.context_tokens)
        except BaseException:
            self._pool.close()
            raise

    @property
    def context_tokens(self) -> int:
        """The configured context, or the server's if that is shorter."""
        return self._context_tokens

    def count_tokens(self, messages: Sequence[tuple[str, str]]) -> int:
        """Tokens of the rendered prompt, as the server counts them.

        For a server without ``/tokenize`` it is an estimate (:func:`~lavad_core.models.chat.optional.estimated_tokens`).
        """
        return self._count(tuple((role, text) for role, text in messages))

    def answer(self, requests: Sequence[ChatRequest]) -> Iterator[tuple[int, ChatAnswer]]:
        """See :meth:`~lavad_core.models.protocols.ChatModel.answer`."""

        def job(request: ChatRequest) -> Callable[[Post], Awaitable[ChatAnswer]]:
            return lambda post: self._ask(request, post)

        return self._pool.run(job(request) for request in requests)

    def close(self) -> None:
        self._pool.close()

    def _find_model(self, context_tokens: int) -> int:
        """``/v1/models`` rather than ``/health``: another server on this port is healthy too."""
        try:
            rows = listed_models(self._pool)
        except Absent as absent:
            # The chat endpoint alone can say what is wrong with the key or the address.
            trial = ChatRequest((("user", "Hello"),), TRIAL_TOKENS, 0.0, 1.0, 0)
            for _ in self.answer([trial]):
                log.warning(
                    "the server does not say what it serves (%s): that it runs %r, and that its context is "
                    "chat.context_tokens = %d, is believed", absent, self._model, context_tokens,
                )  # fmt: skip
            return context_tokens
        if row_of(rows, self._model) is None:
            raise ModelError(
                f"{self._pool.shown_url} does not serve the model {self._model!r}; it serves {names_of(rows)} "
                "(set chat.model, or start the server with --served-model-name)"
            )
        return min(context_tokens, context_of(rows, self._model) or context_tokens)

    def _count_at_server(self, messages: tuple[tuple[str, str], ...]) -> int:
        if not self._tokenizes:
            return estimated_tokens(messages)
        ways = [self._way]
        if self._may_fold and not self._way.folds and has_system(messages):
            ways.append(replace(self._way, folds=True))
        why = ""
        for way in ways:
            try:
                text = folded(messages) if way.folds else messages
                return counted_tokens(self._pool, self._model, text, self._extra)
            except Absent as absent:
                why = why or str(absent)
        self._tokenizes = False
        log.warning(
            "token counts of %r are estimates, about a fifth too high for English: its server does not count (%s); "
            "captions may be left out that would have fitted", self._model, why,
        )  # fmt: skip
        return estimated_tokens(messages)

    async def _posted(self, request: ChatRequest, post: Post) -> dict[str, Any]:
        """The server's answer; in another way if it refuses the one and takes the other."""
        refusals: list[RequestRejected] = []
        ways = [self._way]
        for way in ways:  # grows
            try:
                body = self._body(request, way)
                answer = await post(Call("chat/completions", body, functools.partial(_check, request)))
            except ContentRefused:
                raise
            except RequestRejected as refusal:
                refusals.append(refusal)
                ways += [other for other in self._others(way, refusal, request) if other not in ways]
                continue
            if not way.folds and has_system(request.messages):
                self._may_fold = False  # it takes them: a later refusal has another reason
            if way not in (ways[0], self._way):
                log.warning("the server of %r refuses requests as usual: they are sent as %s", self._model, way)
                self._way = way
            return answer
        raise refusals[0]

    def _others(self, way: Way, refusal: RequestRejected, request: ChatRequest) -> Iterator[Way]:
        """What to try after a refusal: told by status and field, never by words."""
        if refusal.field == "max_tokens" and way.limit == "max_tokens":
            yield replace(way, limit="max_completion_tokens")
        about = refusal.field in ("", "messages")  # else something else is wrong with it
        if refusal.status in _MALFORMED and about and self._may_fold and not way.folds and has_system(request.messages):
            yield replace(way, folds=True)

    def _body(self, request: ChatRequest, way: Way) -> dict[str, Any]:
        body: dict[str, Any] = {
            **self._extra,
            "model": self._model,
            "messages": way.messages(request.messages),
            way.limit: request.max_tokens,
            # All of these always: the model's generation_config.json replaces the server's defaults.
            "temperature": request.temperature,
            "top_p": request.top_p,
            "seed": request.seed,
        }
        if request.choices is not None:
            body["structured_outputs"] = {"choice": list(request.choices)}
            if request.distribution:
                body |= {"logprobs": True, "top_logprobs": TOP_LOGPROBS}
                body |= {"return_tokens_as_token_ids": True, "return_token_ids": True}
        return body

    async def _ask(self, request: ChatRequest, post: Post) -> ChatAnswer:
        try:
            answer = await self._posted(request, post)
        except ContentRefused:
            return ChatAnswer("", "refused", 0, 0)  # the server says nothing of tokens
        text, finish_reason = said(answer)
        log_probabilities = None
        if request.choices is not None and finish_reason != "refused" and (choice := without_thoughts(text).strip()):
            text = choice
            if request.distribution:
                log_probabilities = await self._distribution(request.choices, answer, post)
        return ChatAnswer(text, finish_reason, *token_counts(answer), log_probabilities=log_probabilities)

    async def _distribution(self, choices: tuple[str, ...], answer: dict[str, Any], post: Post) -> dict[str, float]:
        """Follow what the answer's own tokens do not tell, until little is left (see :mod:`.choices`).

        A follow-up is a completion of the very token ids of prompt and branch, held to what the branch still allows:
        the server's state is then exactly that of an answer which had gone the other way.
        """
        tree = ChoiceTree(choices)
        try:
            prompt = [int(number) for number in answer["prompt_token_ids"]]
            positions = [
                Position(_number(row["token"]), {_number(top["token"]): top["logprob"] for top in row["top_logprobs"]})
                for row in answer["choices"][0]["logprobs"]["content"]
            ]
            for _ in range(MAX_FOLLOW_UPS + 1):
                branch = tree.next()
                if branch is None:
                    break
                if branch.tokens:
                    suffixes = tree.suffixes(branch)
                    body = {
                        **_without_template(self._extra),
                        "model": self._model,
                        "prompt": prompt + list(branch.tokens),
                        "max_tokens": max(map(len, suffixes)) + 2,  # a token is a byte or more; and the end
                        "temperature": 0.0,
                        "structured_outputs": {"choice": suffixes},
                        "logprobs": TOP_LOGPROBS,
                        "return_tokens_as_token_ids": True,
                        "add_special_tokens": False,
                    }
                    logprobs = (await post(Call("completions", body, _check_finished)))["choices"][0]["logprobs"]
                    positions = [
                        Position(_number(chosen), {_number(token): value for token, value in top.items()})
                        for chosen, top in zip(logprobs["tokens"], logprobs["top_logprobs"], strict=True)
                    ]
                await self._learn_pieces(positions, post)
                tree.follow(branch, positions, self._pieces)
        except (NotConstrained, KeyError, IndexError, TypeError, ValueError) as error:
            raise RequestRejected(
                200,
                f"{self._pool.shown_url}: its log-probabilities are not those of a choice ({error}); score.expected "
                "needs vLLM with return_token_ids and structured_outputs (0.12 or later)",
            ) from error
        if tree.left() > MAX_LEFT:
            raise ModelError(
                f"model {self._model!r}: {tree.left():.2g} of the probability of its choices is spread over more "
                f"spellings than can be followed (at most {MAX_LEFT:g}); set score.expected=false"
            )
        return tree.result()

    async def _learn_pieces(self, positions: Sequence[Position], post: Post) -> None:
        """Texts of tokens. Decoders drop the space in front of a text's first token, so each is decoded once and twice
        in a row: what the second adds is its true text."""
        seen = {number for p in positions for number, value in p.log_probabilities.items() if value > MASKED}
        for number in sorted(seen - self._pieces.keys()):
            texts = []
            for tokens in ([number], [number, number]):
                call = Call("detokenize", {"model": self._model, "tokens": tokens}, at_root=True)
                texts.append((await post(call))["prompt"])
            self._pieces[number] = texts[1].removeprefix(texts[0])


def _without_template(extra: Mapping[str, Any]) -> dict[str, Any]:
    """Of ``extra_body``, what a completion of token ids takes: it has no template."""
    return {name: value for name, value in extra.items() if name not in TEMPLATE_FIELDS}


def _number(token: str) -> int:
    """The id in ``token_id:123``, as the server writes tokens when asked to."""
    if not token.startswith(_ID):
        raise ValueError(f"token {token!r} is not written as its id")
    return int(token.removeprefix(_ID))


def _check_finished(answer: dict[str, Any], attempt: int, last: int) -> None:
    try:
        reason = answer["choices"][0]["finish_reason"]
    except (KeyError, IndexError, TypeError) as error:
        raise ServiceUnavailable("an answer without choices or finish_reason") from error
    if finish_reason_of(reason) is None:
        raise ServiceUnavailable(f"an answer that was not finished (finish_reason {str(reason)[:40]!r})")


def _check(request: ChatRequest, answer: dict[str, Any], attempt: int, last: int) -> None:
    """See :class:`~lavad_core.models.chat.http.Call`."""
    text, finish_reason = said(answer)
    checked_length(text, request.max_tokens)
    if finish_reason == "refused":
        return  # whatever else is in it
    if request.choices is None:
        return
    choice = without_thoughts(text)
    if choice in request.choices and (finish_reason == "stop" or choice != text):
        return
    if not choice and text:
        return  # a thought and nothing else: the grammar holds a model to the choices only after it has thought
    if finish_reason == "length" and any(offered.startswith(choice) for offered in request.choices):
        raise RequestRejected(
            200, f"max_tokens {request.max_tokens} ended the answer at {text[:40]!r}, before a whole choice; raise it"
        )
    words = f"the answer {text[:40]!r} is none of the {len(request.choices)} choices"
    if attempt < min(TRIES_OUTSIDE_CHOICES, last):
        raise ServiceUnavailable(words)
    raise RequestRejected(
        200,
        f"{words}: the server ignores structured_outputs (vLLM before 0.12, or another server); update it, or set "
        "score.answer=free-text",
    )
