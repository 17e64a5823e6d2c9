"""`asr lm --lstm`: a recurrent language model of a text, which chooses among what was found."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.usage import UsageError, given_flags, refuse_existing

if TYPE_CHECKING:
    from asr.lm.lstm import LstmModel
    from pipelines.text_options import TextTrainingOptions
    from pipelines.text_training import TextTrainer

_MEGABYTE = 1e6
_SETTINGS = ("num_pieces", "units", "epochs", "learning_rate", "seed")
_SHAPE = ("num_pieces", "units")
_FURTHER_RATE = 1e-3
"""Highest learning rate where a training begins with what a model knows already."""


def add_recurrent_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares what `asr lm` takes for a recurrent model."""
    group = parser.add_argument_group("a recurrent model, which is trained as a network is")
    group.add_argument(
        "--lstm", action="store_true", help="make one: it chooses among the texts a search found"
    )
    group.add_argument(
        "--num-pieces", type=int, metavar="N", help="pieces of words it reads (default: 4000)"
    )
    group.add_argument("--units", type=int, metavar="N", help="of its LSTM (default: 512)")
    group.add_argument("--epochs", type=int, metavar="N", help="passes over the text (default: 5)")
    group.add_argument(
        "--learning-rate",
        type=float,
        metavar="RATE",
        help="the highest (default: 0.002; with --from, 0.001)",
    )
    group.add_argument(
        "--seed", type=int, metavar="N", help="of first weights and order (default: 1)"
    )
    group.add_argument(
        "--resume", action="store_true", help="go on from the checkpoint beside the output"
    )


def given_settings(arguments: argparse.Namespace) -> list[str]:
    """Returns the arguments that were given and are for a recurrent model only."""
    return given_flags(arguments, _SETTINGS) + ["--resume"] * arguments.resume


def checkpoint_of(output: Path) -> Path:
    """Returns where a training writes down how far it is."""
    return output.with_name(f"{output.name}.checkpoint.npz")


def check_recurrent(arguments: argparse.Namespace, for_ngrams: Sequence[str]) -> None:
    """Refuses what would fail only after all the work.

    Args:
        arguments: All of them.
        for_ngrams: Those that were given and are for n-grams only.

    Raises:
        UsageError: They make no sense together.
    """
    from asr.lm.lstm_file import MAX_BITS, MIN_BITS

    if for_ngrams:
        raise UsageError(f"{', '.join(for_ngrams)}: for n-grams, which --lstm makes none of")
    if arguments.output is None or not arguments.texts:
        raise UsageError("expected texts and -o with --lstm")
    if arguments.source is not None:
        _check_begun(arguments)
    bits = arguments.bits
    if bits is not None and not MIN_BITS <= bits <= MAX_BITS:
        raise UsageError(f"expected --bits {MIN_BITS} to {MAX_BITS} with --lstm, received {bits}")
    checkpoint = checkpoint_of(arguments.output)
    if arguments.resume:
        if not checkpoint.is_file():
            raise UsageError(f"{checkpoint}: expected the checkpoint of a training, found none")
        return
    refuse_existing(arguments.output, overwrite=arguments.overwrite)
    if checkpoint.is_file() and not arguments.overwrite:
        raise UsageError(
            f"{checkpoint} is there; --resume goes on from it, --overwrite begins anew"
        )


def _check_begun(arguments: argparse.Namespace) -> None:
    """Refuses to go on from what is no recurrent model, or in another shape than its own."""
    from asr.lm.lstm_file import is_lstm

    path = _begun_file(arguments.source)
    if given := given_flags(arguments, _SHAPE):
        raise UsageError(f"{', '.join(given)}: a model that is there keeps its shape")
    if not is_lstm(path):
        raise UsageError(f"{path}: expected a recurrent model to train further")


def _begun_file(source: Path) -> Path:
    """Returns the recurrent model's file: the one named, or the one within a recognizer."""
    from asr.bundle import open_bundle

    if source.is_file():
        return source
    bundle = open_bundle(source)
    if bundle.rescorer_file is None:
        raise UsageError(f"{bundle.name}: expected a model with a recurrent one in it")
    return bundle.rescorer_file


def train_recurrent(
    arguments: argparse.Namespace, sentences: Sequence[str], heldout: Sequence[str]
) -> None:
    """Trains a model and writes it after every epoch; the checkpoint goes when all are over.

    What `--from` names is where it begins: its pieces, its shape and its weights.

    Args:
        arguments: Checked ones.
        sentences: Normalised.
        heldout: Normalised; what every epoch's perplexity is measured on, if any.

    Raises:
        AsrError: The text is too short, or the checkpoint is another training's.
    """
    from asr.lm.lstm_file import read_lstm
    from pipelines.network import import_backend, require_backend

    require_backend()
    begun = None if arguments.source is None else read_lstm(_begun_file(arguments.source))
    options = _options(arguments, begun)
    words = sum(len(sentence.split()) for sentence in sentences)
    _say(f"{words:,} words in {len(sentences):,} sentences")
    import_backend()
    from pipelines.text_training import TextTrainer, encoded, learn_pieces

    pieces = learn_pieces(sentences, options.num_pieces) if begun is None else begun.pieces
    text = encoded(sentences, pieces)
    _say(f"{len(text):,} pieces, {len(text) / words:.2f} a word with the sentences' ends")
    trainer = TextTrainer(
        *(text, pieces, options, checkpoint_of(arguments.output)),
        begun=None if begun is None else begun.weights,
    )
    if arguments.resume:
        trainer.resume()
    _say(f"network: {trainer.network.count_params():,} parameters")
    _train(trainer, arguments.output, bits=arguments.bits, heldout=heldout)
    trainer.path.unlink(missing_ok=True)
    size = arguments.output.stat().st_size
    _say(f"{arguments.output}: {size / _MEGABYTE:,.1f} MB")


def score_recurrent(arguments: argparse.Namespace, sentences: Sequence[str]) -> None:
    """Prints how well a model that is there foresees a text.

    Raises:
        UsageError: Something else was asked for.
        LanguageModelError: The model is broken, or the text has no words.
    """
    from asr.lm.lstm import lstm_perplexity
    from asr.lm.lstm_file import read_lstm

    if not sentences or arguments.output is not None or arguments.arpa is not None:
        raise UsageError(
            f"{arguments.source}: a recurrent model can be scored by --heldout, not be rewritten"
        )
    found = lstm_perplexity(read_lstm(arguments.source), sentences)
    print(f"perplexity {found:.2f}; words that were not in its text are spelt by pieces")


def _train(
    trainer: "TextTrainer", output: Path, *, bits: int | None, heldout: Sequence[str]
) -> None:
    from asr.lm.lstm import lstm_perplexity
    from asr.lm.lstm_file import MAX_BITS, read_lstm, write_lstm

    while not trainer.finished:
        loss = trainer.train_epoch()
        write_lstm(output, trainer.model(), bits=bits or MAX_BITS)
        line = f"epoch {trainer.state.epoch}: loss {loss:.3f} nats a piece"
        if heldout:  # by what was written, which is what will be used
            line += f", perplexity {lstm_perplexity(read_lstm(output), heldout):.1f}"
        _say(line)


def _options(arguments: argparse.Namespace, begun: "LstmModel | None") -> "TextTrainingOptions":
    from asr.errors import OptionsError
    from pipelines.text_options import TextTrainingOptions

    given = {name: getattr(arguments, name) for name in _SETTINGS}
    settings = {name: one for name, one in given.items() if one is not None}
    if begun is not None:
        vocab_size, width = begun.weights.embedding.shape
        units = len(begun.weights.recurrent_kernel)
        settings = {"learning_rate": _FURTHER_RATE} | settings
        settings |= {"num_pieces": vocab_size, "width": width, "units": units}
    try:
        return TextTrainingOptions(**settings)
    except OptionsError as error:
        raise UsageError(str(error)) from None


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
