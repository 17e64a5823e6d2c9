"""A recognizer of three letters that costs nothing: a fixed projection of the features."""

from typing import Any

import numpy as np

from asr.decoding import DecodingOptions
from asr.features import FeatureOptions
from asr.recognizer import Recognizer
from asr.text import TextOptions
from asr.vocabulary import Vocabulary

LETTERS = Vocabulary.from_characters(" abc")


def linear(features: Any, lengths: Any) -> Any:
    weights = np.random.default_rng(5).normal(size=(features.shape[-1], len(LETTERS)))
    return (features @ weights).astype(np.float32), lengths


MODEL = Recognizer(
    features=FeatureOptions(),
    text=TextOptions(language="en"),
    vocabulary=LETTERS,
    decoding=DecodingOptions(),
    network=linear,
)
