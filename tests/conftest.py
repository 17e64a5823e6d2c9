"""What every test may rely on: a seeded generator, one backend, and properties that repeat."""

import os

import numpy as np
import pytest
from hypothesis import settings

# Before anything imports Keras: the tests' backend is not to depend on ~/.keras/keras.json, and
# TensorFlow's start-up lines would bury pytest's own.
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

# No deadline, since a first example may compile for seconds on a busy machine; and the same
# examples each time, since a gate should answer a commit alike twice. To search for new ones:
# pytest --hypothesis-profile=explore
settings.register_profile("gate", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None, max_examples=1000)
settings.load_profile("gate")


@pytest.fixture
def rng() -> np.random.Generator:
    """A generator in the same state at the start of every test."""
    return np.random.default_rng(1997)
