"""Under what terms models are given out: shown where a user chooses one.

Only what the models' own cards and licence files say, for models that this program has presets or advice for. It is a pointer
to read on, not legal advice; anything else is unknown here.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

from lavad_core.models.random_models import PREFIX


@dataclass(frozen=True)
class Licence:
    """Terms of a model's weights."""

    name: str
    """The name of the licence."""
    commercial: bool | None
    """Whether it allows commercial use; None where that is not known here or depends."""
    note: str = ""
    """A sentence that a user should read; may be empty."""

    def __str__(self) -> str:
        use = {True: "commercial use allowed", False: "non-commercial only", None: "commercial use: see its terms"}
        return f"{self.name} ({use[self.commercial]})" + (f": {self.note}" if self.note else "")


IMAGEBIND = Licence(
    "CC BY-NC-SA 4.0",
    False,
    "ImageBind's published weights; a CLIP or SigLIP encoder (`encoder.kind: clip`) has permissive terms",
)

UNKNOWN = Licence("not known to this program", None, "read the model's card")

RANDOM = Licence("none needed", True, "random weights made by this program; their results mean nothing")

_BY_ID = {
    "salesforce/blip2-opt-*": Licence(
        "MIT (BLIP-2), OPT-175B licence (language model)",
        False,
        "the card says MIT, but the OPT weights inside are Meta's, under a non-commercial research licence",
    ),
    "salesforce/blip2-flan-t5-*": Licence("MIT (BLIP-2), Apache-2.0 (Flan-T5)", True),
    "laion/clip-vit-*": Licence(
        "MIT",
        True,
        "its card calls surveillance and untested deployment out of scope: a request of the authors, not a term",
    ),
    "openai/clip-vit-*": Licence(
        "MIT (of the released code)",
        None,
        "the card names no licence of the weights, and calls any deployment out of scope",
    ),
    "google/siglip2-*": Licence("Apache-2.0", True),
    "google/siglip-*": Licence("Apache-2.0", True),
    "meta-llama/llama-2-*": Licence(
        "Llama 2 Community License",
        True,
        "to be accepted before the download; with an acceptable use policy, and not above 700 million monthly users",
    ),
    "liuhaotian/llava-v1.5-*": Licence(
        "Llama 2 Community License", True, "of the language model that it was tuned from"
    ),
    "llava-hf/llava-1.5-*": Licence("Llama 2 Community License", True, "of the language model that it was tuned from"),
    "qwen/qwen2.5-vl-7b-*": Licence("Apache-2.0", True),
    "mistralai/mistral-7b-*": Licence("Apache-2.0", True),
}
"""Hub ids in lower case, with ``*``. The first that fits counts."""


def licence_of(kind: str, model: str) -> Licence:
    """The terms of a model as a configuration names it.

    Args:
        kind: its section's ``kind``: ``imagebind``, ``clip``, ``blip2``, ``openai``, ``transformers`` or ``python``.
        model: hub id, served name, local path, or ``random:NAME``. A local path is judged by its last part, where that
            is a known model's name.
    """
    if kind == "python":
        return UNKNOWN  # the name is that of code, and says nothing of the weights
    if model.startswith(PREFIX):
        return RANDOM
    if kind == "imagebind":
        return IMAGEBIND
    wanted = model.replace("\\", "/").rstrip("/").lower()
    for pattern, licence in _BY_ID.items():
        if fnmatchcase(wanted, pattern):
            return licence
    last = wanted.rpartition("/")[2]
    for pattern, licence in _BY_ID.items():
        if fnmatchcase(last, pattern.rpartition("/")[2]):
            note = "judged by its name alone" + (f"; {licence.note}" if licence.note else "")
            return Licence(licence.name, licence.commercial, note)
    return UNKNOWN
