"""`asr evaluate`: how good transcripts are, of a model or already finished."""

import argparse
import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asr.errors import OptionsError, ScoringError

if TYPE_CHECKING:
    from asr.manifest import Utterance
    from asr.text import TextOptions
    from pipelines.evaluation import Evaluation

EPILOG = """\
examples:
  asr evaluate --model runs/digits/model test.jsonl -o report/
      transcribes test.jsonl, scores it, and writes report/index.html
  asr evaluate --hyp result.jsonl --ref test.jsonl
      scores finished transcripts (the key pred_text of each line, else text)
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describes the program's command line."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    parser.add_argument(
        "manifest", nargs="?", type=Path, help="references to transcribe: JSON lines, Kaldi, CSV"
    )
    parser.add_argument("--model", help="a model's folder or name; transcribes MANIFEST")
    parser.add_argument("--hyp", type=Path, metavar="FILE", help="finished transcripts to score")
    parser.add_argument("--ref", type=Path, metavar="FILE", help="their references")
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FOLDER", help="write a report here (index.html, …)"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace a report that is there")
    parser.add_argument(
        "-n", "--rows", type=int, default=10, help="utterances shown, worst first (default 10)"
    )
    parser.add_argument("--root", type=Path, help="folder that relative audio paths start from")
    parser.add_argument("--language", help="rules of normalisation (default: the model's, else en)")
    parser.add_argument("--case", choices=("lower", "upper", "keep"), help="default: lower")
    parser.add_argument("--punctuation", choices=("remove", "keep"), help="default: remove")
    parser.add_argument("--quiet", action="store_true", help="show no progress")


def run(arguments: argparse.Namespace) -> int:
    """Runs the program.

    Returns:
        0, or 1 if some recordings could not be transcribed.

    Raises:
        AsrError: The arguments, the model, or the lists of utterances do not allow a score.
    """
    from pipelines.report import check_folder, write_report
    from pipelines.summary import summary

    _check(arguments)
    if arguments.output:
        check_folder(arguments.output, overwrite=arguments.overwrite)
    found = _evaluate_model(arguments) if arguments.model else _evaluate_finished(arguments)
    print(summary(found, num_rows=arguments.rows))
    if arguments.output:
        page = write_report(found, arguments.output, overwrite=arguments.overwrite)
        print(f"\nreport: {page}")
    return 1 if found.failures else 0


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
) -> "Evaluation":
    """Scores transcripts against the texts of a manifest.

    Args:
        references: The utterances, each with its text.
        hypotheses: Transcripts by utterance id, as they came.
        text: Normalisation of both sides.
        failures: Why an utterance could not be transcribed, by id.
        source: Where the transcripts come from, for the report.
        reference_source: Where the references come from, for the report.
        audio_s: Seconds of audio transcribed; 0 if they were finished before.
        compute_s: Seconds that took.

    Raises:
        ScoringError: A reference has no text, or ids are double or missing on one side.
    """
    from asr.scoring import score
    from pipelines.evaluation import Evaluation

    utterances = _by_id(references)
    return Evaluation(
        score=score(_texts(utterances), hypotheses, text=text),
        utterances=utterances,
        hypotheses=hypotheses,
        failures=failures or {},
        source=source,
        references=reference_source,
        audio_s=audio_s,
        compute_s=compute_s,
    )


def read_hypotheses(path: Path) -> dict[str, str]:
    """Reads finished transcripts: of each utterance `pred_text` or, where no line has it, `text`.

    Args:
        path: A manifest of any kind, or JSON lines that have an `id` and no `audio_filepath`.

    Returns:
        Texts by utterance id.

    Raises:
        ManifestError: The file cannot be understood.
        ScoringError: An id is there twice, or a line has no transcript.
    """
    from asr.interchange import read_utterances

    utterances = _by_id(_named_only(path) or read_utterances(path))
    if not any("pred_text" in utterance.extra for utterance in utterances.values()):
        return _texts(utterances)
    texts = {key: utterance.extra.get("pred_text") for key, utterance in utterances.items()}
    _require_all(texts, "a string as pred_text")
    return {key: str(value) for key, value in texts.items()}


def _named_only(path: Path) -> "list[Utterance]":
    """Returns the utterances of a file whose lines say no audio, or none if it is another kind."""
    from asr.errors import ManifestError
    from asr.manifest import AudioBase, numbered_lines, utterance_of

    if path.is_dir() or path.suffix.lower() == ".csv":
        return []
    utterances, base = [], AudioBase.of(path.parent, None)
    for number, line in numbered_lines(path):
        try:
            record = json.loads(line)
        except ValueError:
            return []  # the reader of manifests says what is wrong with it
        if not isinstance(record, dict) or "audio_filepath" in record or not record.get("id"):
            return []
        try:
            named = {"audio_filepath": str(record["id"]), **record}
            utterances.append(utterance_of(named, line=number, base=base))
        except ManifestError as error:
            raise ManifestError(f"{path.name}:{number}: {error}") from None
    return utterances


def _check(arguments: argparse.Namespace) -> None:
    """Refuses all but the two ways to use the program."""
    of_model = (arguments.model, arguments.manifest)
    finished = (arguments.hyp, arguments.ref)
    if not ((all(of_model) and not any(finished)) or (all(finished) and not any(of_model))):
        raise OptionsError("expected either --model MODEL MANIFEST, or --hyp FILE --ref FILE")


def _evaluate_model(arguments: argparse.Namespace) -> "Evaluation":
    from asr.interchange import read_utterances
    from pipelines.network import load_recognizer
    from pipelines.recognition import recognise

    utterances = read_utterances(arguments.manifest, root=arguments.root)
    # What cannot be scored is refused before an hour is spent on it.
    _texts(_by_id(utterances))
    recognizer = load_recognizer(arguments.model)
    text = _text_options(arguments, recognizer.text)
    result = recognise(recognizer, utterances, quiet=arguments.quiet)
    return evaluate(
        utterances,
        result.hypotheses,
        text=text,
        failures=result.failures,
        source=str(arguments.model),
        reference_source=str(arguments.manifest),
        audio_s=result.audio_s,
        compute_s=result.compute_s,
    )


def _evaluate_finished(arguments: argparse.Namespace) -> "Evaluation":
    from asr.interchange import read_utterances
    from asr.text import TextOptions

    return evaluate(
        read_utterances(arguments.ref, root=arguments.root),
        read_hypotheses(arguments.hyp),
        text=_text_options(arguments, TextOptions()),
        source=str(arguments.hyp),
        reference_source=str(arguments.ref),
    )


def _text_options(arguments: argparse.Namespace, default: "TextOptions") -> "TextOptions":
    """Returns the default normalisation with what the command line changes."""
    chosen: dict[str, Any] = {
        name: value
        for name in ("language", "case", "punctuation")
        if (value := getattr(arguments, name)) is not None
    }
    return replace(default, **chosen)


def _by_id(utterances: "Iterable[Utterance]") -> "dict[str, Utterance]":
    by_id: dict[str, Utterance] = {}
    for utterance in utterances:
        if utterance.id in by_id:
            raise ScoringError(f"expected every id once, received {utterance.id} again")
        by_id[utterance.id] = utterance
    return by_id


def _texts(utterances: "Mapping[str, Utterance]") -> dict[str, str]:
    texts = {key: utterance.text for key, utterance in utterances.items()}
    _require_all(texts, "a text")
    return {key: text for key, text in texts.items() if text is not None}


def _require_all(texts: Mapping[str, object], expected: str) -> None:
    from asr.scoring import some_ids

    if lacking := [key for key, text in texts.items() if not isinstance(text, str)]:
        raise ScoringError(f"expected {expected} for every utterance; none for {some_ids(lacking)}")
