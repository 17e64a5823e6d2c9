"""What a run of `asr transcribe` says when it ends, on the error stream, and its exit code."""

import contextlib
import sys
from collections.abc import Iterator, Sequence

from asr.text import TextOptions
from pipelines.batch_run import Tally, failure_line
from pipelines.inputs import Recording
from pipelines.outputs import Output
from pipelines.progress import duration_text

SUCCESS, FAILURE, INTERRUPTED = 0, 1, 130

_MAX_LISTED = 20
"""Failures that are listed where a file lists them all."""


@contextlib.contextmanager
def hint_at_going_on(output: Output, command: str) -> Iterator[None]:
    """Says how to go on if the work ends in an error that has nothing to do with it."""
    try:
        yield
    except (OSError, KeyboardInterrupt):
        if output.goes_on:
            _say(f"asr: what was done is kept; to go on: {command}")
        raise


def say_alternatives(tally: Tally, num_texts: int) -> None:
    """Says of how many recordings there is one text alone, where more were asked for."""
    if num_texts > 1 and tally.num_without:
        _say(
            f"asr: --n-best: no alternatives for {tally.num_without:,} of {tally.num_heard:,} "
            "recordings: each is so long that it is decoded in passages, which have alternatives "
            "of their own"
        )


def say_result(
    output: Output, tally: Tally, text: TextOptions, *, command: str, quiet: bool
) -> int:
    """Says what became of all recordings, and how to go on where some are left.

    Args:
        output: Where results went.
        tally: What was done.
        text: How texts are normalised for the error rate.
        command: What was asked for.
        quiet: Say only what went wrong, and the error rate.

    Returns:
        The exit code.
    """
    failed = [one for one in output.recordings if one.name in output.failures]
    if output.goes_on and not quiet:
        _say_summary(output, tally, len(failed))
    _say_failures(output, failed)
    if tally.ending != "complete":
        why = "interrupted" if tally.ending == "interrupted" else "ended at a failure (--strict)"
        _say(f"asr: {why}; to go on: {command}" if output.goes_on else f"asr: {why}")
        return INTERRUPTED if tally.ending == "interrupted" else FAILURE
    _say_score(output.recordings, tally.texts, text)
    return FAILURE if failed else SUCCESS


def _say_summary(output: Output, tally: Tally, num_failed: int) -> None:
    num_left = len(output.todo) + len(output.again)
    num_before = len(output.recordings) - num_left
    num_untried = num_left - tally.num_heard - tally.num_failed
    counts = {
        "transcribed": tally.num_heard,
        "done before": num_before,
        "failed": num_failed,
        "not tried": num_untried,
    }
    parts = [f"{count:,} {what}" for what, count in counts.items() if count]
    audio = f" ({duration_text(tally.audio_s)} of audio)" if tally.num_heard else ""
    parts[0] += audio
    _say(f"asr: of {len(output.recordings):,} recordings: {', '.join(parts)}")


def _say_failures(output: Output, failed: Sequence[Recording]) -> None:
    if not failed:
        return
    num_recordings = len(output.recordings)
    count = f"{len(failed):,} of {num_recordings:,}" if num_recordings > 1 else "the recording"
    _say(f"asr: {count} {'were' if len(failed) > 1 else 'was'} not transcribed")
    shown = failed[:_MAX_LISTED] if output.failures_file else failed
    for recording in shown:
        _say(f"  {failure_line(recording, output.failures[recording.name])}")
    if len(shown) < len(failed):
        _say(f"  and {len(failed) - len(shown):,} more; all are in {output.failures_file}")


def _say_score(recordings: Sequence[Recording], texts: dict[str, str], text: TextOptions) -> None:
    """Shows the word error rate, if every recording has a text."""
    said = {one.name: one.utterance.text for one in recordings if one.utterance.text is not None}
    if len(said) < len(recordings):
        return
    from asr.scoring import score

    found = score(said, {name: texts.get(name, "") for name in said}, text=text)
    _say(f"{found.kaldi_line()} ({found.normalisation})")


def _say(line: str) -> None:
    print(line, file=sys.stderr)
