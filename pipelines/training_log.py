"""What a training run says while it goes on."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from pipelines.progress import duration_text

COLUMNS = "epoch    loss  dev loss  dev WER  dev CER    speed  waiting  time left"


class TrainingLog:
    """Prints a table line per epoch with three sample transcripts.

    Args:
        quiet: Say nothing.
        stream: Where to; standard error by default, since a run's results are files.
    """

    def __init__(self, *, quiet: bool = False, stream: TextIO | None = None) -> None:
        self.quiet = quiet
        self._stream = stream or sys.stderr

    def line(self, text: str = "") -> None:
        """Prints a line."""
        if not self.quiet:
            print(text, file=self._stream, flush=True)

    def epoch(
        self,
        row: Mapping[str, Any],
        samples: Sequence[tuple[str, str, str]],
        *,
        is_best: bool,
        left_s: float,
    ) -> None:
        """Prints an epoch's figures, then reference and hypothesis of each sample."""
        self.line()
        self.line(COLUMNS)
        self.line(
            f"{row['epoch']:5d}  {row['loss']:6.3f}    {row['dev_loss']:6.3f}  "
            f"{100 * row['dev_wer']:6.2f}%  {100 * row['dev_cer']:6.2f}%  {row['speed']:6.0f}x  "
            f"{100 * row['waiting_share']:6.1f}%  "
            f"{duration_text(left_s):>9}{'  best so far' if is_best else ''}"
        )
        for key, reference, hypothesis in samples:
            self.line(f"  {key}")
            self.line(f"    said   {reference}")
            self.line(f"    heard  {hypothesis}")
