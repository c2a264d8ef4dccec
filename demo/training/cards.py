"""The models' cards: what each is, how it was trained, and what it is not."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2

from lavad.demo.training.captioners import CAPTIONERS

_WHAT = {
    "imagebind": "An ImageBind of this project's own towers, small: images, two-frame clips and texts in one space.",
    "llama": "A small LlamaForCausalLM with Llama 2's dialog format. It summarises ten captions and rates a summary with the "
    "method's prompts, and can do nothing else.",
    "llama-questions": "The demonstration's `llama` after a short second training: it also says yes or no, at thresholds of "
    "severity and to statements about a summary, in the prompts of the recipes `ordinal` and `definitions`.",
}

_CARD = jinja2.Template(
    """---
license: apache-2.0
tags: [video-anomaly-detection, demonstration]
---
# {{ name }}

{{ what }}

**It knows a small rendered world only** (`demo/world.py`): a few kinds of places, stick figures, eight kinds of
events. On real video its output means nothing. It is made so that the pipeline can be tried and tested from end to
end without a download, with the same classes and the same loading code as the real checkpoints.

{% if told %}
## Deliberate mistakes

It was never told about some events, and takes something harmless for one, as captioners of another training would:
{{ told }}. {% if dropped %}It leaves words out of part of its sentences: {{ dropped }}.{% endif %}


{% endif %}
## Training

From {{ start }}, on the world's training clips, whose seeds and places no other clip has, by `python -m lavad.demo.train`.

{% for name, record in records.items() %}
{{ name }}:

| | |
|---|---|
{% for key, value in record.items() %}
| {{ key }} | {{ value }} |
{% endfor %}

{% endfor %}
On {{ machine }}. The same command makes a model as good, not the same bytes.
""",
    trim_blocks=True,
    lstrip_blocks=True,
    autoescape=False,  # Markdown of our own numbers
)


def write_card(
    folder: Path,
    name: str,
    record: Mapping[str, Any],
    machine: str,
    vision: Mapping[str, Any] | None = None,
    start: str = "random weights",
) -> None:
    """Write ``README.md`` of a model.

    Args:
        folder: where the model is.
        name: its name.
        record: what its training was.
        machine: where it was trained, in words.
        vision: record of the vision tower that it contains or started from.
        start: what it was before its training.
    """
    captioner = next((each for each in CAPTIONERS if each.name == name), None)
    told = dropped = ""
    what = _WHAT.get(name, "")
    if captioner is not None:
        language = {"t5": "Flan-T5's kind of", "opt": "an OPT"}[captioner.language]
        what = f"A small Blip2ForConditionalGeneration with {language} language model, for images of {captioner.side} pixels."
        told = ", ".join(f"{act} as {instead}" for act, instead in captioner.told.items())
        kinds = zip(("colours", "the time of day", "second clauses"), captioner.dropped, strict=True)
        dropped = ", ".join(f"{kind} in {share:.0%}" for kind, share in kinds if share)
    records = {
        "Model": record,
        **({"Vision tower, shared by all captioners and the start of ImageBind's": vision} if vision else {}),
    }
    text = _CARD.render(name=name, what=what, told=told, dropped=dropped, records=records, machine=machine, start=start)
    (folder / "README.md").write_text(text, encoding="utf-8")
