"""Recordings with their texts, as `asr align` and `asr cut` are given them."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from asr.errors import AsrError, ManifestError, ScoringError
from asr.interchange import is_list, read_utterances
from asr.manifest import Utterance
from pipelines.terminal import harmless
from pipelines.usage import UsageError

if TYPE_CHECKING:
    from asr.transcript import Transcript


def add_inputs(parser: argparse.ArgumentParser) -> None:
    """Declares the recording or manifest, the text, the manifest's root and the model."""
    parser.add_argument("input", type=Path, help="a recording, or a manifest with texts")
    parser.add_argument("text", nargs="?", help="what is said in the recording, or a .txt file")
    parser.add_argument("--root", type=Path, help="folder that a manifest's paths start from")
    parser.add_argument("--model", required=True, help="a model's name, its folder, or a run's")


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


class Alignments:
    """Finds each utterance's words in its recording, one utterance after another.

    Args:
        utterances: Recordings with their texts.
        model: A model's name, its folder, or a run's.
        label: What this is done for, before its progress.
        quiet: Show no progress.

    Attributes:
        failures: Of those so far whose text was not found: the id and the reason.
    """

    def __init__(
        self, utterances: Sequence[Utterance], model: str, *, label: str, quiet: bool
    ) -> None:
        self._utterances, self._model = utterances, model
        self._label, self._quiet = label, quiet
        self.failures: list[str] = []

    def __iter__(self) -> "Iterator[tuple[Utterance, Transcript | None]]":
        """Yields every utterance with its words' times, or with None where that failed.

        Raises:
            AsrError: The model cannot be read.
        """
        from asr.alignment import align
        from pipelines.choices import Choices
        from pipelines.network import load_recognizer
        from pipelines.progress import Progress
        from pipelines.speech import load_speech

        # A text that is known needs no search for it, and no language model.
        recognizer = load_recognizer(self._model, choices=Choices(method="greedy"))
        with Progress(
            len(self._utterances), unit="recordings", label=self._label, quiet=self._quiet
        ) as progress:
            for item in self._utterances:
                found = None
                try:
                    found = align(recognizer, load_speech(item), item.text or "")
                except AsrError as error:
                    self.failures.append(f"{item.id}: {error}")
                yield item, found
                progress.advance()

    def tell_failures(self) -> None:
        """Says on standard error what could not be aligned."""
        for failure in self.failures:
            print(f"asr: not aligned: {harmless(failure)}", file=sys.stderr)
