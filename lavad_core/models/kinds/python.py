"""``kind: python``: a model that a function of the user's gives, in each of the three roles."""

from __future__ import annotations

from typing import Any

from lavad_core.config.models import PythonCaptionerConfig, PythonChatConfig, PythonEncoderConfig, PythonModel
from lavad_core.models.kinds.kind import FolderOf, ModelFinding, ModelKind, finding
from lavad_core.models.protocols import Captioner, ChatModel, Encoder
from lavad_core.models.python_model import find_source, load_python, python_identity
from lavad_core.video.identity import IdentityCache


class PythonKind(ModelKind[Any]):
    """A function of a file or module. What it returns is checked against the Protocol of the role."""

    def __init__(self, section: type[PythonModel], role: type[Any], theirs: str) -> None:
        """``role`` is their Protocol; ``theirs`` names the class of :mod:`lavad_core.models.python_results` that checks what
        the model gives."""
        self.section, self._role, self._theirs = section, role, theirs

    def identity(self, section: PythonModel, cache: IdentityCache | None) -> str:
        """``python:<function>@<revision>#<digest>`` of the function's file."""
        return python_identity(section, cache)

    def where(self, section: PythonModel) -> ModelFinding:
        return finding(section, True, f"{find_source(section)} (looked at, not imported)")

    def load(self, section: PythonModel, place: str, folder_of: FolderOf) -> Any:
        from lavad_core.models import python_results

        return getattr(python_results, self._theirs)(section, load_python(section, self._role))


PYTHON_CAPTIONER = PythonKind(PythonCaptionerConfig, Captioner, "CheckedCaptioner")
PYTHON_ENCODER = PythonKind(PythonEncoderConfig, Encoder, "CheckedEncoder")
PYTHON_CHAT = PythonKind(PythonChatConfig, ChatModel, "CheckedChat")
