"""A folder that programs run in: a model that nobody asks for, and recordings of known lengths."""

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from asr.audio import SAMPLE_RATE, write_wav
from asr.bundle import write_settings
from asr.vocabulary import Vocabulary

TESTS = Path(__file__).resolve().parent


def make_place(folder: Path, program: str) -> dict[str, int]:
    """Makes program.py, the model `any`, and in/ with recordings, one of which is broken.

    Returns:
        Tenths of a second of every sound recording, by its path from the folder.
    """
    (folder / "program.py").write_text(program)
    recipe = {"features": {}, "text": {"language": "en"}}
    vocabulary = Vocabulary.from_characters(" ab")
    write_settings(folder / "models/any", recipe=recipe, vocabulary=vocabulary, card="")
    rng = np.random.default_rng(3)
    lengths = {}
    for n, tenths in enumerate([1, 2, 3, 9, 4, 5, 6, 1, 2, 7, 4, 5, 8, 1, 2, 3, 4]):
        name = f"in/{'ab'[n % 2]}/{n}.wav"
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        noise = rng.uniform(-0.1, 0.1, SAMPLE_RATE * tenths // 10)
        write_wav(folder / name, noise.astype(np.float32))
        lengths[name] = tenths
    (folder / "in/a/broken.wav").write_bytes(b"RIFF")
    return lengths


def environment(place: Path, more: Mapping[str, str]) -> dict[str, str]:
    """Returns what the place's program finds this project, these tests and the model by."""
    path = os.pathsep.join([str(TESTS.parent), str(TESTS), str(place)])
    return {**os.environ, "PYTHONPATH": path, "ASR_MODELS": str(place / "models"), **more}
