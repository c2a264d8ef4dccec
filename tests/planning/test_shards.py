"""How a set of videos is cut into shards."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from lavad_core.errors import InputError
from lavad_core.planning.shards import (
    MOST_VIDEOS,
    ShardNumber,
    SizedVideo,
    parse_shard,
    shard_count,
    shards_of,
)
from lavad_core.video.types import VideoSource


def sized(name: str, grid_frames: int | None, content: str | None = None) -> SizedVideo:
    return SizedVideo(VideoSource(name, Path(name)), name if content is None else content, grid_frames)


def names(videos: list[SizedVideo], count: int) -> list[list[str]]:
    return [[video.source.name for video in shard.videos] for shard in shards_of(videos, count)]


@pytest.mark.parametrize(
    ("videos", "count", "expected"),
    [
        pytest.param([("a", 9), ("b", 5), ("c", 4), ("d", 1)], 2, [["a", "d"], ["b", "c"]], id="longest-first"),
        pytest.param([("d", 1), ("c", 4), ("b", 5), ("a", 9)], 2, [["d", "a"], ["c", "b"]], id="in-any-order"),
        pytest.param([("b", 3), ("a", 3), ("c", 3)], 3, [["a"], ["b"], ["c"]], id="equal-lengths-by-name"),
        pytest.param([("a", 2)], 3, [["a"], [], []], id="fewer-videos-than-shards"),
        pytest.param([], 2, [[], []], id="no-videos"),
        pytest.param([("a", 5), ("x", None), ("b", 1), ("y", None)], 2, [["a", "x"], ["b", "y"]], id="not-probed"),
        pytest.param([("x", None), ("y", None), ("z", None)], 2, [["x", "z"], ["y"]], id="none-probed"),
    ],
)
def test_the_longest_go_first_into_the_least_filled(
    videos: list[tuple[str, int | None]], count: int, expected: list[list[str]]
) -> None:
    assert names([sized(*video) for video in videos], count) == expected


def test_videos_of_one_content_stay_together_and_are_counted_once() -> None:
    videos = [sized("a", 6, "same"), sized("b", 5), sized("c", 6, "same"), sized("d", 2)]
    shards = shards_of(videos, 2)
    assert names(videos, 2) == [["a", "c"], ["b", "d"]]
    assert [shard.grid_frames for shard in shards] == [6, 7]


def test_shards_are_a_partition_of_nearly_equal_sizes() -> None:
    source = random.Random(7)
    videos = [sized(f"v{at:03d}", source.randint(1, 500)) for at in range(300)]
    shards = shards_of(videos, 16)
    assert sorted(name for shard in names(videos, 16) for name in shard) == [video.source.name for video in videos]
    sizes = [shard.grid_frames for shard in shards]
    assert max(sizes) - min(sizes) <= 500
    shuffled = videos[:]
    source.shuffle(shuffled)
    assert [set(shard) for shard in names(shuffled, 16)] == [set(shard) for shard in names(videos, 16)]


def test_a_long_video_does_not_drive_all_others_into_one_shard() -> None:
    videos = [sized("long", 10_000_000), *(sized(f"v{at:03d}", 1) for at in range(MOST_VIDEOS + 50))]
    assert sorted(map(len, names(videos, 2))) == [51, MOST_VIDEOS]


@pytest.mark.parametrize(
    ("videos", "devices", "wanted", "expected"),
    [
        pytest.param(800, 4, None, 16, id="four-a-device"),
        pytest.param(800, 1, None, 5, id="more-where-they-would-be-long"),
        pytest.param(3, 4, None, 3, id="fewer-videos"),
        pytest.param(0, 1, None, 1, id="no-videos"),
        pytest.param(800, 1, 7, 7, id="as-wanted"),
        pytest.param(2, 1, 7, 7, id="as-wanted-though-some-are-empty"),
    ],
)
def test_how_many_shards(videos: int, devices: int, wanted: int | None, expected: int) -> None:
    assert shard_count(videos, devices, wanted) == expected


def test_too_few_shards_are_refused_with_the_least_number() -> None:
    with pytest.raises(InputError, match="give at least 3 shards"):
        shard_count(2 * MOST_VIDEOS + 1, 1, 2)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("0/4", "there is no shard 0/4"),
        ("5/4", "there is no shard 5/4"),
        ("1/0", "there is no shard 1/0"),
        ("3", "write I/N"),
        ("3/", "write I/N"),
        ("-1/4", "write I/N"),
        ("a/b", "write I/N"),
        ("1/4/5", "write I/N"),
    ],
)
def test_a_shard_that_is_none_is_refused(text: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        parse_shard(text)


def test_a_shard() -> None:
    assert parse_shard("3/8") == ShardNumber(3, 8)
    assert str(parse_shard("3/8")) == "3/8"
