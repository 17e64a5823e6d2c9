"""Training speech normalised as that of speakers whom a recognizer is accustomed to."""

import functools
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from asr.features import FeatureOptions
from asr.manifest import Utterance
from asr.voices import accustomed
from pipelines.augment import narrow_band
from pipelines.recipe import Recipe
from pipelines.speech import load_speech

_MOST_UTTERANCES = 20
"""Of a speaker, evenly from all: a few seconds of single words, of which more tell little more."""


class TrainingVoices:
    """Decides who is known, and what they sound like; measured when it is first asked for.

    Args:
        utterances: The training speech. Who speaks is unknown where a manifest does not say.
        recipe: Its `augment.voice_share` says how often a speaker is known. Voices are measured as
            most of the speech is heard: without all above 4 kHz where more than half of it is.
    """

    def __init__(self, utterances: Sequence[Utterance], recipe: Recipe) -> None:
        self._features = recipe.features
        self._share = recipe.augment.voice_share
        self._is_narrow = recipe.augment.narrow_band_share > 0.5
        said = defaultdict[str, list[Utterance]](list)
        for utterance in utterances if self._share else ():
            if utterance.speaker is not None:
                said[utterance.speaker].append(utterance)
        self._said = {
            speaker: theirs[:: -(-len(theirs) // _MOST_UTTERANCES)]
            for speaker, theirs in said.items()
        }
        self._measured = functools.cache(self._measure)

    def drawn(
        self, utterance: Utterance, speed: float, rng: np.random.Generator
    ) -> FeatureOptions | None:
        """Returns what an utterance is normalised by; None for what all others are.

        Args:
            utterance: One of the training speech.
            speed: The speed it is played at.
            rng: Decides whether its speaker is known; nothing is drawn where none ever is.
        """
        if not self._share or rng.random() >= self._share or utterance.speaker not in self._said:
            return None
        return self._measured(utterance.speaker, speed)

    def _measure(self, speaker: str, speed: float) -> FeatureOptions:
        speech = (load_speech(one, speed=speed) for one in self._said[speaker])
        heard = map(narrow_band, speech) if self._is_narrow else speech
        return accustomed(self._features, heard)
