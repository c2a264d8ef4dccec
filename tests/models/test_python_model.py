"""Models that a function of the user's gives: how they are found, named, loaded and refused."""

from __future__ import annotations

import os
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from lavad_core.config.models import PythonCaptionerConfig, PythonChatConfig, PythonEncoderConfig, PythonModel
from lavad_core.config.schema import LavadConfig
from lavad_core.errors import ModelError, ServiceUnavailable
from lavad_core.models.kinds import find_model, model_identity, pinned
from lavad_core.models.licences import UNKNOWN
from lavad_core.models.pool import ModelPool
from lavad_core.models.protocols import Captioner, ChatModel, Encoder
from lavad_core.models.python_model import load_python
from lavad_core.video.identity import IdentityCache

CAPTIONER = """
from support.fake_models import FakeCaptioner

def load(name="a", fail=None, exit_code=None):
    if fail:
        raise OSError(fail)
    if exit_code is not None:
        raise SystemExit(exit_code)
    return FakeCaptioner(name)
"""


def captioner(model: str | Path, revision: str | None = None, **options: Any) -> PythonCaptionerConfig:
    return PythonCaptionerConfig(model=str(model), revision=revision, options=options)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(CAPTIONER)
    return path


class TestIdentity:
    def test_says_function_revision_and_content(self, file: Path, tmp_path: Path) -> None:
        before = model_identity(captioner(f"{file}:load"), None)
        name, _, digest = before.partition("#")
        assert name == "python:load@unstated"
        assert len(digest) == 32
        moved = file.rename(tmp_path / "elsewhere.py")
        assert model_identity(captioner(f"{moved}:load"), None) == before
        assert model_identity(captioner(f"{moved}:load", "v3"), None) == f"python:load@v3#{digest}"

    def test_changes_with_the_file(self, file: Path, tmp_path: Path) -> None:
        cache = IdentityCache(tmp_path / "digests.sqlite")
        os.utime(file, (1, 1))
        before = model_identity(captioner(f"{file}:load"), cache)
        assert model_identity(captioner(f"{file}:load"), cache) == before
        file.write_text(CAPTIONER + "# another prompt\n")
        assert model_identity(captioner(f"{file}:load"), cache) != before

    def test_of_a_module_is_that_of_its_file(self) -> None:
        from support import fake_models

        by_module = model_identity(captioner("support.fake_models:FakeCaptioner"), None)
        assert by_module == model_identity(captioner(f"{fake_models.__file__}:FakeCaptioner"), None)

    def test_the_licence_is_not_known_and_nothing_is_pinned(self, file: Path) -> None:
        config = captioner(f"{file}:load", "main")
        assert find_model(config).licence == str(UNKNOWN)
        assert find_model(captioner("random:load")).licence == str(UNKNOWN), "a module of that name, no random model"
        assert pinned(config) == config


class TestFinding:
    def test_reads_and_does_not_import(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        package = tmp_path / "lavad_test_package"
        package.mkdir()
        (package / "__init__.py").write_text("raise AssertionError('imported')")
        (package / "mine.py").write_text("raise AssertionError('imported')\ndef load(): ...")
        monkeypatch.syspath_prepend(str(tmp_path))
        for model in (f"{package}/mine.py:load", "lavad_test_package.mine:load"):
            finding = find_model(captioner(model))
            assert (finding.found, finding.where) == (True, f"{package}/mine.py (looked at, not imported)")
            assert model_identity(captioner(model), None).startswith("python:load@unstated#")
        assert "lavad_test_package" not in sys.modules

    @pytest.mark.parametrize(
        ("text", "found"),
        [
            pytest.param("class load: ...", True, id="a class"),
            pytest.param("load = print", True, id="a name"),
            pytest.param("if True:\n    from x import y as load", True, id="an import"),
            pytest.param("from x import *", True, id="who knows"),
            pytest.param("def laod(): ...", False, id="misspelt"),
        ],
    )
    def test_the_name_must_be_given_to_something(self, file: Path, text: str, found: bool) -> None:
        file.write_text(text)
        finding = find_model(captioner(f"{file}:load"))
        assert finding.found is found
        assert found or "has no 'load'; did you mean 'laod'?" in finding.where

    @pytest.mark.parametrize(
        ("model", "says"),
        [
            pytest.param("/nowhere/mine.py:load", ["'/nowhere/mine.py' cannot be read", "No such file"], id="no file"),
            pytest.param("lavad_none.mine:load", ["no module 'lavad_none.mine'", "FILE.py:FUNCTION"], id="no module"),
            pytest.param(
                "support.fake_models.mine:load", ["no module 'support.fake_models.mine'"], id="below a module"
            ),
            pytest.param("sys:load", ["no module 'sys' with a file"], id="no file of its own"),
        ],
    )
    def test_missing(self, model: str, says: list[str]) -> None:
        with pytest.raises(ModelError) as caught:
            model_identity(captioner(model), None)
        finding = find_model(captioner(model))
        assert (finding.found, finding.where) == (False, str(caught.value))
        assert all(words in str(caught.value) for words in (model, *says))

    def test_no_python(self, file: Path) -> None:
        file.write_text("def load(:")
        with pytest.raises(ModelError, match=r"is not Python: .*line 1"):
            model_identity(captioner(f"{file}:load"), None)


def refused(config: PythonModel, protocol: type[Any] = Captioner) -> str:
    with pytest.raises(ModelError) as caught:
        load_python(config, protocol)
    assert config.model in str(caught.value)
    return str(caught.value)


class TestLoading:
    @pytest.mark.parametrize(
        ("case", "options", "says"),
        [
            ("wrong keyword", {"nmae": "b"}, ["do not fit load(name='a'", "unexpected keyword argument 'nmae'"]),
            ("its own error", {"fail": "no weights\nmore"}, ["load fails: OSError: no weights (", "mine.py:6)"]),
            ("it wants to end the process", {"exit_code": 3}, ["load fails: SystemExit: 3 (", "mine.py:8)"]),
        ],
    )
    def test_of_the_function(self, file: Path, case: str, options: dict[str, Any], says: list[str]) -> None:
        message = refused(captioner(f"{file}:load", **options))
        assert all(words in message for words in says), f"{case}: {message}"
        assert "\n" not in message

    @pytest.mark.parametrize(
        ("case", "text", "says"),
        [
            ("import fails", "import lavad_none\ndef load(): ...", ["cannot be imported: ModuleNotFoundError", "py:1)"]),
            ("no Python", "def load(:", ["cannot be imported: SyntaxError"]),
            ("not there", "from os import *", ["there is no function 'load'"]),
            ("not callable", "load = 3", ["there is no function 'load'"]),
            ("argument missing", "def load(a): ...", ["do not fit load(a): missing a required argument: 'a'"]),
            ("nothing", "def load(): ...", ["a NoneType, is no Captioner", "lacks geometry, caption, close;"]),
            ("no method", "class load:\n    geometry = 1\n    caption = ['x']\n    def close(self): ...", ["lacks caption;"]),
            ("a faulty property", "class load:\n    geometry = property(lambda self: 1 / 0)", ["ZeroDivisionError"]),
        ],
    )  # fmt: skip
    def test_of_the_file(self, file: Path, case: str, text: str, says: list[str]) -> None:
        file.write_text(text)
        message = refused(captioner(f"{file}:load"))
        assert all(words in message for words in says), f"{case}: {message}"

    @pytest.mark.parametrize(
        ("config", "protocol", "lacks"),
        [
            (
                PythonEncoderConfig(model="support.fake_models:FakeChat"),
                Encoder,
                "dimension, image_geometry, clip_geometry",
            ),
            (
                PythonChatConfig(model="support.fake_models:FakeEncoder"),
                ChatModel,
                "context_tokens, count_tokens, answer;",
            ),
        ],
    )
    def test_another_role(self, config: PythonModel, protocol: type[Any], lacks: str) -> None:
        assert f"is no {protocol.__name__}: it lacks {lacks}" in refused(config, protocol)

    def test_our_own_errors_are_meant_as_such(self, file: Path) -> None:
        file.write_text("from lavad_core.errors import *\ndef load():\n    raise ServiceUnavailable('later')")
        with pytest.raises(ServiceUnavailable, match=r"^later$"):
            load_python(captioner(f"{file}:load"), Captioner)

    def test_options_are_copies(self, file: Path) -> None:
        file.write_text("def load(names):\n    names.append('x')\n    raise ValueError(len(names))")
        config = captioner(f"{file}:load", names=["a"])
        assert "ValueError: 2" in refused(config)
        assert "ValueError: 2" in refused(config)

    def test_what_is_loaded_is_what_the_identity_says(self, file: Path) -> None:
        """Bytecode would be kept for a file of the same second and size."""
        for name in "ab":
            file.write_text(
                f"from support.fake_models import FakeCaptioner\ndef load():\n    return FakeCaptioner('{name}')"
            )
            os.utime(file, (1, 1))
            assert load_python(captioner(f"{file}:load"), Captioner).name == name
        assert sorted(path.name for path in file.parent.iterdir()) == ["mine.py"]

    def test_the_module_can_be_looked_up(self, file: Path) -> None:
        file.write_text(
            "from __future__ import annotations\nimport pickle\nfrom dataclasses import dataclass\n"
            "from support.fake_models import FakeCaptioner\n"
            "@dataclass\nclass load(FakeCaptioner):\n    name: str = 'a'\n"
            "    def __post_init__(self):\n        pickle.dumps(load)\n"
        )
        assert load_python(captioner(f"{file}:load"), Captioner).name == "a"


@pytest.mark.parametrize("exclusive", [True, False])
def test_the_device_is_locked_for_models_of_this_process(exclusive: bool) -> None:
    places = {"model": "support.fake_models:FakeEncoder", "exclusive": exclusive}
    config = LavadConfig(
        captioners={
            "a": {"kind": "python", **places, "model": "support.fake_models:FakeCaptioner", "options": {"name": "a"}}
        },
        encoder={"kind": "python", **places},
        chat={"kind": "python", **places, "model": "support.fake_models:FakeChat"},
    )  # fmt: skip
    pool = ModelPool(config)
    for model, lock in (pool.captioner("a"), pool.encoder(), pool.chat()):
        assert lock is pool.device_lock if exclusive else isinstance(lock, nullcontext)
        assert not model.closed  # type: ignore[union-attr]
    pool.close()
