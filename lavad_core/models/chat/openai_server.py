"""A chat model behind vLLM's OpenAI-compatible server.

What is believed of its answers and what is checked: ``docs/design/trust-in-text.md``.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

from lavad_core.config.models import VllmChatConfig
from lavad_core.errors import ContentRefused, ModelError, RequestRejected, ServiceUnavailable
from lavad_core.models.chat.choices import MASKED, ChoiceTree, NotConstrained, Position
from lavad_core.models.chat.http import Call, JsonPool, Post
from lavad_core.models.chat.replies import finish_reason_of, said
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

ALLOWANCE_PER_MESSAGE = 16
"""Tokens that a chat template puts around a message, at most: Llama-2 needs 10, ChatML 5, Llama-3 6."""

BYTES_PER_TOKEN = 3
"""Of a text whose tokens nobody counts. English prose has about four, lists of numbers (as in P_F) fewer."""

COUNTS_KEPT = 65_536
"""Token counts remembered; a video has a few thousand windows."""

_ID = "token_id:"


class ServedChat:
    """A :class:`~lavad_core.models.protocols.ChatModel` that asks a server."""

    def __init__(self, config: VllmChatConfig) -> None:
        """
        Raises:
            ModelError: the server does not serve ``config.model``.
            ServiceError: it cannot be reached, after the configured retries.
            RequestRejected: it refuses the key.
        """
        self._model = config.model
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

        For a server without ``/tokenize`` it is an estimate: :data:`BYTES_PER_TOKEN` bytes of the text a token, and
        :data:`ALLOWANCE_PER_MESSAGE` for each message.
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
        listed = self._pool.get("models").get("data")
        rows = [row for row in listed if isinstance(row, dict)] if isinstance(listed, list) else []
        for row in rows:
            if row.get("id") == self._model:
                longest = row.get("max_model_len")
                return min(context_tokens, longest) if isinstance(longest, int) and longest > 0 else context_tokens
        served = [repr(str(row.get("id"))[:100]) for row in rows[:5]] + (["…"] if len(rows) > 5 else [])
        raise ModelError(
            f"{self._pool.shown_url} does not serve the model {self._model!r}; it serves {', '.join(served) or 'none'} "
            "(set chat.model, or start the server with --served-model-name)"
        )

    def _count_at_server(self, messages: tuple[tuple[str, str], ...]) -> int:
        if self._tokenizes:
            body = {"model": self._model, "messages": _messages(messages), "add_generation_prompt": True}
            try:
                count = self._pool.post("tokenize", body, at_root=True).get("count")
            except RequestRejected as error:
                if error.status not in (404, 405):
                    raise
                self._tokenizes = False
            else:
                if isinstance(count, int) and count > 0:
                    return count
                self._tokenizes = False
        return estimated_tokens(messages)

    async def _ask(self, request: ChatRequest, post: Post) -> ChatAnswer:
        body: dict[str, Any] = {
            "model": self._model,
            "messages": _messages(request.messages),
            "max_tokens": request.max_tokens,
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
        try:
            answer = await post(Call("chat/completions", body, functools.partial(_check, request)))
        except ContentRefused:
            return ChatAnswer("", "refused", 0, 0)  # the server says nothing of tokens
        text, finish_reason = said(answer)
        log_probabilities = None
        if request.choices is not None and finish_reason != "refused" and (choice := without_thoughts(text).strip()):
            text = choice
            if request.distribution:
                log_probabilities = await self._distribution(request.choices, answer, post)
        return ChatAnswer(text, finish_reason, *_tokens(answer), log_probabilities=log_probabilities)

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


def estimated_tokens(messages: Sequence[tuple[str, str]]) -> int:
    """Tokens of a prompt, without a tokenizer. The number of its bytes, which they cannot exceed, would leave no room for a
    summary beside the paper's prompts in 512 tokens."""
    return sum(-(-len(text.encode(errors="surrogatepass")) // BYTES_PER_TOKEN) for _, text in messages) + (
        ALLOWANCE_PER_MESSAGE * len(messages)
    )


def _messages(messages: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"role": role, "content": text} for role, text in messages]


def _number(token: str) -> int:
    """The id in ``token_id:123``, as the server writes tokens when asked to."""
    if not token.startswith(_ID):
        raise ValueError(f"token {token!r} is not written as its id")
    return int(token.removeprefix(_ID))


def _tokens(answer: dict[str, Any]) -> tuple[int, int]:
    """Of prompt and answer; 0 where a refused answer does not say."""
    usage = answer.get("usage")
    counts = [usage.get(name) if isinstance(usage, dict) else 0 for name in ("prompt_tokens", "completion_tokens")]
    prompt, completion = (count if isinstance(count, int) else 0 for count in counts)
    return prompt, completion


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
    usage = answer.get("usage")
    if finish_reason == "refused":
        return  # whatever else is in it
    if not isinstance(usage, dict):
        raise ServiceUnavailable("an answer without usage")
    if not all(isinstance(usage.get(name), int) for name in ("prompt_tokens", "completion_tokens")):
        raise ServiceUnavailable("an answer whose usage has another type")
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
