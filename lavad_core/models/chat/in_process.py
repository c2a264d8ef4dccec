"""A chat model in process, through transformers: for machines without a server.

It answers as the served one does for the same weights: the same template, the same mask of tokens for choices and the
same definition of their probabilities (:mod:`.choices`). Sampled answers differ, since the random numbers do.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
import transformers

from lavad_core.config.models import LocalChatConfig
from lavad_core.errors import InternalError, Interrupted, ModelError, RequestRejected
from lavad_core.method.summarising import Messages
from lavad_core.models.batching import Batcher
from lavad_core.models.chat.choices import ChoiceTree, Position, TokenMask
from lavad_core.models.chat.ready import ReadyAnswers
from lavad_core.models.chat.roles import folded
from lavad_core.models.chat.template import ChatTemplate, default_template, system_role_of
from lavad_core.models.chat.thoughts import is_mark, opened_by
from lavad_core.models.devices import free, resolve_device, resolve_dtype
from lavad_core.models.finite import way_out
from lavad_core.models.loading import cache_name, loading, placed
from lavad_core.models.protocols import ChatAnswer, ChatRequest, FinishReason

_HF: Any = transformers

GREEDY_BELOW = 1e-5
"""Temperatures under it are greedy, as in vLLM: dividing by them overflows."""

MASKS_KEPT = 64
"""Masks that are kept, one per list of choices; a run has one list."""

CONTEXT_FOR_DECODING = 6
"""Prompt tokens decoded with an answer and taken off again: a decoder drops the space in front of a text's first token,
and the answer's first token is not the text's first."""


TOKENS_OF_A_MARK = 16
"""Tokens at a prompt's end within which a mark of a thought and the line breaks after it lie."""


@dataclass(frozen=True)
class _Item:
    """One generation. ``said`` and ``text`` are what was generated before (a branch), and are not in the result."""

    prompt: list[int]
    request: ChatRequest
    said: tuple[int, ...] = ()
    text: str = ""
    follow_up: bool = False


@dataclass(frozen=True)
class _Generated:
    tokens: list[int]
    finish_reason: FinishReason
    positions: list[Position]
    completion_tokens: int
    outside: float | None


class LocalChat:
    """A :class:`~lavad_core.models.protocols.ChatModel` in this process. :meth:`answer` is for one thread at a time;
    :meth:`count_tokens` may be called beside it.

    An answer does not depend on the other requests of its batch but through rounding in the last digits of the logits: each
    request draws its random numbers from a generator of its own, seeded with ``ChatRequest.seed``.
    """

    def __init__(
        self, model: Any, tokenizer: Any, device: torch.device, batch_size: int, template: ChatTemplate, *, folds: bool
    ) -> None:
        """Use :meth:`load`."""
        self._model, self._tokenizer, self._device = model, tokenizer, device
        self._template, self._folds = template, folds
        self._batcher = Batcher(batch_size, device, what="requests")
        self._stopping = threading.Event()
        self.context_tokens = int(model.config.get_text_config().max_position_embeddings)
        ends = model.generation_config.eos_token_id
        self._ends = {tokenizer.eos_token_id, *(ends if isinstance(ends, list) else [ends])} - {None}
        self._mask = functools.lru_cache(MASKS_KEPT)(lambda choices: TokenMask(choices, self._pieces.items()))
        self._cache_name = cache_name(model)
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
        template = ChatTemplate(source, tokenizer.special_tokens_map, path_or_id)
        role = system_role_of(template) if config.system_role == "auto" else config.system_role
        weights = placed(model, device, dtype, name, "chat.dtype")
        return cls(weights, tokenizer, device, config.batch_size, template, folds=role == "fold")

    def count_tokens(self, messages: Messages) -> int:
        """Tokens of the rendered prompt."""
        return len(self._render(messages))

    def answer(self, requests: Sequence[ChatRequest]) -> ReadyAnswers[tuple[int, ChatAnswer]]:
        """See :meth:`~lavad_core.models.protocols.ChatModel.answer`. All prompts are checked before the first is asked.

        Raises:
            RequestRejected: a prompt that the template refuses, or that does not fit the context with its answer.
            ModelError: the model's logits are not finite.
            DeviceOutOfMemory: one request alone does not fit.
            Interrupted: after :meth:`interrupt`, when what was finished has been given.
        """
        return ReadyAnswers(self._rounds(requests))

    def interrupt(self) -> None:
        """Let the batch in progress end at its next token; for signals. What it has finished is still given."""
        self._stopping.set()

    def _rounds(self, requests: Sequence[ChatRequest]) -> Generator[list[tuple[int, ChatAnswer]], None, None]:
        """The answers of one batch after the other."""
        if self._model is None:
            raise InternalError("this chat model was released; ask the pool for it again")
        items = [_Item(self._render(request.messages), request) for request in requests]
        for item in items:
            if len(item.prompt) + item.request.max_tokens > self.context_tokens:
                raise RequestRejected(
                    400,
                    f"a prompt of {len(item.prompt)} tokens and an answer of up to {item.request.max_tokens} exceed the "
                    f"model's context of {self.context_tokens}",
                )
        # Alike lengths together: less padding.
        order = sorted(range(len(items)), key=lambda number: len(items[number].prompt))
        while order:
            batch, order = order[: self._batcher.batch_size], order[self._batcher.batch_size :]
            asked = [items[number] for number in batch]
            whole = [
                (number, item, generated)
                for number, item, generated in zip(batch, asked, self._batcher.run(asked, self._generate), strict=True)
                if generated is not None
            ]
            distributions = self._distributions([(item, generated) for _, item, generated in whole])
            done: list[tuple[int, ChatAnswer]] = []
            for (number, item, generated), log_probabilities in zip(whole, distributions, strict=True):
                choices = item.request.choices
                text = self._text(item.prompt, generated.tokens)
                if choices is None:
                    # The template may have begun a thought for the model.
                    end = self._tokenizer.decode(item.prompt[-TOKENS_OF_A_MARK:], skip_special_tokens=False)
                    text = opened_by(end) + text
                if choices is not None and (generated.finish_reason != "stop" or text not in choices):
                    raise RequestRejected(
                        400,
                        f"max_tokens {item.request.max_tokens} ended the answer at {text[:40]!r}, before a whole choice",
                    )
                if choices is not None:
                    text = text.strip()
                if log_probabilities is not None:
                    text = max(log_probabilities, key=log_probabilities.__getitem__)
                answer = ChatAnswer(
                    text,
                    generated.finish_reason,
                    len(item.prompt),
                    generated.completion_tokens,
                    log_probabilities,
                    outside=generated.outside,
                )
                done.append((number, answer))
            yield done
            if self._stopping.is_set():
                raise Interrupted("the run is being stopped; answers that were not finished will be asked for again")

    def close(self) -> None:
        """Free the device memory. A later call of :meth:`answer` is an InternalError."""
        self._model = None
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

    def _distributions(self, said: list[tuple[_Item, _Generated]]) -> list[dict[str, float] | None]:
        """The distributions of the items that ask for one; None for the others."""
        trees: dict[int, ChoiceTree] = {}
        for number, (item, generated) in enumerate(said):
            if item.request.distribution and item.request.choices is not None:
                tree = ChoiceTree(item.request.choices)
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

    @torch.inference_mode()
    def _generate(self, items: Sequence[_Item]) -> list[_Generated | None]:
        """None for what :meth:`interrupt` cut off: it is not an answer."""
        writers = [_Writer(item, self._mask(item.request.choices) if item.request.choices else None) for item in items]
        sequences = [[*item.prompt, *item.said] for item in items]
        longest = max(map(len, sequences))
        filler = next(iter(self._ends), 0)
        ids = torch.tensor([[filler] * (longest - len(s)) + s for s in sequences], device=self._device)
        attention = torch.tensor([[0] * (longest - len(s)) + [1] * len(s) for s in sequences], device=self._device)
        positions = (attention.cumsum(1) - 1).clamp(min=0)
        cache = None
        while True:
            output = self._model(
                input_ids=ids,
                attention_mask=attention,
                position_ids=positions,
                use_cache=True,
                logits_to_keep=1,  # of all positions they would be gigabytes
                **{self._cache_name: cache},
            )
            cache = output[self._cache_name]
            logits = output.logits[:, -1, : len(self._tokenizer)].double().cpu()
            if not torch.isfinite(logits).all():
                raise ModelError(
                    f"the chat model's logits in {self._model.dtype} are not finite; "
                    + way_out(self._model.dtype, "chat.dtype")
                )
            following = [
                filler if writer.done else writer.write(row, self._ends)
                for writer, row in zip(writers, logits, strict=True)
            ]
            stop = self._stopping.is_set() and not items[0].follow_up  # those are a few tokens, and complete an answer
            if stop or all(writer.done for writer in writers):
                return [writer.result() if writer.done else None for writer in writers]
            ids = torch.tensor(following, device=self._device)[:, None]
            attention = torch.cat([attention, attention.new_ones(len(items), 1)], dim=1)
            positions = positions[:, -1:] + 1


class _Writer:
    """Chooses the tokens of one answer."""

    def __init__(self, item: _Item, mask: TokenMask | None) -> None:
        self._request, self._mask, self._text = item.request, mask, item.text
        self._greedy = item.follow_up or item.request.temperature < GREEDY_BELOW
        # A follow-up has nothing to say: its answer's end is where the choices end.
        self._most = max(map(len, item.request.choices or ("",))) if item.follow_up else item.request.max_tokens
        self._random = torch.Generator().manual_seed(item.request.seed)
        self._tokens: list[int] = []
        self._positions: list[Position] = []
        self._ended: FinishReason | None = None
        self._end_tokens = 0
        self._outside: float | None = None

    @property
    def done(self) -> bool:
        return self._ended is not None

    def write(self, logits: torch.Tensor, ends: set[int]) -> int:
        """The next token, given float64 logits [vocabulary]."""
        pieces: dict[int, str] = {}
        if self._mask is not None:
            pieces = self._mask.allowed(self._text)
            if self._mask.complete(self._text):
                pieces |= dict.fromkeys(ends, "")
            if not pieces:
                raise ModelError(f"the chat model has no token that continues {self._text!r} to one of the choices")
            allowed = sorted(pieces)
            if not self._tokens:
                inside = torch.exp(torch.logsumexp(logits[allowed], dim=0) - torch.logsumexp(logits, dim=0))
                self._outside = min(1.0, max(0.0, 1.0 - float(inside)))
            values = torch.log_softmax(logits[allowed], dim=0)
            token = allowed[self._pick(values)]
            if self._request.distribution:
                self._positions.append(Position(token, dict(zip(allowed, values.tolist(), strict=True))))
        else:
            token = self._pick(logits)
        if token in ends:
            self._ended, self._end_tokens = "stop", 1
            return token
        self._tokens.append(token)
        self._text += pieces.get(token, "")
        if len(self._tokens) == self._most:
            self._ended = "length"
        return token

    def _pick(self, logits: torch.Tensor) -> int:
        """Greedy, or by the inverse of the cumulative distribution of the nucleus, most probable first: rounding changes a
        draw only if it falls within it of a border."""
        if self._greedy:
            return int(logits.argmax())
        probabilities = torch.softmax(logits / self._request.temperature, dim=0)
        sorted_ones, numbers = torch.sort(probabilities, descending=True, stable=True)
        below = sorted_ones.cumsum(0) - sorted_ones
        nucleus = sorted_ones[below < self._request.top_p]  # the smallest set that reaches top_p
        draw = torch.rand((), generator=self._random, dtype=torch.float64) * nucleus.sum()
        return int(numbers[min(int((nucleus.cumsum(0) <= draw).sum()), len(nucleus) - 1)])

    def result(self) -> _Generated:
        assert self._ended is not None
        tokens = len(self._tokens) + self._end_tokens
        return _Generated(self._tokens, self._ended, self._positions, tokens, self._outside)
