"""From a corpus to manifests: read, measure, normalise, split, perhaps join, write.

What cannot be taken is listed at the end with its reason and stops nothing else. The manifests
appear whole, after everything has been read.
"""

import concurrent.futures
import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from asr.errors import AudioError, ManifestError, OptionsError
from asr.files import write_lines
from asr.manifest import Utterance, write_manifest
from pipelines.prepare.corpora import find_corpus
from pipelines.prepare.corpus import SIDES, Corpus, Entry, Fault, Side
from pipelines.prepare.join import JoinOptions, join_side
from pipelines.prepare.splits import Sides, SplitOptions, split
from pipelines.progress import Progress

FAULTS_FILE = "faults.txt"
JOINED_FOLDER = "joined"
NUM_SHOWN = 20
# Reading headers waits for the disk, a network's most of all, more than it computes.
NUM_READERS = 8
CHUNK = 2048
# A stated stretch may end this much behind the file: tables round.
ROUNDING_S = 0.05


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PrepareOptions:
    """How a corpus is made into manifests.

    Attributes:
        parts: Parts of the corpus to take (subsets, voices, words); all if empty.
        split: How utterances are put on sides.
        join: Make connected utterances of several recordings; None leaves them as they are.
        language: Normalise texts by this language's rules and state it; None keeps them as written.
        overwrite: Replace manifests that are there.
        quiet: Show no progress.
    """

    parts: tuple[str, ...] = ()
    split: SplitOptions = dataclasses.field(default_factory=SplitOptions)
    join: JoinOptions | None = None
    language: str | None = None
    overwrite: bool = False
    quiet: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What was made.

    Attributes:
        manifests: The file of each side that has utterances.
        sides: The utterances written.
        faults: What was left out, and why.
        note: How the sides were chosen.
        out: The folder.
    """

    manifests: Mapping[Side, Path]
    sides: Sides
    faults: Sequence[Fault]
    note: str
    out: Path

    def summary(self) -> str:
        """Returns the figures of each side, how they were chosen, and what was left out."""
        width = max(len(str(path)) for path in self.manifests.values())
        lines = [
            f"{path!s:{width}}  {_figures(self.sides[side])}"
            for side, path in self.manifests.items()
        ]
        lines.append(self.note[:1].upper() + self.note[1:] + ".")
        if self.faults:
            lines.append(f"Left out {len(self.faults)}:")
            lines += [f"  {fault}" for fault in self.faults[:NUM_SHOWN]]
            if len(self.faults) > NUM_SHOWN:
                lines.append(f"  ... and {len(self.faults) - NUM_SHOWN} more")
            lines.append(f"All of them: {self.out / FAULTS_FILE}")
        return "\n".join(lines)


def prepare(
    name: str, source: Path | str, out: Path | str, options: PrepareOptions | None = None
) -> Prepared:
    """Makes train.jsonl, dev.jsonl and test.jsonl of a corpus.

    Args:
        name: The corpus, as in `CORPORA`.
        source: Where it lies.
        out: The folder to write to; made if missing.
        options: How.

    Raises:
        OptionsError: Unknown corpus or part, a split that cannot be, or manifests that are there.
        ManifestError: Nothing usable was found.
    """
    options = options or PrepareOptions()
    corpus, source, out = find_corpus(name), Path(source).absolute(), Path(out).absolute()
    if options.parts and not corpus.part:
        raise OptionsError(f"{corpus.name} has no parts, received {', '.join(options.parts)}")
    _claim(out, overwrite=options.overwrite)
    taken, faults = _take(corpus, source, options)
    sides, note = split(taken, corpus.sides, options.split)
    if options.join:
        sides, unjoined = _join(sides, options.join, out, quiet=options.quiet)
        faults += unjoined
        note += f"; {options.join.count} recordings joined in each utterance"
    if not any(sides.values()):
        raise ManifestError(f"{source}: nothing is left to write; {_first(faults)}")
    return _write(sides, faults, note, out)


def measured(
    utterances: Sequence[Utterance], *, quiet: bool = True, num_readers: int = NUM_READERS
) -> Iterator[Entry]:
    """Yields utterances with their durations, in order; a fault for each that cannot be opened."""
    chunks = (utterances[start : start + CHUNK] for start in range(0, len(utterances), CHUNK))
    with (
        Progress(len(utterances), unit="files", label="reading", quiet=quiet) as progress,
        concurrent.futures.ThreadPoolExecutor(num_readers) as pool,
    ):
        for entry in itertools.chain.from_iterable(pool.map(_measure, chunk) for chunk in chunks):
            progress.advance()
            yield entry


def _measure(utterance: Utterance) -> Entry:
    from asr.audio import audio_info

    try:
        total_s = audio_info(utterance.audio).duration_s
    except AudioError as error:
        return Fault(where=str(utterance.audio), reason=str(error))
    if utterance.duration_s is None:
        return dataclasses.replace(utterance, duration_s=total_s)
    end_s = utterance.offset_s + utterance.duration_s
    if end_s > total_s + ROUNDING_S:
        reason = f"ends at {end_s:g} s, but {utterance.audio} is {total_s:g} s long"
        return Fault(where=utterance.id, reason=reason)
    return utterance


def _take(
    corpus: Corpus, source: Path, options: PrepareOptions
) -> tuple[list[Utterance], list[Fault]]:
    """Returns what can be used of a corpus, and what cannot."""
    found, faults = _parted(_distinct(corpus.read(source, options.parts)))
    if found:
        found, unreadable = _parted(measured(found, quiet=options.quiet))
        taken, wordless = _parted(_worded(utterance, options.language) for utterance in found)
        faults += unreadable + wordless
        if taken:
            return taken, faults
    raise ManifestError(
        f"{source}: expected {corpus.title}: {corpus.layout}; found no usable utterance"
        + (f"; {_first(faults)}" if faults else "")
    )


def _distinct(entries: Iterable[Entry]) -> Iterator[Entry]:
    """Turns a second utterance of the same id into a fault."""
    places: dict[str, Path] = {}
    for entry in entries:
        if isinstance(entry, Utterance):
            if entry.id in places:
                reason = f"has the id {entry.id} that {places[entry.id]} has"
                yield Fault(where=str(entry.audio), reason=reason)
                continue
            places[entry.id] = entry.audio
        yield entry


def _worded(utterance: Utterance, language: str | None) -> Entry:
    from asr.text import TextOptions, normalise_text

    text = utterance.text or ""
    if language is not None:
        text = normalise_text(text, TextOptions(language=language))
    if not text.strip():
        return Fault(where=utterance.id, reason="has an empty text")
    return dataclasses.replace(utterance, text=text, language=language or utterance.language)


def _parted(entries: Iterable[Entry]) -> tuple[list[Utterance], list[Fault]]:
    utterances: list[Utterance] = []
    faults: list[Fault] = []
    for entry in entries:
        if isinstance(entry, Fault):
            faults.append(entry)
        else:
            utterances.append(entry)
    return utterances, faults


def _claim(out: Path, *, overwrite: bool) -> None:
    there = [f"{side}.jsonl" for side in SIDES if (out / f"{side}.jsonl").exists()]
    if there and not overwrite:
        raise OptionsError(f"{out} already holds {', '.join(there)}; --overwrite replaces them")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OptionsError(f"{out}: cannot be made: {error.strerror}") from error


def _join(
    sides: Sides, options: JoinOptions, out: Path, *, quiet: bool
) -> tuple[Sides, list[Fault]]:
    joined: Sides = {}
    faults: list[Fault] = []
    with Progress(None, unit="utterances", label="joining", quiet=quiet) as progress:
        for side, clips in sides.items():
            folder = out / JOINED_FOLDER / side
            old = set(folder.glob("*.wav"))
            entries = join_side(clips, options, side=side, folder=folder, advance=progress.advance)
            joined[side], unjoined = _parted(entries)
            # That some have little to say is a corpus's nature; that nobody is left is not.
            is_lost = not joined[side]
            faults += [
                dataclasses.replace(one, is_error=one.is_error or is_lost) for one in unjoined
            ]
            # Those of an earlier run, which no manifest would name.
            for path in old - {utterance.audio for utterance in joined[side]}:
                path.unlink()
    return joined, faults


def _write(sides: Sides, faults: Sequence[Fault], note: str, out: Path) -> Prepared:
    manifests = {side: out / f"{side}.jsonl" for side in SIDES}
    for side, path in manifests.items():
        if sides[side]:
            write_manifest(path, sides[side])
        else:
            path.unlink(missing_ok=True)  # an earlier run's, of another split
    if faults:
        write_lines(out / FAULTS_FILE, (str(fault) for fault in faults))
    else:
        (out / FAULTS_FILE).unlink(missing_ok=True)
    written = {side: path for side, path in manifests.items() if sides[side]}
    return Prepared(manifests=written, sides=sides, faults=faults, note=note, out=out)


def _figures(utterances: Sequence[Utterance]) -> str:
    hours = sum(utterance.duration_s or 0.0 for utterance in utterances) / 3600
    speakers = {utterance.speaker for utterance in utterances} - {None}
    many = "speaker" if len(speakers) == 1 else "speakers"
    return f"{len(utterances):7,} utterances  {hours:7.2f} h  {len(speakers):4,} {many}"


def _first(faults: Sequence[Fault]) -> str:
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return f"{faults[0]}{more}" if faults else "no reason known"
