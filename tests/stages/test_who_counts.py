"""What is stored does not tell who counted the tokens of the prompts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from support.counting_server import LLAMA, CountingServer
from support.fake_models import FakePool
from support.scripted_server import scripted
from support.served import config_of, served
from support.whole_runs import tree

from lavad_core.models.chat.prompt_counts import CHECKED
from lavad_core.video.types import VideoSource


def test_the_same_bytes_with_a_tokenizer_and_without(
    make_bench: Callable[..., Any], street: VideoSource, tmp_path: Path
) -> None:
    found, counts = {}, {}
    for tokenizer in (None, str(LLAMA)):
        script, store = CountingServer(), tmp_path / str(len(found))
        with scripted(script=script) as server, served(server, tokenizer=tokenizer) as model:
            pool = FakePool()
            pool.chat_model = model  # type: ignore[assignment]
            chat = config_of(server, tokenizer=tokenizer).model_dump(exclude={"api_key"})
            # Little room, so that captions are left out.
            bench = make_bench(pool, store=store, chat=chat, summarise={"total_tokens": 110, "min_answer_tokens": 40})
            try:
                video = bench.prepare(street)
                assert bench.run(video) == {}
                rows = bench.rows(video, "summarise")
                assert {row["captions_left_out"] > 0 for row in rows} == {True}
                assert "left after: " in rows[0]["summary"]
            finally:
                bench.close()
        found[tokenizer], counts[tokenizer] = tree(store), script.paths["/tokenize"]
    assert found[None] == found[str(LLAMA)] != {}
    assert counts[str(LLAMA)] == len(CHECKED) < counts[None]
