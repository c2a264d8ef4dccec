"""What is scored together, and which models stay loaded in between."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from support.seeing_chat import HERE as SERVED
from support.video_factory import make_video
from support.watched_folder import WatchedFolder

from lavad_core.config.load import load_config
from lavad_core.config.schema import LavadConfig
from lavad_core.errors import InternalError, StoreUnavailable
from lavad_core.local_run import score_videos
from lavad_core.models.pool import ModelPool
from lavad_core.watching import watcher as module
from lavad_core.watching.arrivals import Arrivals
from lavad_core.watching.notices import NoticeBook
from lavad_core.watching.watcher import Watcher, watchable


def clips(folder: Path, *names: str) -> list[Path]:
    folder.mkdir(exist_ok=True)
    for number, name in enumerate(names):
        make_video(folder / f"{name}.mp4", frames=32, fps=25 + number)
    return [folder / f"{name}.mp4" for name in names]


def configured(root: Path, **sections: Any) -> LavadConfig:
    one = {"store": str(root / "store"), "run": {"targets": ["detect"], "workers": 1}}
    captioner = "random:blip2-t5?seed=2"
    return load_config(
        preset="tiny",
        settings={**one, "captioners": {"random-blip2-opt": None, "random-blip2-t5": {"model": captioner}}, **sections},
        environ={},
    )


def test_models_of_a_lasting_pool_are_loaded_once_for_several_runs(tmp_path: Path) -> None:
    first, second = clips(tmp_path / "videos", "a", "b")
    config = configured(tmp_path)
    pool = ModelPool(config)
    for path in (first, second):
        assert score_videos(config, [path], models=pool).record
    assert set(pool.loads.values()) == {1}
    assert {"encoder", "chat"} < pool.loads.keys()
    model, _ = pool.encoder()
    pool.close()
    with pytest.raises(InternalError, match="closed"):
        pool.encoder()
    with pytest.raises(InternalError, match="was closed"):
        model.embed_texts(["a man walks"])


def test_another_configuration_loads_its_models_its_own_way(tmp_path: Path) -> None:
    (path,) = clips(tmp_path / "videos", "a")
    config = configured(tmp_path)
    shorter = configured(tmp_path, captioners={"random-blip2-opt": None, "random-blip2-t5": {"max_new_tokens": 4}})
    pool = ModelPool(config)
    for one in (config, shorter):
        score_videos(one, [path], models=pool)
    assert (pool.loads["captioner:random-blip2-t5"], pool.loads["encoder"]) == (2, 1)
    pool.close()


def test_a_served_model_is_asked_anew_for_each_run(tmp_path: Path) -> None:
    config = configured(tmp_path, chat={"kind": "python", "model": SERVED, "exclusive": False})
    pool = ModelPool(config)
    for path in clips(tmp_path / "videos", "a", "b"):
        score_videos(config, [path], models=pool)
    assert (pool.loads["encoder"], pool.loads["chat"]) == (1, 2), "what a server serves may have changed"
    pool.close()


def test_a_model_whose_file_has_changed_is_loaded_again(tmp_path: Path) -> None:
    file = tmp_path / "chat.py"
    file.write_text(Path(SERVED.rpartition(":")[0]).read_text(encoding="utf-8"), encoding="utf-8")
    config = configured(tmp_path, chat={"kind": "python", "model": f"{file}:load"})
    pool = ModelPool(config)
    first, second, third = clips(tmp_path / "videos", "a", "b", "c")
    for path, loads in ((first, 1), (second, 1), (third, 2)):
        if path == third:
            with file.open("a", encoding="utf-8") as more:
                more.write("# Another model, for all that anybody knows.\n")
        score_videos(config, [path], models=pool)
        assert (pool.loads["encoder"], pool.loads["chat"]) == (1, loads)
    pool.close()


def test_files_are_scored_a_few_at_a_time_with_one_pool_until_it_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = WatchedFolder(tmp_path)
    given = folder.prepare("a", "b", "c", "d", "e")
    for clip in given.values():
        folder.arrive(clip)
    taken: list[tuple[int, ModelPool]] = []
    scored, fails = module.score_videos, [False]

    def watched(config: LavadConfig, paths: Sequence[Path], models: ModelPool) -> Any:
        taken.append((len(paths), models))
        if fails[0]:
            raise StoreUnavailable("away")
        return scored(config, paths)

    monkeypatch.setattr(module, "score_videos", watched)
    monkeypatch.setattr(module, "FIRST_WAIT_S", 0.0)
    config = watchable(load_config(settings=folder.settings, environ={}))
    with NoticeBook(tmp_path / "book") as book:
        watcher = Watcher(config, Arrivals([folder.inbox], 0), book, (), most_at_once=2, keep_models=True)
        assert watcher.step()
        assert watcher.step()
        fails[0] = True
        assert watcher.step()
        fails[0] = False
        assert watcher.step()
        assert not watcher.step()
        watcher.close()
    assert [count for count, _ in taken] == [2, 2, 1, 1]
    (_, first), (_, second), (_, failed), (_, last) = taken
    assert first is second is failed is not last, "an error may have interrupted a model"
    for pool in (first, last):
        with pytest.raises(InternalError, match="closed"):
            pool.encoder()
