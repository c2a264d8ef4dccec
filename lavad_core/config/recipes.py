"""The sections of the ways to scores beside the paper's own (``score.method``), one for each, and what a preset says about
itself (docs/design/recipes.md)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
    model_validator,
)

from lavad_core.config.definitions_file import (
    Definitions,
    bank_of_definitions,
    definitions_digest,
    read_definitions,
)
from lavad_core.config.section import NOTHING, PlaceOrAddress, Section, setting
from lavad_core.config.sentence_bank import SentenceBank, read_bank
from lavad_core.errors import ConfigError
from lavad_core.location import shown
from lavad_core.method import prompts
from lavad_core.recipes import definitions


def _temperature(value: Any, read: ValidatorFunctionWrapHandler) -> Any:
    """One message in place of one for each type of the union."""
    try:
        return read(value)
    except ValidationError:
        raise ValueError("give model, or a number above 0 (1: the cosines as they are)") from None


Temperature = Annotated[Literal["model"] | Annotated[float, Field(gt=0, le=1000)], WrapValidator(_temperature)]
"""What cosines are divided by."""


class ZeroShotConfig(Section):
    """Zero-shot scores: softmax of the cosines to two texts (paper Sec. 4.1, ZS CLIP and ZS ImageBind)."""

    vector: Literal["frame", "window"] = setting(
        "frame",
        affects=("score_zero_shot",),
        description="Whose vectors are compared: those of the grid's frames, or of the windows around them.",
    )
    normal: str = setting(
        prompts.ZERO_SHOT[0], affects=("score_zero_shot",), description="The text for what is normal.", min_length=1
    )
    anomalous: str = setting(
        prompts.ZERO_SHOT[1], affects=("score_zero_shot",), description="The text for what is anomalous.", min_length=1
    )
    temperature: Temperature = setting(
        "model",
        affects=("score_zero_shot",),
        description="What the cosines are divided by before the softmax: the encoder's own temperature (model), or a number; 1 "
        "takes them as they are. ROC AUC and AP are the same for all; thresholds are not.",
    )


class DirectConfig(Section):
    """Direct scores: the chat model is shown each grid frame (paper Sec. 4.1, LLaVA-1.5). What it is asked, and how its
    answer is read, ``score`` says."""

    image_side: int = setting(448, affects=("score_direct",), description="Short side sent, pixels.", ge=32, le=4096)
    jpeg_quality: int = setting(
        95, affects=("score_direct",), description="JPEG quality of the pictures sent.", ge=1, le=100
    )


class BankConfig(Section):
    """Scores by a bank of sentences that a user edits (NOVA's margin rule, Flashback's neighbour rule)."""

    file: PlaceOrAddress | None = setting(
        None,
        affects=NOTHING,
        description="YAML file of the sentences, `category: {anomalous: [...], normal: [...]}`; null: the bank of the package.",
    )
    digest: str | None = setting(
        None,
        affects=("score_bank",),
        description="Digest of the sentences, for the record: filled in where it is not given, and another one is refused.",
    )
    vector: Literal["frame", "window"] = setting(
        "frame",
        affects=("score_bank",),
        description="Whose vectors are compared: those of the grid's frames, or of the windows around them.",
    )
    rule: Literal["margin", "neighbours"] = setting(
        "margin",
        affects=("score_bank",),
        description="margin: how far the mean similarity of a category's anomalous sentences is above that of its normal ones. "
        "neighbours: the weight of anomalous sentences among the nearest of all.",
    )
    alpha: float | None = setting(
        None,
        affects=("score_bank",),
        description="What similarities to anomalous sentences are multiplied by; null: 0.9 with margin, 0.95 with neighbours.",
        gt=0,
        le=2,
    )
    temperature: float | None = setting(
        None,
        affects=("score_bank",),
        description="What margins are divided by before the logistic function, similarities of neighbours before the softmax; "
        "null: 0.03 and 1.",
        gt=0,
        le=1000,
    )
    top: float = setting(
        0.5,
        affects=("score_bank",),
        description="With margin: the share of a side's sentences, the most similar ones, that count; rounded up.",
        gt=0,
        le=1,
    )
    neighbours: int = setting(
        10, affects=("score_bank",), description="With neighbours: how many sentences count.", ge=1, le=10_000
    )
    normal_anchor: Literal["none", "first-frames"] = setting(
        "none",
        affects=("score_bank",),
        description="With margin: first-frames takes the beginning of the video as one more normal sentence of each category. "
        "A video that begins with an anomaly is then scored too low.",
    )
    anchor_frames: int = setting(
        32,
        affects=("score_bank",),
        description="With first-frames: how many grid frames the beginning has.",
        ge=1,
        le=10_000,
    )
    anchor_temperature: float = setting(
        0.3,
        affects=("score_bank",),
        description="With first-frames: how sharply frames with low scores are preferred.",
        gt=0,
        le=1000,
    )
    anomalous_prefix: str = setting(
        "Anomalous scene: ",
        affects=("score_bank",),
        description="Put before each anomalous sentence; {category} stands for the category's name.",
    )
    normal_prefix: str = setting(
        "Normal scene: ", affects=("score_bank",), description="Put before each normal sentence, likewise."
    )

    @model_validator(mode="after")
    def _anchor_has_a_use(self) -> BankConfig:
        if self.normal_anchor != "none" and self.rule != "margin":
            raise ValueError(
                f"bank.normal_anchor {self.normal_anchor!r} is one more normal sentence of a margin, and bank.rule is "
                f"{self.rule!r}: set bank.rule=margin, or bank.normal_anchor=none"
            )
        return self


class DefinitionsConfig(Section):
    """The user's own definitions of what is anomalous: statements that a language model is asked about (score.method
    definitions), sentences of a bank, or a context prompt."""

    file: PlaceOrAddress | None = setting(
        None,
        affects=NOTHING,
        description="YAML file, a list of `{name, hazard, look_alikes, questions}`; null: the definitions of the package.",
    )
    digest: str | None = setting(
        None,
        affects=("score_definitions",),
        description="Digest of the definitions, for the record: filled in where it is not given, and another one is refused.",
    )
    normal: tuple[str, ...] = setting(
        definitions.NORMAL,
        affects=("score_bank", "score_definitions"),
        description="What is normal anywhere: the first is the statement that every hazard is compared with; all are sentences "
        "of a bank made of definitions.",
    )
    question: str = setting(
        definitions.STATEMENT,
        affects=("score_definitions",),
        description="What is asked after a summary; {statement} stands for the statement, {yes} and {no} for `score.yes` and "
        "`score.no`.",
    )
    rubric: str = setting(
        definitions.RUBRIC,
        affects=("score_definitions",),
        description="The system message in front of each question; empty for none.",
    )

    @field_validator("normal")
    @classmethod
    def _says_something(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        """Raises ValueError where there is nothing to compare a hazard with."""
        if not value or not all(text.strip() for text in value):
            raise ValueError("it must hold at least one text, and none without a word: hazards are compared with them")
        return value

    @field_validator("question")
    @classmethod
    def _asks_about_it(cls, value: str) -> str:
        """Raises ValueError for a question that is the same for all statements."""
        if "{statement}" not in value:
            raise ValueError("it must hold {statement}: otherwise all statements are asked about in the same words")
        return value


def used_bank(bank: BankConfig, own: DefinitionsConfig) -> SentenceBank:
    """The sentences that ``score.method: bank`` compares pictures with: those of ``definitions.file`` where that is given.

    Raises:
        ConfigError: the file cannot be read, has another form or other sentences than ``bank.digest`` says, or both are given.
    """
    if own.file is None:
        found, name = read_bank(bank.file), f"bank.file {_named(bank.file)}"
    elif bank.file is None:
        found = bank_of_definitions(read_definitions(own.file), own.normal)
        name = f"definitions.file {_named(own.file)}"
    else:
        raise ConfigError("bank.file and definitions.file both say what is anomalous: give one of them")
    _check_digest(bank.digest, found.digest, name, "bank.digest")
    return found


def used_definitions(own: DefinitionsConfig) -> Definitions:
    """The definitions themselves.

    Raises:
        ConfigError: the file cannot be read, has another form, or other texts than ``digest`` says.
    """
    found = read_definitions(own.file)
    _check_digest(own.digest, definitions_digest(found), f"definitions.file {_named(own.file)}", "definitions.digest")
    return found


def _named(file: Path | None) -> str:
    return "of the package" if file is None else repr(shown(file))


def _check_digest(given: str | None, found: str, name: str, field: str) -> None:
    if given is not None and given != found:
        raise ConfigError(
            f"{name} has other texts ({found}) than when the run began ({field} {given}): begin a new run, without {field}"
        )


def with_texts(sections: dict[str, Any], method: str) -> dict[str, Any]:
    """What the texts of the user's files are to results: their digests, where the configuration does not say them yet, and the
    context prompt that is called ``definitions``. Records have all of these, so that they are read without the files.

    Args:
        sections: those of the configuration as they were given.
        method: ``score.method``.

    Raises:
        ConfigError: a file cannot be read, or has another form.
    """
    score = sections.get("score")
    prompt = isinstance(score, dict) and str(score.get("context_prompt")).strip() == "definitions"
    if method not in ("bank", "definitions") and not prompt:
        return sections
    try:
        bank = BankConfig.model_validate(sections.get("bank", {}))
        own = DefinitionsConfig.model_validate(sections.get("definitions", {}))
    except ValidationError:
        return sections  # validated again as a part of the whole, which says where it is wrong
    found = dict(sections)
    if method == "bank" and bank.digest is None:
        found["bank"] = bank.model_copy(update={"digest": used_bank(bank, own).digest})
    if method == "definitions" and own.digest is None:
        found["definitions"] = own.model_copy(update={"digest": definitions_digest(read_definitions(own.file))})
    if isinstance(score, dict) and prompt:
        found["score"] = {**score, "context_prompt": context_prompt_of(own)}
    return found


def context_prompt_of(own: DefinitionsConfig) -> str:
    """The text that ``score.context_prompt: definitions`` stands for.

    Raises:
        ConfigError: the file cannot be read, or has another form.
    """
    given = [(one.name, one.hazard, one.look_alikes) for one in read_definitions(own.file)]
    return definitions.context_of_definitions(given)


class AboutConfig(Section):
    """What a preset says about itself. It is of the preset as it comes, whatever is changed over it."""

    origin: str = setting("", affects=NOTHING, description="Paper and section that the preset follows.")
    tuned_on_test: tuple[str, ...] = setting(
        (),
        affects=NOTHING,
        description="Settings whose values were, by all that is published, chosen by results on the test set.",
    )
    expected: str = setting(
        "",
        affects=NOTHING,
        description="Figures, where they are published, and whether they were reproduced with this program.",
    )
