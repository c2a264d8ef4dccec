"""What sections of the configuration are made of: fields that say which stages they affect, and what all models share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    PlainSerializer,
    SecretStr,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
)
from pydantic.fields import FieldInfo

from lavad_core.address import Addresses, each_address
from lavad_core.digest import canonical_json
from lavad_core.location import address_scheme, s3_home, shown
from lavad_core.masking import masked
from lavad_core.stage_names import Affected

PathKey = tuple[str, ...]
"""The names from the root of the tree to a value. A name that the user chose may hold dots."""

NOTHING: tuple[Affected, ...] = ()
"""For fields that change how fast or where work is done, never its result."""


def _home(value: Any) -> Any:
    return s3_home(value) if isinstance(value, str | Path) and address_scheme(value) == "s3" else value


PlaceOrAddress = Annotated[Path, BeforeValidator(_home), PlainSerializer(shown)]
"""A path; an ``s3://`` address is given and recorded as such, and is its home in between (:mod:`lavad_core.location`)."""


class Section(BaseModel):
    """A part of the configuration: unknown keys are refused, values cannot be changed after validation."""

    # An infinite time-out is no limit, and JSON has neither infinity nor NaN.
    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)


def setting(default: Any, *, affects: Iterable[Affected], description: str, **constraints: Any) -> Any:
    """A configuration field.

    Args:
        default: the value when none is given; ``...`` if it must be given.
        affects: names of the stages that read it; :data:`NOTHING` if no result depends on it.
        description: one line with the unit; shown by ``lavad config schema``.
        constraints: arguments of ``pydantic.Field`` (``ge``, ``le``, …).
    """
    stages: list[JsonValue] = [*sorted(affects)]
    return Field(default, description=description, json_schema_extra={"affects": stages}, **constraints)


def affects_of(name: str, info: FieldInfo) -> tuple[str, ...]:
    """The stages a field declares.

    Raises:
        TypeError: it declares none: every leaf of the tree must be made with :func:`setting`.
    """
    extra = info.json_schema_extra
    if not isinstance(extra, dict) or "affects" not in extra:
        raise TypeError(f"configuration field {name!r} does not declare the stages it affects; make it with setting()")
    affects = extra["affects"]
    assert isinstance(affects, list)
    return tuple(str(stage) for stage in affects)


def leaves(section: BaseModel, path: PathKey = ()) -> Iterator[tuple[PathKey, tuple[str, ...], Any]]:
    """(path, stages it affects, value) of every leaf; a section of a mapping has its name in the path."""
    for name, info in type(section).model_fields.items():
        value = getattr(section, name)
        here = (*path, name)
        if isinstance(value, BaseModel):
            yield from leaves(value, here)
        elif isinstance(value, dict) and value and all(isinstance(below, BaseModel) for below in value.values()):
            for own, below in value.items():
                yield from leaves(below, (*here, own))
        else:
            yield here, affects_of(".".join(here), info), value


def _batch_size(value: Any, read: ValidatorFunctionWrapHandler) -> Any:
    """One message in place of one for each type of the union."""
    try:
        return read(value)
    except ValidationError:
        raise ValueError("give auto, or a whole number of at least 1") from None


BatchSize = Annotated[Literal["auto"] | Annotated[int, Field(ge=1)], WrapValidator(_batch_size)]
"""Items of a batch, or ``auto``."""

AUTO_ON_CPU = 32
"""Items of a batch on a CPU where it is ``auto``."""

AUTO_MOST = 256
"""Most items of a batch on a GPU where it is ``auto``: two batches of frames wait in memory."""


CAPTIONER_STAGES: tuple[Affected, ...] = ("caption",)
ENCODER_STAGES: tuple[Affected, ...] = (
    "embed_captions",
    "embed_frames",
    "embed_summaries",
    "embed_windows",
    "score_zero_shot",
    "score_bank",
)
CHAT_STAGES: tuple[Affected, ...] = (
    "summarise",
    "summarise_events",
    "score",
    "rate_events",
    "score_direct",
    "score_clips",
    "score_definitions",
    "rescore",
)

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$"
"""What a captioner's name may be; it is part of file names in the store."""


SystemRole = Literal["auto", "fold", "refuse", "send"]

OnChange = Literal["warn", "refuse", "new", "accept"]


class ModelSection(Section):
    """The section of a model. Its fields say which model; its properties, how it is called."""

    if TYPE_CHECKING:  # each kind declares its own, with the stages that it affects
        kind: str
        model: str

    @property
    def served(self) -> ServedSection | None:
        """The section itself if its model is behind a server; otherwise None."""
        return None

    @property
    def in_process(self) -> bool:
        """Whether it computes on this process's device: one call at a time, under the device lock. False: somewhere else,
        and several threads may call it at once."""
        return True


class HubSection(ModelSection):
    """The section of a model that may come from the hub."""

    if TYPE_CHECKING:
        revision: str | None


def check_recordable(values: Mapping[str, JsonValue], instead: str) -> None:
    """Values of the user's own are recorded with each result and travel as a flow's parameters, where secrets are masked: they
    would arrive changed.

    Args:
        values: what the user gave.
        instead: where secrets are to come from.

    Raises:
        ValueError: one looks like a secret, or JSON cannot say it.
    """
    hidden = [name for name, below in values.items() if masked(below, name) != below]
    if hidden:
        raise ValueError(
            f"{hidden[0]!r} is, or holds, what looks like a secret, and it would be recorded with the results; {instead}"
        )
    canonical_json(values).encode()  # half a surrogate pair is a ValueError here, not when the first key is made


def _template_variables(given: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Raises ValueError for a secret, and for a variable that the program sets itself."""
    for name in given:
        if name in ("messages", "add_generation_prompt", "continue_final_message"):
            raise ValueError(f"{name!r} cannot be given here, the program sets it itself; leave it out")
    check_recordable(given, "a chat template needs none")
    return given


TemplateVariables = Annotated[dict[str, JsonValue], AfterValidator(_template_variables)]
"""Variables of a chat template."""


class ServedSection(ModelSection):
    """A model behind an OpenAI-compatible server."""

    role: ClassVar[Literal["captioner", "chat"]]
    """What it is asked for: a captioner is shown pictures."""
    own_fields: ClassVar[Mapping[str, str]]
    """Fields of a request that the program sets itself, with what is to be set in their place."""

    if TYPE_CHECKING:
        revision: str | None
        base_url: Addresses
        api_key: SecretStr | None
        extra_body: dict[str, JsonValue]
        on_change: OnChange
        concurrency: int
        timeout_s: float
        retries: int
        max_backoff_s: float

    @property
    def in_process(self) -> bool:
        return False

    @property
    def served(self) -> ServedSection:
        return self

    @property
    def managed(self) -> bool:
        """Whether a run starts it: then it has no address before."""
        return False

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where it is served."""
        return each_address(self.base_url)

    def at(self, address: str) -> Self:
        """The section of the server at one of its addresses alone."""
        return self.model_copy(update={"base_url": address})

    @property
    def system_messages(self) -> SystemRole:
        """What becomes of system messages, as configured; a captioner is sent none."""
        return "send"

    @field_validator("extra_body", check_fields=False)
    @classmethod
    def _is_extra(cls, value: dict[str, JsonValue]) -> dict[str, JsonValue]:
        """Raises ValueError for a secret, and for a field that the program sets itself."""
        for name in value:
            if name in cls.own_fields:
                raise ValueError(f"{name!r} cannot be given here, the program sets it itself: {cls.own_fields[name]}")
        check_recordable(value, "keys are sent with api_key, from the environment")
        return value


def extra_body(stages: Iterable[Affected]) -> Any:
    """The field of what else each request to a server holds."""
    return setting(
        {},
        affects=stages,
        description="Fields added to each request, such as {chat_template_kwargs: {enable_thinking: false}}.",
    )


def system_role(stages: Iterable[Affected]) -> Any:
    """The field of what becomes of system messages."""
    return setting(
        "auto",
        affects=stages,
        description="fold puts the system text before the user's, with a blank line between, for models without that role; "
        "send sends it; auto asks the model's template or server which it takes; refuse asks, and ends the run where it would "
        "have to be folded. What it comes to is part of the identity.",
    )
