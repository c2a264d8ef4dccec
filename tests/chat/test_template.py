"""Chat templates: rendered as transformers does, under limits, and asked what they do with a system message."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support import templates
from transformers.utils.chat_template_utils import render_jinja_template

from lavad_core.errors import ModelError, RequestRejected, ServiceUnavailable
from lavad_core.models.chat import template as template_module
from lavad_core.models.chat.roles import folded
from lavad_core.models.chat.template import (
    ChatTemplate,
    TemplateLimit,
    default_template,
    special_tokens,
    system_role_of,
)

TOKENS = {"bos_token": "<s>", "eos_token": "</s>"}
DIALOG = (("system", "Say – briefly."), ("user", " What is 車?\n"))
Make = Callable[[str], ChatTemplate]


@pytest.fixture
def make() -> Iterator[Make]:
    made: list[ChatTemplate] = []

    def one(source: str) -> ChatTemplate:
        made.append(ChatTemplate(source, TOKENS, "some/model"))
        return made[-1]

    yield one
    for template in made:
        template.close()


def by_transformers(source: str, messages: Any) -> str:
    dialog = [{"role": role, "content": text} for role, text in messages]
    texts, _ = render_jinja_template([dialog], chat_template=source, add_generation_prompt=True, **TOKENS)
    text: str = texts[0]
    return text


@pytest.mark.parametrize("source", templates.TAKES_SYSTEM.values(), ids=templates.TAKES_SYSTEM)
def test_the_prompt_is_that_of_transformers(make: Make, source: str) -> None:
    template = make(source)
    for messages in (DIALOG, folded(DIALOG), (*DIALOG, ("assistant", "a"), ("user", "b"))):
        assert template.render(messages) == by_transformers(source, messages)
    assert system_role_of(template) == "send"


@pytest.mark.parametrize("source", templates.FOLDS.values(), ids=templates.FOLDS)
def test_templates_without_a_system_role_have_it_folded(make: Make, source: str) -> None:
    template = make(source)
    assert system_role_of(template) == "fold"
    assert template.render(folded(DIALOG)) == by_transformers(source, folded(DIALOG))
    assert "Say – briefly.\n\n What is 車?" in template.render(folded(DIALOG))


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        pytest.param([("system", "s"), ("user", "u")], [("user", "s\n\nu")], id="one"),
        pytest.param([("user", "u")], [("user", "u")], id="none"),
        pytest.param([("system", "s"), ("system", "t"), ("user", "u")], [("user", "s\n\nt\n\nu")], id="two"),
        pytest.param([("system", "s")], [("user", "s")], id="alone"),
        pytest.param(
            [("user", "u"), ("assistant", "a"), ("system", "s"), ("user", "v")],
            [("user", "u"), ("assistant", "a"), ("user", "s\n\nv")],
            id="later",
        ),
        pytest.param([("system", ""), ("user", "u")], [("user", "\n\nu")], id="empty"),
    ],
)
def test_folding(messages: list[tuple[str, str]], expected: list[tuple[str, str]]) -> None:
    assert list(folded(messages)) == expected


@pytest.mark.parametrize("source", ["{{ 'always the same' }}", "{{ raise_exception('no') }}"])
def test_a_template_that_takes_nothing_is_an_error(make: Make, source: str) -> None:
    with pytest.raises(ModelError, match="some/model"):
        system_role_of(make(source))


ENDLESS = {
    "a loop": "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "one operation": "{{ (3 ** (3 ** 20)) % 7 }}",
    "macros": "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(60) }}",
    "a filter": "{{ range(99999) | map('string') | join | wordwrap(1) | indent | wordwrap(1) | urlize | urlize }}"
    "{% for a in range(9999) %}{{ ('x ' * 99999) | wordwrap(1) | urlize | length }}{% endfor %}",
}


@pytest.mark.parametrize("source", ENDLESS.values(), ids=ENDLESS)
def test_a_template_that_does_not_end_is_ended(make: Make, source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    template = make(source)
    monkeypatch.setattr(template_module, "RENDER_TIMEOUT_S", 1.0)
    with pytest.raises(TemplateLimit, match="'some/model' took longer than 1 s"):
        template.render(DIALOG)


HUGE = {
    "one string": "{{ 'x' * 3000000000 }}",
    "many strings": "{% for a in range(99999) %}{% for b in range(99999) %}{{ 'x' * 10000 }}{% endfor %}{% endfor %}",
    "doubled": "{% set ns = namespace(a='x') %}{% for a in range(40) %}{% set ns.a = ns.a + ns.a %}{% endfor %}{{ ns.a }}",
    "a list": "{{ ([0] * 900000000) | length }}",
    "the message": "{% for a in range(99999) %}{{ messages[1].content * 100000 }}{% endfor %}",
    "padding": "{{ '%3000000000d' | format(1) }}",
    "just too long": "{% for a in range(5000) %}{{ 'x' * 1000 }}{% endfor %}",
}


@pytest.mark.parametrize("source", HUGE.values(), ids=HUGE)
def test_a_template_that_makes_too_much_is_stopped(make: Make, source: str) -> None:
    with pytest.raises(
        TemplateLimit, match=r"'some/model' (makes a prompt of more than 4194304|needs more than 512 MiB)"
    ):
        make(source).render(DIALOG)


def test_a_template_can_be_used_again_after_it_was_ended(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    template = make("{% if messages | length > 2 %}" + ENDLESS["a loop"] + "{% endif %}fine")
    monkeypatch.setattr(template_module, "RENDER_TIMEOUT_S", 1.0)
    assert template.render(DIALOG) == "fine"
    with pytest.raises(TemplateLimit):
        template.render((*DIALOG, *DIALOG))
    assert template.render(DIALOG) == "fine"


def test_a_template_of_two_megabytes_is_refused(make: Make) -> None:
    with pytest.raises(TemplateLimit, match="has 2097152 characters; the limit is 1048576"):
        make("x" * 2**21).render(DIALOG)


@pytest.mark.parametrize(
    ("source", "error", "words"),
    [
        pytest.param("{% if %}", ModelError, "cannot be used: TemplateSyntaxError", id="no template"),
        pytest.param("{{ x | nofilter }}", ModelError, "cannot be used: TemplateAssertionError", id="no filter"),
        pytest.param("{{ raise_exception('no\x1b[31m way') }}", RequestRejected, r"no\\x1b\[31m way", id="says so"),
        pytest.param("{{ 1 / 0 }}", RequestRejected, "ZeroDivisionError", id="by accident"),
        pytest.param("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", RequestRejected, "RecursionError", id="deep"),
        pytest.param("{{ messages[9].content.x.y }}", RequestRejected, "UndefinedError", id="undefined"),
        pytest.param("{% include '/etc/passwd' %}", RequestRejected, "refuses", id="a file"),
        pytest.param("{{ ''.__class__.__mro__ }}", RequestRejected, "SecurityError", id="out of the sandbox"),
        pytest.param(
            "{% set ns = namespace() %}{% set ns.__class__ = 1 %}", RequestRejected, "refuses", id="a namespace's own"
        ),
    ],
)
def test_refusals(make: Make, source: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        make(source).render(DIALOG)


def test_an_end_from_outside_is_the_machines_fault(make: Make) -> None:
    template = make(templates.QWEN)
    template.render(DIALOG)
    assert template._process is not None
    template._process.kill()
    with pytest.raises(ServiceUnavailable, match="ended with -9"):
        template.render(DIALOG)
    assert template.render(DIALOG) == by_transformers(templates.QWEN, DIALOG)


def test_several_threads(make: Make) -> None:
    template = make(templates.LLAMA_3)
    found: dict[int, str] = {}

    def work(number: int) -> None:
        found[number] = template.render((("user", f"text {number}"),))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(f"text {number}<" in text for number, text in found.items())
    assert len(found) == 24


def test_which_template_and_tokens() -> None:
    assert default_template("a") == "a"
    assert default_template({"default": "a", "tool_use": "b"}) == "a"
    assert default_template([{"name": "tool_use", "template": "b"}, {"name": "default", "template": "a"}]) == "a"
    assert default_template(None) is default_template({}) is default_template("") is default_template([1]) is None
    given = {
        "bos_token": {"content": "<s>", "lstrip": False},
        "eos_token": "</s>",
        "pad_token": None,
        "add_bos_token": True,
    }
    assert special_tokens(given) == TOKENS
