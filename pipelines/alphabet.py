"""What a training's network writes with: learnt from its texts, or the model's it begins from."""

import dataclasses
from collections.abc import Iterable

from asr.pronunciations import Pronunciations, read_pronunciations
from asr.vocabulary import Vocabulary
from pipelines.recipe import Recipe

_MAX_LISTED = 12


def learn_vocabulary(recipe: Recipe, texts: Iterable[str], dev_texts: Iterable[str]) -> Vocabulary:
    """Returns the vocabulary a recipe asks for, learnt from normalised texts where it must be.

    Args:
        recipe: What to train.
        texts: Of the training speech.
        dev_texts: Of the dev speech, which is not learnt from, but whose words are to be written.

    Raises:
        VocabularyError: They allow no such vocabulary, or the dictionary of pronunciations cannot
            be read or has none of their words.
        MissingExtraError: The extra `subwords` is not installed, and is asked for.
    """
    options = recipe.vocabulary
    if options.kind == "sounds":
        spoken = (*texts, *dev_texts, *recipe.decoding.words)
        learnt = Vocabulary.learn_sounds(spoken, _dictionary(recipe))
        return learnt.preferring(recipe.decoding.words)
    if options.kind == "subwords":
        return Vocabulary.learn_subwords(texts, size=options.size)
    if options.characters is not None:
        return Vocabulary.from_characters(options.characters)
    return Vocabulary.learn_characters(texts)


def base_vocabulary(
    base: Vocabulary, recipe: Recipe, texts: Iterable[str], dev_texts: Iterable[str]
) -> tuple[Vocabulary | None, str]:
    """Returns the vocabulary of the model to begin from, if it serves.

    It does if it spells all training texts, or if it is of sounds, and the recipe's dictionary
    needs no other ones: the dictionary's words then join the model's own.

    Args:
        base: The model's vocabulary.
        recipe: What to train.
        texts: Of the training speech, normalised.
        dev_texts: Of the dev speech.

    Returns:
        The vocabulary, or None and what it lacks.

    Raises:
        VocabularyError: The recipe's dictionary of pronunciations cannot be read.
    """
    if recipe.vocabulary.kind == "sounds":
        if base.pronunciations is None:
            return None, "its alphabet is not one of sounds"
        spoken = {word for text in (*texts, *dev_texts) for word in text.split()}
        own = _dictionary(recipe).within({*spoken, *recipe.decoding.words})
        lacking = [sound for sound in own.sounds() if sound not in base.tokens]
        if not lacking:
            joined = dataclasses.replace(base, pronunciations=own | base.pronunciations)
            return joined.preferring(recipe.decoding.words), ""
    else:
        lacking = sorted({one for text in texts for one in base.unknown_characters(text)})
        if not lacking:
            return base, ""
    more = f" and {len(lacking) - _MAX_LISTED} more" if len(lacking) > _MAX_LISTED else ""
    return None, f"its alphabet lacks {' '.join(lacking[:_MAX_LISTED])}{more}"


def _dictionary(recipe: Recipe) -> Pronunciations:
    return read_pronunciations(recipe.vocabulary.pronunciations or "", text=recipe.text)
