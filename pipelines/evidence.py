"""What an evaluation's page shows beyond its figures, as far as it can be had."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from asr.recognizer import Recognizer
from asr.text import TextOptions
from pipelines.calibration import Confidences, compared_confidences
from pipelines.evaluation import Evaluation
from pipelines.examples import NUM_CLIPS, Example, choose_examples
from pipelines.provenance import Provenance, read_provenance
from pipelines.recognition import BatchRecognizer
from pipelines.suspects import Suspect, find_suspects


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What is there to see and to hear.

    Attributes:
        confidences: Of the words of the compared transcripts, by utterance id.
        examples: Recordings.
        suspects: References that their audio contradicts.
        provenance: Of the model.
    """

    confidences: Confidences = field(default_factory=dict)
    examples: tuple[Example, ...] = ()
    suspects: tuple[Suspect, ...] = ()
    provenance: Provenance = field(default_factory=Provenance)


def gather(
    evaluation: Evaluation,
    *,
    recognizer: BatchRecognizer | None = None,
    confidences: Mapping[str, Sequence[float]] | None = None,
    num_clips: int = NUM_CLIPS,
    quiet: bool = False,
) -> Evidence:
    """Gathers what a page can show.

    Args:
        evaluation: What was found.
        recognizer: The model that transcribed; None for finished transcripts.
        confidences: Of the words of the transcripts as they came, by utterance id.
        num_clips: Recordings to put on the page; 0 for none.
        quiet: Show no progress.
    """
    suspects: tuple[Suspect, ...] = ()
    if isinstance(recognizer, Recognizer):
        suspects = find_suspects(evaluation, recognizer, quiet=quiet)
    return Evidence(
        confidences=_compared(evaluation, confidences or {}, evaluation.text),
        examples=choose_examples(
            evaluation, recognizer=recognizer, num_clips=num_clips, quiet=quiet
        )
        if num_clips > 0
        else (),
        suspects=suspects,
        provenance=read_provenance(evaluation.model) if evaluation.model else Provenance(),
    )


def _compared(
    evaluation: Evaluation, confidences: Mapping[str, Sequence[float]], text: TextOptions
) -> Confidences:
    found = {}
    for key, values in confidences.items():
        compared = compared_confidences(evaluation.hypotheses[key], values, text=text)
        if compared is not None:
            found[key] = compared
    return found
