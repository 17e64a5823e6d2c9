"""`asr evaluate`: how good transcripts are, of a model or already finished."""

import argparse
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.baseline import read_baseline
from pipelines.choices import AS_IT_IS, add_choices, choices_of
from pipelines.pairing import (
    AllowMissing,
    add_scoring_arguments,
    pair,
    text_options,
    texts_of,
    utterances_by_id,
)
from pipelines.terminal import harmless
from pipelines.usage import UsageError

if TYPE_CHECKING:
    from asr.confidences import Confidences
    from asr.manifest import Utterance
    from asr.text import TextOptions
    from asr.vocabulary import Vocabulary
    from pipelines.baseline import Baseline
    from pipelines.evaluation import Evaluation
    from pipelines.recognition import BatchRecognizer
    from pipelines.suspects import ReferenceLosses

EPILOG = """\
examples:
  asr evaluate --model runs/digits/model test.jsonl -o report/
      transcribes test.jsonl, scores it, and writes report/index.html
  asr evaluate --hyp result.jsonl --ref test.jsonl
      scores finished transcripts: JSON lines (pred_text, else text),
      whisper's JSON or a folder of it, CTM, TRN
  asr evaluate --model NAME test.jsonl --fail-if "wer > 0.12"
  asr evaluate --model NAME test.jsonl --fail-if "worse than main/"
      exits with 1 if the model is not good enough, or got worse beyond luck
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describes the program's command line."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    parser.add_argument(
        "manifest", nargs="?", type=Path, help="references to transcribe: JSON lines, Kaldi, CSV"
    )
    parser.add_argument("--model", help="a model's folder or name; transcribes MANIFEST")
    parser.add_argument(
        "--hyp", type=Path, metavar="FILE", help="transcripts of any recognizer to score"
    )
    parser.add_argument("--ref", type=Path, metavar="FILE", help="their references")
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FOLDER", help="write a report here (index.html, …)"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace a report that is there")
    parser.add_argument(
        "-n", "--rows", type=int, default=10, help="utterances shown, worst first (default 10)"
    )
    parser.add_argument(
        "--clips",
        type=int,
        default=9,
        metavar="N",
        help="recordings to listen to on the page (default 9; 0 for none)",
    )
    add_scoring_arguments(parser)
    parser.add_argument(
        "--train-text",
        type=Path,
        metavar="FILE",
        help="the model's training text or manifest, for errors by how rare a word is",
    )
    parser.add_argument(
        "--snr",
        action="store_true",
        help="with --hyp: read the recordings for errors by how noisy they are",
    )
    parser.add_argument(
        "--baseline", type=Path, metavar="REPORT", help="say what changed since this report"
    )
    parser.add_argument(
        "--fail-if",
        action="append",
        default=[],
        metavar="CONDITION",
        help='exit with 1 if "wer > 0.12", "wer > 12%% or cer > 5%%", "worse than REPORT", …',
    )
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    add_choices(parser)


def run(arguments: argparse.Namespace) -> int:
    """Runs the program.

    Returns:
        0, or 1 if some recordings could not be transcribed or a condition of `--fail-if` is met.

    Raises:
        AsrError: The arguments, the model, or the lists of utterances do not allow a score.
    """
    from pipelines.evidence import gather
    from pipelines.gates import parse_gate, reasons_to_fail
    from pipelines.report import check_folder, write_report
    from pipelines.summary import summary

    _check(arguments)
    # What is wrong with the command is said before an hour is spent on it.
    gates = [parse_gate(text) for text in arguments.fail_if]
    baselines = {gate: read_baseline(gate.baseline) for gate in gates if gate.baseline}
    if arguments.output:
        check_folder(arguments.output, overwrite=arguments.overwrite)
    if arguments.model:
        found, recognizer = _evaluate_model(arguments)
    else:
        found, recognizer = _evaluate_finished(arguments), None
    print(harmless(summary(found, num_rows=arguments.rows)))
    if arguments.output:
        evidence = gather(
            found, recognizer=recognizer, num_clips=arguments.clips, quiet=arguments.quiet
        )
        page = write_report(
            found, arguments.output, overwrite=arguments.overwrite, evidence=evidence
        )
        print(f"\nreport: {page}")
    reasons = reasons_to_fail(gates, found, baselines)
    for reason in reasons:
        print(f"asr: failed: {harmless(reason)}", file=sys.stderr)
    return 1 if found.failures or reasons else 0


def evaluate(
    references: "Iterable[Utterance]",
    hypotheses: Mapping[str, str],
    *,
    text: "TextOptions",
    failures: Mapping[str, str] | None = None,
    source: str = "",
    reference_source: str = "",
    audio_s: float = 0.0,
    compute_s: float = 0.0,
    allow_missing: AllowMissing | None = None,
    baseline: "Baseline | None" = None,
    model: str = "",
    snr_db: Mapping[str, float | None] | None = None,
    vocabulary: "Vocabulary | None" = None,
    word_frequencies: Mapping[str, int] | None = None,
    confidences: "Confidences | None" = None,
    digests: Mapping[str, bytes] | None = None,
    losses: "ReferenceLosses | None" = None,
) -> "Evaluation":
    """Scores transcripts against the texts of a manifest, and analyses the score.

    Args:
        references: The utterances, each with its text.
        hypotheses: Transcripts by utterance id, as they came.
        text: Normalisation of both sides.
        failures: Why an utterance could not be transcribed, by id.
        source: Where the transcripts come from, for the report.
        reference_source: Where the references come from, for the report.
        audio_s: Seconds of audio transcribed; 0 if they were finished before.
        compute_s: Seconds that took.
        allow_missing: How to count ids that one side lacks; None refuses them.
        baseline: An earlier report to compare with.
        model: What transcribed, if that was done here.
        snr_db: Signal-to-noise ratios by id, for the slices by it.
        vocabulary: The model's, for the characters it cannot write.
        word_frequencies: Of the training text, for the slices by vocabulary.
        confidences: Of the words of the transcripts as they came, by id.
        digests: Of recordings by id, for those that stand more than once.
        losses: Of the references against their audio, for those that do not fit.

    Raises:
        ScoringError: A reference has no text, or ids are double or missing on one side.
    """
    from asr.scoring import score
    from pipelines.analysis import analyse
    from pipelines.baseline import change_since
    from pipelines.calibration import all_compared
    from pipelines.evaluation import Evaluation
    from pipelines.suspects import find_suspects

    pairs = pair(references, hypotheses, confidences=confidences, allow_missing=allow_missing)
    scored = score(pairs.references, pairs.hypotheses, text=text)
    compared = all_compared(pairs.hypotheses, pairs.confidences, text=text)
    analysis = analyse(
        scored,
        pairs.utterances,
        frequencies=word_frequencies,
        vocabulary=vocabulary,
        snr_db=snr_db,
        digests=digests,
        confidences=compared,
    )
    return Evaluation(
        score=scored,
        analysis=analysis,
        utterances=pairs.utterances,
        hypotheses=pairs.hypotheses,
        failures=failures or {},
        source=source,
        references=reference_source,
        audio_s=audio_s,
        compute_s=compute_s,
        text=text,
        model=model,
        missing=pairs.missing,
        change=None
        if baseline is None
        else change_since(
            baseline,
            scored,
            text=text,
            interval=analysis.intervals["wer"],
            speakers={key: item.speaker for key, item in pairs.utterances.items()},
        ),
        snr_db=snr_db or {},
        word_confidences=pairs.confidences,
        confidences=compared,
        suspects=find_suspects(scored.rows, losses.wrong, losses.usual) if losses else (),
    )


def evaluate_recognizer(
    recognizer: "BatchRecognizer",
    utterances: "Sequence[Utterance]",
    *,
    text: "TextOptions | None" = None,
    model: str = "",
    reference_source: str = "",
    baseline: "Baseline | None" = None,
    word_frequencies: Mapping[str, int] | None = None,
    quiet: bool = False,
) -> "Evaluation":
    """Transcribes a manifest, hearing each recording once, and scores that.

    Args:
        recognizer: What transcribes.
        utterances: The recordings, each with its text.
        text: Normalisation of both sides; the recognizer's if left out.
        model: What the recognizer is called.
        reference_source: Where the references come from, for the report.
        baseline: An earlier report to compare with.
        word_frequencies: Of the training text, for the slices by vocabulary.
        quiet: Show no progress.

    Raises:
        ScoringError: A reference has no text, or an id is there twice.
    """
    from pipelines.listening import Listener
    from pipelines.recognition import recognise

    listener = Listener(recognizer, num_utterances=len(utterances))
    result = recognise(listener, utterances, hear=listener.hear, quiet=quiet)
    return evaluate(
        utterances,
        result.hypotheses,
        text=text or recognizer.text,
        failures=result.failures,
        source=model,
        reference_source=reference_source,
        audio_s=result.audio_s,
        compute_s=result.compute_s,
        model=model,
        vocabulary=getattr(recognizer, "vocabulary", None),
        baseline=baseline,
        word_frequencies=word_frequencies,
        confidences=result.confidences,
        snr_db=listener.snr_db,
        digests=listener.digests,
        losses=listener.losses,
    )


def _check(arguments: argparse.Namespace) -> None:
    """Refuses all but the two ways to use the program."""
    of_model = (arguments.model, arguments.manifest)
    finished = (arguments.hyp, arguments.ref)
    if not ((all(of_model) and not any(finished)) or (all(finished) and not any(of_model))):
        raise UsageError("expected either --model MODEL MANIFEST, or --hyp FILE --ref FILE")
    if not arguments.model and choices_of(arguments) != AS_IT_IS:
        raise UsageError("expected --model with what is said about decoding, received --hyp")


def _evaluate_model(arguments: argparse.Namespace) -> "tuple[Evaluation, BatchRecognizer]":
    from asr.interchange import read_utterances
    from pipelines.network import load_recognizer

    utterances = read_utterances(arguments.manifest, root=arguments.root)
    # What cannot be scored is refused before an hour is spent on it.
    texts_of(utterances_by_id(utterances))
    baseline = read_baseline(arguments.baseline) if arguments.baseline else None
    recognizer = load_recognizer(arguments.model, choices=choices_of(arguments))
    text = text_options(arguments, recognizer.text)
    found = evaluate_recognizer(
        recognizer,
        utterances,
        text=text,
        model=str(arguments.model),
        reference_source=str(arguments.manifest),
        baseline=baseline,
        word_frequencies=_word_frequencies(arguments, text),
        quiet=arguments.quiet,
    )
    return found, recognizer


def _evaluate_finished(arguments: argparse.Namespace) -> "Evaluation":
    from asr.hypotheses import read_transcripts
    from asr.interchange import read_utterances
    from asr.text import TextOptions
    from pipelines.recordings import file_digests

    utterances = read_utterances(arguments.ref, root=arguments.root)
    text = text_options(arguments, TextOptions())
    transcripts = read_transcripts(arguments.hyp)
    return evaluate(
        utterances,
        transcripts.texts,
        confidences=transcripts.confidences,
        digests=file_digests(utterances),
        text=text,
        source=str(arguments.hyp),
        reference_source=str(arguments.ref),
        allow_missing=arguments.allow_missing,
        snr_db=_snr_db(arguments, utterances),
        baseline=read_baseline(arguments.baseline) if arguments.baseline else None,
        word_frequencies=_word_frequencies(arguments, text),
    )


def _word_frequencies(
    arguments: argparse.Namespace, text: "TextOptions"
) -> Mapping[str, int] | None:
    from pipelines.analysis import word_frequencies

    return word_frequencies(arguments.train_text, text=text) if arguments.train_text else None


def _snr_db(
    arguments: argparse.Namespace, utterances: "Sequence[Utterance]"
) -> Mapping[str, float | None] | None:
    from pipelines.noise import estimate_all_snr_db

    return estimate_all_snr_db(utterances, quiet=arguments.quiet) if arguments.snr else None
