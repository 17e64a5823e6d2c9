"""A trained model that another one learns from: how likely it holds every token at every step.

Hinton, Vinyals and Dean, "Distilling the knowledge in a neural network", 2015; of CTC networks:
Takashima, Li and Kawai, "An investigation of a knowledge distillation method for CTC acoustic
models", 2018. A small network learns more from what a large one finds likely than from texts alone:
what else a sound might have been, and when it came.
"""

from collections.abc import Sequence
from pathlib import Path

from asr.bundle import open_bundle
from asr.errors import TrainingError
from asr.features import step_s
from asr.recognizer import Floats, Recognizer
from asr.vocabulary import Vocabulary
from pipelines.card import described_base
from pipelines.network import load_recognizer
from pipelines.recipe import Recipe


class Teacher:
    """A model's certainty of the tokens of another one's vocabulary.

    Args:
        recognizer: The model.
        vocabulary: Of the network that is to learn; in whatever order, its tokens must be those of
            the model.
        name: What to call the model in errors.
        card: Its card.

    Attributes:
        described: What it is, for the card of the model that learns from it.

    Raises:
        TrainingError: It writes other tokens.
    """

    def __init__(
        self, recognizer: Recognizer, vocabulary: Vocabulary, *, name: str, card: str = ""
    ) -> None:
        self.recognizer, self.name = recognizer, name
        self.described = described_base(Path(name).name, card)
        places = {token: place for place, token in enumerate(recognizer.vocabulary.tokens)}
        if places.keys() != set(vocabulary.tokens):
            other = sorted(places.keys() ^ set(vocabulary.tokens))
            raise TrainingError(
                f"[training] teacher {name}: expected a model of the same tokens, but only one of "
                f"both has {' '.join(other[:12])}{' …' if len(other) > 12 else ''}"
            )
        self._order = [places[token] for token in vocabulary.tokens]

    def guides(self, recordings: Sequence[Floats]) -> list[Floats]:
        """Returns natural log-probabilities, float32 [num_steps, vocab_size] of each recording.

        Args:
            recordings: float32 [num_samples] each at 16 kHz.

        Raises:
            AudioError: One of them is empty.
        """
        features = [self.recognizer.extract(samples) for samples in recordings]
        return [row[:, self._order] for row in self.recognizer.log_probs(features)]


def open_teacher(recipe: Recipe, vocabulary: Vocabulary) -> Teacher | None:
    """Opens the model that a recipe names as teacher, if it names one that has a share.

    Raises:
        BundleError: There is no such model.
        TrainingError: It writes other tokens, or in other steps.
    """
    name = recipe.training.teacher
    if name is None or not recipe.training.teacher_share:
        return None
    recognizer = load_recognizer(name)
    step, own = step_s(recognizer.features), step_s(recipe.features)
    if step != own:
        raise TrainingError(
            f"[training] teacher {name}: expected steps of {own:g} s, as this recipe's features "
            f"have, received {step:g} s"
        )
    return Teacher(recognizer, vocabulary, name=name, card=open_bundle(name).card)
