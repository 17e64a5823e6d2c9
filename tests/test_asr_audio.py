import itertools
import math
import os
import stat
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from asr import containers, ffmpeg
from asr.audio import (
    SUFFIXES,
    audio_info,
    count_channels,
    load_audio,
    resample,
    stream_audio,
    write_wav,
)
from asr.errors import AudioError

Signal = npt.NDArray[np.float32]

FORMATS = {
    "wav": ("WAV", "PCM_16"),
    "flac": ("FLAC", "PCM_16"),
    "ogg": ("OGG", "VORBIS"),
    "opus": ("OGG", "OPUS"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
    "aiff": ("AIFF", "PCM_16"),
}


def sweep(num_samples: int, *, sample_rate: int = 16_000) -> Signal:
    """A glide from 200 to 1200 Hz that swells: no two stretches of it are alike."""
    time = np.arange(num_samples) / sample_rate
    length = max(num_samples / sample_rate, 1e-3)
    phase = 2 * np.pi * (200 * time + 500 * time**2 / length)
    return np.asarray(0.5 * np.sin(phase) * (0.2 + 0.8 * time / length), np.float32)


def rough(num_samples: int) -> Signal:
    """The glide in noise, which no codec can pack into a page or two."""
    noise = np.random.default_rng(3).normal(0, 0.1, num_samples)
    return sweep(num_samples) + np.asarray(noise, np.float32)


def write(path: Path, samples: Signal, *, sample_rate: int = 16_000, subtype: str = "") -> Path:
    container, default = FORMATS[path.suffix[1:]]
    num_channels = 1 if samples.ndim == 1 else samples.shape[1]
    subtype = subtype or default
    with soundfile.SoundFile(
        path, "w", sample_rate, num_channels, format=container, subtype=subtype
    ) as file:
        for at in range(0, len(samples), 8_000):  # long ogg writes can end the process
            file.write(samples[at : at + 8_000])
    return path


def patch(path: Path, at: int, new: bytes) -> Path:
    data = path.read_bytes()
    path.write_bytes(data[:at] + new + data[at + len(new) :])
    return path


def cut(path: Path, share: float) -> Path:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def refused(path: Path, *parts: str, **options: Any) -> str:
    """Holds that the file is refused with one line that names it; returns the line."""
    with pytest.raises(AudioError) as caught:
        load_audio(path, **options)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    for part in parts:
        assert part in message
    return message


def snr_db(reference: Signal, found: Signal) -> float:
    noise = float(np.sum((reference - found) ** 2)) + 1e-20
    return 10 * math.log10(float(np.sum(reference**2)) / noise)


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("sample_rate", [8_000, 16_000, 48_000])
def test_every_container_and_rate_gives_the_same_sound(
    tmp_path: Path, suffix: str, sample_rate: int
) -> None:
    path = write(
        tmp_path / f"a.{suffix}",
        sweep(3 * sample_rate, sample_rate=sample_rate),
        sample_rate=sample_rate,
    )
    found = load_audio(path)
    assert found.dtype == np.float32
    assert found.shape == (48_000,)
    assert snr_db(sweep(48_000), found) > (15 if suffix in ("ogg", "opus", "mp3") else 50)
    info = audio_info(path)
    assert (info.sample_rate, info.num_channels) == (sample_rate, 1)
    assert (info.container, info.encoding) == FORMATS[suffix]
    assert info.duration_s == pytest.approx(3.0, abs=1e-3)


@pytest.mark.parametrize("sample_rate", [11_025, 22_050, 44_100, 96_000, 192_000, 15_999])
@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW"])
def test_every_depth_at_odd_rates(tmp_path: Path, sample_rate: int, subtype: str) -> None:
    samples = sweep(sample_rate, sample_rate=sample_rate)
    path = write(tmp_path / "a.wav", samples, sample_rate=sample_rate, subtype=subtype)
    found = load_audio(path)
    assert found.shape == (16_000,)
    coarse = subtype in ("PCM_U8", "ULAW")
    assert snr_db(sweep(16_000), found) > (30 if coarse else 45)


def test_channels_are_mixed_or_picked(tmp_path: Path) -> None:
    left, right = sweep(4_000), 0.5 * sweep(4_000)[::-1]
    path = write(tmp_path / "a.wav", np.stack([left, right], axis=1), subtype="FLOAT")
    np.testing.assert_array_equal(load_audio(path, channels=0), left)
    np.testing.assert_array_equal(load_audio(path, channels=1), right)
    np.testing.assert_allclose(load_audio(path), (left + right) / 2, atol=1e-7)
    refused(path, "has 2 channels", "channel from 0 to 1", "received 2", channels=2)
    refused(path, "received -1", channels=-1)


def test_channels_are_counted_by_the_headers(tmp_path: Path) -> None:
    for num_channels in (1, 2, 6):
        samples = np.tile(sweep(1_000)[:, None] * 0.5, (1, num_channels))
        for suffix in ("wav", "flac", "ogg"):
            assert count_channels(write(tmp_path / f"a.{suffix}", samples)) == num_channels
    with pytest.raises(AudioError, match="no such file"):
        count_channels(tmp_path / "no.wav")


@pytest.mark.parametrize("suffix", FORMATS)
def test_the_suffixes_of_recordings_are_known(suffix: str) -> None:
    assert f".{suffix}" in SUFFIXES


def test_six_channels(tmp_path: Path) -> None:
    samples = np.stack([sweep(1_000) * gain for gain in (0, 0, 0.6, 0, 0, 0.6)], axis=1)
    path = write(tmp_path / "a.flac", samples)
    np.testing.assert_allclose(load_audio(path), sweep(1_000) * 0.2, atol=1e-4)


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("sample_rate", [16_000, 24_000])
def test_a_part_equals_the_slice_of_the_whole(
    tmp_path: Path, suffix: str, sample_rate: int
) -> None:
    samples = sweep(8 * sample_rate, sample_rate=sample_rate)
    path = write(tmp_path / f"a.{suffix}", samples, sample_rate=sample_rate)
    whole = load_audio(path)
    for offset_s, duration_s in [
        (0, 0.5),
        (0.01, 1),
        (2.34567, 1.5),
        (7.9, 0.1),
        (7.5, 9),
        (3, None),
    ]:
        found = load_audio(path, offset_s=offset_s, duration_s=duration_s)
        start = round(offset_s * 16_000)
        stop = None if duration_s is None else start + round(duration_s * 16_000)
        expected = whole[start:stop]
        assert found.shape == expected.shape
        if suffix == "opus":  # its decoder never quite forgets what came before
            assert snr_db(expected, found) > 30
        else:
            np.testing.assert_allclose(found, expected, atol=1e-4)


@settings(deadline=None, max_examples=30)
@given(
    rate=st.sampled_from([8_000, 11_025, 16_000, 22_050, 44_100, 44_101]),
    offset=st.integers(0, 30_000),
    length=st.integers(10, 30_000),
)
def test_parts_fall_on_the_samples_of_the_whole_at_any_rate(
    tmp_path_factory: pytest.TempPathFactory, rate: int, offset: int, length: int
) -> None:
    path = tmp_path_factory.getbasetemp() / f"{rate}.wav"
    if not path.exists():
        write(path, sweep(2 * rate, sample_rate=rate), sample_rate=rate)
    whole = load_audio(path)
    found = load_audio(path, offset_s=offset / 16_000, duration_s=length / 16_000)
    np.testing.assert_allclose(found, whole[offset : offset + length], atol=1e-5)


def test_a_part_is_reached_without_decoding_what_lies_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "a.flac", sweep(60 * 16_000))
    read = soundfile.SoundFile.read
    num_read = 0

    def counting(self: Any, *args: Any, **kwargs: Any) -> Any:
        nonlocal num_read
        block = read(self, *args, **kwargs)
        num_read += len(block)
        return block

    monkeypatch.setattr(soundfile.SoundFile, "read", counting)
    load_audio(path, offset_s=50, duration_s=1)
    assert 16_000 <= num_read < 6 * 16_000


@pytest.mark.parametrize(("sample_rate", "block_s"), [(16_000, 0.7), (44_100, 1.0), (8_000, 0.01)])
def test_blocks_joined_equal_the_whole(tmp_path: Path, sample_rate: int, block_s: float) -> None:
    path = write(
        tmp_path / "a.wav", sweep(5 * sample_rate + 77, sample_rate=sample_rate),
        sample_rate=sample_rate,
    )  # fmt: skip
    blocks = list(stream_audio(path, block_s=block_s))
    assert {len(block) for block in blocks[:-1]} == {round(block_s * 16_000)}
    assert 0 < len(blocks[-1]) <= round(block_s * 16_000)
    np.testing.assert_allclose(np.concatenate(blocks), load_audio(path), atol=1e-4)


def test_streaming_holds_blocks_only(tmp_path: Path) -> None:
    import tracemalloc

    path = tmp_path / "long.wav"
    with soundfile.SoundFile(path, "w", 16_000, 1, subtype="PCM_16") as file:
        for _ in range(120):
            file.write(sweep(80_000))
    tracemalloc.start()
    num_samples = sum(len(block) for block in stream_audio(path, block_s=5))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert num_samples == 600 * 16_000
    assert peak < 4_000_000  # the whole is 38 MB


@pytest.mark.parametrize("block_s", [0, -1, math.nan, math.inf])
def test_blocks_need_a_length(tmp_path: Path, block_s: float) -> None:
    with pytest.raises(AudioError, match="block_s"):
        list(stream_audio(write(tmp_path / "a.wav", sweep(100)), block_s=block_s))


# --- what is refused ---------------------------------------------------------------------------


def test_what_is_no_recording_is_refused(tmp_path: Path) -> None:
    refused(tmp_path / "none.wav", "no such file")
    refused(tmp_path, "folder")
    for name, data in {
        "empty.wav": b"",
        "text.wav": b"hello world\n" * 100,
        "text.mp3": b"hello world\n" * 100,
        "noise.flac": np.random.default_rng(1).bytes(4_000),
        "a.raw": b"\1\2" * 100,
        "short.wav": b"RIFF",
        "short.ogg": b"OggS",
    }.items():
        path = tmp_path / name
        path.write_bytes(data)
        refused(path, "is empty" if not data else "cannot be read as sound")
        with pytest.raises(AudioError):
            audio_info(path)


@pytest.mark.skipif(sys.platform == "win32", reason="no named pipes")
def test_a_named_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.wav")
    refused(tmp_path / "pipe.wav", "expected a file")


@pytest.mark.parametrize(
    ("suffix", "parts"),
    [
        ("wav", ["is truncated", "2.00 s", "bytes its header promises"]),
        ("aiff", ["is truncated", "2.00 s", "bytes its header promises"]),
        ("flac", ["is truncated", "of the 4.00 s its header promises"]),
    ],
)
def test_a_file_shorter_than_it_promises_is_refused(
    tmp_path: Path, suffix: str, parts: list[str]
) -> None:
    path = cut(write(tmp_path / f"a.{suffix}", sweep(64_000)), 0.5)
    refused(path, *parts)
    with pytest.raises(AudioError, match="is truncated"):
        audio_info(path)
    with pytest.raises(AudioError, match="is truncated"):
        list(stream_audio(path, block_s=0.1))


@pytest.mark.parametrize("suffix", ["ogg", "opus", "mp3"])
def test_a_cut_file_that_promises_nothing_is_read_to_its_end(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"a.{suffix}", rough(160_000))
    whole = load_audio(path)
    found = load_audio(cut(path, 0.6))
    assert 3 * 16_000 < len(found) < 9 * 16_000
    assert snr_db(whole[: len(found) - 4_000], found[:-4_000]) > 30
    assert audio_info(path).duration_s == pytest.approx(len(found) / 16_000, abs=0.1)


def test_a_last_sample_lost_is_forgiven(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", sweep(16_000))
    path.write_bytes(path.read_bytes()[:-2])
    assert len(load_audio(path)) == 15_999


@pytest.mark.parametrize("suffix", ["flac", "ogg", "opus"])
def test_damage_in_the_middle_is_refused(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"a.{suffix}", rough(160_000))
    noise = np.random.default_rng(0).bytes(400)
    refused(patch(path, path.stat().st_size // 2, noise), "corrupt", "of the 10.00 s")


def test_ogg_problems_that_would_go_unheard(tmp_path: Path) -> None:
    first = write(tmp_path / "1.opus", sweep(16_000)).read_bytes()
    second = write(tmp_path / "2.ogg", sweep(16_000)).read_bytes()
    chained = tmp_path / "chained.ogg"
    chained.write_bytes(first + second)
    refused(chained, "end to end")
    chained.write_bytes(first + bytes(70_000))
    refused(chained, "no Ogg page")


def wav_fields(path: Path) -> tuple[int, int]:
    data = path.read_bytes()
    return data.find(b"fmt ") + 8, data.find(b"data") + 4


@pytest.mark.parametrize(
    ("riff", "size"),
    [
        (0, 0),
        (36, 0),
        (8, 0),
        (0xFFFF_FFFF, 0xFFFF_FFFF),
        (0xFFFF_FFFF, 0xFFFF_FFDB),
        (0x7FFF_FFFF, 0x7FFF_FFFF),
        (0x7FFF_F024, 0x7FFF_F000),
        (0x8000_0024, 0x8000_0000),
    ],
)
def test_placeholder_lengths_of_streamed_wavs_mean_until_the_end(
    tmp_path: Path, riff: int, size: int
) -> None:
    path = write(tmp_path / "a.wav", sweep(16_000))
    whole = load_audio(path)
    patch(patch(path, 4, struct.pack("<I", riff)), wav_fields(path)[1], struct.pack("<I", size))
    np.testing.assert_array_equal(load_audio(path), whole)
    np.testing.assert_array_equal(load_audio(path, offset_s=0.5), whole[8_000:])
    assert audio_info(path).duration_s == 1.0


def test_a_wav_without_sound_is_refused_though_chunks_follow(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", sweep(0))
    refused(path, "holds no samples")
    with pytest.raises(AudioError, match="holds no samples"):
        audio_info(path)
    path.write_bytes(path.read_bytes() + b"LIST" + struct.pack("<I", 4) + b"INFO")
    refused(path, "holds no samples")


@pytest.mark.parametrize(
    ("at", "value"),
    [
        (2, struct.pack("<H", 0)),  # channels
        (2, struct.pack("<H", 65_535)),
        (4, struct.pack("<I", 0)),  # rate
        (4, struct.pack("<I", 4_000_000_000)),
        (4, struct.pack("<I", 1)),
        (4, struct.pack("<I", 2_000_000_000)),
        (14, struct.pack("<H", 0)),  # bits
        (0, struct.pack("<H", 0x7777)),  # encoding
    ],
)
def test_absurd_wav_headers_are_refused(tmp_path: Path, at: int, value: bytes) -> None:
    path = write(tmp_path / "a.wav", sweep(16_000))
    refused(patch(path, wav_fields(path)[0] + at, value))


@pytest.mark.parametrize("num_samples", [2**31, 2**36 - 1])
def test_an_absurd_flac_length_allocates_nothing(tmp_path: Path, num_samples: int) -> None:
    path = write(tmp_path / "a.flac", sweep(16_000))
    patch_flac_length(path, num_samples)
    refused(path, "is truncated")
    with pytest.raises(AudioError, match="is truncated"):
        audio_info(path)


def test_a_streamed_flac_states_no_length_and_is_read_to_its_end(tmp_path: Path) -> None:
    path = write(tmp_path / "a.flac", sweep(100_000))
    whole = load_audio(path)
    patch_flac_length(path, 0)
    np.testing.assert_array_equal(load_audio(path), whole)
    np.testing.assert_array_equal(load_audio(path, offset_s=5, duration_s=1), whole[80_000:96_000])
    assert audio_info(path).duration_s == 6.25


def patch_flac_length(path: Path, num_samples: int) -> None:
    field = int.from_bytes(path.read_bytes()[18:26], "big")  # STREAMINFO's last 36 bits of these
    patch(path, 18, (field >> 36 << 36 | num_samples).to_bytes(8, "big"))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e30])
def test_samples_that_are_no_sound_are_refused(tmp_path: Path, value: float) -> None:
    samples = sweep(48_000)
    samples[24_000] = value
    path = write(tmp_path / "a.wav", samples, subtype="FLOAT")
    refused(path, "received", "after 1.50 s")
    assert len(load_audio(path, duration_s=0.4)) == 6_400


@pytest.mark.parametrize("suffix", FORMATS)
def test_digital_silence_is_refused(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"a.{suffix}", np.zeros(16_000, np.float32))
    refused(path, "digital silence")
    with pytest.raises(AudioError, match="digital silence"):
        list(stream_audio(path, block_s=0.1))


def test_silence_in_a_part_or_channel_and_channels_that_cancel(tmp_path: Path) -> None:
    tone = sweep(48_000)
    tone[:32_000] = 0
    path = write(tmp_path / "a.wav", np.stack([tone, -tone], axis=1), subtype="FLOAT")
    refused(path, "cancel each other")
    refused(path, "digital silence", "part asked for", channels=0, duration_s=0.5)
    assert len(load_audio(path, channels=1)) == 48_000
    mute = write(tmp_path / "b.wav", np.stack([tone, 0 * tone], axis=1))
    refused(mute, "digital silence in channel 1", channels=1)


@pytest.mark.parametrize(
    "options",
    [
        {"offset_s": -0.1},
        {"offset_s": math.nan},
        {"duration_s": 0.0},
        {"duration_s": -1.0},
        {"duration_s": math.inf},
        {"sample_rate": 0},
        {"offset_s": 1.0},
        {"offset_s": 99.0},
    ],
)
def test_parts_that_are_not_there_are_refused(tmp_path: Path, options: dict[str, Any]) -> None:
    path = write(tmp_path / "a.wav", sweep(16_000))
    refused(path, **options)


# --- mp3 ---------------------------------------------------------------------------------------


@pytest.fixture
def mp3(tmp_path: Path) -> Path:
    """Ten seconds whose second half needs more bits, by which a guess at the length goes wrong."""
    samples = 0.05 * sweep(160_000)
    samples[:80_000] *= 0.01
    samples[80_000:] += np.asarray(np.random.default_rng(0).normal(0, 0.2, 80_000), np.float32)
    path = tmp_path / "a.mp3"
    with soundfile.SoundFile(path, "w", 16_000, 1, format="MP3", bitrate_mode="VARIABLE") as file:
        for at in range(0, len(samples), 8_000):
            file.write(samples[at : at + 8_000])
    return path


def test_an_mp3_without_a_length_is_read_to_its_end(mp3: Path) -> None:
    whole = load_audio(mp3)
    data = mp3.read_bytes()
    frames = containers.count_mp3_frames(mp3)
    assert frames is not None
    assert frames.num_samples == pytest.approx(160_000, abs=4 * 576)
    mp3.write_bytes(data[data.find(data[:2], 4) :])  # the first frame is the tag with the length
    with soundfile.SoundFile(mp3) as file:
        assert file.frames < 120_000  # libsndfile alone would stop there without a word
    found = load_audio(mp3)
    assert len(found) == pytest.approx(160_000, abs=4 * 576)
    assert audio_info(mp3).duration_s == pytest.approx(10, abs=0.15)
    delay = len(found) - len(whole)
    late = found[100_000:140_000]
    shifts = [snr_db(late, whole[100_000 - d : 140_000 - d]) for d in range(delay + 600)]
    assert max(shifts) > 30


@pytest.mark.parametrize("factor", [0.5, 2, 1000])
def test_an_mp3_header_that_lies_is_not_believed(mp3: Path, factor: float) -> None:
    frames = containers.count_mp3_frames(mp3)
    assert frames is not None
    assert frames.count_at is not None
    patch(mp3, frames.count_at, struct.pack(">I", int(frames.num_frames * factor)))
    assert len(load_audio(mp3)) == pytest.approx(160_000, abs=4 * 576)
    assert audio_info(mp3).duration_s == pytest.approx(10, abs=0.15)


def test_two_mp3s_joined_are_read_to_the_end_of_the_second(mp3: Path) -> None:
    tag = b"ID3\4\0\0" + bytes([0, 0, 2, 4]) + b"x" * 260
    mp3.write_bytes(tag + mp3.read_bytes() * 2)
    assert len(load_audio(mp3)) == pytest.approx(320_000, abs=8 * 576)
    assert audio_info(mp3).duration_s == pytest.approx(20, abs=0.3)


def test_where_a_frame_may_start_is_searched_for_as_headers_are_read() -> None:
    for second, third in itertools.product(range(256), range(256)):
        header = bytes([0xFF, second, third, 0])
        if containers._frame_length(header, None):
            assert containers._FRAME_START.match(header)
    assert not containers._FRAME_START.search(b"\xff" * 100)


def test_what_was_made_to_look_like_frames_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.mp3"
    soundfile.write(path, sweep(16_000), 16_000)
    frames = containers.count_mp3_frames(path)
    heads = b"\xff\xfb\x90\x00" * 1_000
    path.write_bytes(path.read_bytes() + heads + path.read_bytes())
    twice = containers.count_mp3_frames(path)
    assert frames is not None
    assert twice is not None
    assert twice.num_frames > 1.9 * frames.num_frames
    monkeypatch.setattr(containers, "_MAX_TRIES", 100)
    containers._count_mp3_frames.cache_clear()
    assert containers.count_mp3_frames(path) == frames


# --- ffmpeg ------------------------------------------------------------------------------------


def test_what_needs_ffmpeg_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    for name, data in {
        "a.m4a": b"\0\0\0\x20ftypM4A " + bytes(100),
        "a.audio": b"\0\0\0\x20ftypisom" + bytes(100),
        "a.webm": b"\x1a\x45\xdf\xa3" + bytes(100),
        "a.aac": b"\xff\xf1" + bytes(100),
    }.items():
        (tmp_path / name).write_bytes(data)
        refused(tmp_path / name, "ffmpeg", "not on the PATH")


@pytest.mark.skipif(sys.platform != "linux", reason="names are text there")
def test_a_name_that_is_no_text_is_read_like_any(tmp_path: Path) -> None:
    for suffix in ("wav", "flac", "mp3", "ogg"):
        named = write(tmp_path / f"a.{suffix}", sweep(4_000))
        odd = named.rename(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9." + suffix.encode()))
        assert len(load_audio(odd)) == pytest.approx(4_000, abs=1_200)
    (tmp_path / "caf\udce9.wav").write_bytes(b"no sound")
    with pytest.raises(AudioError, match="cannot be read as sound"):
        load_audio(tmp_path / "caf\udce9.wav")


def test_a_wav_called_m4a_needs_no_ffmpeg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    path = write(tmp_path / "a.wav", sweep(1_000)).rename(tmp_path / "a.m4a")
    assert load_audio(path).shape == (1_000,)


@pytest.fixture
def fake_ffmpeg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Puts a script on the PATH that plays ffmpeg: it "decodes" a wav kept in a .m4a's place."""

    def install(ending: str) -> Path:
        folder = tmp_path / "bin"
        folder.mkdir()
        program = folder / "ffmpeg"
        program.write_text(
            f"#!{sys.executable}\n"
            "import sys, struct\n"
            f"open({str(tmp_path / 'calls')!r}, 'a').write(repr(sys.argv[1:]) + chr(10))\n"
            "a = sys.argv\n"
            "def option(name, other): return float(a[a.index(name) + 1]) if name in a else other\n"
            "print('Input #0, mov,mp4, from x:\\n  Duration: 00:00:03.00, start: 0\\n"
            "  Stream #0:0(und): Audio: aac (LC), 24000 Hz', file=sys.stderr)\n"
            "start = round(option('-ss', 0) * 24000); n = round(option('-t', 3) * 24000)\n"
            "out = sys.stdout.buffer\n"
            "out.write(b'RIFF' + b'\\xff' * 4 + b'WAVE' + b'fmt ' + struct.pack('<IHHIIHH', 16, 3,"
            " 2, 24000, 192000, 8, 32) + b'LIST' + struct.pack('<I', 4) + b'INFO' + b'data'"
            " + b'\\xff' * 4)\n"
            "frames = range(start, min(72000, start + n))\n"
            "out.write(b''.join(struct.pack('<ff', i / 72000, 0) for i in frames))\n" + ending
        )
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", str(folder))
        path = tmp_path / "-a b;$(touch pwned).m4a"
        path.write_bytes(b"\0\0\0\x20ftypM4A ")
        return path

    return install


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in is a script")
def test_ffmpeg_is_read_through_a_pipe(fake_ffmpeg: Callable[[str], Path], tmp_path: Path) -> None:
    path = fake_ffmpeg("")
    info = audio_info(path)
    assert (info.container, info.encoding) == ("MOV,MP4", "AAC")
    assert (info.sample_rate, info.num_channels, info.duration_s) == (24_000, 2, 3.0)
    whole = load_audio(path)
    assert whole.shape == (48_000,)
    np.testing.assert_allclose(
        whole[1_000:-1_000], np.arange(48_000)[1_000:-1_000] / 96_000, atol=1e-4
    )
    part = load_audio(path, offset_s=2.5, duration_s=0.25)
    np.testing.assert_allclose(part, whole[40_000:44_000], atol=1e-4)
    calls = [eval(line) for line in (tmp_path / "calls").read_text().splitlines()]
    assert all(call[call.index("-i") + 1] == f"file:{path.resolve()}" for call in calls)
    assert "1.500000" in calls[-1]
    assert not (tmp_path / "pwned").exists()
    for call in calls:  # of what only names other files, nothing is read
        readers = call[call.index("-format_whitelist") + 1].split(",")
        assert {"mov", "matroska", "mpegts", "avi"} <= set(readers)
        assert not {"concat", "hls", "dash", "sdp", "image2", "lavfi", "data"} & set(readers)
        assert call.index("-format_whitelist") < call.index("-i")


@pytest.mark.parametrize("name", ["a.avi", "a.wav", "a"])
def test_avi_is_no_wav(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(b"RIFF\x10\0\0\0AVI LIST")
    assert ffmpeg.is_needed(path)


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in is a script")
def test_ffmpeg_that_fails_is_reported(fake_ffmpeg: Callable[[str], Path]) -> None:
    path = fake_ffmpeg("print('moov atom not found', file=sys.stderr); sys.exit(1)\n")
    refused(path, "ffmpeg cannot decode it", "moov atom not found")


# --- resample, write_wav -----------------------------------------------------------------------


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 3_000), st.sampled_from([8_000, 11_025, 16_000, 44_100, 48_000]))
def test_resample_rounds_the_length(num_samples: int, from_rate: int) -> None:
    found = resample(sweep(num_samples), from_rate=from_rate, to_rate=16_000)
    assert found.dtype == np.float32
    assert abs(len(found) - num_samples * 16_000 / from_rate) <= 0.5


def test_resample_keeps_a_tone_and_refuses_no_rate() -> None:
    tones = {
        rate: np.sin(2 * np.pi * 440 * np.arange(rate) / rate) for rate in (8_000, 16_000, 44_100)
    }
    for rate in (8_000, 44_100):
        found = resample(tones[rate], from_rate=rate, to_rate=16_000)
        np.testing.assert_allclose(found[500:-500], tones[16_000][500:-500], atol=1e-4)
    with pytest.raises(AudioError, match="0 Hz"):
        resample(tones[8_000], from_rate=0, to_rate=16_000)


def test_write_wav_round_trip_is_exact_and_clipping_refused(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.wav"
    integers = np.array([-32_768, -1, 0, 1, 100, 32_767])
    write_wav(path, integers / 32_768, sample_rate=8_000)
    found, rate = soundfile.read(path, dtype="int16")
    np.testing.assert_array_equal(found, integers)
    assert rate == 8_000
    write_wav(path, np.array([1.0, -1.0]))
    assert soundfile.read(path, dtype="int16")[0].tolist() == [32_767, -32_768]
    before = path.read_bytes()
    for bad in ([0.0, 1.01], [0.0, math.nan], [[0.0, 0.1]]):
        with pytest.raises(AudioError, match=r"a\.wav: expected samples"):
            write_wav(path, bad)
    assert path.read_bytes() == before
    assert [entry.name for entry in path.parent.iterdir()] == ["a.wav"]
