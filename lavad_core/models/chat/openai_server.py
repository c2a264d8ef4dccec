"""A chat model behind vLLM's OpenAI-compatible server.

What is believed of its answers and what is checked: ``docs/design/trust-in-text.md``.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Awaitable, Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

from lavad_core.config.models import VllmChatConfig
from lavad_core.errors import ContentRefused, ModelError, RequestRejected, ServiceUnavailable
from lavad_core.method.summarising import Messages
from lavad_core.models.chat.control import CONTROL_TEXT, MOST_WORDS, Control
from lavad_core.models.chat.http import Call, JsonPool, Post
from lavad_core.models.chat.optional import (
    LIMIT,
    NEWER_LIMIT,
    TEMPLATE_FIELDS,
    EndpointMissing,
    as_objects,
    context_of,
    listed_models,
    names_of,
    row_of,
)
from lavad_core.models.chat.own_counts import AUTO
from lavad_core.models.chat.prompt_counts import PromptCounts
from lavad_core.models.chat.replies import checked_length, parse_chat_answer, token_counts
from lavad_core.models.chat.roles import folded, has_system
from lavad_core.models.chat.served_choices import ServedChoices, outside_of
from lavad_core.models.chat.served_words import ServedWords
from lavad_core.models.chat.thoughts import without_thoughts
from lavad_core.models.picture_parts import blank, data_uri, picture_part
from lavad_core.models.protocols import ChatAnswer, ChatRequest
from lavad_core.models.served.several import meet, meet_first

PROBED = 8
"""With log-probabilities at hand, one in this many answers of a call is also asked for without the choices, one token, to see
what the model would have begun with: a video's mean needs no more."""

TRIES_OUTSIDE_CHOICES = 3
"""A server that ignores ``structured_outputs`` does so every time: a few tries, fewer than for a lost connection."""

TRIAL_TOKENS = 8
"""Most tokens of the answer that shows whether a server can be used which does not say what it serves."""

CONTROL_SIDE, CONTROL_QUALITY = 224, 90
"""The picture in a question that nobody would refuse: its side in pixels, and the quality of its JPEG."""

_MALFORMED = frozenset({400, 422})
"""The server does not take requests of this form, whatever they ask."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RequestForm:
    """How requests are written where servers differ."""

    folds: bool
    """Whether system messages are folded into the user's turn."""
    limit: str = LIMIT
    """Name of the field for the most tokens."""

    def messages(self, messages: Messages, pictures: Sequence[str] = ()) -> list[dict[str, Any]]:
        """Messages in the form that a request has, with pictures in front of the last one's text."""
        objects: list[dict[str, Any]] = [*as_objects(folded(messages) if self.folds else messages)]
        if pictures:
            text = {"type": "text", "text": objects[-1]["content"]}
            objects[-1] = {**objects[-1], "content": [*map(picture_part, pictures), text]}
        return objects


class ServedChat:
    """A :class:`~lavad_core.models.protocols.ChatModel` that asks a server.

    Attributes:
        context_tokens: the configured context, or the server's if that is shorter.
        replicas: how many servers it asks.
    """

    sees_pictures = True
    """They are sent; a server whose model takes none refuses them."""

    def __init__(self, config: VllmChatConfig) -> None:
        """
        Raises:
            ModelError: the server does not serve ``config.model``, or one of several refuses the key or is not as the others.
            ServiceError: it cannot be reached, after the configured retries.
            RequestRejected: it refuses the key, and is the only one.
        """
        self._model, self._extra = config.model, config.extra_body
        self._way, self._may_fold = RequestForm(folds=config.system_role == "fold"), config.system_role == "auto"
        self.replicas = len(config.addresses)
        check = functools.partial(meet, config) if self.replicas > 1 else None
        self._pool = JsonPool.configured(config, "chat.api_key (LAVAD_CHAT__API_KEY)", check)
        # A completion of token ids has no template.
        extra = {name: value for name, value in self._extra.items() if name not in TEMPLATE_FIELDS}
        self._choices = ServedChoices(config.model, self._pool.shown_url, extra)
        self._words = ServedWords(self._choices)
        self._control = Control(config.model)
        self._counts = PromptCounts(config, self._pool, self._forms)
        try:
            if self.replicas > 1:
                meet_first(config)
                self._pool.check_all()
            self.context_tokens, root = self._find_model(config.context_tokens)
            if why := self._counts.use_tokenizer(root):
                log.log(
                    logging.INFO if config.tokenizer == AUTO else logging.WARNING,
                    "chat.tokenizer is not used, prompts of %r are counted as without it: %s; give the folder or hub id of the "
                    "very model that the server runs, or set chat.tokenizer=null", self._model, why,
                )  # fmt: skip
        except BaseException:
            self.close()
            raise

    def count_tokens(self, messages: Messages) -> int:
        """See :meth:`~lavad_core.models.chat.prompt_counts.PromptCounts.exact`."""
        return self._counts.exact(messages)

    def at_most_tokens(self, messages: Messages) -> int:
        """See :meth:`~lavad_core.models.chat.prompt_counts.PromptCounts.at_most`."""
        return self._counts.at_most(messages)

    def answer(self, requests: Sequence[ChatRequest], together: str = "") -> Iterator[tuple[int, ChatAnswer]]:
        """See :meth:`~lavad_core.models.protocols.ChatModel.answer`. Requests of one ``together`` go to one server, as long
        as it answers."""

        def job(number: int, request: ChatRequest) -> Callable[[Post], Awaitable[ChatAnswer]]:
            async def ask(post: Post) -> ChatAnswer:
                held = request.distribution and not request.free
                async with self._choices.in_turn() if held else nullcontext():
                    return await self._ask(request, post, probe=number % PROBED == PROBED - 1)

            return ask

        return self._pool.run((job(number, request) for number, request in enumerate(requests)), together)

    def close(self) -> None:
        self._counts.close()
        self._pool.close()

    def _find_model(self, context_tokens: int) -> tuple[int, object]:
        """The context, and what the server says that the model's files are.

        By ``/v1/models`` rather than ``/health``: another server on this port is healthy too.
        """
        try:
            rows = listed_models(self._pool)
        except EndpointMissing as absent:
            # The chat endpoint alone can say what is wrong with the key or the address.
            trial = ChatRequest((("user", "Hello"),), TRIAL_TOKENS, 0.0, 1.0, 0)
            for _ in self.answer([trial]):
                log.warning(
                    "the server does not say what it serves (%s): that it runs %r, and that its context is "
                    "chat.context_tokens = %d, is believed", absent, self._model, context_tokens,
                )  # fmt: skip
            return context_tokens, None
        row = row_of(rows, self._model)
        if row is None:
            raise ModelError(
                f"{self._pool.shown_url} does not serve the model {self._model!r}; it serves {names_of(rows)} "
                "(set chat.model, or start the server with --served-model-name)"
            )
        return min(context_tokens, context_of(rows, self._model) or context_tokens), row.get("root")

    def _forms(self, messages: Messages) -> list[Messages]:
        """The forms in which a server may take messages, the likeliest first."""
        if self._way.folds:
            return [folded(messages)]
        return [messages, folded(messages)] if self._may_fold and has_system(messages) else [messages]

    async def _posted(self, request: ChatRequest, post: Post, also: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The server's answer; in another way if it refuses the one and takes the other. ``also`` are further fields."""
        refusals: list[RequestRejected] = []
        ways = [self._way]
        for way in ways:  # grows
            try:
                body = {**self._body(request, way), **(also or {})}
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

    def _others(self, way: RequestForm, refusal: RequestRejected, request: ChatRequest) -> Iterator[RequestForm]:
        """What to try after a refusal: told by status and field, never by words."""
        if refusal.field == way.limit == LIMIT:
            yield replace(way, limit=NEWER_LIMIT)
        about = refusal.field in ("", "messages")  # else something else is wrong with it
        if refusal.status in _MALFORMED and about and self._may_fold and not way.folds and has_system(request.messages):
            yield replace(way, folds=True)

    def _body(self, request: ChatRequest, way: RequestForm) -> dict[str, Any]:
        body: dict[str, Any] = {
            **self._extra,
            "model": self._model,
            "messages": way.messages(request.messages, request.pictures),
            way.limit: request.max_tokens,
            # All of these always: the model's generation_config.json replaces the server's defaults.
            "temperature": request.temperature,
            "top_p": request.top_p,
            "seed": request.seed,
        }
        if request.free:
            body |= self._words.asked()
        elif request.choices is not None:
            body["structured_outputs"] = {"choice": list(request.choices)}
            if request.distribution:
                body |= self._choices.asked(request.choices)
        return body

    async def _ask(self, request: ChatRequest, post: Post, *, probe: bool) -> ChatAnswer:
        try:
            try:
                answer = await self._posted(request, post)
            except ContentRefused:
                raise
            except RequestRejected as refusal:  # of the question; a refusal of a side question does not refuse the text
                spent = await self._control.blame(refusal, _form(request), lambda: self._asked_control(request, post))
                return ChatAnswer(refusal.words[:MOST_WORDS], "refused", *spent, follow_ups=int(spent != (0, 0)))
            text, finish_reason = parse_chat_answer(answer)
            if request.free and request.choices is not None and finish_reason != "refused":
                return await self._weighed(request, request.choices, answer, text, post)
            if (
                request.choices is not None
                and finish_reason != "refused"
                and (choice := without_thoughts(text).strip())
            ):
                text = choice
                if request.distribution:
                    return await self._traced(request, request.choices, answer, post, probe=probe)
        except ContentRefused:
            return ChatAnswer("", "refused", 0, 0)  # the server says nothing of tokens
        return ChatAnswer(text, finish_reason, *token_counts(answer))

    async def _asked_control(self, request: ChatRequest, post: Post) -> tuple[int, int]:
        """Tokens of an answer to a question like ``request``, about nothing that anybody would refuse."""
        (role, _), *before = reversed(request.messages)
        messages = (*reversed(before), (role, CONTROL_TEXT))
        pictures = (data_uri(blank(CONTROL_SIDE), CONTROL_QUALITY),) * len(request.pictures)
        return token_counts(await self._posted(replace(request, messages=messages, pictures=pictures), post))

    async def _weighed(
        self, request: ChatRequest, choices: tuple[str, ...], answer: dict[str, Any], text: str, post: Post
    ) -> ChatAnswer:
        """How probable it is that a free answer begins with each choice."""
        weighed = await self._words.weigh(choices, answer, post, functools.partial(self._posted, request, post))
        spent = [token_counts(answer), *weighed.spent]
        logs = weighed.log_probabilities
        return ChatAnswer(
            max(logs, key=logs.__getitem__) if logs else text,
            "stop",  # its one token is all that was asked for
            sum(prompt for prompt, _ in spent),
            sum(completion for _, completion in spent),
            logs,
            outside=weighed.outside,
            follow_ups=len(spent) - 1,
        )

    async def _traced(
        self, request: ChatRequest, choices: tuple[str, ...], answer: dict[str, Any], post: Post, *, probe: bool
    ) -> ChatAnswer:
        """The most probable choice, and how probable each is: what an answer was led to is not said by the model. With
        ``probe`` also what a free answer would begin with."""
        spent, outside = [token_counts(answer)], None
        if self._choices.lost_its_lead(answer):
            answer = await self._posted(request, post)
            spent.append(token_counts(answer))
        traced = await self._choices.trace(choices, answer, post)
        spent += traced.spent
        if probe:
            free = replace(request, choices=None, distribution=False, max_tokens=1)
            begun = await self._posted(free, post, self._choices.shown())
            spent.append(token_counts(begun))
            outside = outside_of(begun, traced.first)
        return ChatAnswer(
            traced.most_probable,
            "stop",
            sum(prompt for prompt, _ in spent),
            sum(completion for _, completion in spent),
            traced.log_probabilities,
            outside=outside,
            follow_ups=len(spent) - 1,
        )


def _form(request: ChatRequest) -> Hashable:
    """What a server may refuse of a request beside its texts, and which requests share it."""
    roles = tuple(role for role, _ in request.messages)
    return roles, len(request.pictures), request.choices, request.distribution, request.temperature, request.top_p


def _check(request: ChatRequest, answer: dict[str, Any], attempt: int, last: int) -> None:
    """See :class:`~lavad_core.models.chat.http.Call`."""
    text, finish_reason = parse_chat_answer(answer)
    checked_length(text, request.max_tokens)
    if finish_reason == "refused":
        return  # whatever else is in it
    if request.choices is None or request.free:
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
    words = f"the answer {text[:40]!r} is not one of the {len(request.choices)} choices"
    if attempt < min(TRIES_OUTSIDE_CHOICES, last):
        raise ServiceUnavailable(words)
    raise RequestRejected(
        200,
        f"{words}: the server ignores structured_outputs (vLLM before 0.12, or another server). Update it, or take the model "
        "into this process (chat.kind=transformers), where it is held to the choices too; score.answer=free-text is for "
        "models that say the number by themselves",
    )
