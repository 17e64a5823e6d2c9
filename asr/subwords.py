"""Pieces of words that sentencepiece learns, as it stores them. The only module that imports it."""

import functools
import io
from collections.abc import Iterable
from typing import Any

from asr.errors import MissingExtraError, VocabularyError


def train_subwords(texts: Iterable[str], size: int) -> bytes:
    """Learns pieces by sentencepiece's unigram model (Kudo 2018).

    Args:
        texts: Normalised texts, one utterance or sentence each.
        size: Number of pieces, the unknown piece at 0 included.

    Returns:
        A sentencepiece model.

    Raises:
        VocabularyError: The texts do not allow that many pieces, or need more.
        MissingExtraError: The extra `subwords` is not installed.
    """
    trainer = _sentencepiece().SentencePieceTrainer
    model = io.BytesIO()
    try:
        trainer.train(
            sentence_iterator=iter(texts),
            model_writer=model,
            vocab_size=size,
            model_type="unigram",
            # Every character of the texts, as it is: normalising is the job of asr.text.
            character_coverage=1.0,
            normalization_rule_name="identity",
            remove_extra_whitespaces=False,
            # The unknown piece takes number 0, where our blank is; no other special piece.
            unk_id=0,
            bos_id=-1,
            eos_id=-1,
            pad_id=-1,
            max_sentence_length=1_000_000,  # bytes; longer texts are passed over without a word
            num_threads=1,  # the same texts give the same pieces
            minloglevel=2,  # errors only: they come back as exceptions
        )
    except (RuntimeError, OSError) as error:
        # Its message opens with a place in its own source, in brackets.
        reason = str(error).rpartition("] ")[2] or str(error)
        raise VocabularyError(f"sentencepiece cannot learn {size} tokens: {reason}") from None
    return model.getvalue()


@functools.lru_cache(maxsize=4)
def processor(model: bytes) -> Any:
    """Returns sentencepiece's own object for a model, which encodes texts.

    Raises:
        VocabularyError: The model is broken.
        MissingExtraError: The extra `subwords` is not installed.
    """
    try:
        return _sentencepiece().SentencePieceProcessor(model_proto=model)
    except (RuntimeError, OSError) as error:
        raise VocabularyError(f"the sentencepiece model is broken: {error}") from None


@functools.lru_cache(maxsize=4)
def pieces(model: bytes) -> tuple[str, ...]:
    """Returns a model's pieces; raises as `processor`."""
    found = processor(model)
    return tuple(map(found.id_to_piece, range(found.get_piece_size())))


def piece_scores(model: bytes) -> tuple[float, ...]:
    """Returns the natural log-probability of each piece by itself; raises as `processor`."""
    found = processor(model)
    return tuple(map(found.get_score, range(found.get_piece_size())))


def _sentencepiece() -> Any:
    try:
        import sentencepiece
    except ImportError:
        raise MissingExtraError(
            "subwords need sentencepiece; install the extra `subwords`, "
            "e.g. pip install 'bilstm-asr[subwords]'"
        ) from None
    return sentencepiece
