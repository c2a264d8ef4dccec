"""Names of videos on their way through JSON, which knows no invalid UTF-8, and the videos of an earlier run."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote_from_bytes, unquote_to_bytes

from lavad_core.digest import file_sha256
from lavad_core.errors import DamagedResult, InputError, LavadError
from lavad_core.location import local_path, shown
from lavad_core.runs.event_log import log_is_sealed
from lavad_core.runs.manifest import (
    SCORED,
    RunManifest,
    list_runs,
    load_run,
    run_path,
)
from lavad_core.runs.run_log import noted
from lavad_core.runs.sets import runs_of_shards
from lavad_core.seal import seal_of, sealed
from lavad_core.store import mirror
from lavad_core.store.faults import store_errors
from lavad_core.user_files import replacing
from lavad_core.video.identity import IdentityCache, identify
from lavad_core.video.types import VideoSource

_BYTES = "bytes:"


def encode_input(path: str | Path) -> str:
    """An input (file, folder, glob, list) as text that a flow's parameter can hold.

    The bytes of a name that is not valid UTF-8 are percent-encoded after ``bytes:``; :func:`decode_input` goes back.
    """
    text = os.fspath(path)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return _BYTES + quote_from_bytes(os.fsencode(text))
    return _BYTES + quote_from_bytes(os.fsencode(text)) if text.startswith(_BYTES) else text


def decode_input(text: str) -> str:
    """The input that :func:`encode_input` was given."""
    return os.fsdecode(unquote_to_bytes(text.removeprefix(_BYTES))) if text.startswith(_BYTES) else text


@dataclass(frozen=True)
class RunVideos:
    """The videos of a run."""

    own: list[VideoSource]
    """The videos that the run works on."""
    earlier: dict[VideoSource, str] = field(default_factory=dict)
    """Videos of the same set that earlier runs have scored, each with the id of that run; empty but for retries."""


def save_sources(
    store_root: Path, run_id: str, sources: Sequence[VideoSource], earlier: Mapping[VideoSource, str] | None = None
) -> None:
    """Note which videos a run is about, for a later run that does the failed ones again.

    ``earlier`` are those that earlier runs have scored of the same set, and which run; without them a metric after a second
    retry would be over those two runs' videos only.
    """
    target = run_path(store_root, run_id, ".sources")
    rows = [_row(source, "") for source in sources] + [_row(source, run) for source, run in (earlier or {}).items()]
    document = sealed({"format": 2, "videos": rows})
    with store_errors("write", target), replacing(target) as draft:
        draft.write_text(json.dumps(document, indent=1) + "\n", encoding="ascii")
        mirror.send(store_root, target, draft)


def _row(source: VideoSource, scored_in: str) -> dict[str, str]:
    path = encode_input(shown(os.path.abspath(source.path)))
    return {"name": source.name, "path": path, "kind": source.kind, "scored_in": scored_in}


def load_sources(store_root: Path, run_id: str, but: Container[str] = ()) -> RunVideos:
    """The videos of a run.

    Args:
        store_root: The store.
        run_id: The run.
        but: Names of own videos that the caller knows from elsewhere: they are left out.

    Raises:
        InputError: the run ended before it knew them, or its list does not parse.
        DamagedResult: the list is not as it was written.
    """
    rows = _rows(store_root, run_id)
    with _parsing(run_path(store_root, run_id, ".sources")):
        own = [_source(row) for row in rows if not row.get("scored_in") and row["name"] not in but]
        return RunVideos(own, {_source(row): row["scored_in"] for row in rows if row.get("scored_in")})


def _source(row: Mapping[str, Any]) -> VideoSource:
    return VideoSource(row["name"], local_path(decode_input(row["path"])), row["kind"])


def _scored_before(store_root: Path, run_id: str) -> dict[str, set[str]]:
    """Names of the videos of a run's set that earlier runs have scored, for each of those runs."""
    found: dict[str, set[str]] = {}
    rows = _rows(store_root, run_id)
    with _parsing(run_path(store_root, run_id, ".sources")):
        for row in rows:
            if scored_in := row.get("scored_in"):
                found.setdefault(scored_in, set()).add(row["name"])
    return found


def _rows(store_root: Path, run_id: str) -> list[dict[str, Any]]:
    """A run's list of videos as it was written; who asks makes of it no more than is needed, as sets are large."""
    path = run_path(store_root, run_id, ".sources")
    with store_errors("read", path):
        try:
            written = path.read_bytes()
        except FileNotFoundError:
            if noted(store_root, run_id, "sources") is not None:
                raise DamagedResult(_altered(path, "it is gone")) from None
            raise InputError(
                f"run {run_id} has no list of videos: it ended before it found them, and nothing of it can be tried again; "
                f"give its `lavad run` again{_or_before(store_root, run_id)}"
            ) from None
    if noted(store_root, run_id, "sources") not in (None, hashlib.sha256(written).hexdigest()):
        raise DamagedResult(_altered(path, "it is not the one that the run's record names"))
    with _parsing(path):
        document = json.loads(written)
        rows: list[dict[str, Any]] = document if isinstance(document, list) else document["videos"]
    # A bare list is that of an earlier version.
    state = "none" if isinstance(document, list) else seal_of(document)
    if state == "broken" or (state == "none" and log_is_sealed(run_path(store_root, run_id, ".jsonl"))):
        raise DamagedResult(_altered(path, "its digest is another"))
    return rows


def _or_before(store_root: Path, run_id: str) -> str:
    """Which run before one can be tried again, in words; empty if there is none."""
    for before in reversed([one for one in list_runs(store_root) if one < run_id]):
        if run_path(store_root, before, ".sources").exists():
            return f", or `lavad retry {before}`, which is of the run before it"
    return ""


@contextmanager
def _parsing(path: Path) -> Iterator[None]:
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"the list of videos {shown(path)!r} does not parse: {error}") from error


def sources_digest(path: Path) -> str | None:
    """SHA-256 of a run's list of videos, hexadecimal; None if it has none."""
    with store_errors("read", path):
        try:
            return file_sha256(path)
        except FileNotFoundError:
            return None


def _altered(path: Path, why: str) -> str:
    return (
        f"the list of videos {shown(path)!r} was changed after it was written ({why}): which videos are the run's is no longer "
        "known; put the file back, or run again (finished results are found, not made again)"
    )


@dataclass(frozen=True)
class Unfinished:
    """What is left of a run."""

    run_id: str
    """Id of the run."""
    settings: dict[str, Any]
    """Its configuration, without secrets."""
    unfinished: list[VideoSource]
    """Videos that failed, were rejected, or were not reached."""
    done: dict[VideoSource, str]
    """The other videos of the set, each with the id of the run that scored it, or found it to be bad: this one, or one that
    this one retried."""
    known_bad: frozenset[str] = frozenset()
    """Names of those in ``done`` that are known to be bad."""
    name: str = ""
    """The name that the run's user gave it."""
    limit: int | None = None
    """How many of the videos that its inputs name belong to it; None for all."""

    @property
    def scored(self) -> list[VideoSource]:
        """The videos of the set that have scores."""
        return [source for source in self.done if source.name not in self.known_bad]

    @property
    def ending(self) -> str:
        """How many are known to be bad, for the end of a message; empty if none is."""
        return f", {len(self.known_bad)} known to be bad" if self.known_bad else ""


def unfinished_of(store_root: Path, run_id: str | None) -> Unfinished:
    """What is left of a run: of that id or name, or of the latest; imports are passed over. A video that is known to be bad
    is left if its file has another content now: bad for good is what was acknowledged.

    Raises:
        InputError: there is no such run, or it is an import.
    """
    from lavad_core.runs.known_bad import as_known_now, known_contents  # PyArrow, which writing a record does without

    run = _latest(store_root) if run_id is None else load_run(store_root, run_id, "run")
    if run.origin == "import":
        raise InputError(f"{run.run_id} is an import, of which nothing can be tried again; import the mended files")
    left: dict[str, VideoSource] = {}
    done: dict[VideoSource, str] = {}
    parts = parts_of(store_root, run)
    every = _runs_of_set(store_root, run, parts)
    noted = known_contents(store_root)
    known = [video for one in every for video in as_known_now(one.videos, noted) if video.known_bad]
    bad = {video.name for video in known}
    settled = bad | {video.name for one in every for video in one.videos if video.status in SCORED}
    ended: set[str] = set()
    told: set[str] = set()
    for part in parts:
        # The run over a whole set is the last, and lists what most runs of its shards have told of.
        listed = load_sources(store_root, part.run_id, but=told)
        # Of the videos of a whole set, the runs of its shards that came before know more.
        ended |= {video.name for video in part.videos if video.status in SCORED or video.name in bad}
        earlier = {source: run_id for source, run_id in listed.earlier.items() if source.name in settled}
        own = {source: part.run_id for source in listed.own if source.name in ended and source not in earlier}
        done |= earlier
        done |= own
        told |= {source.name for source in (*earlier, *own)}
        left |= {source.name: source for source in listed.own if source.name not in ended}
        # What was known to be bad, and is no longer, is among those of before.
        left |= {source.name: source for source in listed.earlier if source.name not in settled}
        ended |= {source.name for source in earlier}
    contents = {(video.name, video.video_id) for video in known}
    digests = IdentityCache(store_root / "cache" / "digests.sqlite")
    for source in [source for source in done if source.name in bad and _is_another(source, contents, digests)]:
        del done[source]
        left[source.name] = source
    still = frozenset(source.name for source in done if source.name in bad)
    return Unfinished(run.run_id, dict(run.config), list(left.values()), done, still, run.name, run.limit)


def _is_another(source: VideoSource, contents: Container[tuple[str, str]], digests: IdentityCache) -> bool:
    """Whether a video has a content that is not among ``contents``, as pairs of name and id; not where it cannot be read."""
    try:
        return (source.name, identify(source, digests).video_id) not in contents
    except LavadError:
        return False


def _latest(store_root: Path) -> RunManifest:
    for run_id in reversed(list_runs(store_root)):
        run = load_run(store_root, run_id)
        if run.origin == "run":
            return load_run(store_root, run.shard.run) if run.shard is not None and run.shard.run else run
    return load_run(store_root)  # an import, or says that there is nothing


def parts_of(store_root: Path, run: RunManifest) -> list[RunManifest]:
    """A run; where it is of a shard, or over a set, also the latest run of each other shard of the set that has one, in the
    order of the shards. The run over a set, if there is one, is the last."""
    if run.shard is None:
        return [run]
    latest = {number: ids[-1] for number, ids in runs_of_shards(store_root, run.shard, run.run_id).items()}
    if run.shard.run:
        latest[run.shard.of + 1] = run.shard.run
    latest[run.shard.number or run.shard.of + 1] = run.run_id
    return [run if run_id == run.run_id else load_run(store_root, run_id) for _, run_id in sorted(latest.items())]


def runs_of_set(store_root: Path, run: RunManifest) -> list[RunManifest]:
    """A run, and those that have the rest of its set: the runs of its other shards, and those that have scored others of its
    videos before, each with only these of its videos. The id and name of a retry or of a shard's run stand for the whole.

    Raises:
        DamagedResult: the list of the run's videos is not as it was written.
    """
    return _runs_of_set(store_root, run, parts_of(store_root, run))


def _runs_of_set(store_root: Path, run: RunManifest, parts: Sequence[RunManifest]) -> list[RunManifest]:
    try:
        before = _scored_before(store_root, run.run_id)
    except InputError:  # nobody noted the videos: the run has no others
        return [run]
    runs = [run, *(part for part in parts if part.run_id != run.run_id)]
    for run_id, names in before.items():
        other = load_run(store_root, run_id)
        runs.append(replace(other, videos=tuple(outcome for outcome in other.videos if outcome.name in names)))
    return runs
