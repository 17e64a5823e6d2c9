"""References and transcripts brought together, and the options that say how they are scored."""

import argparse
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from asr.confidences import Confidences
from asr.errors import ScoringError
from asr.hypotheses import reference_ids
from asr.manifest import Utterance
from asr.scoring import check_ids, some_ids
from asr.text import TextOptions

AllowMissing = Literal["skip", "empty"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """Ids that only one side has.

    Attributes:
        counted: `skip`: left out on both sides. `empty`: taken for an empty text, so that missing
            transcripts are deletions and transcripts without a reference are insertions.
        without_hypothesis: References that have no transcript.
        without_reference: Transcripts that have no reference.
    """

    counted: AllowMissing | None = None
    without_hypothesis: tuple[str, ...] = ()
    without_reference: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.without_hypothesis or self.without_reference)

    def __str__(self) -> str:
        how = "left out" if self.counted == "skip" else "taken for empty"
        sides = [
            f"{len(ids)} without a {side} ({some_ids(ids)})"
            for ids, side in (
                (self.without_hypothesis, "transcript"),
                (self.without_reference, "reference"),
            )
            if ids
        ]
        return f"{how}: {'; '.join(sides)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """Utterances with both sides.

    Attributes:
        utterances: By id, in the order of the references.
        references: Texts by id.
        hypotheses: Texts by id.
        confidences: Of the transcripts' words, by id.
        missing: What had one side only.
    """

    utterances: Mapping[str, Utterance]
    references: Mapping[str, str]
    hypotheses: Mapping[str, str]
    confidences: Confidences = field(default_factory=dict)
    missing: Missing = field(default_factory=Missing)


def pair(
    utterances: Iterable[Utterance],
    hypotheses: Mapping[str, str],
    *,
    confidences: Confidences | None = None,
    allow_missing: AllowMissing | None = None,
) -> Pairs:
    """Brings references and transcripts together by id.

    Args:
        utterances: The references.
        hypotheses: Transcripts by id, or by the name of the audio file.
        confidences: Of the transcripts' words, by the same ids.
        allow_missing: How ids that only one side has are counted; None refuses them.

    Raises:
        ScoringError: A reference has no text, or an id is there twice or on one side only.
    """
    by_id = utterances_by_id(utterances)
    references = texts_of(by_id)
    ids = reference_ids(hypotheses, by_id.values())
    hypotheses = {new: hypotheses[old] for old, new in ids.items()}
    sure = {ids[old]: values for old, values in (confidences or {}).items() if old in ids}
    if allow_missing is None:
        try:
            check_ids(references, hypotheses)
        except ScoringError as error:
            raise ScoringError(f"{error}. --allow-missing says how to count such ids") from None
        return Pairs(
            utterances=by_id, references=references, hypotheses=hypotheses, confidences=sure
        )
    missing = Missing(
        counted=allow_missing,
        without_hypothesis=tuple(key for key in references if key not in hypotheses),
        without_reference=tuple(key for key in hypotheses if key not in references),
    )
    if allow_missing == "skip":
        by_id = {key: item for key, item in by_id.items() if key in hypotheses}
        references = {key: references[key] for key in by_id}
        hypotheses = {key: hypotheses[key] for key in by_id}
        sure = {key: values for key, values in sure.items() if key in by_id}
    else:
        for key in missing.without_reference:
            by_id[key] = Utterance(id=key, audio=Path(key), duration_s=None, text="")
        references |= dict.fromkeys(missing.without_reference, "")
        hypotheses |= dict.fromkeys(missing.without_hypothesis, "")
    return Pairs(
        utterances=by_id,
        references=references,
        hypotheses=hypotheses,
        confidences=sure,
        missing=missing,
    )


def utterances_by_id(utterances: Iterable[Utterance]) -> dict[str, Utterance]:
    """Returns the utterances by id.

    Raises:
        ScoringError: An id is there twice.
    """
    by_id: dict[str, Utterance] = {}
    for utterance in utterances:
        if utterance.id in by_id:
            raise ScoringError(f"expected every id once, received {utterance.id} again")
        by_id[utterance.id] = utterance
    return by_id


def texts_of(utterances: Mapping[str, Utterance]) -> dict[str, str]:
    """Returns the utterances' texts by id.

    Raises:
        ScoringError: One has none.
    """
    if lacking := [key for key, item in utterances.items() if item.text is None]:
        raise ScoringError(f"expected a text for every utterance; none for {some_ids(lacking)}")
    return {key: item.text for key, item in utterances.items() if item.text is not None}


def speakers_of(utterances: Mapping[str, Utterance], ids: Iterable[str]) -> Sequence[str | None]:
    """Returns who speaks in each of these utterances, None where it is not known."""
    return [utterances[key].speaker for key in ids]


def add_scoring_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what decides how texts are compared."""
    parser.add_argument("--root", type=Path, help="folder that relative audio paths start from")
    parser.add_argument("--language", help="rules of normalisation (default: the model's, else en)")
    parser.add_argument("--case", choices=("lower", "upper", "keep"), help="default: lower")
    parser.add_argument("--punctuation", choices=("remove", "keep"), help="default: remove")
    parser.add_argument(
        "--allow-missing",
        choices=("skip", "empty"),
        help="count ids that one side lacks: not at all, or as empty texts (default: an error)",
    )


def text_options(arguments: argparse.Namespace, default: TextOptions) -> TextOptions:
    """Returns the default normalisation with what the command line changes."""
    chosen: dict[str, Any] = {
        name: value
        for name in ("language", "case", "punctuation")
        if (value := getattr(arguments, name)) is not None
    }
    return replace(default, **chosen)
