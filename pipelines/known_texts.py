"""Recordings with their texts, as `asr align` and `asr cut` are given them."""

import argparse
from pathlib import Path

from asr.errors import ManifestError, ScoringError
from asr.interchange import is_list, read_utterances
from asr.manifest import Utterance
from pipelines.usage import UsageError


def add_inputs(parser: argparse.ArgumentParser) -> None:
    """Declares the recording or manifest, the text and the manifest's root."""
    parser.add_argument("input", type=Path, help="a recording, or a manifest with texts")
    parser.add_argument("text", nargs="?", help="what is said in the recording, or a .txt file")
    parser.add_argument("--root", type=Path, help="folder that a manifest's paths start from")


def utterances_with_texts(path: Path, text: str | None, root: Path | None) -> list[Utterance]:
    """Returns what is said where.

    Args:
        path: A recording, or a manifest with texts.
        text: What is said in the recording, or the .txt file that holds it.
        root: Folder that a manifest's paths start from; its own if None.

    Raises:
        UsageError: The recording has no text.
        ManifestError: The manifest is empty or cannot be read.
        ScoringError: An utterance of it has no text.
    """
    if text is None:
        if not is_list(path):
            raise UsageError(f"expected a text after {path}, or a manifest in its place")
        found = read_utterances(path, root=root)
        if not found:
            raise ManifestError(f"{path}: expected at least one recording, received an empty list")
        if lacking := [item.id for item in found if item.text is None]:
            raise ScoringError(f"expected a text for every utterance; none for {lacking[0]}")
        return found
    file = Path(text)
    said = file.read_text(encoding="utf-8") if file.suffix == ".txt" else text
    return [Utterance(id=path.stem, audio=path, duration_s=None, text=said)]
