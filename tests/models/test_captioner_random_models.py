"""The random models: same bytes each time, small, and of some use in tests."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
import transformers

from lavad_core.errors import ModelError
from lavad_core.method import prompts
from lavad_core.models import random_models
from lavad_core.models.random_llama import make_llama
from lavad_core.models.random_models import parse, random_folder, random_identity
from lavad_core.models.random_text import prompt_words, spoken_words

KINDS = ("blip2-opt", "blip2-t5", "imagebind", "clip", "siglip", "llama")


pytestmark = pytest.mark.usefixtures("one_thread")


def contents(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


@pytest.mark.parametrize("kind", KINDS)
def test_same_bytes_each_time_and_small(kind: str, tmp_path: Path) -> None:
    one, two = (random_folder(kind, tmp_path / name) for name in "ab")
    assert one.name == two.name
    assert contents(one) == contents(two)
    assert sum(path.stat().st_size for path in one.iterdir()) < 8e6
    assert [path.name for path in (tmp_path / "a").iterdir()] == [one.name]  # no drafts are left


@pytest.mark.parametrize("kind", KINDS)
def test_another_seed_is_another_model(kind: str, tmp_path: Path) -> None:
    one, two = random_folder(kind, tmp_path), random_folder(f"{kind}?seed=1", tmp_path)
    assert one != two
    changed = {name for name, digest in contents(one).items() if contents(two)[name] != digest}
    assert {Path(name).suffix for name in changed} == {".safetensors"}


def test_same_bytes_in_another_process_and_with_other_random_state(tmp_path: Path) -> None:
    script = (
        "import sys, torch; from pathlib import Path; from lavad_core.models.random_models import random_folder\n"
        "torch.manual_seed(99); torch.rand(7); torch.set_num_threads(1)\n"
        "[random_folder(kind, Path(sys.argv[1])) for kind in sys.argv[2:]]"
    )
    made_first = [random_folder(kind, tmp_path / "here") for kind in ("llama", "blip2-t5")]
    subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "there"), "blip2-t5", "llama"],
        check=True,
        timeout=300,
        cwd=Path(__file__).resolve().parents[2],
    )
    for folder in made_first:
        assert contents(tmp_path / "there" / folder.name) == contents(folder)


def test_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = random_folder("llama", tmp_path)
    monkeypatch.setitem(random_models._MAKERS, "llama", ("lavad_core.nowhere", "nothing"))
    assert random_folder("llama", tmp_path) == folder


def test_makers_at_once_leave_one_whole_folder(tmp_path: Path) -> None:
    expected = contents(random_folder("llama", tmp_path / "alone"))
    with ThreadPoolExecutor(4) as executor:
        folders = set(executor.map(lambda _: random_folder("llama", tmp_path / "shared"), range(4)))
    (folder,) = folders
    assert contents(folder) == expected
    assert list((tmp_path / "shared").iterdir()) == [folder]


def test_a_maker_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(random_models._MAKERS, "llama", ("lavad_core.nowhere", "nothing"))
    with pytest.raises(ModuleNotFoundError):
        random_folder("llama", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_root_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelError, match="XDG_CACHE_HOME"):
        random_folder("llama", tmp_path / "file" / "below")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("llama", ("llama", {}), id="plain"),
        pytest.param("llama?seed=7", ("llama", {"seed": 7}), id="seed"),
        pytest.param("llama?seed=0", ("llama", {}), id="the default seed"),
        pytest.param("blip2-opt?image=112&seed=1", ("blip2-opt", {"image": 112, "seed": 1}), id="image"),
    ],
)
def test_names(name: str, expected: tuple[str, dict[str, int]]) -> None:
    assert parse(name) == expected


@pytest.mark.parametrize(
    "name",
    ["", "gpt", "llama?seed=-1", "llama?seed=x", "llama?seed=1&seed=2", "llama?image=28", "blip2-opt?image=30", "llama?size=3",
     "../llama", "llama?seed=٣", "llama\n"],
)  # fmt: skip
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(ModelError, match="random model"):
        random_identity(name)


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("llama")
    make_llama(folder)
    return folder


@pytest.fixture(scope="module")
def tokenizer(llama: Path) -> transformers.PreTrainedTokenizerBase:
    return transformers.AutoTokenizer.from_pretrained(llama)


@pytest.fixture(scope="module")
def model(llama: Path) -> transformers.LlamaForCausalLM:
    return transformers.AutoModelForCausalLM.from_pretrained(llama).eval()


class TestLlama:
    @pytest.mark.parametrize(
        "text",
        [
            pytest.param("a man walks through the gate", id="words"),
            pytest.param("[0.3]", id="a score"),
            pytest.param("two  spaces\n and a line", id="white space"),
            pytest.param("Übung 漢字 🙂 \t", id="bytes"),
            pytest.param(prompts.SUMMARY, id="P_S"),
            pytest.param(prompts.FORMAT, id="P_F"),
        ],
    )
    def test_tokenizer_gives_texts_back(self, tokenizer: transformers.PreTrainedTokenizerBase, text: str) -> None:
        ids = tokenizer(text).input_ids
        assert ids[0] == tokenizer.bos_token_id
        assert tokenizer.decode(ids, skip_special_tokens=True) == text

    def test_tokenizer_is_of_llama_2s_shape(self, tokenizer: transformers.PreTrainedTokenizerBase) -> None:
        assert tokenizer.tokenize(" [0.3]")[-5:] == ["▁[", "0", ".", "3", "]"]
        assert tokenizer.convert_tokens_to_ids(["<unk>", "<s>", "</s>", "<0x00>", "<0xFF>"]) == [0, 1, 2, 3, 258]
        assert tokenizer.tokenize("漢") == ["▁", "<0xE6>", "<0xBC>", "<0xA2>"]
        assert tokenizer.tokenize("walks 12") == ["▁walks", "▁", "1", "2"]
        assert all(tokenizer.tokenize(word) == [f"▁{word}"] for word in prompt_words())

    def test_chat_template(self, tokenizer: transformers.PreTrainedTokenizerBase) -> None:
        def render(*messages: tuple[str, str]) -> str:
            return tokenizer.apply_chat_template([{"role": r, "content": c} for r, c in messages], tokenize=False)

        assert render(("user", " hi ")) == "<s>[INST] hi [/INST]"
        assert render(("system", "be brief"), ("user", "hi")) == "<s>[INST] <<SYS>>\nbe brief\n<</SYS>>\n\nhi [/INST]"
        turns = (("user", "a"), ("assistant", " b "), ("user", "c"))
        assert render(*turns) == "<s>[INST] a [/INST] b </s><s>[INST] c [/INST]"
        for wrong in ([("assistant", "a")], [("user", "a"), ("user", "b")], [("user", "a"), ("system", "b")]):
            with pytest.raises(Exception, match="roles must be"):
                render(*wrong)

    @pytest.mark.parametrize("temperature", [0.0, 0.6, 1.0])
    def test_ends_soon_and_says_words(
        self,
        tokenizer: transformers.PreTrainedTokenizerBase,
        model: transformers.LlamaForCausalLM,
        temperature: float,
    ) -> None:
        prompt = tokenizer("<s>[INST] a man walks past a bus [/INST]", add_special_tokens=False, return_tensors="pt")
        torch.manual_seed(0)
        sampling = (
            {"do_sample": True, "temperature": temperature, "top_p": 0.9} if temperature else {"do_sample": False}
        )
        tokens = model.generate(
            **{name: value.repeat(16, 1) for name, value in prompt.items() if name != "token_type_ids"},
            max_new_tokens=200,
            pad_token_id=2,
            **sampling,
        )
        answers = tokenizer.batch_decode(tokens[:, prompt.input_ids.shape[1] :], skip_special_tokens=True)
        words = [answer.split() for answer in answers]
        assert all(set(said) <= set(spoken_words()) for said in words)
        lengths = sorted(map(len, words))
        assert lengths[0] >= 1
        assert lengths[len(lengths) // 2] < 40
        assert lengths[-1] < 200  # none was stopped by max_new_tokens
        if temperature:
            assert len(set(answers)) > 8

    def test_context(self, model: transformers.LlamaForCausalLM) -> None:
        assert model.config.max_position_embeddings == 4096
        assert sum(weight.numel() for weight in model.parameters()) < 1e6


def test_all_are_made_quickly(tmp_path: Path) -> None:
    """10 s of this process's time, imports apart: on an idle machine it is about one."""
    import_all = [random_models.import_module(module) for module, _ in random_models._MAKERS.values()]
    assert import_all
    start = time.process_time()
    for kind in KINDS:
        random_folder(kind, tmp_path)
    assert time.process_time() - start < 10


def test_llamas_scores_depend_on_the_text(llama: Path) -> None:
    """Else the first run that a newcomer sees would give every scene the same score."""
    from lavad_core.config.models import LocalChatConfig
    from lavad_core.models.chat.in_process import LocalChat
    from lavad_core.models.protocols import ChatRequest
    from lavad_core.models.random_text import SENTENCES

    chat = LocalChat.load(LocalChatConfig(model="unused", device="cpu"), str(llama))
    system = f"{prompts.CONTEXT['impersonation']} {prompts.FORMAT}"
    requests = [
        ChatRequest(
            (("system", system), ("user", text)), 16, 0.6, 0.9, 0, tuple(f" {c}" for c in prompts.SCORE_CHOICES)
        )
        for text in SENTENCES
    ]
    answers = {answer.text for _, answer in chat.answer(requests)}
    chat.close()
    assert answers <= set(prompts.SCORE_CHOICES)
    assert len(answers) >= 4
