"""What an evaluation's page shows beyond its figures, as far as it can be had."""

from dataclasses import dataclass, field

from pipelines.evaluation import Evaluation
from pipelines.examples import NUM_CLIPS, Example, choose_examples
from pipelines.provenance import Provenance, read_provenance
from pipelines.recognition import BatchRecognizer


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What is there to see and to hear.

    Attributes:
        examples: Recordings.
        provenance: Of the model.
    """

    examples: tuple[Example, ...] = ()
    provenance: Provenance = field(default_factory=Provenance)


def gather(
    evaluation: Evaluation,
    *,
    recognizer: BatchRecognizer | None = None,
    num_clips: int = NUM_CLIPS,
    quiet: bool = False,
) -> Evidence:
    """Gathers what a page can show.

    Args:
        evaluation: What was found.
        recognizer: The model that transcribed; None for finished transcripts.
        num_clips: Recordings to put on the page; 0 for none.
        quiet: Show no progress.
    """
    return Evidence(
        examples=choose_examples(
            evaluation, recognizer=recognizer, num_clips=num_clips, quiet=quiet
        )
        if num_clips > 0
        else (),
        provenance=read_provenance(evaluation.model) if evaluation.model else Provenance(),
    )
