"""How videos are read, and what reading one may take: the section ``video``."""

from __future__ import annotations

from lavad_core.config.setting import NOTHING, Section, setting
from lavad_core.video.limits import Limits


class VideoConfig(Section):
    """Decoding and its limits. Formats and limits decide which videos are rejected, so they are part of ``probe``."""

    frame_interval: int = setting(
        16,
        affects=("caption", "embed_frames", "embed_windows", "clean", "summarise", "score", "refine", "detect"),
        description="The grid: one frame in N is captioned and scored.",
        ge=1,
        le=100_000,
    )
    formats: tuple[str, ...] = setting(
        (
            "mov,mp4,m4a,3gp,3g2,mj2",
            "matroska,webm",
            "avi",
            "mpegts",
            "mpeg",
            "mpegvideo",
            "flv",
            "asf",
            "ogg",
            "h264",
            "hevc",
            "m4v",
        ),
        affects=("probe",),
        description="Demuxers that may open a file, by FFmpeg's names. Playlist and script formats must stay out.",
    )
    max_pixels: int = setting(
        8192 * 8192, affects=("probe",), description="Most pixels of a frame; larger videos are rejected.", ge=1
    )
    max_frames: int = setting(
        20_000_000, affects=("probe",), description="Most frames of a video; longer ones are rejected.", ge=1
    )
    max_memory_bytes: int = setting(
        4 * 2**30,
        affects=NOTHING,
        description="Memory that decoding may take beyond the libraries' own, bytes.",
        ge=256 * 2**20,
    )
    stall_timeout_s: float = setting(
        60.0, affects=NOTHING, description="Longest silence of the decoding process, seconds.", gt=0
    )
    total_timeout_s: float = setting(
        6 * 3600.0, affects=NOTHING, description="Longest pass of the decoding process over one video, seconds.", gt=0
    )
    threads: int = setting(0, affects=NOTHING, description="Decoder threads; 0 lets the codec choose.", ge=0, le=64)
    max_pause_s: float = setting(
        3600.0,
        affects=("probe",),
        description="Longest pause, seconds, that the header's duration need not confirm; longer ones are damaged stamps, "
        "named and taken out.",
        gt=0,
    )
    folder_frame_rate: float = setting(
        30.0,
        affects=("probe",),
        description="Frames per second of a folder of pre-extracted frames, which has no time base of its own.",
        gt=0,
        le=1000,
    )

    @property
    def limits(self) -> Limits:
        """What decoding one video may take."""
        return Limits(
            max_pixels=self.max_pixels,
            max_frames=self.max_frames,
            max_memory_bytes=self.max_memory_bytes,
            stall_timeout_s=self.stall_timeout_s,
            total_timeout_s=self.total_timeout_s,
            formats=self.formats,
            threads=self.threads,
            max_pause_s=self.max_pause_s,
        )
