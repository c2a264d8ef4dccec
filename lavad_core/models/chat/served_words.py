"""How probable it is that a served model's free answer begins with each of some words.

The log-probabilities of the first token tell it, where a word is one token: any server that shows those of the most probable
tokens will do. A word that the tokenizer splits is followed token by token, which vLLM alone allows.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from lavad_core.errors import ContentRefused, RequestRejected
from lavad_core.models.chat.choices import FreeTree, NotConstrained, Position
from lavad_core.models.chat.http import Call, Post
from lavad_core.models.chat.replies import token_counts
from lavad_core.models.chat.served_choices import (
    ENOUGH_LEFT,
    MAX_FOLLOW_UPS,
    MAX_LEFT,
    TOP_LOGPROBS,
    ServedChoices,
    chat_position,
    check_finished,
    completion_positions,
)

_SPACES = ("Ġ", "▁")
"""How some servers show the space in front of a word: as the vocabulary's file has it."""


@dataclass(frozen=True)
class WeighedWords:
    """What was found out of one answer."""

    log_probabilities: dict[str, float] | None
    """Word to natural log-probability; they sum to 1. None where the answer does not tell."""
    outside: float | None
    """Probability of a first token that begins no word; None without log-probabilities."""
    spent: tuple[tuple[int, int], ...] = ()
    """Tokens of prompt and answer of each request beside the answer's own."""


class ServedWords:
    """Words at the beginning of one server's answers; safe with the tasks of one event loop."""

    def __init__(self, choices: ServedChoices) -> None:
        self._choices, self._follows = choices, True

    @staticmethod
    def asked() -> dict[str, Any]:
        """Fields of a chat request that any server knows which shows log-probabilities."""
        return {"logprobs": True, "top_logprobs": TOP_LOGPROBS}

    async def weigh(
        self,
        words: tuple[str, ...],
        answer: dict[str, Any],
        post: Post,
        again: Callable[[dict[str, Any]], Awaitable[dict[str, Any]]],
    ) -> WeighedWords:
        """
        Args:
            words: with their spellings.
            answer: to a request with the fields of :meth:`asked`.
            post: for what else has to be asked.
            again: the same question with further fields.

        Returns:
            What is known. Nothing is made up: it is None where more than ``MAX_LEFT`` of the words' probability may be hidden,
            below the tokens shown or in a split word that cannot be followed.
        """
        shown = _first_tokens(answer)
        if not shown:
            return WeighedWords(None, None)
        tree = FreeTree(words)
        root = tree.next()
        assert root is not None, "nothing was followed yet"
        logs = {number: log for number, (_, log) in enumerate(shown)}
        tree.follow(root, [Position(-1, logs)], {number: text for number, (text, _) in enumerate(shown)})
        inside = tree.known + tree.left()
        spent: list[tuple[int, int]] = []
        if self._follows and tree.left() > ENOUGH_LEFT * inside:
            tree = await self._followed(words, post, again, spent) or tree
        probabilities = [math.exp(log) for _, log in shown]
        hidden = min(*probabilities, max(0.0, 1.0 - math.fsum(probabilities))) if tree.missing() else 0.0
        unknown = tree.left() + hidden
        told = tree.known > 0 and unknown <= MAX_LEFT * (tree.known + unknown)
        return WeighedWords(tree.result() if told else None, min(1.0, max(0.0, 1.0 - inside)), tuple(spent))

    async def _followed(
        self,
        words: tuple[str, ...],
        post: Post,
        again: Callable[[dict[str, Any]], Awaitable[dict[str, Any]]],
        spent: list[tuple[int, int]],
    ) -> FreeTree | None:
        """The words, token by token; None from a server that does not allow it, which is not asked again."""
        tree = FreeTree(words)
        try:
            answer = await again(self._choices.shown() | {"return_token_ids": True})
            spent.append(token_counts(answer))
            prompt = [int(number) for number in answer["prompt_token_ids"]]
            position = chat_position(answer["choices"][0]["logprobs"]["content"][0])
            while (branch := tree.next()) is not None and len(spent) <= MAX_FOLLOW_UPS:
                if branch.tokens:
                    if tree.left() <= ENOUGH_LEFT * tree.known:
                        break
                    body = self._choices.completion([*prompt, *branch.tokens], 1)
                    answer = await post(Call("completions", body, check_finished))
                    spent.append(token_counts(answer))
                    position = completion_positions(answer)[0]
                await self._choices.learn_pieces([position], post)
                tree.follow(branch, [Position(-1, position.log_probabilities)], self._choices.pieces)
        except ContentRefused:
            raise
        except (RequestRejected, NotConstrained, KeyError, IndexError, TypeError, ValueError):
            self._follows = False
            return None
        return tree


def _first_tokens(answer: dict[str, Any]) -> list[tuple[str, float]]:
    """Text and log-probability of each token that is shown to be possible as the first; empty if it does not say."""
    try:
        row = answer["choices"][0]["logprobs"]["content"][0]
        tops = row.get("top_logprobs") or []
        rows = tops if row["token"] in [top["token"] for top in tops] else [*tops, row]
        given = [top for top in rows if top["logprob"] is not None]  # JSON has no other way to say minus infinity
        found = [(_piece(str(top["token"])), min(float(top["logprob"]), 0.0)) for top in given]
    except (KeyError, IndexError, TypeError, ValueError, AttributeError):
        return []
    return [(text, log) for text, log in found if not math.isnan(log)]


def _piece(token: str) -> str:
    return f" {token[1:]}" if token.startswith(_SPACES) else token
