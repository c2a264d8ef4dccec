"""A chat model in process, through transformers: for machines without a server.

It answers as the served one does for the same weights: the same template, the same mask of tokens for choices and the
same definition of their probabilities (:mod:`.choices`). Sampled answers differ, since the random numbers do.
"""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

import torch
import transformers

from lavad_core.config.models import LocalChatConfig
from lavad_core.errors import InternalError, Interrupted, LavadError, ModelError, RequestRejected
from lavad_core.method.summarising import Messages
from lavad_core.models.batching import Batcher
from lavad_core.models.chat.choice_table import choice_table
from lavad_core.models.chat.choices import ChoiceTree, FreeTree
from lavad_core.models.chat.generating import ChatDecoder
from lavad_core.models.chat.ready import ReadyAnswers
from lavad_core.models.chat.roles import decided, folded
from lavad_core.models.chat.template import ChatTemplate, default_template, system_role_of
from lavad_core.models.chat.thoughts import is_mark, opened_by
from lavad_core.models.chat.writing import Generated, Item
from lavad_core.models.devices import free, resolve_device, resolve_dtype
from lavad_core.models.loading import loading, placed
from lavad_core.models.protocols import ChatAnswer, ChatRequest
from lavad_core.models.shared_batches import SharedBatches, Ticket

_HF: Any = transformers

_LOG = logging.getLogger(__name__)

TABLES_KEPT = 64
"""Tables that are kept, one per list of choices; a run has one list."""

CONTEXT_FOR_DECODING = 6
"""Prompt tokens decoded with an answer and taken off again: a decoder drops the space in front of a text's first token,
and the answer's first token is not the text's first."""


STOPPED = "the run is being stopped; answers that were not finished will be asked for again"

TOKENS_OF_A_MARK = 16
"""Tokens at a prompt's end within which a mark of a thought and the line breaks after it lie."""


class LocalChat:
    """A :class:`~lavad_core.models.protocols.ChatModel` in this process. :meth:`answer` is for several threads at once if it
    has shared batches, otherwise for one at a time; :meth:`count_tokens` may be called beside it.

    An answer does not depend on the other requests of its batch but through rounding in the last digits of the logits: each
    request draws its random numbers from a generator of its own, seeded with ``ChatRequest.seed``.

    Attributes:
        context_tokens: most tokens of prompt and answer together.
        shared_batches: its batches, of the requests of all videos; None on a CPU.
    """

    def __init__(
        self, model: Any, tokenizer: Any, device: torch.device, batch_size: int, template: ChatTemplate, *, folds: bool
    ) -> None:
        """Use :meth:`load`."""
        self._model, self._tokenizer, self._device = model, tokenizer, device
        self._template, self._folds = template, folds
        self._batcher = Batcher(batch_size, device, what="requests")
        # Neighbours change the last digits of probabilities, which are stored. A CPU computes one video after the other, so
        # that a run gives the same bytes again; a GPU, which gains by full batches, promises no last digits.
        self.shared_batches = self._new_batches() if device.type != "cpu" else None
        self._stopping = threading.Event()
        self.context_tokens = int(model.config.get_text_config().max_position_embeddings)
        ends = model.generation_config.eos_token_id
        ends = {tokenizer.eos_token_id, *(ends if isinstance(ends, list) else [ends])} - {None}
        sayable = sorted(end for end in ends if end < len(tokenizer))
        table_of = functools.lru_cache(TABLES_KEPT)(
            lambda choices: choice_table(choices, self._pieces.items(), sayable, device)
        )
        self._decoder: ChatDecoder | None = ChatDecoder(model, len(tokenizer), sayable, table_of, device)
        # A tokenizer's file may hold settings of padding and truncation. The first use takes them off, which must not happen
        # while another thread is using it; later uses change nothing.
        tokenizer("", add_special_tokens=False)

    @classmethod
    def load(cls, config: LocalChatConfig, path_or_id: str) -> LocalChat:
        """Load the weights to the configured device.

        Args:
            config: ``revision`` is used for a hub id only.
            path_or_id: local folder or hub id.

        Raises:
            ModelError: it is not there, is damaged, or has no chat template that can be used.
            DeviceOutOfMemory: the weights do not fit.
        """
        device = resolve_device(config.device)
        dtype = resolve_dtype(config.dtype, device, torch.float16)
        where = {"revision": config.revision} if config.revision else {}
        name = repr(path_or_id)
        with loading("chat", name):
            settings, _ = _HF.PretrainedConfig.get_config_dict(path_or_id, **where)
            kind = settings.get("model_type")
            if "auto_map" in settings and kind not in _HF.CONFIG_MAPPING:
                raise ModelError(
                    f"chat model {name} is of a kind ({kind!r}) that is a program in its own repository, and such programs are "
                    "not run; choose a model whose kind transformers has, or serve it elsewhere (chat.kind: openai)"
                )
            tokenizer = _HF.AutoTokenizer.from_pretrained(path_or_id, trust_remote_code=False, **where)
            model, report = _HF.AutoModelForCausalLM.from_pretrained(
                path_or_id, dtype=dtype, trust_remote_code=False, output_loading_info=True, **where
            )
        if report["missing_keys"]:
            raise ModelError(f"chat model {name} lacks weights: {sorted(report['missing_keys'])[:5]}")
        source = default_template(tokenizer.chat_template)
        if source is None:
            raise ModelError(f"chat model {name} has no chat template; give a chat model, not a base model")
        template = ChatTemplate(source, {**tokenizer.special_tokens_map, **config.template_kwargs}, path_or_id)
        role = decided(config.system_role, lambda: system_role_of(template), path_or_id)
        weights = placed(model, device, dtype, name, "chat.dtype")
        _LOG.info("chat: batches of %d", config.batch_size)
        return cls(weights, tokenizer, device, config.batch_size, template, folds=role == "fold")

    def count_tokens(self, messages: Messages) -> int:
        """Tokens of the rendered prompt."""
        return len(self._render(messages))

    def answer(
        self,
        requests: Sequence[ChatRequest],
        *,
        at_work: Callable[[], AbstractContextManager[Any]] = nullcontext,
        check_stop: Callable[[], None] = lambda: None,
    ) -> ReadyAnswers[tuple[int, ChatAnswer]]:
        """See :meth:`~lavad_core.models.protocols.ChatModel.answer`. All prompts are checked before the first is asked.
        Requests of several threads are answered in common batches if there are :attr:`shared_batches`.

        Args:
            requests: what is asked.
            at_work: entered while this thread computes a batch, requests of other threads among it.
            check_stop: raises Interrupted when the caller is being stopped; asked before each batch and wait.

        Raises:
            RequestRejected: a prompt that the template refuses, or that does not fit the context with its answer.
            ModelError: the model's logits are not finite.
            DeviceOutOfMemory: one request alone does not fit.
            Interrupted: after :meth:`interrupt`, when what was finished has been given.
        """
        return ReadyAnswers(self._rounds(requests, at_work, check_stop))

    def interrupt(self) -> None:
        """Let the batch in progress end at its next token; for signals. What it has finished is still given."""
        self._stopping.set()

    def _rounds(
        self,
        requests: Sequence[ChatRequest],
        at_work: Callable[[], AbstractContextManager[Any]],
        check_stop: Callable[[], None],
    ) -> Generator[list[tuple[int, ChatAnswer]], None, None]:
        """The answers, as batches give them."""
        items = self._items(requests)
        # Alike lengths together: less padding.
        order = sorted(range(len(items)), key=lambda number: len(items[number].prompt))
        waiting: dict[int, Ticket[Item, ChatAnswer | LavadError]] = {}

        def finished() -> list[tuple[int, ChatAnswer]]:
            """Answers that were not given yet. An error of one batch does not take those of another with it."""
            answers: list[tuple[int, ChatAnswer]] = []
            for number in [number for number, ticket in waiting.items() if ticket.done]:
                try:
                    outcome = waiting.pop(number).outcome()
                except Exception as error:  # whatever it is: it is raised when these answers have been given
                    faults.append(error)
                    continue
                if isinstance(outcome, ChatAnswer):
                    answers.append((number, outcome))
                else:
                    faults.append(outcome)
            return answers

        def check() -> None:
            check_stop()
            if self._stopping.is_set():
                raise Interrupted(STOPPED)

        faults: list[Exception] = []
        try:
            batches = self.shared_batches or self._new_batches()
            with batches.session(at_work=at_work, check_stop=check) as session:
                while (order or waiting) and not faults:
                    try:
                        if order:
                            waiting[order[0]] = session.submit(items[order[0]])
                            del order[0]
                        else:
                            session.result(next(iter(waiting.values())))
                    except Exception as error:  # likewise
                        faults.append(error)
                    if answers := finished():
                        yield answers
        finally:
            if self._decoder is not None:
                self._decoder.forget()
        if faults:
            raise faults[0]

    def _items(self, requests: Sequence[ChatRequest]) -> list[Item]:
        """
        Raises:
            RequestRejected: a prompt that the template refuses, or that does not fit the context with its answer.
            InternalError: the model was released.
        """
        if self._model is None:
            raise InternalError("this chat model was released; ask the pool for it again")
        items = [Item(self._render(request.messages), request) for request in requests]
        for item in items:
            if len(item.prompt) + item.request.max_tokens > self.context_tokens:
                raise RequestRejected(
                    400,
                    f"a prompt of {len(item.prompt)} tokens and an answer of up to {item.request.max_tokens} exceed the "
                    f"model's context of {self.context_tokens}",
                )
        return items

    def _new_batches(self) -> SharedBatches[Item, ChatAnswer | LavadError]:
        return SharedBatches(self._outcomes, lambda: self._batcher.batch_size, size_of=lambda item: len(item.prompt))

    def _outcomes(self, items: Sequence[Item]) -> list[ChatAnswer | LavadError]:
        """The answers of a batch; in place of one an error that is its own: others of the batch are of other videos."""
        generated = self._batcher.run(items, self._generate)
        whole = [(item, said) for item, said in zip(items, generated, strict=True) if said is not None]
        distributions = iter(self._distributions(whole))
        outcomes: list[ChatAnswer | LavadError] = []
        for item, said in zip(items, generated, strict=True):
            try:
                if said is None:
                    raise Interrupted(STOPPED)
                outcomes.append(self._read(item, said, next(distributions)))
            except (Interrupted, RequestRejected) as error:
                outcomes.append(error)
        return outcomes

    def _read(self, item: Item, said: Generated, log_probabilities: dict[str, float] | None) -> ChatAnswer:
        """
        Raises:
            RequestRejected: ``max_tokens`` cut off a choice.
        """
        choices = item.request.choices
        text = self._text(item.prompt, said.tokens)
        if choices is None:
            # The template may have begun a thought for the model.
            end = self._tokenizer.decode(item.prompt[-TOKENS_OF_A_MARK:], skip_special_tokens=False)
            text = opened_by(end) + text
        elif not item.request.free and (said.finish_reason != "stop" or text not in choices):
            raise RequestRejected(
                400, f"max_tokens {item.request.max_tokens} ended the answer at {text[:40]!r}, before a whole choice"
            )
        else:
            text = text.strip()
        if log_probabilities:
            text = max(log_probabilities, key=log_probabilities.__getitem__)
        return ChatAnswer(
            text,
            "stop" if item.request.free else said.finish_reason,  # its one token is all that was asked for
            len(item.prompt),
            said.completion_tokens,
            log_probabilities or None,
            outside=said.outside,
        )

    def close(self) -> None:
        """Free the device memory. A later call of :meth:`answer` is an InternalError."""
        self._model = self._decoder = None
        self._template.close()
        free(self._device)

    def _render(self, messages: Messages) -> list[int]:
        """Token ids of the prompt. The template writes the first token (BOS) itself: the tokenizer must not add another."""
        text = self._template.render(folded(messages) if self._folds else messages)
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def _text(self, prompt: list[int], tokens: list[int]) -> str:
        """What was generated, special tokens left out but for those around a thought."""
        parts, start = list[str](), 0
        marks = [at for at, token in enumerate(tokens) if token in self._thought_marks]
        for at in [*marks, len(tokens)]:
            parts.append(self._decoded(tokens[:start] or prompt, tokens[start:at]))
            parts += [self._thought_marks[token] for token in tokens[at : at + 1]]
            start = at + 1
        return "".join(parts)

    def _decoded(self, before: list[int], tokens: list[int]) -> str:
        context = before[-CONTEXT_FOR_DECODING:]
        known = self._tokenizer.decode(context, skip_special_tokens=True)
        text: str = self._tokenizer.decode(context + tokens, skip_special_tokens=True)
        return text.removeprefix(known)

    @functools.cached_property
    def _thought_marks(self) -> dict[int, str]:
        """Special tokens that begin or end a thought, by id."""
        special = zip(self._tokenizer.all_special_ids, self._tokenizer.all_special_tokens, strict=True)
        return {number: text for number, text in special if is_mark(text)}

    @functools.cached_property
    def _pieces(self) -> dict[int, str]:
        """Text of every ordinary token. Decoders drop the space in front of a text's first token, so each is decoded once
        and twice in a row: what the second adds is its true text."""
        special = set(self._tokenizer.all_special_ids)
        numbers = [number for number in range(len(self._tokenizer)) if number not in special]
        once = self._tokenizer.batch_decode([[number] for number in numbers])
        twice = self._tokenizer.batch_decode([[number, number] for number in numbers])
        return {number: two.removeprefix(one) for number, one, two in zip(numbers, once, twice, strict=True)}

    def _distributions(self, said: list[tuple[Item, Generated]]) -> list[dict[str, float] | None]:
        """The distributions of the items that ask for one; None for the others."""
        trees: dict[int, ChoiceTree] = {}
        for number, (item, generated) in enumerate(said):
            if item.request.distribution and item.request.choices is not None:
                tree = (FreeTree if item.request.free else ChoiceTree)(item.request.choices)
                trees[number] = tree
                first = tree.next()
                assert first is not None
                tree.follow(first, generated.positions, self._pieces)
        while True:
            followed = [(number, tree, branch) for number, tree in trees.items() if (branch := tree.next()) is not None]
            if not followed:
                break
            branches = [
                replace(said[number][0], said=branch.tokens, text=branch.text, follow_up=True)
                for number, _, branch in followed
            ]
            for (_, tree, branch), more in zip(followed, self._batcher.run(branches, self._generate), strict=True):
                assert more is not None, "a follow-up goes on to its end"
                tree.follow(branch, more.positions, self._pieces)
        return [trees[number].result() if number in trees else None for number in range(len(said))]

    def _generate(self, items: Sequence[Item]) -> list[Generated | None]:
        """None for what :meth:`interrupt` cut off: it is not an answer."""
        assert self._decoder is not None, "it is there as long as the model is"
        # Follow-ups are a few tokens, and complete an answer.
        return self._decoder.run(items, lambda: self._stopping.is_set() and not items[0].follow_up)
