"""The small world: its grammar, its scripts and what is rendered of them."""

from __future__ import annotations

import json
from pathlib import Path

import av
import numpy as np
import pytest

from lavad.demo import grammar, world
from lavad.demo.acts import FRAME_RATE
from lavad.demo.clip import Clip
from lavad.demo.script import SPLITS, script
from lavad_core.datasets.annotations import read_annotations

CLIPS = 48


def scenes(split: str, seed: int = 0, clips: int = CLIPS) -> list[tuple[Clip, int, grammar.Scene]]:
    """Every 16th frame of the clips of a set."""
    made = []
    for number in range(clips):
        clip = script(split, seed, number)
        made += [(clip, frame, clip.scene(frame)) for frame in range(0, clip.frames, 16)]
    return made


def combination(act: object) -> tuple[str, ...]:
    return tuple(person.kind for person in act.who)  # type: ignore[attr-defined]


def test_every_sentence_says_its_act_and_fits_a_caption() -> None:
    for split in SPLITS:
        for _, _, scene in scenes(split):
            sentence = grammar.sentence(scene)
            assert grammar.act_of(sentence) == scene.act, sentence
            assert len(sentence.split()) <= grammar.MOST_WORDS
            assert set(sentence.split()) <= set(grammar.all_words())


def test_every_act_occurs() -> None:
    seen = {scene.act for _, _, scene in scenes("train", clips=160)}
    assert seen == set(grammar.FORMS)


def test_held_out_combinations_occur_in_demonstrations_only() -> None:
    counts = dict.fromkeys(SPLITS, 0)
    for split in SPLITS:
        for number in range(1, 2 * CLIPS, 2):
            clip = script(split, 0, number)
            assert clip.event
            counts[split] += grammar.is_held_out(
                clip.event.act, clip.place.kind, combination(clip.event), clip.event.thing
            )
    assert counts["train"] == counts["validation"] == 0
    assert counts["demo"] >= CLIPS // 5


def test_splits_and_seeds_share_no_place() -> None:
    sets = {
        (split, seed): {script(split, seed, number).place.background.tobytes() for number in range(0, 24, 2)}
        for split in SPLITS
        for seed in (0, 1)
    }
    everything = [place for places in sets.values() for place in places]
    assert len(everything) == len(set(everything))


def test_events_are_where_the_labels_are() -> None:
    for clip, frame, scene in scenes("demo"):
        inside = clip.event is not None and clip.event.first <= frame <= clip.event.last
        if not inside:
            assert scene.act in grammar.NORMAL
    for number in range(1, CLIPS, 2):
        clip = script("demo", 0, number)
        assert clip.event
        interval = range(clip.event.first, clip.event.last + 1)
        visible = sum(clip.scene(frame).act in (*grammar.EVENTS, *grammar.UNCLEAR) for frame in interval)
        assert visible > 0.85 * len(interval)
        assert 11 <= len(interval) / FRAME_RATE <= 20


def test_a_clip_is_the_same_each_time() -> None:
    first, second = (script("demo", 3, 5).picture(200)[0] for _ in range(2))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, script("demo", 4, 5).picture(200)[0])


def test_a_rendered_set_is_what_its_truth_says(tmp_path: Path) -> None:
    truths = world.write_set(tmp_path, seed=7, clips=2, workers=2)
    assert [bool(truth.events) for truth in truths] == [False, True]
    labels = read_annotations(tmp_path / "labels.txt")
    for truth in truths:
        path = tmp_path / "videos" / f"{truth.name}.mp4"
        with av.open(str(path)) as media:
            stream = media.streams.video[0]
            frames = sum(1 for _ in media.decode(stream))
            assert (frames, stream.average_rate, stream.width, stream.height) == (truth.frames, 15, 240, 180)
        assert len(truth.sentences) == truth.frames
        assert truth.name in labels
    assert world.read_truth(tmp_path) == truths
    written = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.mp4")}
    assert world.write_set(tmp_path, seed=7, clips=2) == truths  # kept
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.mp4")} == written
    assert json.loads((tmp_path / "truth.json").read_text())["recipe"]["seed"] == 7


def test_an_unknown_split_is_refused() -> None:
    with pytest.raises(ValueError, match="no clip 0 of split 'tset'"):
        script("tset", 0, 0)
