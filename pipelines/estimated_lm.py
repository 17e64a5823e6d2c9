"""The language model that a recipe asks for, estimated from its texts before the training."""

from pathlib import Path

from asr.errors import LanguageModelError
from pipelines.recipe import Recipe
from pipelines.sentences import all_sentences
from pipelines.training_log import TrainingLog


def check_texts(recipe: Recipe) -> None:
    """Refuses texts that are not there before there is work to lose.

    Raises:
        LanguageModelError: Some are not.
    """
    if missing := [text for text in recipe.language_model.texts if not Path(text).exists()]:
        raise LanguageModelError(
            f"{', '.join(missing)}: expected the texts of [language_model], found none"
        )


def estimate_lm(recipe: Recipe, path: Path, log: TrainingLog) -> None:
    """Estimates the recipe's language model and writes it.

    Args:
        recipe: Names at least one text.
        path: The file.
        log: Told what came out.

    Raises:
        AsrError: A text cannot be read, or has no words.
    """
    from asr.lm import Corpus, estimate_model, write_binary

    options = recipe.language_model
    with Corpus() as corpus:
        for sentence in all_sentences(options.texts, recipe.text, quiet=log.quiet):
            corpus.add(sentence)
        num_words = corpus.num_words
        model = estimate_model(corpus, options.estimation()).model
    write_binary(path, model, bits=options.bits)
    counts = ", ".join(f"{count:,}" for count in model.num_ngrams)
    log.line(
        f"language model: {counts} n-grams of 1, 2, … of {num_words:,} words, "
        f"{path.stat().st_size / 1e6:.1f} MB"
    )
