"""Recordings that only ffmpeg can decode: m4a, aac, wma, amr, and the sound of video files."""

import contextlib
import dataclasses
import re
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from asr.errors import AudioError

SUFFIXES = (
    *(".3g2", ".3gp", ".aac", ".ac3", ".amr", ".ape", ".asf", ".avi", ".flv", ".m4a", ".m4b"),
    *(".m4v", ".mka", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ts", ".webm", ".wma", ".wmv"),
)
_SOUNDFILE_STARTS = (b"RIFF", b"RIFX", b"RF64", b"fLaC", b"OggS", b"FORM", b"ID3")
# A file may be no more than a list of other files: what reads such lists (concat, hls, dash, sdp)
# is not among these, whatever a file is called.
_DEMUXERS = (
    *("aac", "ac3", "amr", "ape", "asf", "avi", "eac3", "flac", "flv", "matroska", "mov", "mp3"),
    *("mpeg", "mpegts", "ogg", "wav"),
)
_MATROSKA_START = b"\x1a\x45\xdf\xa3"  # also webm
_CHUNK_SAMPLES = 1 << 18


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FfmpegSource:
    """A recording decoded by an ffmpeg process; `num_frames` is by the container's own word."""

    path: Path
    sample_rate: int
    num_channels: int
    num_frames: int | None
    container: str
    encoding: str

    def blocks(self, start: int) -> Iterator[npt.NDArray[np.float32]]:
        """Yields the samples from frame `start` on, float32 [num_frames, num_channels] in -1..1.

        Raises:
            AudioError: ffmpeg fails, at once or on the way.
        """
        num_bytes = 4 * self.num_channels * max(1, _CHUNK_SAMPLES // self.num_channels)
        options = ["-ss", f"{start / self.sample_rate:.6f}"] if start else []
        with _running(self.path, options) as (stdout, _):
            _read_format(stdout)
            while data := stdout.read(num_bytes):
                whole = len(data) // (4 * self.num_channels) * 4 * self.num_channels
                yield np.frombuffer(data[:whole], "<f4").reshape(-1, self.num_channels)


def is_needed(path: Path) -> bool:
    """Whether a file's content, or else its name, says that libsndfile cannot read it."""
    with path.open("rb") as file:
        head = file.read(12)
    is_avi = head.startswith(b"RIFF") and head[8:12] == b"AVI "
    if head.startswith(_SOUNDFILE_STARTS) and not is_avi:
        return False
    known = is_avi or head[4:8] == b"ftyp" or head.startswith(_MATROSKA_START)
    return known or path.suffix.lower() in SUFFIXES


def open_source(path: Path) -> FfmpegSource:
    """Asks ffmpeg what a file holds, by decoding its first tenth of a second.

    Raises:
        AudioError: ffmpeg is not on the PATH, or finds no sound in the file.
    """
    with _running(path, ["-t", "0.1"]) as (stdout, log):
        found = _read_format(stdout)
        stdout.read()
        text = _text(log)
    if found is None:
        raise AudioError(f"{path}: ffmpeg finds no sound in it")
    sample_rate, num_channels = found
    container = re.search(r"Input #0, (\S+), from", text)
    encoding = re.search(r"Stream #0:.*?: Audio: (\w+)", text)
    duration_s = _parse_duration_s(text)
    return FfmpegSource(
        path=path,
        sample_rate=sample_rate,
        num_channels=num_channels,
        num_frames=None if duration_s is None else round(duration_s * sample_rate),
        container=(container[1] if container else path.suffix[1:]).upper(),
        encoding=(encoding[1] if encoding else "unknown").upper(),
    )


def duration_s(source: FfmpegSource) -> float:
    """Returns a recording's length in seconds as its container states it, else by decoding it."""
    num_frames = source.num_frames
    if num_frames is None:
        num_frames = sum(len(block) for block in source.blocks(0))
    return num_frames / source.sample_rate


@contextlib.contextmanager
def _running(path: Path, input_options: list[str]) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    """Runs ffmpeg; yields its output, a wav of 32-bit floats without end, and its log file."""
    program = shutil.which("ffmpeg")
    if program is None:
        kind = path.suffix or "such a file"
        raise AudioError(
            f"{path}: reading {kind} needs the program ffmpeg, which is not on the PATH; "
            "install it, or convert the file to wav, flac, ogg or mp3"
        )
    # With "file:" before an absolute path, and no other protocol, nothing is fetched from anywhere.
    command = [program, "-nostdin", "-hide_banner", "-nostats", "-v", "info", *input_options]
    command += ["-protocol_whitelist", "file,pipe", "-format_whitelist", ",".join(_DEMUXERS)]
    command += ["-i", f"file:{path.resolve()}"]
    command += ["-map", "0:a:0", "-c:a", "pcm_f32le", "-f", "wav", "pipe:1"]
    with (
        tempfile.TemporaryFile() as log,  # a pipe nobody empties would stop ffmpeg when full
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log) as process,
    ):
        try:
            yield process.stdout, log  # type: ignore[misc]
            code = process.wait()
        except BaseException:  # the reader has stopped early, with or without a reason
            process.kill()
            raise
        if code != 0:
            last = (_text(log).strip().splitlines() or ["without a word"])[-1]
            raise AudioError(f"{path}: ffmpeg cannot decode it ({last.strip()})")


def _read_format(stdout: IO[bytes]) -> tuple[int, int] | None:
    """Reads a wav's headers up to its samples; returns sample rate and number of channels."""
    found = None
    if len(stdout.read(12)) < 12:
        return None
    while len(header := stdout.read(8)) == 8 and header[:4] != b"data":
        contents = stdout.read(int.from_bytes(header[4:], "little"))
        if header[:4] == b"fmt ":
            num_channels, sample_rate = struct.unpack("<HI", contents[2:8])
            found = (sample_rate, num_channels)
    return found


def _text(log: IO[bytes]) -> str:
    log.seek(0)
    return log.read().decode(errors="replace")


def _parse_duration_s(text: str) -> float | None:
    found = re.search(r"Duration: (\d+):(\d\d):(\d\d(?:\.\d+)?)", text)
    if found is None:
        return None
    return 3600 * int(found[1]) + 60 * int(found[2]) + float(found[3])
