"""How the kept store was made. Run once, with the program of the commit that README.md names; not part of the tests.

    cd <checkout of that commit>
    PYTHONPATH=$PWD:$PWD/tests python <this file> /data/lavad-kept

Writes ``kept.tar.gz``, ``kept.json`` and ``golden/`` beside this file.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

HERE = Path(__file__).resolve().parent

SETTINGS = """\
# The captioners, the encoder and the chat model are those of the preset tiny.
video: {frame_interval: 8}
window: {samples: 5}
detect: {threshold: 0.4, low_threshold: 0.3}
evaluate: {dataset: own}
"""

LABELS = """\
video,start,end,unit,class,frames,frame_rate
crossing,16,30,frames,Collision,48,24
halle_ü,,,,,40,24
sequence,0.5,1.0,seconds,Fire,34,24
sound_only,,,,,,
"""


def lavad(*arguments: str, cwd: Path) -> str:
    """Run a command in a process of its own; its standard output. 1 is the code where a video has no scores."""
    done = subprocess.run(
        [sys.executable, __file__, "lavad", *arguments],
        cwd=cwd,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        check=False,
        env=os.environ | {"HF_HUB_OFFLINE": "1", "COLUMNS": "120", "XDG_CACHE_HOME": str(cwd / "unused")},
    )
    if done.returncode not in (0, 1):
        raise SystemExit(f"lavad {arguments} ended with {done.returncode}:\n{done.stdout}")
    return done.stdout


def clips(folder: Path) -> None:
    """Three that can be scored, one of them as a folder of images of which two are missing, and one that cannot."""
    from video_factory import make_audio, make_frames, make_video

    folder.mkdir()
    make_video(folder / "crossing.mp4", frames=48, fps=24)
    make_video(folder / "halle_ü.mkv", frames=40, fps=24, b_frames=2)
    make_frames(folder / "sequence", [number for number in range(1, 35) if number not in (11, 12)])
    make_audio(folder / "sound_only.mp4", seconds=0.3)


def others_values(folder: Path) -> None:
    """Labels, summaries to import, and scores of another program."""
    (folder / "labels.csv").write_text(LABELS, encoding="utf-8")
    (folder / "settings.yaml").write_text(SETTINGS, encoding="utf-8")
    for kind in ("summaries", "scores"):
        (folder / kind).mkdir()
    for name, frames in (("crossing", 48), ("halle_ü", 40), ("sequence", 34)):
        grid = range(0, frames, 8)
        summaries = {str(at): f"A person in {name.upper()} walks, then waits: {at // 8}" for at in grid}
        (folder / "summaries" / f"{name}.json").write_text(json.dumps(summaries, ensure_ascii=False), encoding="utf-8")
        scores = {str(at): round((len(name) * 7 + at) % 11 / 10, 1) for at in grid}
        (folder / "scores" / f"{name}.json").write_text(json.dumps(scores), encoding="utf-8")


def fill(folder: Path) -> dict[str, str]:
    """The clips, the files, and the store with two runs and an import; their ids."""
    clips(folder / "videos")
    others_values(folder)
    given = ["--preset", "tiny", "--config", "settings.yaml", "--store", "store", "--plain"]
    lavad("run", "videos", *given, cwd=folder)
    scored = [f"videos/{name}" for name in ("crossing.mp4", "halle_ü.mkv", "sequence")]
    imported = [f"imports.summaries={folder / 'summaries'}", "detect.min_length_s=0.1"]
    lavad(
        "run",
        *scored,
        *given,
        "--labels",
        "labels.csv",
        *(word for text in imported for word in ("--set", text)),
        cwd=folder,
    )
    whose = ["--dataset", "own", "--labels", "labels.csv"]
    lavad("import", "--scores", "scores", *whose, "--store", "store", cwd=folder)
    return dict(
        zip(("run", "imports", "import"), sorted(p.stem for p in (folder / "store/runs").glob("*.json")), strict=True)
    )


def fingerprints(folder: Path, ids: dict[str, str]) -> dict[str, dict[str, dict[str, str]]]:
    """Run to video to stage to fingerprint."""
    from lavad_core.runs.run_log import load_records

    found: dict[str, dict[str, dict[str, str]]] = {}
    for name in ("run", "imports"):
        for record in load_records(folder / "store", ids[name]):
            found.setdefault(name, {}).setdefault(record.video, {})[record.node] = record.fingerprint
    return {
        run: {video: dict(sorted(own.items())) for video, own in sorted(videos.items())}
        for run, videos in found.items()
    }


def written(path: Path) -> str:
    """A file's text, or those of a folder's files one after the other."""
    if path.is_file():
        return path.read_text(encoding="utf-8")
    files = sorted(file for file in path.rglob("*") if file.is_file())
    return "".join(f"== {file.relative_to(path)}\n{file.read_text(encoding='utf-8')}\n" for file in files)


def goldens(folder: Path, ids: dict[str, str]) -> None:
    """What the commands of commands.json say about the store."""
    shutil.rmtree(HERE / "golden", ignore_errors=True)
    (HERE / "golden").mkdir()
    for name, words in json.loads((HERE / "commands.json").read_text(encoding="utf-8")).items():
        output = folder / "output"
        said = lavad(*[word.format(output=output, **ids) for word in words], "--store", "store", cwd=folder)
        if output.exists():
            said += written(output)
            shutil.rmtree(output) if output.is_dir() else output.unlink()
        (HERE / "golden" / f"{name}.txt").write_text(said, encoding="utf-8")


def main(folder: Path) -> None:
    folder.mkdir(parents=True)
    ids = fill(folder)
    with tarfile.open(HERE / "kept.tar.gz", "w:gz") as archive:
        for name in ("labels.csv", "settings.yaml", "summaries", "scores", "videos", "store"):
            archive.add(folder / name, name, filter=_nobodys)
    goldens(folder, ids)
    kept = {**ids, "fingerprints": fingerprints(folder, ids)}
    (HERE / "kept.json").write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _nobodys(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry


if __name__ == "__main__":
    if sys.argv[1] == "lavad":
        platform.node, platform.platform = lambda: "example", lambda *_: "Linux"  # records name the machine
        sys.argv = sys.argv[1:]
        from deployments.cli.main import main as command

        command()
    else:
        main(Path(sys.argv[1]).absolute())
