"""`asr prepare`: a corpus of any of the known layouts, made into manifests for training."""

import argparse
from pathlib import Path
from typing import Literal

from asr.errors import OptionsError
from pipelines.prepare.corpora import CORPORA, find_corpus
from pipelines.prepare.corpus import Corpus
from pipelines.prepare.download import fetch
from pipelines.prepare.join import JoinOptions
from pipelines.prepare.preparation import PrepareOptions, prepare
from pipelines.prepare.splits import SplitOptions
from pipelines.prepare.unpack import stem, unpack
from pipelines.terminal import harmless

DESCRIPTION = """\
Makes manifests (train.jsonl, dev.jsonl, test.jsonl) of a corpus as it was
published, in any audio format, or of your own recordings. No speaker is on two
sides: an official split is kept, and where there is none the speakers are dealt
out."""

EXAMPLES = """\
examples:
  your own recordings, each beside its text; one sub-folder a speaker
    asr prepare folder recordings -o data/mine
  the same, listed in a table with columns audio, text, speaker
    asr prepare table recordings.csv -o data/mine --split 0.9,0.1,0
  LibriSpeech, fetched first (subsets by name)
    asr prepare librispeech corpora/librispeech --download \\
        --parts train-clean-100,dev-clean -o data/librispeech
  spoken digits, tested on two speakers never heard in training
    asr prepare fsdd FSDD -o data/digits --test-speakers jackson,nicolas \\
        --split 0.9,0.1,0
  connected digits: three recordings of a speaker joined by pauses
    asr prepare fsdd FSDD -o data/connected --join 3 --pause 0.1,0.5 \\
        --test-speakers jackson
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `asr prepare`, its description and its examples."""
    parser.description = DESCRIPTION
    parser.epilog = f"{EXAMPLES}\ncorpora:\n{_listing()}"
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("corpus", metavar="CORPUS", help="one of the corpora listed below")
    parser.add_argument("source", metavar="SOURCE", type=Path, help="where the corpus lies")
    parser.add_argument(
        "-o", "--output", metavar="FOLDER", type=Path, required=True, help="where manifests go"
    )
    parser.add_argument(
        *("--parts",),
        metavar="A,B",
        type=_names,
        default=(),
        help="take (and download) only these subsets, voices, words or tables of the corpus",
    )
    parser.add_argument(
        "--language",
        metavar="TAG",
        help="normalise texts by this language's rules (en, de, ...); else kept as written",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace manifests that are there")
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    _add_download_arguments(parser.add_argument_group("download"))
    _add_split_arguments(parser.add_argument_group("split"))
    _add_join_arguments(parser.add_argument_group("connected utterances"))


def run(arguments: argparse.Namespace) -> int:
    """Prepares as asked and prints what was made.

    Returns:
        0, or 1 if something of the corpus had to be left out, other than speakers with too few
        recordings to join.

    Raises:
        AsrError: It cannot be done at all.
    """
    corpus = find_corpus(arguments.corpus)
    options = PrepareOptions(
        parts=arguments.parts,
        split=_split_options(arguments),
        join=_join_options(arguments),
        language=arguments.language,
        overwrite=arguments.overwrite,
        quiet=arguments.quiet,
    )
    if arguments.download:
        download(corpus, arguments.source, options.parts, quiet=arguments.quiet)
    prepared = prepare(corpus.name, arguments.source, arguments.output, options)
    print(harmless(prepared.summary()))
    return 1 if any(fault.is_error for fault in prepared.faults) else 0


def download(
    corpus: Corpus, folder: Path, parts: tuple[str, ...] = (), *, quiet: bool = False
) -> list[Path]:
    """Fetches a corpus's archives into a folder and unpacks each there, unless that was done.

    Args:
        corpus: Which one.
        folder: Where archives and unpacked folders go.
        parts: Which archives, where it has several.
        quiet: Show no progress.

    Returns:
        The unpacked folders.

    Raises:
        OptionsError: The corpus has no public address, or it is not said which parts to fetch.
        DownloadError: An archive cannot be fetched, checked or unpacked.
    """
    if not corpus.archives:
        raise OptionsError(f"{corpus.name} has no public address to download from")
    if len(corpus.archives) == 1:
        wanted = list(corpus.archives)
    else:
        unknown = [part for part in parts if part not in corpus.archives]
        if unknown or not parts:
            known = ", ".join(f"{part} ({a.size})" for part, a in corpus.archives.items())
            received = ", ".join(unknown) or "none"
            raise OptionsError(
                f"say with --parts which of {corpus.name} to download: {known}; received {received}"
            )
        wanted = list(parts)
    return [_obtain(corpus, part, folder, quiet=quiet) for part in wanted]


def _obtain(corpus: Corpus, part: str, folder: Path, *, quiet: bool) -> Path:
    archive = corpus.archives[part]
    target = folder / stem(archive.name)
    # The archive may be deleted once it is unpacked.
    return target if target.is_dir() else unpack(fetch(archive, folder, quiet=quiet), target)


def _add_download_arguments(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--download",
        action="store_true",
        help="fetch the corpus into SOURCE first; goes on where it was interrupted, checks digests",
    )


def _add_split_arguments(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--split",
        metavar="SPLIT",
        default="auto",
        help="shares of the hours for train, dev and test such as 0.8,0.1,0.1, by speaker; "
        "`official` for the corpus's own exactly; default: the official one if there is one, "
        "with a dev set taken from train where it lacks one, else 0.8,0.1,0.1",
    )
    group.add_argument(
        "--test-speakers", metavar="A,B", type=_names, default=(), help="put these in test"
    )
    group.add_argument(
        "--dev-speakers", metavar="A,B", type=_names, default=(), help="put these in dev"
    )
    group.add_argument(
        "--split-utterances",
        action="store_true",
        help="split by utterance: for a corpus of one speaker; the test then says nothing of "
        "other voices",
    )
    group.add_argument("--seed", type=int, default=0, help="of everything random (0)")


def _add_join_arguments(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--join", metavar="N", type=int, help="join N recordings of a speaker into each utterance"
    )
    group.add_argument(
        "--pause",
        metavar="S,S",
        type=_numbers,
        default=(0.1, 0.5),
        help="shortest and longest pause between them in seconds (0.1,0.5)",
    )
    group.add_argument(
        "--join-repeats", metavar="K", type=int, default=1, help="use each recording K times (1)"
    )


def _split_options(arguments: argparse.Namespace) -> SplitOptions:
    stated = arguments.split not in ("auto", "official")
    if arguments.split == "official" and arguments.split_utterances:
        raise OptionsError("--split official and --split-utterances exclude each other")
    by: Literal["auto", "official", "speaker", "utterance"] = "speaker" if stated else "auto"
    if arguments.split_utterances:
        by = "utterance"
    elif arguments.split == "official":
        by = "official"
    return SplitOptions(
        by=by,
        shares=_shares(arguments.split) if stated else SplitOptions().shares,
        dev_speakers=arguments.dev_speakers,
        test_speakers=arguments.test_speakers,
        seed=arguments.seed,
    )


def _shares(text: str) -> tuple[float, float, float]:
    try:
        train, dev, test = (float(share) for share in text.split(","))
    except ValueError as error:
        raise OptionsError(
            "--split: expected auto, official or three shares such as 0.8,0.1,0.1, "
            f"received {text!r}"
        ) from error
    return train, dev, test


def _join_options(arguments: argparse.Namespace) -> JoinOptions | None:
    if arguments.join is None:
        return None
    return JoinOptions(
        count=arguments.join,
        pause_s=arguments.pause,
        repeats=arguments.join_repeats,
        seed=arguments.seed,
    )


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _numbers(text: str) -> tuple[float, float]:
    try:
        shortest, longest = (float(number) for number in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"expected two numbers, received {text!r}") from error
    return shortest, longest


def _listing() -> str:
    return "\n".join(
        f"  {corpus.name:16} {corpus.title}{' [--download]' if corpus.archives else ''}\n"
        f"  {'':16}   {corpus.layout}"
        for corpus in CORPORA.values()
    )
