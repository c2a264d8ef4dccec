"""Servers name one thing in many ways: finish reasons, refusals, contents. Prose decides nothing."""

from __future__ import annotations

from typing import Any

import pytest

from lavad_core.errors import ServiceUnavailable
from lavad_core.models.chat.replies import ONLY_THOUGHT, finish_reason_of, parse_chat_answer, refused_by


@pytest.mark.parametrize(
    ("word", "meaning"),
    [
        ("stop", "stop"),
        ("eos_token", "stop"),
        ("STOP", "stop"),
        ("end_turn", "stop"),
        ("completed", "stop"),
        ("FinishReason.STOP", "stop"),
        ("FINISH_REASON_MAX_TOKENS", "length"),
        ("max_output_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("length", "length"),
        ("MAX_TOKENS", "length"),
        ("model_length", "length"),
        ("content_filter", "refused"),
        ("content_filter: PROHIBITED_CONTENT", "refused"),
        ("SAFETY", "refused"),
        ("refusal", "refused"),
        ("guardrail_intervened", "refused"),
        ("sensitive", "refused"),
        ("abort", None),
        ("error", None),
        ("user_cancelled", None),
        ("insufficient_system_resource", None),
        ("", None),
        (None, None),
        (7, None),
    ],
)
def test_finish_reasons(word: object, meaning: str | None) -> None:
    assert finish_reason_of(word) == meaning


def error(**fields: Any) -> dict[str, Any]:
    return {"error": {"message": "No.", **fields}}


FILTERED = {"hate": {"filtered": False}, "violence": {"filtered": True, "severity": "high"}}


@pytest.mark.parametrize(
    ("word", "status", "body"),
    [
        ("openai", 400, error(code="content_filter")),
        ("azure", 400, error(code="BadRequest", innererror={"code": "ResponsibleAIPolicyViolation"})),
        ("azure-results", 400, error(innererror={"content_filter_result": FILTERED})),
        ("openai-policy", 400, error(code="content_policy_violation", type="invalid_request_error")),
        ("openai-reasoning", 400, error(code="invalid_prompt")),
        ("openai-images", 400, error(code="moderation_blocked")),
        ("litellm", 400, error(type="ContentPolicyViolationError", code="400")),
        ("openrouter", 403, error(code=403, metadata={"reasons": ["violence"], "flagged_input": "a"})),
        ("dashscope", 400, error(code="data_inspection_failed", type="data_inspection_failed")),
        ("dashscope-old", 400, {"code": "InternalError.Algo.DataInspectionFailed", "message": "No."}),
        ("ark", 400, error(code="InputTextSensitiveContentDetected.SevereViolation")),
        ("kimi", 400, error(type="content_filter")),
        ("minimax", 400, {"input_sensitive": True, "base_resp": {"status_code": 1026}}),
        ("list-of-details", 400, error(code=400, details=[{"reason": "SAFETY"}])),
        ("legal-reasons", 451, None),
        ("behind-a-gateway", 500, error(code="content_filter")),
    ],
)
def test_refusals_in_errors(word: str, status: int, body: dict[str, Any] | None) -> None:
    assert refused_by(status, body)


@pytest.mark.parametrize(
    ("word", "status", "body"),
    [
        ("prose", 400, error(message="blocked by our content_filter and safety policy", code=400)),
        ("prose-as-code", 400, error(code="the content filter is off")),
        ("too-long", 400, error(type="BadRequestError", param="input_tokens", code=400)),
        ("filter-down", 503, error(code="content_filter_unavailable")),
        ("no-error", 400, {}),
        ("no-json", 400, None),
        ("key", 401, error(type="authentication_error", code="invalid_api_key")),
        ("our-own-words", 422, {"detail": [{"type": "string_type", "input": {"code": "content_filter"}}]}),
        ("not-filtered", 400, error(innererror={"content_filter_result": {"hate": {"filtered": False}}})),
        ("rate", 429, error(type="rate_limit_exceeded")),
        ("long", 400, error(code="content_filter" * 50)),
    ],
)
def test_other_errors_are_no_refusals(word: str, status: int, body: dict[str, Any] | None) -> None:
    assert not refused_by(status, body)


def answer(content: object, finish_reason: object = "stop", **message: Any) -> dict[str, Any]:
    return {"choices": [{"finish_reason": finish_reason, "message": {"content": content, **message}}]}


@pytest.mark.parametrize(
    ("word", "body", "expected"),
    [
        ("text", answer(" A man."), (" A man.", "stop")),
        ("null", answer(None), ("", "stop")),
        ("absent", {"choices": [{"finish_reason": "stop", "message": {}}]}, ("", "stop")),
        ("thought-apart", answer("A man.", reasoning_content="Hmm [0.9]"), ("A man.", "stop")),
        ("only-a-thought", answer(None, "length", reasoning_content="Hmm"), (ONLY_THOUGHT, "length")),
        ("only-a-thought-by-vllm's-name", answer("\n", reasoning="Hmm"), (ONLY_THOUGHT, "stop")),
        ("refusal", answer(None, refusal="I cannot."), ("", "refused")),
        ("no-refusal", answer("A man.", refusal=None), ("A man.", "stop")),
        ("empty-refusal", answer("A man.", refusal=""), ("A man.", "stop")),
        ("filter", answer("A m", "content_filter"), ("A m", "refused")),
        ("parts", answer([{"type": "text", "text": "A "}, {"type": "text", "text": "man."}]), ("A man.", "stop")),
        (
            "thought-as-a-part",
            answer([{"type": "thinking", "thinking": []}, {"type": "text", "text": "b"}]),
            ("b", "stop"),
        ),
        ("only-a-thought-as-a-part", answer([{"type": "thinking", "thinking": []}]), (ONLY_THOUGHT, "stop")),
        ("refusal-as-a-part", answer([{"type": "refusal", "refusal": "No."}]), ("", "refused")),
        ("error-with-200", {"error": {"code": "content_filter"}}, ("", "refused")),
        ("no-candidates", {"choices": [], "promptFeedback": {"blockReason": "SAFETY"}}, ("", "refused")),
        ("no-message", {"choices": [{"finish_reason": "content_filter"}]}, ("", "refused")),
    ],
)
def test_what_was_said(word: str, body: dict[str, Any], expected: tuple[str, str]) -> None:
    assert parse_chat_answer(body) == expected


@pytest.mark.parametrize(
    ("word", "body"),
    [
        ("half", answer("A m", "abort")),
        ("no-reason", answer("A m", None)),
        ("no-choice", {"choices": []}),
        ("error", {"error": {"message": "content_filter", "code": 429}}),
        ("list-of-texts", answer(["A man."])),
        ("number", answer(7)),
        ("part-without-a-text", answer([{"type": "text"}])),
        ("message-is-text", {"choices": [{"finish_reason": "stop", "message": "A man."}]}),
    ],
)
def test_what_is_no_whole_answer_is_asked_for_again(word: str, body: dict[str, Any]) -> None:
    with pytest.raises(ServiceUnavailable):
        parse_chat_answer(body)
