"""`asr lm`: a language model of a text, which helps the decoder spell what it hears."""

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asr.errors import OptionsError
from pipelines.recurrent_lm import (
    add_recurrent_arguments,
    check_recurrent,
    given_settings,
    score_recurrent,
    train_recurrent,
)
from pipelines.sentences import SOURCE_HELP, all_sentences, sentences
from pipelines.usage import UsageError, given_flags, refuse_existing

if TYPE_CHECKING:
    from asr.lm import EstimationOptions, NgramModel
    from asr.lm.estimation import Estimation
    from asr.text import TextOptions

DESCRIPTION = """\
Estimates how likely words follow each other (modified Kneser-Ney), from text
with a sentence a line, or writes a model that is there in another form. Memory
goes with the number of different word sequences, not with the length of the
text: about 1 GB for 10 million of them.

With --lstm it trains a recurrent model instead, which remembers whole
sentences. It is too slow to take part in a search: it chooses among the texts
that the search with the n-grams found. asr tune --rescorer puts it into a
model. Seven million words take about an hour and a half on two cores."""

EXAMPLES = """\
examples:
  a 4-gram model; sequences of 3 and 4 words are kept if they occur twice
    asr lm books.txt.xz news.txt --order 4 --prune 0 0 1 1 -o lm.ngram
  a small one for a model folder, and how well it foresees other text
    asr lm books.txt --prune 0 1 2 --vocab-size 60000 --bits 8 -o lm.ngram \\
      --heldout other.txt
  of the texts of a training manifest, as ARPA for other programs too
    asr lm data/train.jsonl -o lm.ngram --arpa lm.arpa.gz
  an ARPA file from elsewhere, made quick to open, and smaller
    asr lm --from 3-gram.arpa.gz -o lm.ngram
    asr lm --from lm.ngram --prune-entropy 1e-8 -o small.ngram
  a recurrent one beside it; had it been stopped, --resume goes on
    asr lm books.txt.xz --lstm -o lm.lstm --heldout other.txt
  one that knows your trade's words, from one that has read millions of others
    asr lm trade.txt --lstm --from en-read --epochs 2 -o trade.lstm
"""

_SETTINGS = ("order", "prune", "vocab_size", "min_count")
_MEGABYTE = 1e6


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `asr lm`, its description and its examples."""
    parser.description = DESCRIPTION
    parser.epilog = EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "texts",
        nargs="*",
        metavar="TEXT",
        help=SOURCE_HELP,
    )
    parser.add_argument(
        "--from",
        dest="source",
        type=Path,
        metavar="FILE",
        help="instead of texts: a model that is there, ours or ARPA; with --lstm: a recurrent "
        "one that the training goes on from, or a recognizer that has one, like en-read",
    )
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="write the model")
    parser.add_argument(
        "--arpa", type=Path, metavar="FILE", help="write it as ARPA (.gz and .xz packed)"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace files that are there")
    parser.add_argument(
        "--heldout", metavar="FILE", help="print the model's perplexity on this text"
    )
    _add_model_arguments(parser)
    add_recurrent_arguments(parser)


def _add_model_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--order", type=int, metavar="N", help="the longest sequence (default: 4)")
    parser.add_argument(
        "--prune",
        type=int,
        nargs="+",
        metavar="COUNT",
        help="for sequences of 1, 2, … words: leave out those that occur at most so often "
        "(default: 0 0 1 1, with --prune-entropy 0; words themselves: 0)",
    )
    parser.add_argument(
        "--prune-entropy",
        type=float,
        metavar="SHARE",
        help="leave out every sequence without which the perplexity rises by less than this; "
        "1e-8 to 1e-6 are usual. For models a tenth in size; --prune is better at most others",
    )
    parser.add_argument(
        "--vocab-size", type=int, metavar="N", help="know only the N most frequent words"
    )
    parser.add_argument(
        "--min-count", type=int, metavar="N", help="know only words that occur N times"
    )
    parser.add_argument(
        "--bits",
        type=int,
        metavar="N",
        help="pack the model small: N bits, 4 to 16, for each probability (default: not packed; "
        "a recurrent model has 4 to 8 for each weight, 8 unless told)",
    )
    parser.add_argument("--language", default="en", help="rules of normalisation (default: en)")
    parser.add_argument(
        "--case", choices=("lower", "upper", "keep"), default="lower", help="default: lower"
    )
    parser.add_argument(
        "--punctuation", choices=("remove", "keep"), default="remove", help="default: remove"
    )


def run(arguments: argparse.Namespace) -> int:
    """Makes or reads a model, writes it, and scores a text with it.

    Returns:
        0.

    Raises:
        AsrError: The arguments make no sense, or a file is broken.
    """
    from asr.text import TextOptions

    text = TextOptions(
        language=arguments.language, case=arguments.case, punctuation=arguments.punctuation
    )
    held_out = [] if arguments.heldout is None else [arguments.heldout]
    if arguments.lstm:
        check_recurrent(arguments, _for_ngrams(arguments))
        heldout = _with_words(held_out, text)  # first: it is short, and may not be there
        train_recurrent(arguments, _with_words(arguments.texts, text), heldout)
        return 0
    _check(arguments)
    source = arguments.source
    if source is not None and _is_recurrent(source):
        score_recurrent(arguments, _with_words(held_out, text))
        return 0
    model = _estimated(arguments, text) if source is None else _opened(source)
    if arguments.prune_entropy is not None:
        model = _pruned(model, arguments.prune_entropy)
    _write(model, arguments)
    if arguments.heldout is not None:
        if arguments.bits is not None:  # what was written is what will be used
            model = _opened(arguments.output)
        _print_perplexity(model, arguments.heldout, text)
    return 0


def _check(arguments: argparse.Namespace) -> None:
    """Refuses what would fail only after all the work."""
    if recurrent := given_settings(arguments):
        raise UsageError(f"expected --lstm with {', '.join(recurrent)}")
    if bool(arguments.texts) == (arguments.source is not None):
        raise UsageError("expected texts, or a model by --from; one of the two")
    outputs = [path for path in (arguments.output, arguments.arpa) if path is not None]
    if not outputs and arguments.heldout is None:
        raise UsageError("expected somewhere to write to: -o, --arpa, or --heldout to only score")
    refuse_existing(*outputs, overwrite=arguments.overwrite)
    if len(set(outputs)) < len(outputs):
        raise UsageError(f"expected two different files, received {outputs[0]} twice")
    given = given_flags(arguments, _SETTINGS)
    if arguments.source is not None and given:
        raise UsageError(
            f"{', '.join(given)}: a model that is there stays as it is; give texts instead"
        )
    share = arguments.prune_entropy
    if share is not None and not 0 <= share < math.inf:
        raise UsageError(f"expected --prune-entropy from 0 on, received {share}")
    if arguments.bits is not None:
        from asr.lm.packing import MAX_BITS, MIN_BITS

        if arguments.output is None or not MIN_BITS <= arguments.bits <= MAX_BITS:
            raise UsageError(
                f"expected --bits {MIN_BITS} to {MAX_BITS} and -o, received {arguments.bits}"
            )


def _is_recurrent(path: Path) -> bool:
    from asr.lm.lstm_file import is_lstm

    return is_lstm(path)


def _for_ngrams(arguments: argparse.Namespace) -> list[str]:
    return given_flags(arguments, ("arpa", *_SETTINGS, "prune_entropy"))


def _with_words(sources: Sequence[str], text: "TextOptions") -> list[str]:
    return [sentence for sentence in all_sentences(sources, text) if sentence.split()]


def _estimated(arguments: argparse.Namespace, text: "TextOptions") -> "NgramModel":
    from asr.lm import Corpus, estimate_model

    options = _options(arguments)
    with Corpus() as corpus:
        for sentence in all_sentences(arguments.texts, text):
            corpus.add(sentence)
        _say(
            f"{corpus.num_words:,} words in {corpus.num_sentences:,} sentences, "
            f"{corpus.num_different:,} different words"
        )
        found = estimate_model(corpus, options, tell=_say)
    _describe(found)
    return found.model


def _options(arguments: argparse.Namespace) -> "EstimationOptions":
    from asr.lm.kneser_ney import USUAL_PRUNE, EstimationOptions

    given = {name: getattr(arguments, name) for name in _SETTINGS}
    table: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    order = table.get("order", EstimationOptions().order)
    usual = (0,) if arguments.prune_entropy is not None else USUAL_PRUNE[: max(1, order)]
    table["prune"] = tuple(table.get("prune", usual))
    try:
        return EstimationOptions(**table)
    except OptionsError as error:
        raise UsageError(str(error)) from None


def _opened(path: Path) -> "NgramModel":
    from asr.lm import NgramModel, open_model

    model = open_model(path)
    if not isinstance(model, NgramModel):
        raise UsageError(f"{path}: KenLM's files cannot be taken apart; give the ARPA file")
    return model


def _pruned(model: "NgramModel", share: float) -> "NgramModel":
    from asr.lm import prune_by_entropy

    found = prune_by_entropy(model, share)
    left = [*found.num_ngrams, *[0] * (model.order - found.order)]
    pairs = zip(left, model.num_ngrams, strict=True)
    orders = ", ".join(f"{kept:,} of {all_of:,}" for kept, all_of in pairs)
    _say(f"n-grams left of each order: {orders}")
    return found


def _describe(found: "Estimation") -> None:
    """Says how many n-grams each order has, and where the text was too small for discounts."""
    kept = found.model.num_ngrams
    for order, counted in enumerate(found.num_counted, start=1):
        here = kept[order - 1] if order <= len(kept) else 0
        discounts = found.discounts[order - 1]
        amounts = " ".join(f"{amount:.3f}" for amount in discounts.amounts)
        note = "" if discounts.estimated else " (usual ones: the text is too small to estimate)"
        _say(f"{order}-grams: {here:,} of {max(here, counted):,}, discounts {amounts}{note}")


def _write(model: "NgramModel", arguments: argparse.Namespace) -> None:
    from asr.lm import write_arpa, write_binary

    if arguments.output is not None:
        write_binary(arguments.output, model, bits=arguments.bits)
        size = arguments.output.stat().st_size
        _say(
            f"{arguments.output}: {size / _MEGABYTE:,.1f} MB, "
            f"{size / sum(model.num_ngrams):.1f} bytes an n-gram"
        )
    if arguments.arpa is not None:
        write_arpa(arguments.arpa, model)
        _say(f"{arguments.arpa}: {arguments.arpa.stat().st_size / _MEGABYTE:,.1f} MB")


def _print_perplexity(model: "NgramModel", source: str, text: "TextOptions") -> None:
    from asr.lm import perplexity

    found = perplexity(model, sentences(source, text))
    print(
        f"perplexity {found.value:.2f} over {found.num_words:,} words in "
        f"{found.num_sentences:,} sentences ({found.value_with_unknown:.2f} with unknown words)\n"
        f"unknown words {found.num_unknown:,} ({found.unknown_rate:.2%})"
    )


def _say(line: str) -> None:
    print(line, file=sys.stderr)
