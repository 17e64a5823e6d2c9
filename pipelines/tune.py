"""`asr tune`: how a model decodes best, chosen on speech with texts."""

import argparse
import dataclasses
from pathlib import Path

from pipelines.usage import UsageError, refuse_existing

DESCRIPTION = """\
Searches the settings of decoding under which a model makes the fewest word
errors on speech with texts: the weight of a language model (alpha), what every
word adds (beta), how much of the network's own expectation of letters is taken
out for it (prior_scale), and the width of the beam; and where there is a
recurrent language model (of asr lm --lstm), how many texts it reads, and what
its word counts for. Also corrects how sure it says it is of a word, by how
often such words are right. The network runs once; the rest takes minutes.

What is chosen on speech looks better on it than it is. Therefore the WER is
shown too of each speaker decoded with what the others would have chosen, and so
is the error of the confidences.

Nothing is written unless asked: --write changes the model, -o makes a changed
copy. Both set [decoding] and [confidence] in its recipe.toml, put the language
models of --lm and --rescorer into it, if they are of use, and state the WER in
its card.
"""

EXAMPLES = """\
examples:
  asr tune runs/mine data/dev.jsonl --lm lm.ngram
  asr tune runs/mine data/dev.jsonl --lm lm.ngram --write
  asr tune runs/mine data/dev.jsonl -o models/mine --surface wer.csv
  asr tune runs/mine data/dev.jsonl --rescorer lm.lstm --keep-search --write
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command line of `asr tune`."""
    parser.description = DESCRIPTION
    parser.epilog = EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("model", help="a model's name, its folder, or a run's")
    parser.add_argument("manifest", type=Path, help="speech with texts: JSON lines, Kaldi, CSV")
    parser.add_argument("--root", type=Path, help="folder that its relative paths start from")
    parser.add_argument(
        "--lm",
        type=Path,
        metavar="FILE",
        help="a language model of asr lm, or ARPA, in place of the model's own",
    )
    parser.add_argument(
        "--rescorer",
        type=Path,
        metavar="FILE",
        help="a recurrent language model of asr lm --lstm, in place of the model's own",
    )
    parser.add_argument(
        "--keep-search",
        action="store_true",
        help="leave the settings of the search as they are, and choose only what a recurrent "
        "language model counts for, and the correction of confidences",
    )
    parser.add_argument("--write", action="store_true", help="change the model")
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FOLDER", help="write a changed copy of the model"
    )
    parser.add_argument(
        "--surface",
        type=Path,
        metavar="FILE",
        help="write what was tried, and its WER, as .csv or .json",
    )
    parser.add_argument(
        "--engine",
        choices=("auto", "onnx", "keras"),
        default="auto",
        help="what computes the network (default: auto)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace the --surface file")
    parser.add_argument("--quiet", action="store_true", help="show no progress")


def run(arguments: argparse.Namespace) -> int:
    """Runs `asr tune`.

    Returns:
        0.

    Raises:
        UsageError: The arguments contradict each other or what is there.
        AsrError: The model, the manifest or a recording cannot be read.
    """
    _check(arguments)
    from asr.bundle import open_bundle, open_language_model, open_rescorer
    from asr.interchange import read_utterances
    from pipelines.card_table import restated
    from pipelines.network import load_recognizer
    from pipelines.tuned_confidence import tune_confidence
    from pipelines.tuned_model import write_surface, write_tuned
    from pipelines.tuned_rescoring import tune_rescoring
    from pipelines.tuning import Search, hear
    from pipelines.tuning_table import card_rows, lines

    bundle = open_bundle(arguments.model)
    file = arguments.lm or bundle.language_model_file
    language_model = None if file is None else open_language_model(file)
    file = arguments.rescorer or bundle.rescorer_file
    rescorer = None if file is None else open_rescorer(file)
    utterances = read_utterances(arguments.manifest, root=arguments.root)
    recognizer = load_recognizer(arguments.model, engine=arguments.engine)
    speech = hear(recognizer, utterances, quiet=arguments.quiet)
    search = Search(
        speech=speech,
        vocabulary=bundle.vocabulary,
        text=bundle.text,
        options=dataclasses.replace(bundle.decoding, num_rescored=0),
        language_model=language_model,
        rescorer=rescorer,
        quiet=arguments.quiet,
    )
    chosen = tune_rescoring(search, search.keep() if arguments.keep_search else search.run())
    confidence = tune_confidence(
        search.decode(chosen.options),
        speech,
        vocabulary=bundle.vocabulary,
        features=bundle.features,
        text=bundle.text,
    )
    print("\n".join(lines(search, chosen, confidence)))
    if arguments.surface:
        write_surface(arguments.surface, search)
    written = None
    if arguments.write or arguments.output:
        written = write_tuned(
            bundle,
            chosen.options,
            calibration=confidence.calibration if confidence else None,
            language_model_file=arguments.lm,
            rescorer_file=arguments.rescorer,
            card=restated(bundle.card, card_rows(search, chosen, source=arguments.manifest.name)),
            copy=arguments.output,
        )
    print(f"written to {written}" if written else "nothing is written without --write or -o")
    return 0


def _check(arguments: argparse.Namespace) -> None:
    """Refuses what would fail only after all the work."""
    if arguments.write and arguments.output:
        raise UsageError("expected --write or -o, received both")
    if arguments.output and arguments.output.exists():
        raise UsageError(f"{arguments.output} is there already; -o makes a new folder")
    surface = arguments.surface
    if surface and surface.suffix not in (".csv", ".json"):
        raise UsageError(f"--surface: expected a .csv or .json file, received {surface}")
    refuse_existing(surface, overwrite=arguments.overwrite)
