"""What is wrong with a list of utterances: everything at once, before hours are spent on it."""

import collections
import dataclasses
import itertools
import typing
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from asr.errors import AudioError
from asr.interchange import scan_utterances
from asr.manifest import Fault, Utterance
from asr.text import TextOptions, normalise_text
from asr.vocabulary import Vocabulary, describe_character, describe_characters

if typing.TYPE_CHECKING:
    from asr.features import FeatureOptions

# Manifests are rounded to a tenth of a second at worst (0.05 s); less than a short vowel.
TOLERANCE_S = 0.1
# An mp3 is filled up to whole frames, and its encoder and decoder delay it: some 2300 samples, or
# 0.28 s at 8 kHz. One writer's duration counts them, the other's does not.
MP3_TOLERANCE_S = 0.3

Kind = Literal[
    "broken line",
    "duplicate id",
    "missing file",
    "unreadable audio",
    "zero duration",
    "wrong duration",
    "missing channel",
    "empty text",
    "unknown characters",
    "unknown words",
    "infeasible for CTC",
    "damaged text",
    "contradiction",
    "no utterances",
]
Finding = tuple[Kind, str]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing wrong with one line.

    Attributes:
        line: Its number, from 1; None for what concerns the whole list.
        id: The utterance, where the line could be understood.
        kind: What sort of problem it is.
        message: What was expected and what was found.
        file: Name of the file the line is in.
    """

    line: int | None
    id: str | None
    kind: Kind
    message: str
    file: str = ""

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        name = "" if self.id is None else f"{self.id}: "
        return f"{place}: {self.kind}: {name}{self.message}"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ValidationReport:
    """Every problem of a list of utterances, and what is left without them.

    Attributes:
        path: The list.
        problems: In the order of lines.
        utterances: All that could be understood.
        usable: Those without a problem, in order.
        total_s: Length of `utterances` in seconds, by the audio where it was read.
        usable_s: Length of `usable` in seconds.
        unknown: Character → ids of the utterances that hold it but no token for it; of sounds, each
            word without a pronunciation.
    """

    path: Path
    problems: tuple[Problem, ...]
    utterances: tuple[Utterance, ...]
    usable: tuple[Utterance, ...]
    total_s: float
    usable_s: float
    unknown: Mapping[str, tuple[str, ...]]

    @property
    def ok(self) -> bool:
        """Whether there is no problem at all."""
        return not self.problems

    def summary(self) -> str:
        """Returns a text that lists every problem, counts them and says what remains."""
        lines = [str(problem) for problem in self.problems]
        kinds = collections.Counter(problem.kind for problem in self.problems)
        lines += [f"{kind}: {count}" for kind, count in kinds.most_common()]
        for char, ids in sorted(self.unknown.items(), key=lambda item: (-len(item[1]), item[0])):
            more = f" and {len(ids) - 5} more" if len(ids) > 5 else ""
            lines.append(
                f"{describe_character(char)} has no token, in {len(ids)} of "
                f"{len(self.utterances)} utterances: {', '.join(ids[:5])}{more}"
            )
        share = f" ({100 * self.usable_s / self.total_s:.1f} %)" if self.total_s else ""
        lines.append(
            f"{self.path}: {len(self.usable)} of {len(self.utterances)} utterances are usable, "
            f"{self.usable_s / 3600:.2f} of {self.total_s / 3600:.2f} hours{share}"
        )
        return "\n".join(lines)


def feasible(num_steps: int, labels: Sequence[int]) -> bool:
    """Whether CTC can write the labels in that many steps.

    Every label takes a step, and between two equal neighbours there must be a blank (Graves et al.
    2006), so the steps needed are the labels plus the pairs of equal neighbours.
    """
    return num_steps >= steps_needed(labels)


def steps_needed(labels: Sequence[int]) -> int:
    """Returns the least number of steps in which CTC can write the labels."""
    repeats = sum(left == right for left, right in itertools.pairwise(labels))
    return len(labels) + repeats


def validate(
    path: Path | str,
    *,
    vocabulary: Vocabulary | None = None,
    features: "FeatureOptions | None" = None,
    text: TextOptions | None = None,
    root: Path | str | None = None,
    check_audio: bool = True,
) -> ValidationReport:
    """Checks a manifest, Kaldi directory or Coqui CSV for training, and lists every problem.

    An utterance whose recording has others in the list is a stretch of it, and must lie within it;
    any other must be as long as its recording, to 0.1 s (0.3 s for mp3). Of utterances that share
    an id, or the same audio with different texts, the first is counted as usable.

    Args:
        path: The list, in any form that `asr.interchange.read_utterances` takes.
        vocabulary: Tokens that must spell every text; None to leave that open.
        features: The front end, to tell with the vocabulary whether CTC can align the text.
        text: How texts are normalised before all else; None takes them as they are.
        root: Folder of relative audio paths; the list's own if None.
        check_audio: Whether to open the recordings (each once, headers only). Without it durations
            are believed, and a missing file is not noticed.

    Raises:
        ManifestError: The list as a whole cannot be read.
        MissingExtraError: The vocabulary holds subwords and the extra `subwords` is missing.
    """
    path = Path(path)
    utterances, faults = scan_utterances(path, root=root)
    texts = [_spoken(utterance, text) for utterance in utterances]
    findings = _listing_findings(utterances, texts)
    stretches = _Stretches(utterances, check_audio)
    durations = []
    for utterance, spoken, found in zip(utterances, texts, findings, strict=True):
        duration_s, of_audio = stretches.measure(utterance)
        durations.append(duration_s or 0.0)
        found += [*of_audio, *_text_findings(spoken, vocabulary)]
        if vocabulary and features and duration_s and vocabulary.encodable(spoken):
            found += _ctc_findings(vocabulary.encode(spoken), duration_s, features)
    sound = [not found for found in findings]
    return ValidationReport(
        path=path,
        problems=_problems(path, utterances, faults, findings),
        utterances=tuple(utterances),
        usable=tuple(itertools.compress(utterances, sound)),
        total_s=sum(durations),
        usable_s=sum(itertools.compress(durations, sound)),
        unknown=_holders_of_unknown(utterances, texts, vocabulary),
    )


def _problems(
    path: Path,
    utterances: Sequence[Utterance],
    faults: Sequence[Fault],
    findings: Sequence[Sequence[Finding]],
) -> tuple[Problem, ...]:
    """Returns what was found as problems, in the order of lines."""
    file = _file_of_lines(path)
    problems = [
        Problem(line=item.line, id=item.id, kind=kind, message=message, file=file)
        for item, found in zip(utterances, findings, strict=True)
        for kind, message in found
    ]
    for fault in faults:
        message, name = fault.message, fault.file.name
        problems.append(
            Problem(line=fault.line, id=None, kind="broken line", message=message, file=name)
        )
    if not utterances and not faults:
        message = "expected at least one"
        problems.append(
            Problem(line=None, id=None, kind="no utterances", message=message, file=file)
        )
    return tuple(sorted(problems, key=lambda item: (item.file, item.line or 0)))


def _holders_of_unknown(
    utterances: Sequence[Utterance], texts: Sequence[str], vocabulary: Vocabulary | None
) -> dict[str, tuple[str, ...]]:
    """Returns character → ids of the utterances that hold it, for those without a token."""
    holders: dict[str, list[str]] = collections.defaultdict(list)
    if vocabulary:
        for utterance, spoken in zip(utterances, texts, strict=True):
            for char in vocabulary.unknown_characters(spoken):
                holders[char].append(utterance.id)
    return {char: tuple(ids) for char, ids in holders.items()}


def _file_of_lines(path: Path) -> str:
    """Returns the name of the file that the utterances' line numbers count in."""
    if not path.is_dir():
        return path.name
    return "segments" if (path / "segments").exists() else "wav.scp"


def _spoken(utterance: Utterance, text: TextOptions | None) -> str:
    written = utterance.text or ""
    return normalise_text(written, text) if text else written


def _listing_findings(utterances: Sequence[Utterance], texts: Sequence[str]) -> list[list[Finding]]:
    """Returns for each utterance in what it repeats or contradicts an earlier one."""
    ids: dict[str, Utterance] = {}
    sounds: dict[tuple[object, ...], tuple[Utterance, str]] = {}
    every = []
    for utterance, spoken in zip(utterances, texts, strict=True):
        findings: list[Finding] = []
        first = ids.setdefault(utterance.id, utterance)
        if first is not utterance:
            findings.append(("duplicate id", f"is on line {first.line} already"))
        sound = (utterance.audio, utterance.offset_s, utterance.duration_s, utterance.channel)
        twin, said = sounds.setdefault(sound, (utterance, spoken))
        if said != spoken:
            message = f"line {twin.line} has the same audio, but the text {said!r}, not {spoken!r}"
            findings.append(("contradiction", message))
        every.append(findings)
    return every


class _Recording(typing.NamedTuple):
    """What a file holds, and how far a listed duration may be from its own."""

    duration_s: float
    tolerance_s: float
    num_channels: int


class _Stretches:
    """What the recordings of a list really hold; each is opened once."""

    def __init__(self, utterances: Iterable[Utterance], check_audio: bool) -> None:
        self.check_audio = check_audio
        self.uses = collections.Counter((one.audio, one.channel) for one in utterances)
        self.seen: dict[Path, Finding | _Recording] = {}

    def measure(self, utterance: Utterance) -> tuple[float | None, list[Finding]]:
        """Returns an utterance's true duration in seconds, as far as known, and what is wrong."""
        listed_s = utterance.duration_s
        findings: list[Finding] = []
        if listed_s == 0:
            findings.append(("zero duration", "expected more than 0 s"))
        if not self.check_audio:
            return listed_s, findings
        recording = self._open(utterance.audio)
        if not isinstance(recording, _Recording):
            return listed_s, [*findings, recording]
        whole_s, tolerance_s, num_channels = recording
        if utterance.channel is not None and utterance.channel >= num_channels:
            message = f"expected one from 0 to {num_channels - 1}, received {utterance.channel}"
            findings.append(("missing channel", message))
        part = self.uses[utterance.audio, utterance.channel] > 1 or utterance.offset_s > 0
        rest_s = max(0.0, whole_s - utterance.offset_s)
        excess_s = 0.0 if listed_s is None else listed_s - rest_s
        wrong = excess_s > tolerance_s or (-excess_s > tolerance_s and not part)
        if rest_s == 0:
            message = f"starts at {utterance.offset_s:g} s, but the audio is {whole_s:.3f} s long"
            findings.append(("wrong duration", message))
        elif wrong and listed_s:
            message = f"listed as {listed_s:g} s, but the audio has {rest_s:.3f} s"
            findings.append(("wrong duration", message))
        return min(rest_s, listed_s) if part and listed_s else rest_s, findings

    def _open(self, audio: Path) -> Finding | _Recording:
        """Returns what a recording holds, or what is wrong with it."""
        if audio not in self.seen:
            self.seen[audio] = _recording(audio)
        return self.seen[audio]


def _recording(audio: Path) -> Finding | _Recording:
    from asr.audio import audio_info

    if not audio.exists():
        return "missing file", f"{audio} does not exist"
    try:
        info = audio_info(audio)
    except AudioError as error:
        return "unreadable audio", str(error)
    tolerance_s = MP3_TOLERANCE_S if info.container == "MP3" else TOLERANCE_S
    return _Recording(info.duration_s, tolerance_s, info.num_channels)


def _text_findings(spoken: str, vocabulary: Vocabulary | None) -> list[Finding]:
    if not spoken.strip():
        return [("empty text", "nothing is said")]
    findings: list[Finding] = []
    if "\ufffd" in spoken:
        message = f"U+FFFD marks what was decoded wrongly before it came here: {spoken!r}"
        findings.append(("damaged text", message))
    if vocabulary and (unknown := vocabulary.unknown_characters(spoken)):
        kind: Kind = "unknown words" if vocabulary.unit == "words" else "unknown characters"
        findings.append((kind, describe_characters(unknown)))
    return findings


def _ctc_findings(
    labels: Sequence[int], duration_s: float, features: "FeatureOptions"
) -> list[Finding]:
    from asr.features import num_frames, num_steps

    steps = num_steps(num_frames(round(duration_s * features.sample_rate), features), features)
    if feasible(steps, labels):
        return []
    needed = steps_needed(labels)
    message = f"the text needs {needed} steps, {duration_s:.3f} s of audio give {steps}"
    return [("infeasible for CTC", message)]
