"""How well the small language model does what it was taught, on captions of clips that it has not seen."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from lavad.demo import grammar
from lavad.demo.training.llama import SEPARATOR
from lavad.demo.training.mistakes import Windows, tracks
from lavad.demo.training.summaries import HEDGES, act_of, rating, summary
from lavad_core.config.models import LocalChatConfig
from lavad_core.method import prompts
from lavad_core.method.scoring import choices, parse_choice, score_messages
from lavad_core.method.summarising import Messages, summary_messages
from lavad_core.models.chat.in_process import LocalChat
from lavad_core.models.protocols import ChatRequest

ANSWER_TOKENS = 64


def measure(folder: Path, seed: int = 0, windows: int = 300, clips: int = 100) -> dict[str, dict[str, float]]:
    """Measures on noisy windows of validation clips, and of demonstration-like clips with held-out combinations only.

    Args:
        folder: where the model is.
        seed: seed of clips and mistakes; no demonstration has clips with these seeds.
        windows: how many of each are measured.
        clips: that they are of.
    """
    chat = LocalChat.load(LocalChatConfig(model=str(folder), device="cpu", batch_size=64), str(folder))
    seen = Windows(tracks("validation", seed + 1000, range(clips)), seed)
    new = Windows(
        [track for track in tracks("demo", seed + 1000, range(clips)) if _held_out(track.scenes)], seed, held_out=True
    )
    return {
        "validation": _measure(chat, [seen.one() for _ in range(windows)], seed),
        "held_out": _measure(chat, [new.one() for _ in range(windows)], seed),
    }


def _held_out(scenes: Sequence[grammar.Scene]) -> bool:
    return any(grammar.is_held_out(scene.act, scene.place, scene.who, scene.thing) for scene in scenes)


def _measure(chat: LocalChat, windows: Sequence[Sequence[str]], seed: int) -> dict[str, float]:
    """Fractions of windows where an answer is as the rule has it; ``rating_off_by`` is a mean."""
    wanted = [summary(captions) for captions in windows]
    said = summarise(chat, windows)
    context = list(prompts.CONTEXT)[seed % len(prompts.CONTEXT)]
    own = [captions[len(captions) // 2] for captions in windows]
    scores, of_rule, single = (rate(chat, texts, context) for texts in (said, wanted, own))
    true = np.array([rating(text) for text in wanted])
    pairs = list(zip(said, wanted, strict=True))
    return {
        "windows": len(windows),
        "same_act": _mean(_main_act(a) == _main_act(b) for a, b in pairs),
        "same_hedge": _mean(_hedge(a) == _hedge(b) for a, b in pairs),
        "same_first_sentence": _mean(a.split(". ")[0] == b.split(". ")[0] for a, b in pairs),
        "same_summary": _mean(a == b for a, b in pairs),
        "rating_of_rule_right": _mean(np.isclose(of_rule, true)),
        "rating_of_caption_right": _mean(np.isclose(single, [rating(text) for text in own])),
        "rating_off_by": _mean(np.abs(scores - true)),
        "alarm_right": _mean((scores >= 0.4) == (true >= 0.4)),
    }


def summarise(chat: LocalChat, windows: Sequence[Sequence[str]]) -> list[str]:
    """Greedy summaries."""
    return _ask(chat, [summary_messages(captions, prompts.SUMMARY, SEPARATOR) for captions in windows], None)


def rate(chat: LocalChat, texts: Sequence[str], context: str) -> np.ndarray:
    """Greedy ratings among the choices, NaN for none."""
    messages = [score_messages(text, prompts.CONTEXT[context], prompts.FORMAT) for text in texts]
    values = [parse_choice(answer) for answer in _ask(chat, messages, choices())]
    return np.array([np.nan if value is None else value for value in values])


def _ask(chat: LocalChat, messages: Sequence[Messages], allowed: tuple[str, ...] | None) -> list[str]:
    requests = [ChatRequest(tuple(each), ANSWER_TOKENS, 0.0, 1.0, 0, allowed) for each in messages]
    answers = dict(chat.answer(requests))
    return [answers[number].text.strip() for number in range(len(requests))]


def _mean(values: Iterable[float]) -> float:
    return round(float(np.mean(list(values))), 4)


def _hedge(text: str) -> str:
    return next(hedge for hedge in HEDGES if text.startswith(hedge))


def _main_act(text: str) -> str | None:
    return act_of(text.removeprefix(_hedge(text)).split(". ")[0].strip().lower())
