"""The summary in a chat model's reply: without what it says to the user, and without what it did not finish. Pure.

What is taken off is of a form that no description of a scene has: a heading, "Sure! Here is a summary of the scene:", "I'd be
happy to help", "Let me know if …". In a language that these patterns do not know, the reply stays as it is but for a first line
that ends in a colon and stands alone.
"""

from __future__ import annotations

import re

MOST_LEADS = 5
"""Most leading phrases taken off in turn: "assistant", "Sure!", "I'd be happy to help.", "Here is a summary:"."""

_COLON = r"[:：]"
_YES = (
    r"(?:sure(?: thing)?|certainly|of course|absolutely|okay|ok|alright|all right|great|got it|understood|no problem|yes"
    r"|gladly|with pleasure|happy to help)"
)
_WHAT = r"(?:summar(?:y|ies|i[sz]ation)|description|overview|recap|synopsis|account|narrative|answer|response|result|output)"
_KIND = (
    r"(?:(?:the|a|an|my|brief|short|concise|quick|overall|general|simple|final|scene|video|temporal|event|one-sentence"
    r"|executive|updated|revised) ){0,3}"
)
_HERE = (
    rf"(?:here(?:'s|’s| is| are| you go)?|below (?:is|are)|the following (?:is|are)|this is)\b"
    rf"(?=[^:：\n]*\b(?:{_WHAT}|what (?:is )?happen\w*|summari[sz]ed?|sentences?|as (?:requested|follows)|version|you go)\b)"
)
_ABOUT_ME = (
    r"(?:i(?:['’]d| would| will|['’]ll| can|['’]m| am|['’]ve| have)\b[^.!?:：\n]{0,200}\b"
    r"(?:happy|glad|help|assist|summari[sz]e[ds]?|provided?|omit(?:ted)?|tried|kept|left out|removed|avoided|focus(?:ed)?"
    r"|includ(?:e|ed))\b"
    r"|i (?:summari[sz]ed|omitted|removed|kept|tried|avoided|focused)\b)"
)

_LEAD = (
    # "Sure! Here is a brief summary of the scene in few sentences:", "Based on …, here is what happened:"
    re.compile(
        rf"(?:{_YES}\b[,.!]*\s*)?(?:(?:based on|as requested|in short)\b[^:：\n]{{0,160}},\s*)?"
        rf"{_HERE}[^:：\n]{{0,200}}{_COLON}",
        re.IGNORECASE,
    ),
    # "The scene can be summarized as follows:"
    re.compile(rf"[^:：\n]{{0,160}}\b(?:as follows|(?:be|is) summari[sz]ed(?: as)?)\s*{_COLON}", re.IGNORECASE),
    re.compile(rf"(?:to summari[sz]e|in (?:short|brief|summary)|tl;dr){_COLON}", re.IGNORECASE),
    # "The summary of the scene is as follows:"
    re.compile(rf"(?:the|my) {_KIND}{_WHAT}\b[^:：.\n]{{0,80}} (?:is|would be)(?: as follows)?{_COLON}", re.IGNORECASE),
    # "Sure, I can summarize that:", "Certainly, a summary:"
    re.compile(rf"{_YES}[,.!](?=[^:：\n]*\b(?:i|me|you|your|{_WHAT})\b)[^:：\n]{{0,120}}{_COLON}", re.IGNORECASE),
    # "Summary:", "Brief summary of the scene:", "assistant:"
    re.compile(
        rf"(?:assistant|{_KIND}{_WHAT}(?: (?:of|for|in) [^:：\n.]{{0,80}})?(?:\s*\([^)\n]*\))?)\s*{_COLON}",
        re.IGNORECASE,
    ),
    # "Sure!", "Of course."
    re.compile(rf"{_YES}(?:[.!]+(?=\s|$)|,\s*$)", re.IGNORECASE),
    # "Absolutely — here is a summary."
    re.compile(rf"{_YES}\b\s*[,.!–—-]*\s*{_HERE}[^:：.!\n]{{0,160}}[.!](?=\s*$)", re.IGNORECASE),
    # "I'd be happy to help you with that!"
    re.compile(rf"(?:{_YES}\b[,.!]*\s*)?{_ABOUT_ME}[^.!?:：\n]{{0,200}}(?:[.!]+(?=\s|$)|{_COLON})", re.IGNORECASE),
)
_HEADING = re.compile(rf"assistant|{_KIND}{_WHAT}(?: (?:of|for) [^\n.]{{0,80}})?", re.IGNORECASE)
"""A line of its own, without a colon: ``## Summary``; ``assistant``: a role that leaked from a template."""
_NOT_A_TEXT = re.compile(r"^[^\w\"'“‘«„「(\[]+")
"""What is left between a preamble and the text: ``**``, an emoji."""

_OFFER = re.compile(
    rf"""(?:
      (?:please\s+)?(?:let\s+me\s+know|feel\s+free|do\s+not\s+hesitate|don['’]t\s+hesitate)\b
    | (?:i\s+)?hope\s+(?:this|that|it|the\s+above)\b
    | (?:please\s+)?(?:tell|ask)\s+me\b | you\s+can\s+(?:ask|let|tell)\b | happy\s+to\s+(?:help|assist|elaborate|provide)\b
    | should\s+you\s+(?:need|have|want|require)\b | end\s+of\s+(?:the\s+)?(?:summary|description)\b
    | if\s+you(?:['’]d|['’]ve|\s+(?:need|want|have|would|wish|require|like|prefer|could|can|provide|are))\b
    | (?:is|are)\s+there\s+any(?:thing)?\b[^\n]{{0,200}}\byou\b | would\s+you\s+like\b | do\s+you\s+(?:need|want|have)\b
    | anything\s+else\b[^\n]{{0,200}}\b(?:i|you)\b | if\s+there(?:['’]s|\s+is)\s+any | (?:want|need)\s+(?:more|any|me\s+to)\b
    | just\s+(?:ask|say\s+so|let\s+me)\b | (?:best|kind)\s+regards\b | \(?(?:word|token|character)\s+count\b
    | (?:how|what)\s+else\s+can\s+i\b | can\s+i\s+help\b | i['’]?(?:\s+a)?m\s+here\s+to\b | thank(?:s|\s+you)
      (?:[.!]|\s+for\s+(?:your|providing|sharing|asking)\b)
    | (?:please\s+)?note\b[^.!?\n]{{0,200}}\b(?:i|my|me|this\s+summary|the\s+summary|this\s+is\s+a)\b
    | (?:this|the\s+above)\s+(?:summary|description|response|answer)\s+
      (?:is|was|does|has|provides?|captures?|focuses|omits|includes?|covers?|excludes?)\b
    | {_ABOUT_ME}
    )""",
    re.IGNORECASE | re.VERBOSE,
)

_CONTROL = re.compile(r"[ \t]*[\x00-\x08\x0e-\x1b\x7f]+[ \t]*")
_MARKER = re.compile(r"(?:[-*•–·]|\(?\d{1,3}[.):]|#{1,6}|>)(?:\s+|$)")
_STRONG = re.compile(r"(\*\*|__)(?=\S)(.+?)(?<=\S)\1")
_RULE = re.compile(r"[-*_=~`]{3,}\w*")
_QUOTES = {'"': '"', "“": "”", "«": "»", "„": "“", "「": "」", "'": "'", "‘": "’", "*": "*"}

_END = r"(?:[.!?…]+[\"'”’»)\]*]*(?=\s|$)|[。！？…｡]+[”’」』）\"]*|[।۔؟](?=\s|$))"
_SENTENCE_END = re.compile(_END)
_ENDED = re.compile(rf"{_END}$")
_ABBREVIATION = re.compile(r"(?:^|[\s(])(?:Mr|Mrs|Ms|Dr|St|Jr|Sr|Prof|vs|approx|e\.g|i\.e|[A-Z])\.$")
"""Its full stop ends no sentence, at least not for sure."""
_SPECIAL = re.compile(r"<\|[a-z_]{2,20}\|>\s*\Z|</s>\s*\Z|<(?:eos|end_of_turn)>\s*\Z")
"""The token that ends an answer, from servers that do not take it off."""
_NUMBER_ONLY = re.compile(r"\(?\d{1,3}[.)]")
_PAUSE = tuple(",;:-–—：；，、")


def whole_summary(reply: str) -> str:
    """A reply's summary in one line: ``summarise.keep: auto``.

    The line after a preamble where the reply has that form; otherwise all of it. Headings, the preamble in front, the offer of
    further help at the end, marks of lists and of Markdown, and control characters are left out. Of a reply of several lines
    each becomes a sentence.

    Returns:
        Empty if the reply holds nothing but these.
    """
    lines = [line.strip() for line in _CONTROL.sub(" ", _SPECIAL.sub("", reply)).strip().splitlines()]
    lines = [line for line in lines if not _RULE.fullmatch(line)]
    kept: list[str] = []
    for number, line in enumerate(lines):
        alone = number + 1 < len(lines) and not lines[number + 1]
        text = _plain(line)
        if not kept:
            text = _without_lead(text, alone and _is_prose(lines[number + 1 :]))
        if text:
            kept.append(text)
    return _unquoted(" ".join(_as_sentences(_without_offers(kept))))


def finished_part(text: str) -> str:
    """What is left of a text that a limit of tokens cut off: up to the end of its last whole sentence.

    A line is whole when another follows it. A text without a whole sentence leaves nothing: its half sentence would be taken
    for what happened.
    """
    text = text.rstrip()
    before, line_break, last = text.rpartition("\n")
    marker = _MARKER.match(last.lstrip())
    start = len(last) - len(last.lstrip()) + (marker.end() if marker else 0)
    ends = [
        found.end()
        for found in _SENTENCE_END.finditer(last, start)
        if not _NUMBER_ONLY.fullmatch(last, start, found.end())
        # only in the last characters: a look through everything before each end takes long in a long reply
        and not _ABBREVIATION.search(last[max(start, found.end() - 10) : found.end()])
    ]
    if ends:
        return before + line_break + last[: ends[-1]]
    return before.rstrip()


def _plain(line: str) -> str:
    """A line without the marks of lists, headings, quotations and emphasis."""
    while found := _MARKER.match(line):
        line = line[found.end() :]
    return _STRONG.sub(r"\2", line).strip()


def _is_prose(rest: list[str]) -> bool:
    following = [line for line in rest if line]
    return bool(following) and not _MARKER.match(following[0])


def _without_lead(line: str, alone: bool) -> str:
    """The first line without what precedes the summary; ``alone``: a blank line and prose follow it."""
    for _ in range(MOST_LEADS):
        found = next((found for pattern in _LEAD if (found := pattern.match(line))), None)
        if found is None:
            break
        line = _NOT_A_TEXT.sub("", line[found.end() :])
    if _HEADING.fullmatch(line) or (alone and line.endswith((":", "："))):
        return ""
    return line


def _without_offers(lines: list[str]) -> list[str]:
    """Lines without the sentences at their end that are about the answer and not about the scene."""
    while lines:
        sentences = _sentences(lines[-1])
        while sentences and (_OFFER.match(sentences[-1].lstrip("(*_ ")) or not re.search(r"\w", sentences[-1])):
            sentences.pop()
        if sentences:
            return [*lines[:-1], " ".join(sentences)]
        lines = lines[:-1]
    return []


def _sentences(line: str) -> list[str]:
    found, start = list[str](), 0
    for end in [match.end() for match in _SENTENCE_END.finditer(line)] + [len(line)]:
        if line[start:end].strip():
            found.append(line[start:end].strip())
        start = end
    return found


def _as_sentences(lines: list[str]) -> list[str]:
    """Each line but the last with a full stop, so that items of a list do not run into each other."""
    return [
        line if last or _ENDED.search(line) or line.endswith(_PAUSE) else f"{line}."
        for line, last in ((line, number == len(lines) - 1) for number, line in enumerate(lines))
    ]


def _unquoted(text: str) -> str:
    close = _QUOTES.get(text[:1])
    inside = text[1:-1]
    return inside.strip() if close and len(text) > 2 and text.endswith(close) and close not in inside else text
