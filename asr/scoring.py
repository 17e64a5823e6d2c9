"""Error rates of transcripts against references, as jiwer defines them.

A corpus rate is one sum over all pairs: all errors ÷ all reference words, never a mean of the
utterances' rates. WER is not clamped: a transcript with more insertions than the reference has
words scores above 1.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

from asr.errors import ScoringError
from asr.text import TextOptions, describe_normalisation, normalise_text

if TYPE_CHECKING:
    from jiwer import AlignmentChunk

Kind = Literal["equal", "substitute", "delete", "insert"]

NUM_IDS_NAMED = 10
"""Ids that an error names before it only counts the rest."""

_BLOCK = 1_000
"""Utterances aligned at once: the alignments of all characters of a corpus would fill memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorCounts:
    """Units (words or characters) of an alignment, by what became of them."""

    hits: int
    substitutions: int
    deletions: int
    insertions: int

    @property
    def num_reference(self) -> int:
        """Units of the reference."""
        return self.hits + self.substitutions + self.deletions

    @property
    def errors(self) -> int:
        """Substitutions, deletions and insertions together."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self) -> float:
        """Errors ÷ reference units; with an empty reference the insertions, as in jiwer 4."""
        return self.errors / max(self.num_reference, 1)

    @property
    def match_error_rate(self) -> float:
        """Errors ÷ all pairs of the alignment, from 0 to 1; 0 where there are none."""
        return self.errors / max(self.num_reference + self.insertions, 1)

    @property
    def information_preserved(self) -> float:
        """Hits ÷ reference × hits ÷ hypothesis; of two empty sides all is preserved."""
        num_hypothesis = self.hits + self.substitutions + self.insertions
        if not self.num_reference or not num_hypothesis:
            return float(self.num_reference == num_hypothesis)
        return self.hits / self.num_reference * (self.hits / num_hypothesis)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A stretch of an alignment in which one thing happened.

    Attributes:
        kind: `equal`, `substitute` (as many words on both sides), `delete` (no hypothesis) or
            `insert` (no reference).
        reference: Words of the reference.
        hypothesis: Words of the hypothesis.
    """

    kind: Kind
    reference: tuple[str, ...]
    hypothesis: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class UtteranceScore:
    """One reference against its transcript, both normalised.

    Attributes:
        id: The utterance.
        reference: What was said.
        hypothesis: What was recognised.
        words: Counts of words.
        characters: Counts of characters, spaces among them.
        alignment: The words of both sides, in order.
    """

    id: str
    reference: str
    hypothesis: str
    words: ErrorCounts
    characters: ErrorCounts
    alignment: tuple[Chunk, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """A corpus against its transcripts.

    Attributes:
        words: Counts of words over all utterances.
        characters: Counts of characters, spaces among them, over all utterances.
        wer: Word error rate, (S + D + I) ÷ N; may exceed 1.
        cer: Character error rate, likewise.
        mer: Match error rate, (S + D + I) ÷ (H + S + D + I); 0 to 1.
        wil: Word information lost, 1 − WIP.
        wip: Word information preserved, H ÷ reference words × H ÷ hypothesis words.
        sentence_error_rate: Share of utterances with at least one wrong word.
        rows: Every utterance, in the order of the references.
        normalisation: What was done to both sides before they were compared.
    """

    words: ErrorCounts
    characters: ErrorCounts
    wer: float
    cer: float
    mer: float
    wil: float
    wip: float
    sentence_error_rate: float
    rows: tuple[UtteranceScore, ...]
    normalisation: str

    def kaldi_line(self) -> str:
        """Returns the line Kaldi's `compute-wer` prints, known to every script of the field."""
        words = self.words
        return (
            f"%WER {100 * self.wer:.2f} [ {words.errors} / {words.num_reference}, "
            f"{words.insertions} ins, {words.deletions} del, {words.substitutions} sub ]"
        )


def score(
    references: Mapping[str, str], hypotheses: Mapping[str, str], *, text: TextOptions
) -> Score:
    """Scores transcripts against references, paired by utterance id.

    Empty texts count: an empty reference turns every recognised word into an insertion, an empty
    transcript every reference word into a deletion, and two empty texts are a success.

    Args:
        references: What was said, by utterance id.
        hypotheses: What was recognised, by utterance id.
        text: Normalisation, applied once to both sides.

    Raises:
        ScoringError: There is nothing to score, or an id is missing on one side.
    """
    check_ids(references, hypotheses)
    rows = tuple(_rows(references, hypotheses, text))
    words = add_counts(row.words for row in rows)
    characters = add_counts(row.characters for row in rows)
    return Score(
        words=words,
        characters=characters,
        wer=words.rate,
        cer=characters.rate,
        mer=words.match_error_rate,
        wil=1 - words.information_preserved,
        wip=words.information_preserved,
        sentence_error_rate=sum(row.words.errors > 0 for row in rows) / len(rows),
        rows=rows,
        normalisation=describe_normalisation(text),
    )


def add_counts(counts: Iterable[ErrorCounts]) -> ErrorCounts:
    """Returns the sum of counts; of none, zeros."""
    hits = substitutions = deletions = insertions = 0
    for one in counts:
        hits += one.hits
        substitutions += one.substitutions
        deletions += one.deletions
        insertions += one.insertions
    return ErrorCounts(
        hits=hits, substitutions=substitutions, deletions=deletions, insertions=insertions
    )


def check_ids(references: Mapping[str, str], hypotheses: Mapping[str, str]) -> None:
    """Checks that both sides have the same ids, and at least one.

    Raises:
        ScoringError: They do not; the first of those missing are named.
    """
    problems = []
    if unheard := [key for key in references if key not in hypotheses]:
        problems.append(f"no hypothesis for {some_ids(unheard)}")
    if unknown := [key for key in hypotheses if key not in references]:
        problems.append(f"no reference for {some_ids(unknown)}")
    if problems:
        raise ScoringError(
            f"expected the same ids in {len(references)} references and {len(hypotheses)} "
            f"hypotheses; {'; '.join(problems)}"
        )
    if not references:
        raise ScoringError("expected at least one utterance to score, received none")


def some_ids(ids: Sequence[str]) -> str:
    """Returns the first few ids and how many more there are, for an error message."""
    text = ", ".join(ids[:NUM_IDS_NAMED])
    rest = len(ids) - NUM_IDS_NAMED
    return f"{text} and {rest} more" if rest > 0 else text


def _rows(
    references: Mapping[str, str], hypotheses: Mapping[str, str], text: TextOptions
) -> Iterator[UtteranceScore]:
    import jiwer

    ids = list(references)
    for start in range(0, len(ids), _BLOCK):
        block = ids[start : start + _BLOCK]
        said = [normalise_text(references[key], text) for key in block]
        recognised = [normalise_text(hypotheses[key], text) for key in block]
        words = jiwer.process_words(said, recognised)
        characters = jiwer.process_characters(said, recognised)
        for n, key in enumerate(block):
            spans = words.alignments[n]
            yield UtteranceScore(
                id=key,
                reference=said[n],
                hypothesis=recognised[n],
                words=_counts_of(spans),
                characters=_counts_of(characters.alignments[n]),
                alignment=tuple(
                    _chunk(span, words.references[n], words.hypotheses[n]) for span in spans
                ),
            )


def _counts_of(spans: "Sequence[AlignmentChunk]") -> ErrorCounts:
    """Counts the units of one utterance's alignment."""
    lengths = {"equal": 0, "substitute": 0, "delete": 0, "insert": 0}
    for span in spans:
        # Of the two sides one is empty, or both are as long.
        lengths[span.type] += max(
            span.ref_end_idx - span.ref_start_idx, span.hyp_end_idx - span.hyp_start_idx
        )
    return ErrorCounts(
        hits=lengths["equal"],
        substitutions=lengths["substitute"],
        deletions=lengths["delete"],
        insertions=lengths["insert"],
    )


def _chunk(span: "AlignmentChunk", said: Sequence[str], recognised: Sequence[str]) -> Chunk:
    return Chunk(
        kind=cast(Kind, span.type),
        reference=tuple(said[span.ref_start_idx : span.ref_end_idx]),
        hypothesis=tuple(recognised[span.hyp_start_idx : span.hyp_end_idx]),
    )
