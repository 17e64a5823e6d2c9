"""`asr demo`: speech from nowhere, a model from that, and its error rate on voices never heard."""

import argparse
import dataclasses
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.usage import UsageError

if TYPE_CHECKING:
    from asr.manifest import Utterance
    from pipelines.evaluation import Evaluation
    from pipelines.recipe import Recipe

EPILOG = """\
examples:
  asr demo                       everything below ./demo, in a few minutes
  asr demo -o /tmp/try --seed 2  other phrases, elsewhere

It needs the extras `demo` (synthetic voices) and `train` (TensorFlow):
  pip install 'bilstm-asr[demo,train]'
"""

NUM_STAGES = 4
NUM_ROWS = 5
"""Utterances shown at the end, worst first; the report has them all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoResult:
    """What the demo made.

    Attributes:
        model: The model's folder.
        transcripts: The test manifest with `pred_text`.
        report: The evaluation's page.
        evaluation: Its figures.
    """

    model: Path
    transcripts: Path
    report: Path
    evaluation: "Evaluation"


def demo(
    folder: Path,
    *,
    seed: int = 0,
    sizes: Mapping[str, int] | None = None,
    settings: Sequence[str] = (),
    overwrite: bool = False,
    quiet: bool = False,
) -> DemoResult:
    """Makes a corpus, trains on it, transcribes voices it never heard, and scores that.

    Args:
        folder: Where everything goes: `corpus/`, `run/`, `transcripts.jsonl`, `report/`.
        seed: Of the corpus.
        sizes: Utterances in each part of the corpus; those of the demo if left out.
        settings: Changes to the recipe `demo`, as `asr train --set` takes them.
        overwrite: Replace an earlier demo in the folder.
        quiet: Show no progress.

    Raises:
        UsageError: There is something in the folder already.
        MissingExtraError: espeak-ng or TensorFlow is not installed.
    """
    from pipelines.demo_corpus import SIZES, make_corpus
    from pipelines.network import require_backend
    from pipelines.recipe_file import load_recipe
    from pipelines.synthesis import require_espeak

    _check_folder(folder, overwrite=overwrite)
    # Both are wanted before minutes are spent on the first.
    require_backend()
    require_espeak()
    stages = _Stages(quiet=quiet)
    stages.next("speaking a small corpus of warehouse commands")
    corpus = make_corpus(folder / "corpus", seed=seed, sizes=sizes or SIZES, quiet=quiet)
    recipe = load_recipe("demo", root=folder / "corpus", settings=settings)
    return _learn_and_score(folder, recipe, corpus.manifests["test"], stages)


def _learn_and_score(folder: Path, recipe: "Recipe", test: Path, stages: "_Stages") -> DemoResult:
    from asr.manifest import read_manifest
    from pipelines.analysis import word_frequencies
    from pipelines.evaluate import evaluate_recognizer
    from pipelines.evidence import gather
    from pipelines.network import load_recognizer
    from pipelines.report import write_report
    from pipelines.training import train

    stages.next("training a BiLSTM-CTC on it from scratch")
    # The features stay in the folder, so that removing it removes all of the demo.
    trained = train(
        recipe, folder / "run", overwrite=True, cache=folder / "features", quiet=stages.quiet
    )

    stages.next("transcribing voices it has never heard")
    recognizer = load_recognizer(trained.model_folder)
    utterances = read_manifest(test)
    evaluation = evaluate_recognizer(
        recognizer,
        utterances,
        model=str(trained.model_folder),
        reference_source=str(test),
        word_frequencies=word_frequencies(test.with_name("train.jsonl"), text=recognizer.text),
        quiet=stages.quiet,
    )
    transcripts = folder / "transcripts.jsonl"
    _write_transcripts(transcripts, utterances, evaluation.hypotheses)

    stages.next("writing the report")
    evidence = gather(evaluation, recognizer=recognizer, quiet=stages.quiet)
    return DemoResult(
        model=trained.model_folder,
        transcripts=transcripts,
        report=write_report(evaluation, folder / "report", overwrite=True, evidence=evidence),
        evaluation=evaluation,
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command line of `asr demo`."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    parser.add_argument(
        *("-o", "--output"),
        type=Path,
        default=Path("demo"),
        metavar="FOLDER",
        help="where everything goes (default: demo)",
    )
    parser.add_argument("--seed", type=int, default=0, help="another corpus (default: 0)")
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier demo")
    parser.add_argument("--quiet", action="store_true", help="show no progress")


def run(arguments: argparse.Namespace) -> int:
    """Runs `asr demo`; returns its exit code."""
    from pipelines.progress import duration_text
    from pipelines.summary import summary

    if arguments.seed < 0:
        raise UsageError(f"--seed: expected a number from 0 on, received {arguments.seed}")
    start_s = time.monotonic()
    result = demo(
        arguments.output,
        seed=arguments.seed,
        overwrite=arguments.overwrite,
        quiet=arguments.quiet,
    )
    print(summary(result.evaluation, num_rows=NUM_ROWS))
    print(f"\nall of it took {duration_text(time.monotonic() - start_s)}\n")
    print(closing(result))
    return 1 if result.evaluation.failures else 0


def closing(result: DemoResult) -> str:
    """Says where everything is, and how to do the same with one's own recordings."""
    return f"""\
model        {result.model}
transcripts  {result.transcripts}
report       {result.report}

The same on your own recordings, each beside a .txt of what is said:

{own_commands()}"""


def own_commands() -> str:
    """Returns the commands that train, use and judge a model of one's own recordings."""
    return """\
asr prepare folder recordings -o data && asr train demo --manifest-root data -o runs/mine
asr transcribe --model runs/mine talk.wav
asr evaluate --model runs/mine data/test.jsonl -o report"""


class _Stages:
    """Says on the error stream which part of the demo begins; each part shows its own progress."""

    def __init__(self, *, quiet: bool) -> None:
        self.quiet = quiet
        self._number = 0

    def next(self, what: str) -> None:
        """Announces the next part."""
        self._number += 1
        if not self.quiet:
            print(f"\n{self._number}/{NUM_STAGES}  {what}", file=sys.stderr, flush=True)


def _check_folder(folder: Path, *, overwrite: bool) -> None:
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"expected a folder for the demo, received the file {folder}")
    if not overwrite and folder.is_dir() and any(folder.iterdir()):
        raise UsageError(f"{folder} is not empty; --overwrite replaces an earlier demo in it")


def _write_transcripts(
    path: Path, utterances: "Sequence[Utterance]", hypotheses: Mapping[str, str]
) -> None:
    """Writes the manifest's lines with `pred_text`."""
    from asr.manifest import write_manifest

    write_manifest(
        path,
        (
            dataclasses.replace(item, extra={**item.extra, "pred_text": hypotheses[item.id]})
            for item in utterances
        ),
    )
