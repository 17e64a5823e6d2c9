"""`asr compare`: which of several recognizers is better on the same speech, and is it luck?"""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.pairing import add_scoring_arguments, pair, speakers_of, text_options
from pipelines.usage import UsageError, refuse_existing

if TYPE_CHECKING:
    from asr.intervals import Interval
    from asr.scoring import Score
    from asr.significance import Comparison

EPILOG = """\
examples:
  asr compare ours.jsonl whisper/ --ref test.jsonl
      WER of each with its 95 % interval, and whether the difference is luck
  asr compare a.jsonl b.ctm c.trn --ref test.jsonl -o comparison.json
      every pair of three, the p-values adjusted for their number
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contest:
    """Recognizers on the same speech.

    Attributes:
        scores: Their scores by name, best first.
        intervals: 95 % intervals of their WERs, by name.
        comparisons: Every pair.
    """

    scores: "Mapping[str, Score]"
    intervals: "Mapping[str, Interval | None]"
    comparisons: "Sequence[Comparison]"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describes the program's command line."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    parser.add_argument(
        "hypotheses",
        nargs="+",
        type=Path,
        metavar="FILE",
        help="transcripts of two recognizers or more",
    )
    parser.add_argument("--ref", type=Path, required=True, metavar="FILE", help="their references")
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="write the figures as JSON"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace a file that is there")
    add_scoring_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Runs the program.

    Returns:
        0, whatever the outcome.

    Raises:
        AsrError: The files cannot be compared.
    """
    from asr.files import write_text

    if len(arguments.hypotheses) < 2:
        raise UsageError("expected the transcripts of two recognizers at least, received one")
    output = arguments.output
    refuse_existing(output, overwrite=arguments.overwrite)
    contest = _read(arguments)
    print("\n".join(table(contest)))
    if output is not None:
        write_text(output, json.dumps(contest_record(contest), ensure_ascii=False, indent=2) + "\n")
    return 0


def hold(scores: "Mapping[str, Score]", *, speakers: Sequence[str | None] | None = None) -> Contest:
    """Compares scores of the same references.

    Args:
        scores: By name.
        speakers: Who speaks in each utterance, None where it is not known.

    Raises:
        ScoringError: They are not of the same references.
    """
    from asr.significance import compare_all
    from pipelines.analysis import wer_interval

    ranked = dict(sorted(scores.items(), key=lambda item: item[1].wer))
    return Contest(
        scores=ranked,
        intervals={name: wer_interval(one, speakers=speakers) for name, one in ranked.items()},
        comparisons=compare_all(ranked, speakers=speakers),
    )


def table(contest: Contest) -> list[str]:
    """Returns the outcome in lines: the systems, best first, then a verdict for each pair."""
    from pipelines.evaluation import interval_text, percent

    width = max(len(name) for name in contest.scores)
    lines = [f"{'':{width}}  {'WER':>9}  {'95 %':^16}  {'CER':>9}  {'SER':>9}"]
    for name, score in contest.scores.items():
        lines.append(
            f"{name:{width}}  {percent(score.wer):>9}  "
            f"{interval_text(contest.intervals[name]):^16}  {percent(score.cer):>9}  "
            f"{percent(score.sentence_error_rate):>9}"
        )
    if len(contest.comparisons) > 1:
        lines += ["", f"p adjusted for {len(contest.comparisons)} comparisons (Holm)"]
    for one in contest.comparisons:
        lines += ["", *_verdict(one)]
    return lines


def contest_record(contest: Contest) -> dict[str, Any]:
    """Returns the outcome as JSON holds it; rates are fractions."""
    from pipelines.metrics import comparison_record, counts_record, interval_record

    return {
        "systems": [
            {
                "name": name,
                "wer": score.wer,
                "cer": score.cer,
                "sentence_error_rate": score.sentence_error_rate,
                "words": counts_record(score.words),
                "interval": interval_record(contest.intervals[name]),
            }
            for name, score in contest.scores.items()
        ],
        "comparisons": [comparison_record(one) for one in contest.comparisons],
        "normalisation": next(iter(contest.scores.values())).normalisation,
    }


def _verdict(one: "Comparison") -> list[str]:
    from asr.significance import p_text

    test = one.matched_pairs
    lines = [
        one.verdict(),
        f"  NIST's matched pairs: {p_text(test.p)} ({test.num_segments:,} segments, z {test.z:.2f})"
        + (f"; {test.note}" if test.note else ""),
    ]
    if one.interval is not None:
        note = f"; {one.interval.note}" if one.interval.note else ""
        lines.append(f"  paired bootstrap by {one.interval.unit}, {one.interval.num_units:,}{note}")
    return lines


def _read(arguments: argparse.Namespace) -> Contest:
    from asr.hypotheses import read_hypotheses
    from asr.interchange import read_utterances
    from asr.scoring import score
    from asr.text import TextOptions

    utterances = read_utterances(arguments.ref, root=arguments.root)
    text = text_options(arguments, TextOptions())
    texts = {
        name: read_hypotheses(path)
        for name, path in zip(_names(arguments.hypotheses), arguments.hypotheses, strict=True)
    }
    policy = arguments.allow_missing
    pairs = {name: pair(utterances, found, allow_missing=policy) for name, found in texts.items()}
    # What one system lacks, or has alone, is left out of all, or empty: they share references.
    shared = next(iter(pairs.values())).utterances
    if policy == "skip":
        shared = {
            key: item
            for key, item in shared.items()
            if all(key in one.references for one in pairs.values())
        }
    elif policy == "empty":
        shared = {key: item for one in pairs.values() for key, item in one.utterances.items()}
    scores = {
        name: score(
            {key: item.text or "" for key, item in shared.items()},
            {key: one.hypotheses.get(key, "") for key in shared} if policy else one.hypotheses,
            text=text,
        )
        for name, one in pairs.items()
    }
    return hold(scores, speakers=speakers_of(shared, shared))


def _names(paths: Sequence[Path]) -> list[str]:
    """Returns the shortest names that tell the files apart."""
    for names in ([path.stem for path in paths], [path.name for path in paths]):
        if len(set(names)) == len(names):
            return names
    names = [str(path) for path in paths]
    if len(set(names)) < len(names):
        raise UsageError("expected different transcripts, received the same file twice")
    return names
