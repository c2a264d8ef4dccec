"""What a reasoning model says to itself, taken off its answer. Pure.

Servers that know the model put the thought in a field of its own; the others leave it in the text, each model in its own marks:
``<think>…</think>`` (DeepSeek, Qwen), ``[THINK]…[/THINK]`` (Magistral), ``◁think▷…◁/think▷`` (Kimi),
``<|START_THINKING|>…<|END_THINKING|>`` (Command A), the channels of gpt-oss, and more. Where the template opens the thought
in the prompt, only its end is in the answer. Words alone are not a mark: a text that speaks of thinking stays as it is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_NAME = (
    r"(?:[a-z]+[:_▁]|ant)?(?:think(?:ing)?(?:_process)?|thoughts?(?:_process)?|reasoning|reason|reflection|scratchpad|cot"
    r"|chain_of_thought|inner_monologue|internal|analysis|planning|deliberation|rationale|inner_(?=prefix|suffix))"
)
_ATTRIBUTES = r"""(?:\s+[\w:-]+\s*=\s*(?:"[^"<>]*"|'[^'<>]*'|[^\s<>"'/]+))*"""
_SQUARE_NAME = r"(?:think|(?-i:THINKING|THOUGHT|REASONING))"  # "[thinking]" in small letters may be part of a text
_MARK = re.compile(
    rf"""
      (?:<|&lt;) \s* (?P<close>\\?/?) \s* (?P<name>{_NAME}) {_ATTRIBUTES} (?P<empty>/?) \s* (?:>|&gt;)
    | <[|｜] \s* (?P<pipe>(?:/|(?:end|begin|start)[_▁](?:of[_▁])?)? {_NAME} (?:_begin|_start|_end|prefix|suffix)?) \s* [|｜]>
    | \[ (?P<square_close>/?) (?P<square>{_SQUARE_NAME}) \]
    | <unused\d+>thought\b (?P<medgemma>) | (?P<medgemma_close><unused\d+>)
    | ◁ \s* (?P<kimi_close>/?) \s* (?P<kimi>{_NAME}) \s* ▷
    | <details\s[^<>]*?type=["']?reasoning[^<>]*> (?P<details>) | (?P<details_close></details\s*>)
    | <\|channel>\s*(?:thought|analysis)\b (?P<gemma>) | (?P<gemma_close><channel\|>)
    | \A\s*(?P<ollama>Thinking\.\.\.)\s*$ | ^[ \t]*(?P<ollama_close>\.\.\.done\ thinking\.)
    | ^[ \t]*```[ \t]*(?:think(?:ing)?|thought|reasoning)[ \t]*$ (?P<fence>)
    """,
    re.IGNORECASE | re.VERBOSE | re.MULTILINE,
)
_FENCE_END = re.compile(r"^[ \t]*```[ \t]*$", re.MULTILINE)

_CHANNEL = re.compile(
    r"<\|channel\|>\s*(?P<channel>\w+)(?:(?!<\|message\|>).){0,200}<\|message\|>(?P<text>.*?)"
    r"(?=<\|(?:end|return|call|start|channel)\|>|\Z)",
    re.DOTALL,
)
_CHANNEL_STARTED = re.compile(r"<\|(?:channel|message)\|>")
_CHANNELS_JOINED = re.compile(r"\A\s*(?:analysis|commentary)(?=[^\W_]|.*assistantfinal)", re.DOTALL)
"""The format with its special tokens dropped: ``analysisWe need …assistantfinalA man walks.``"""
_FINAL_JOINED = re.compile(r"\A\s*final(?=[A-Z\[\"])")

_GRANITE = re.compile(r"\A\s*here(?: is|'s|’s) my thought process:", re.IGNORECASE)
_GRANITE_ANSWER = re.compile(r"here(?: is|'s|’s) my response:", re.IGNORECASE)
"""Granite 3.2 has these two sentences as its marks."""

_ANSWER_NAMES = r"(?:final_?answer|answer|conclusion|response|output|solution|summary|final|box)"
_AROUND = re.compile(
    rf"\A\s*<(?P<name>{_ANSWER_NAMES})>(?P<text>(?:(?!</(?P=name)>).)*)(?:</(?P=name)>.*)?\Z", re.IGNORECASE | re.DOTALL
)
_AROUND_PIPES = re.compile(rf"<\|\s*(?:begin_of_|end_of_|start_|end_){_ANSWER_NAMES}\s*\|>", re.IGNORECASE)
"""Marks around the answer itself, which go too."""


def without_thoughts(text: str) -> str:
    """The part of an answer that is meant for the user.

    Returns:
        ``text`` itself if there is no thought in it; otherwise the rest without surrounding white space. Empty if a thought
        has no end: what follows its beginning is a thought, and what is before it need not be the whole answer.
    """
    if _CHANNEL_STARTED.search(text):
        finals = [found["text"] for found in _CHANNEL.finditer(text) if found["channel"].lower() == "final"]
        return _bare("\n".join(finals))
    if _CHANNELS_JOINED.match(text):
        return _bare(text.rpartition("assistantfinal")[2]) if "assistantfinal" in text else ""
    if found := _FINAL_JOINED.match(text):
        return _bare(text[found.end() :])
    if _GRANITE.match(text):
        answer = _GRANITE_ANSWER.split(text)
        return _bare(answer[-1]) if len(answer) > 1 else ""
    if not _MARK.search(text):
        around = _AROUND.match(text)
        return _bare(text) if around or _AROUND_PIPES.search(text) else text
    outside = _outside_marks(text)
    return "" if outside is None else _bare(outside)


def opened_by(prompt: str) -> str:
    """The mark with which a prompt ends, so that the answer begins within a thought; empty if it does not."""
    end = prompt.rstrip()
    for found in _MARK.finditer(end):
        if found.end() == len(end) and _read(found).opens:
            return found[0]
    return ""


def is_mark(text: str) -> bool:
    """Whether a token of a vocabulary begins or ends a thought."""
    return _MARK.fullmatch(text.strip()) is not None


def only_ends(text: str) -> bool:
    """Whether an answer ends a thought that it has not begun: the prompt opened it, for this answer and its like."""
    found = _MARK.search(text)
    return found is not None and _read(found).closes


@dataclass(frozen=True)
class _Mark:
    """``closes`` and ``opens`` are both true of an empty thought, and both false of what is not a mark of a thought."""

    name: str
    opens: bool
    closes: bool


def _read(found: re.Match[str]) -> _Mark:
    name, opens = "think", True
    if found["name"] is not None:
        name, opens = found["name"], not found["close"]
        if found["empty"]:
            return _Mark(name, False, False)
    elif found["pipe"] is not None:
        name = found["pipe"]
        opens = not (name.startswith("/") or re.search(r"^end[_▁]|_end$|suffix$", name, re.IGNORECASE))
        name = re.sub(
            r"^(?:/|(?:end|begin|start)[_▁](?:of[_▁])?)|_(?:begin|start|end)$|prefix$|suffix$", "", name, flags=re.I
        )
    elif found["square"] is not None:
        name, opens = found["square"], not found["square_close"]
    elif found["kimi"] is not None:
        name, opens = found["kimi"], not found["kimi_close"]
    elif found["details"] is not None or found["details_close"] is not None:
        name, opens = "details", found["details_close"] is None
    elif found["medgemma"] is not None or found["medgemma_close"] is not None:
        name, opens = "unused", found["medgemma_close"] is None
    elif found["ollama"] is not None or found["ollama_close"] is not None:
        name, opens = "ollama", found["ollama_close"] is None
    elif found["gemma"] is not None or found["gemma_close"] is not None:
        name, opens = "channel", found["gemma_close"] is None
    return _Mark(name.lower(), opens, not opens)


def _outside_marks(text: str) -> str | None:
    """What is outside all thoughts; None if one has no end."""
    outside, open_ones, at = "", list[str](), 0
    while found := _MARK.search(text, at):
        mark = _read(found)
        if not open_ones:
            outside += text[at : found.start()]
        at = found.end()
        if found["fence"] is not None and not open_ones:
            end = _FENCE_END.search(text, at)
            if end is None:
                return None
            at = end.end()
        elif mark.opens:
            open_ones.append(mark.name)
        elif mark.closes and mark.name in open_ones:
            del open_ones[len(open_ones) - 1 - open_ones[::-1].index(mark.name) :]  # with those inside it
        elif mark.closes and mark.name == "details":
            outside += "" if open_ones else found[0]  # of other details
        elif mark.closes and open_ones:
            open_ones.pop()
        elif mark.closes:
            outside = ""  # its beginning is in the prompt
    return None if open_ones else outside + text[at:]


def _bare(text: str) -> str:
    text = _AROUND_PIPES.sub("", text)
    around = _AROUND.match(text)
    return (around["text"] if around else text).strip()
