"""The recognizer and its parts.

What stands in `__all__` is the public surface; the rest may change between versions. A name's
module is imported when the name is first used, so that `import asr` alone loads nothing.
"""

import importlib
import typing

__version__ = "0.1.0"

__all__ = [
    "AsrError",
    "Bundle",
    "Calibration",
    "CutOptions",
    "DecodingOptions",
    "FeatureOptions",
    "Heard",
    "Hypothesis",
    "Recognizer",
    "Score",
    "TextOptions",
    "Transcript",
    "Transcription",
    "Transcriptions",
    "Utterance",
    "Vocabulary",
    "VoiceActivity",
    "Word",
    "align",
    "beam_search",
    "decode",
    "extract",
    "greedy_decode",
    "list_bundles",
    "load",
    "load_audio",
    "normalise_text",
    "open_bundle",
    "open_language_model",
    "read_hotwords",
    "read_manifest",
    "score",
    "stream_audio",
    "validate",
    "write_manifest",
]

_HOMES = {
    "asr.alignment": ("align",),
    "asr.audio": ("load_audio", "stream_audio"),
    "asr.bundle": ("Bundle", "list_bundles", "open_bundle", "open_language_model"),
    "asr.confidence": ("Calibration",),
    "asr.cuts": ("CutOptions",),
    "asr.decoding": ("DecodingOptions", "Hypothesis", "beam_search", "decode", "greedy_decode"),
    "asr.errors": ("AsrError",),
    "asr.features": ("FeatureOptions", "extract"),
    "asr.hotwords": ("read_hotwords",),
    "asr.manifest": ("Utterance", "read_manifest", "write_manifest"),
    "asr.onnx_network": ("load",),
    "asr.recognizer": ("Recognizer",),
    "asr.scoring": ("Score", "score"),
    "asr.streaming": ("Heard",),
    "asr.text": ("TextOptions", "normalise_text"),
    "asr.transcript": ("Transcript", "Word"),
    "asr.transcriptions": ("Transcription", "Transcriptions"),
    "asr.validation": ("validate",),
    "asr.vocabulary": ("Vocabulary",),
    "asr.voice_activity": ("VoiceActivity",),
}

if typing.TYPE_CHECKING:
    from asr.alignment import align
    from asr.audio import load_audio, stream_audio
    from asr.bundle import Bundle, list_bundles, open_bundle, open_language_model
    from asr.confidence import Calibration
    from asr.cuts import CutOptions
    from asr.decoding import DecodingOptions, Hypothesis, beam_search, decode, greedy_decode
    from asr.errors import AsrError
    from asr.features import FeatureOptions, extract
    from asr.hotwords import read_hotwords
    from asr.manifest import Utterance, read_manifest, write_manifest
    from asr.onnx_network import load
    from asr.recognizer import Recognizer
    from asr.scoring import Score, score
    from asr.streaming import Heard
    from asr.text import TextOptions, normalise_text
    from asr.transcript import Transcript, Word
    from asr.transcriptions import Transcription, Transcriptions
    from asr.validation import validate
    from asr.vocabulary import Vocabulary
    from asr.voice_activity import VoiceActivity
else:  # hidden from type checkers, which would take any other name for an attribute too

    def __getattr__(name: str) -> object:
        """Imports a public name on first use (PEP 562)."""
        for module, names in _HOMES.items():
            if name in names:
                value = getattr(importlib.import_module(module), name)
                globals()[name] = value
                return value
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        """Names what completion should offer."""
        return sorted({*globals(), *__all__})
