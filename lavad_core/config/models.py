"""The models' part of the configuration tree: one section per kind of model, told apart by ``kind``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, JsonValue, SecretStr, field_validator

from lavad_core.address import Addresses
from lavad_core.config.section import (
    CAPTIONER_STAGES,
    CHAT_STAGES,
    ENCODER_STAGES,
    NOTHING,
    BatchSize,
    HubSection,
    ModelSection,
    OnChange,
    ServedSection,
    SystemRole,
    TemplateVariables,
    check_recordable,
    extra_body,
    setting,
    system_role,
)
from lavad_core.config.served_fields import CAPTION_FIELDS, CHAT_FIELDS, SERVER_FLAGS, Address, addresses, flag_of
from lavad_core.masking import masked_text
from lavad_core.stage_names import Affected

Dtype = Literal["auto", "float32", "float16", "bfloat16"]


def _on_change(stages: tuple[Affected, ...]) -> Any:
    return setting(
        "warn",
        affects=stages,
        description="When the server no longer answers as the one whose results are in the store: warn, refuse to run, take it "
        "for a new model, or accept it as the known one from now on.",
    )


def _batch_size(most: int, things: str) -> Any:
    return setting(
        most, affects=NOTHING, description=f"Most {things} per call; halved when the device runs out of memory.", ge=1
    )


_MODEL = re.compile(r"(.+\.py|[^\W\d]\w*(\.[^\W\d]\w*)*):[^\W\d]\w*")
"""``FILE.py:FUNCTION`` or ``package.module:FUNCTION``."""


class PythonModel(ModelSection):
    """What the three roles share. ``kind`` and ``options`` affect the stages of the role, so that each declares them."""

    kind: Literal["python"]
    """``python``."""
    model: str = setting(
        ...,
        affects=NOTHING,
        description="FILE.py:FUNCTION or package.module:FUNCTION. The file's content is part of its identity.",
    )
    revision: str | None = setting(
        None, affects=NOTHING, description="Which weights the function loads; for the record, and part of its identity."
    )
    options: dict[str, JsonValue]
    """Keyword arguments of the function."""
    exclusive: bool = setting(
        True,
        affects=NOTHING,
        description="It computes on this process's device: one call at a time. False: it is served elsewhere, and several "
        "threads call it at once.",
    )

    @property
    def in_process(self) -> bool:
        return self.exclusive

    @property
    def source(self) -> str:
        """The file's path or the module's name."""
        return self.model.rpartition(":")[0]

    @property
    def function(self) -> str:
        """The name of the function in it."""
        return self.model.rpartition(":")[2]

    @property
    def is_file(self) -> bool:
        """Whether :attr:`source` is a path."""
        return self.source.endswith(".py")

    @field_validator("model")
    @classmethod
    def _is_a_place(cls, value: str) -> str:
        if not _MODEL.fullmatch(value):
            raise ValueError("give FILE.py:FUNCTION or package.module:FUNCTION")
        return value

    @field_validator("options")
    @classmethod
    def _can_be_recorded(cls, value: dict[str, JsonValue]) -> dict[str, JsonValue]:
        check_recordable(value, "let the function take secrets from its environment")
        return value


def _options(stages: tuple[Affected, ...]) -> Any:
    return setting({}, affects=stages, description="Keyword arguments of the function.")


class PythonCaptionerConfig(PythonModel):
    """A captioner of the user's own."""

    kind: Literal["python"] = setting("python", affects=CAPTIONER_STAGES, description="A function gives a Captioner.")
    options: dict[str, JsonValue] = _options(CAPTIONER_STAGES)
    batch_size: int = setting(32, affects=NOTHING, description="Most images per call.", ge=1)


class PythonEncoderConfig(PythonModel):
    """An encoder of the user's own."""

    kind: Literal["python"] = setting("python", affects=ENCODER_STAGES, description="A function gives an Encoder.")
    options: dict[str, JsonValue] = _options(ENCODER_STAGES)
    encodes_clips: bool = setting(
        False,
        affects=("embed_windows",),
        description="A two-frame clip has a vector of its own. False: it is the mean of its frames' image vectors.",
    )
    batch_size: int = setting(64, affects=NOTHING, description="Most images or clips per call.", ge=1)


class PythonChatConfig(PythonModel):
    """A chat model of the user's own. It is given all requests of a video at once, and divides them itself."""

    kind: Literal["python"] = setting("python", affects=CHAT_STAGES, description="A function gives a ChatModel.")
    options: dict[str, JsonValue] = _options(CHAT_STAGES)
    concurrency: int = setting(
        16,
        affects=NOTHING,
        description="Prompts whose tokens it counts at once, at most; one where it is exclusive.",
        ge=1,
        le=4096,
    )
    seed: int = setting(0, affects=CHAT_STAGES, description="Seed of the sampling.")


class Blip2Config(HubSection):
    """A BLIP-2 captioner through transformers."""

    kind: Literal["blip2"] = setting("blip2", affects=("caption",), description="A BLIP-2 checkpoint, in process.")
    model: str = setting(
        ..., affects=NOTHING, description="Hub id, local folder, or random:blip2-opt / random:blip2-t5 (tests)."
    )
    revision: str | None = setting(
        None, affects=NOTHING, description="Commit of the hub repository; resolved once and recorded if not given."
    )
    dtype: Dtype = setting(
        "auto",
        affects=("caption",),
        description="auto: float32 on a CPU, bfloat16 for T5 and float16 for OPT on a GPU.",
    )
    device: str = setting("auto", affects=NOTHING, description="auto, cpu, cuda, cuda:1, …")
    batch_size: BatchSize = setting(
        "auto",
        affects=NOTHING,
        description="Most images per call; halved when the device runs out of memory. auto: 32 on a CPU; on a GPU up to 256, "
        "as many as fit 80 % of the memory that is free once the model is loaded.",
    )
    max_new_tokens: int = setting(
        19, affects=("caption",), description="19 is what transformers 4.31 made of its max_length of 20.", ge=1, le=512
    )


class OpenAICaptionerConfig(ServedSection):
    """A vision-language model behind an OpenAI-compatible server."""

    role = "captioner"
    own_fields: ClassVar[Mapping[str, str]] = CAPTION_FIELDS

    kind: Literal["openai"] = setting("openai", affects=("caption",), description="A served vision-language model.")
    model: str = setting(..., affects=("caption",), description="The name under which the server serves it.")
    revision: str | None = setting(
        None, affects=("caption",), description="Which weights the server runs; for the record."
    )
    base_url: Address = setting("http://127.0.0.1:8000/v1", affects=NOTHING, description="Up to and including /v1.")
    api_key: SecretStr | None = setting(None, affects=NOTHING, description="Give it as LAVAD_… in the environment.")
    prompt: str = setting(
        "Describe what happens in this picture in one short sentence.",
        affects=("caption",),
        description="User message.",
    )
    max_new_tokens: int = setting(40, affects=("caption",), description="Most tokens of a caption.", ge=1, le=512)
    image_side: int = setting(448, affects=("caption",), description="Short side sent, pixels.", ge=32, le=4096)
    jpeg_quality: int = setting(
        95, affects=("caption",), description="JPEG quality of the pictures sent.", ge=1, le=100
    )
    extra_body: dict[str, JsonValue] = extra_body(CAPTIONER_STAGES)
    on_change: OnChange = _on_change(CAPTIONER_STAGES)
    concurrency: int = setting(16, affects=NOTHING, description="Requests in flight.", ge=1, le=4096)
    timeout_s: float = setting(120.0, affects=NOTHING, description="Total time of one request, seconds.", gt=0)
    retries: int = setting(5, affects=NOTHING, description="Times a request is tried again.", ge=0, le=100)
    max_backoff_s: float = setting(60.0, affects=NOTHING, description="Longest delay between tries.", ge=0)


CaptionerConfig = Annotated[Blip2Config | OpenAICaptionerConfig | PythonCaptionerConfig, Field(discriminator="kind")]


class ImageBindConfig(ModelSection):
    """ImageBind's vision and text towers. The published weights are CC BY-NC-SA 4.0: non-commercial."""

    encodes_clips: ClassVar[bool] = True
    """A two-frame clip has a vector of its own. False: it is the mean of its frames' image vectors, and needs no pass."""

    kind: Literal["imagebind"] = setting(
        "imagebind", affects=ENCODER_STAGES, description="This program's towers with the checkpoint of ImageBind."
    )
    model: str = setting(
        "imagebind_huge.pth",
        affects=NOTHING,
        description="Path of imagebind_huge.pth or of safetensors with the same names, or random:imagebind (tests).",
    )
    tokenizer: Path | None = setting(
        None,
        affects=NOTHING,
        description="Folder with CLIP's vocab.json and merges.txt; None: those beside the checkpoint, or the packaged ones.",
    )
    dtype: Dtype = setting("auto", affects=ENCODER_STAGES, description="auto: float32 on a CPU, float16 on a GPU.")
    device: str = setting("auto", affects=NOTHING, description="auto, cpu, cuda, cuda:1, …")
    batch_size: int = _batch_size(64, "images or clips")
    vision_heads: int | None = setting(
        None,
        affects=ENCODER_STAGES,
        description="Attention heads of the vision tower; None: as the file says, or 16 at the published width.",
        ge=1,
        le=1024,
    )
    text_heads: int | None = setting(
        None,
        affects=ENCODER_STAGES,
        description="Attention heads of the text tower; None as for the vision tower.",
        ge=1,
        le=1024,
    )
    long_text: Literal["keep-end", "lose-end"] = setting(
        "keep-end",
        affects=("embed_captions", "embed_summaries", "score_zero_shot", "score_bank"),
        description="Texts over 77 tokens: cut to 76 and an end token, or cut without one as the reference does.",
    )


class ClipConfig(HubSection):
    """A CLIP-family model through transformers: OpenCLIP ViT-H/14 (MIT), SigLIP 2 (Apache-2.0), …"""

    encodes_clips: ClassVar[bool] = False

    kind: Literal["clip"] = setting("clip", affects=ENCODER_STAGES, description="CLIP or SigLIP, in process.")
    model: str = setting(
        "laion/CLIP-ViT-H-14-laion2B-s32B-b79K",
        affects=NOTHING,
        description="Hub id, local folder, or random:clip / random:siglip (tests).",
    )
    revision: str | None = setting(None, affects=NOTHING, description="Commit of the hub repository.")
    dtype: Dtype = setting("auto", affects=ENCODER_STAGES, description="auto: float32 on a CPU, float16 on a GPU.")
    device: str = setting("auto", affects=NOTHING, description="auto, cpu, cuda, cuda:1, …")
    batch_size: int = _batch_size(64, "images or clips")


EncoderConfig = Annotated[ImageBindConfig | ClipConfig | PythonEncoderConfig, Field(discriminator="kind")]


class VllmChatConfig(ServedSection):
    """A chat model behind an OpenAI-compatible server that supports vLLM's structured choice."""

    role = "chat"
    own_fields: ClassVar[Mapping[str, str]] = CHAT_FIELDS

    kind: Literal["openai"] = setting("openai", affects=CHAT_STAGES, description="A served chat model.")
    model: str = setting(
        "meta-llama/Llama-2-13b-chat-hf", affects=CHAT_STAGES, description="The name under which the server serves it."
    )
    revision: str | None = setting(
        None, affects=CHAT_STAGES, description="Which weights the server runs; for the record."
    )
    base_url: Annotated[Addresses, BeforeValidator(addresses)] = setting(
        "http://127.0.0.1:8000/v1",
        affects=NOTHING,
        description="Up to and including /v1. A list, or addresses with commas between: several servers of one model; "
        "requests of a video go to one of them, and to the others while it is down.",
    )
    api_key: SecretStr | None = setting(None, affects=NOTHING, description="Give it as LAVAD_CHAT__API_KEY.")
    server: Literal["address", "managed"] = setting(
        "address",
        affects=NOTHING,
        description="address: it runs at base_url. managed: the run starts it for the stages that need it, and ends it; "
        "base_url and api_key are not used.",
    )
    server_command: tuple[str, ...] = setting(
        ("vllm", "serve"),
        affects=NOTHING,
        description="What starts a managed server, in an environment of its own: program and first arguments. The model and "
        "the flags follow.",
    )
    server_model: str | None = setting(
        None, affects=NOTHING, description="Folder or hub id that a managed server loads; null: chat.model."
    )
    server_args: tuple[str, ...] = setting(
        (), affects=NOTHING, description="More flags of a managed server, such as [--max-model-len=4096]."
    )
    server_start_s: float = setting(
        1800.0, affects=NOTHING, description="Longest wait until a managed server is ready, seconds.", gt=0
    )
    context_tokens: int = setting(
        4096,
        affects=CHAT_STAGES,
        description="The model's context. It counts where it is below total_tokens of the stage.",
        ge=256,
    )
    tokenizer: str | None = setting(
        "auto",
        affects=NOTHING,
        description="Folder or hub id of the model's tokenizer and chat template: prompts are counted with them if the server "
        "counts the same. auto: those of what the server says it serves, if they are on this machine; null: the server counts.",
    )
    tokenizer_revision: str | None = setting(
        None, affects=NOTHING, description="Commit, branch or tag of the tokenizer's hub repository."
    )
    concurrency: int = setting(128, affects=NOTHING, description="Requests in flight at each server.", ge=1, le=4096)
    timeout_s: float = setting(300.0, affects=NOTHING, description="Total time of one request, seconds.", gt=0)
    retries: int = setting(6, affects=NOTHING, description="Times a request is tried again.", ge=0, le=100)
    max_backoff_s: float = setting(60.0, affects=NOTHING, description="Longest delay between tries.", ge=0)
    system_role: SystemRole = system_role(CHAT_STAGES)
    extra_body: dict[str, JsonValue] = extra_body(CHAT_STAGES)
    on_change: OnChange = _on_change(CHAT_STAGES)
    seed: int = setting(0, affects=CHAT_STAGES, description="Seed of the sampling.")

    @property
    def system_messages(self) -> SystemRole:
        return self.system_role

    @property
    def managed(self) -> bool:
        return self.server == "managed"

    @field_validator("server_args")
    @classmethod
    def _are_not_ours(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        """Raises ValueError for a flag that the program sets itself."""
        for name in map(flag_of, value):
            if (way := SERVER_FLAGS.get(name)) is not None:
                raise ValueError(f"{name} cannot be given here: {way}")
        return value

    @field_validator("server_command", "server_args")
    @classmethod
    def _holds_no_secret(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if any(masked_text(given) != given for given in value):
            raise ValueError("one holds what looks like a secret, and it would be recorded; set it in the environment")
        return value

    @field_validator("server_command")
    @classmethod
    def _names_a_program(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value or not value[0].strip():
            raise ValueError("has no program in it; give one, such as [vllm, serve]")
        return value


class LocalChatConfig(HubSection):
    """A chat model through transformers, in process: for machines without a server."""

    kind: Literal["transformers"] = setting("transformers", affects=CHAT_STAGES, description="In process.")
    model: str = setting(..., affects=NOTHING, description="Hub id, local folder, or random:llama (tests).")
    revision: str | None = setting(None, affects=NOTHING, description="Commit of the hub repository.")
    dtype: Dtype = setting("auto", affects=CHAT_STAGES, description="auto: float32 on a CPU, float16 on a GPU.")
    device: str = setting("auto", affects=NOTHING, description="auto, cpu, cuda, cuda:1, …")
    batch_size: int = _batch_size(16, "prompts")
    system_role: SystemRole = system_role(CHAT_STAGES)
    template_kwargs: TemplateVariables = setting(
        {},
        affects=CHAT_STAGES,
        description="Variables of the model's chat template, such as {enable_thinking: false}. A served model's are in "
        "extra_body.",
    )
    seed: int = setting(0, affects=CHAT_STAGES, description="Seed of the sampling.")


ChatConfig = Annotated[VllmChatConfig | LocalChatConfig | PythonChatConfig, Field(discriminator="kind")]

ModelConfig = CaptionerConfig | EncoderConfig | ChatConfig

DEFAULT_CAPTIONERS: dict[str, CaptionerConfig] = {
    "blip2-flan-t5-xxl": Blip2Config(model="Salesforce/blip2-flan-t5-xxl")
}
