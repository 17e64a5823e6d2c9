"""What strangers send, made at random: readers refuse it with an error of ours, or read it.

    python tests/fuzzing.py audio -max_total_time=600

runs one reader under atheris (the dependency group `fuzz`; Linux), which looks for inputs that
take new ways through our code; further arguments are libFuzzer's. What it finds is written to the
current folder as `crash-…`. Such an input, made small, goes to `tests/fuzz_corpus/READER/`, and is
read by `tests/test_fuzz_corpus.py` ever after.
"""

import contextlib
import dataclasses
import importlib
import io
import json
import os
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from asr.errors import AsrError

CORPUS = Path(__file__).parent / "fuzz_corpus"

ARPA = b"""\\data\\
ngram 1=5
ngram 2=3

\\1-grams:
-1\t<unk>
-99\t<s>\t-0.3
-0.7\t</s>
-0.5\ta\t-0.2
-0.6\tb\t-0.1

\\2-grams:
-0.25\t<s> a
-0.3\ta b
-0.35\tb </s>

\\end\\
"""
RECIPE = b"""[features]
n_mfcc = 5
stack = 2
[text]
language = "en"
[decoding]
method = "beam"
words = ["a", "b"]
[confidence]
slope = 0.5
"""
VOCABULARY = b'{"kind": "characters", "tokens": ["<blank>", " ", "a", "b"]}'
RECORD = b'{"network_sha256": "none", "precision": "int8"}'
MANIFEST = (
    b'{"audio_filepath": "a/b.wav", "duration": 1.5, "text": "a b", "offset": 0.5, "id": 1}\n'
)
CSV = b'wav_filename,wav_filesize,transcript\n"a,b.wav",7,a b\n'
KALDI = b"r1 a.wav\nr2 sox b |\n\0u1 r1 0.5 1.5\n\0u1 a b\n\0u1 anna\n\0u1 1.0\n"


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """A folder in memory where there is one: a run writes thousands of files a second."""
    memory = Path("/dev/shm")
    place = memory if os.access(memory, os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=place) as path:
        yield Path(path)


# Readers. The first byte says what the rest is meant to be, where there is a choice.

SUFFIXES = (".wav", ".flac", ".ogg", ".mp3", ".aiff", ".raw", "")


def read_audio(data: bytes) -> None:
    """Reads a recording, whole and in part; of what can be read the parts equal the whole."""
    from asr.audio import audio_info, load_audio

    with folder() as place:
        path = place / f"a{SUFFIXES[data[0] % len(SUFFIXES)]}" if data else place / "a"
        path.write_bytes(data[1:])
        with contextlib.suppress(AsrError):
            info = audio_info(path)
            assert info.duration_s > 0
            assert info.num_channels > 0
        with contextlib.suppress(AsrError):
            samples = load_audio(path, duration_s=2.0)
            assert samples.dtype == np.float32
            assert 0 < len(samples) <= 2 * 16_000
            assert np.isfinite(samples).all()
            load_audio(path, offset_s=0.01, duration_s=0.01)


def read_list(data: bytes) -> None:
    """Reads a list of recordings; what can be read comes back from what is written of it."""
    from asr.interchange import read_utterances, scan_utterances
    from asr.manifest import to_json_line

    with folder() as place:
        kind = data[0] % 3 if data else 0
        if kind == 2:
            names = ("wav.scp", "segments", "text", "utt2spk", "utt2dur")
            for name, content in zip(names, data[1:].split(b"\0"), strict=False):
                (place / name).write_bytes(content)
            path = place
        else:
            path = place / ("a.jsonl", "a.csv")[kind]
            path.write_bytes(data[1:])
        with contextlib.suppress(AsrError):
            scan_utterances(path)
        with contextlib.suppress(AsrError):
            utterances, faults = scan_utterances(path, root="elsewhere")
            assert all(str(fault) for fault in faults)
            again = place / "again.jsonl"
            again.write_text("".join(f"{to_json_line(one)}\n" for one in utterances), "utf-8")
            assert read_utterances(again, root="") == [
                dataclasses.replace(one, line=number)
                for number, one in enumerate(utterances, start=1)
            ]


def read_arpa(data: bytes) -> None:
    """Reads an ARPA file; what can be read can be asked, and written."""
    from asr.lm import NgramModel, open_binary, write_binary
    from asr.lm.arpa import read_arpa as read

    with folder() as place:
        packed = (".arpa", ".arpa.gz", ".arpa.xz")[data[0] % 3 if data else 0]
        path = place / f"a{packed}"
        path.write_bytes(data[1:])
        with contextlib.suppress(AsrError):
            model = read(path)
            walk(model)
            write_binary(place / "a.ngram", model)
            again = open_binary(place / "a.ngram", check=True)
            assert isinstance(again, NgramModel)
            assert list(again.words) == list(model.words)


def read_ngrams(data: bytes) -> None:
    """Opens a model of ours that was changed in some places by one who knows the format."""
    from asr.lm import open_binary, write_binary
    from asr.lm.arpa import read_arpa as read

    with folder() as place:
        (place / "a.arpa").write_bytes(ARPA)
        path = place / "a.ngram"
        bits = 8 if data and data[0] % 2 else None
        write_binary(path, read(place / "a.arpa"), bits=bits)
        content = bytearray(path.read_bytes())
        for at in range(1, len(data) - 2, 3):
            content[int.from_bytes(data[at : at + 2], "big") % len(content)] = data[at + 2]
        path.write_bytes(with_digest(bytes(content)))
        with contextlib.suppress(AsrError):
            walk(open_binary(path))


def with_digest(content: bytes) -> bytes:
    """Puts the right digest into a file's head, as far as there is one."""
    end = 16 + int.from_bytes(content[12:16], "little")
    try:
        head: Any = json.loads(content[16:end])
        head |= {"crc32": zlib.crc32(content[end:]), "num_bytes": len(content) - end}
        text = json.dumps(head).encode()
    except (ValueError, TypeError, RecursionError):
        return content
    text += b" " * (-(16 + len(text)) % 64)
    return content[:12] + len(text).to_bytes(4, "little") + text + content[end:]


def walk(model: Any) -> None:
    """Asks a model for its own words, known and unknown."""
    words = [
        word for word in list(model.words)[:50] if word not in ("<s>", "</s>") and word.split()
    ]
    assert np.isfinite(model.score(" ".join([*words, "unheard"])))


FILES = (
    *("recipe.toml", "vocabulary.json", "onnx.json", "model.onnx", "model.keras", "lm.ngram"),
    "card.md",
)


def open_model(data: bytes) -> None:
    """Opens a model's folder, one file of which is a stranger's."""
    from asr.bundle import open_bundle
    from asr.onnx_file import read_onnx
    from asr.onnx_network import has_onnx, read_record
    from pipelines.keras_file import check_keras_file

    with folder() as place:
        good = (RECIPE, VOCABULARY, RECORD, b"", b"", ARPA, b"# A model")
        for name, content in zip(FILES, good, strict=True):
            if content:
                (place / name).write_bytes(content)
        chosen = FILES[data[0] % len(FILES)] if data else FILES[0]
        (place / chosen).write_bytes(data[1:])
        with contextlib.suppress(AsrError):
            bundle = open_bundle(place)
            assert bundle.features.num_features > 0
            assert len(bundle.vocabulary) > 1
            assert isinstance(bundle.card, str)
            bundle.open_language_model()
        for check in (read_onnx, check_keras_file):
            name = "model.onnx" if check is read_onnx else "model.keras"
            if (place / name).exists():
                with contextlib.suppress(AsrError):
                    check(place / name)
        with contextlib.suppress(AsrError):
            assert not has_onnx(place) or read_record(place)


READERS: dict[str, Callable[[bytes], None]] = {
    "audio": read_audio,
    "list": read_list,
    "arpa": read_arpa,
    "ngrams": read_ngrams,
    "model": open_model,
}


def seeds(reader: str) -> list[bytes]:
    """Returns good inputs for a reader to begin with."""
    if reader == "audio":
        return list(_recordings())
    if reader == "list":
        return [b"\0" + MANIFEST, b"\1" + CSV, b"\2" + KALDI]
    if reader == "arpa":
        return [b"\0" + ARPA, *_packed()]
    if reader == "ngrams":
        return [b"\0", b"\1", b"\0\0\x40\1", b"\1\0\x40\1"]
    model = [bytes([n]) + part for n, part in enumerate((RECIPE, VOCABULARY, RECORD))]
    return [*model, b"\4" + _network(), b"\5" + ARPA, b"\3\x3a\x02\x0a\x00"]


def _recordings() -> Iterator[bytes]:
    import soundfile

    noise = np.random.default_rng(0).uniform(-0.1, 0.1, (400, 2)).astype(np.float32)
    encodings = {"WAV": "PCM_16", "FLAC": "PCM_16", "OGG": "VORBIS", "MP3": None, "AIFF": "PCM_16"}
    for number, (kind, encoding) in enumerate(encodings.items()):
        for channels in (1, 2):
            content = io.BytesIO()
            soundfile.write(content, noise[:, :channels], 8000, encoding, format=kind)
            yield bytes([number]) + content.getvalue()
    for encoding in ("FLOAT", "ULAW", "IMA_ADPCM"):
        content = io.BytesIO()
        soundfile.write(content, noise[:, :1], 8000, encoding, format="WAV")
        yield b"\0" + content.getvalue()


def _packed() -> Iterator[bytes]:
    import gzip
    import lzma

    yield b"\1" + gzip.compress(ARPA)
    yield b"\2" + lzma.compress(ARPA)


def _network() -> bytes:
    import zipfile

    content = io.BytesIO()
    layer = {"module": "keras.layers", "class_name": "Dense", "config": {"units": 3}}
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("metadata.json", "{}")
        archive.writestr("config.json", json.dumps({"layers": [layer]}))
        archive.writestr("model.weights.h5", bytes(64))
    return content.getvalue()


def main(argv: list[str]) -> None:
    """Runs a reader on inputs made at random until it is stopped, or one of them is too much."""
    import atheris

    reader, *flags = argv
    kernels = ["asr.compiled", "asr.lm.ngram_kernel"]  # what numba compiles must stay as it is
    with atheris.instrument_imports(include=["asr", "pipelines"], exclude=kernels):
        for module in ("asr.audio", "asr.bundle", "asr.interchange", "asr.lm", "asr.onnx_network"):
            importlib.import_module(module)
        importlib.import_module("pipelines.keras_file")
    with tempfile.TemporaryDirectory() as begin:
        for number, seed in enumerate(seeds(reader)):
            (Path(begin) / f"seed-{number}").write_bytes(seed)
        for found in (CORPUS / reader).glob("*"):
            (Path(begin) / found.name).write_bytes(found.read_bytes())
        options = ["-timeout=30", "-rss_limit_mb=2048", "-max_len=8192", *flags]
        atheris.Setup([sys.argv[0], *options, begin], READERS[reader])
        atheris.Fuzz()


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    main(sys.argv[1:])
