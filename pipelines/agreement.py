"""How far other computations of a network are from the first, in logits and in texts."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from asr.batch import batches_by_length, pad
from asr.bundle import Bundle
from asr.decoder import Decoder
from asr.decoding import greedy_decode, log_softmax
from asr.features import step_s
from asr.recognizer import MAX_BATCH_S, Network
from asr.scoring import score

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """What one computation of a network gave.

    Attributes:
        max_logit_difference: Largest difference from the reference in any logit of a valid step.
        max_logit: Largest of the reference's logits, without their signs.
        identical_texts: Share of utterances with the reference's text, both decoded greedily.
        wer: Word error rate with the model's own decoding, its language model included; None
            without references.
        cer: Character error rate, the same.
    """

    max_logit_difference: float
    max_logit: float
    identical_texts: float
    wer: float | None = None
    cer: float | None = None


def compare_networks(
    bundle: Bundle,
    networks: Mapping[str, Network],
    features: Sequence[Floats],
    *,
    references: Sequence[str] | None = None,
    advance: Callable[[int], object] = lambda _: None,
) -> dict[str, Agreement]:
    """Runs networks over the same features.

    Args:
        bundle: Whose vocabulary and decoding to use.
        networks: By name; the first is the reference.
        features: Of at least one utterance, float32 [T, F] each.
        references: Their texts.
        advance: Told the number of steps T of each utterance that is done with.

    Raises:
        AsrError: A network cannot be computed, or gives what cannot be decoded; or the bundle's
            language model cannot be read.
    """
    decoder = Decoder(
        bundle.decoding,
        bundle.vocabulary,
        bundle.open_language_model(),
        rescorer=bundle.open_rescorer(),
    )
    blank_id = bundle.vocabulary.blank_id
    greedy: dict[str, list[tuple[int, ...]]] = {name: [] for name in networks}
    heard: dict[str, dict[str, str]] = {name: {} for name in networks}
    difference, largest = dict.fromkeys(networks, 0.0), 0.0
    max_padded = int(MAX_BATCH_S / step_s(bundle.features))
    for positions, logits in _batches(networks, features, max_padded=max_padded):
        expected = next(iter(logits.values()))
        largest = max(largest, *(float(np.abs(row).max()) for row in expected))
        for name, rows in logits.items():
            off = (np.abs(row - same).max() for row, same in zip(rows, expected, strict=True))
            difference[name] = max(difference[name], *map(float, off))
            log_probs = [log_softmax(row) for row in rows]
            greedy[name] += [greedy_decode(row, blank_id=blank_id).tokens for row in log_probs]
            if references is not None:
                for position, one in zip(positions, decoder.batch(log_probs), strict=True):
                    text = bundle.vocabulary.decode(one.tokens)
                    heard[name][str(position)] = " ".join(text.split())
        for position in positions:
            advance(len(features[position]))
    reference = next(iter(greedy.values()))
    found = {}
    for name, texts in greedy.items():
        same = sum(ours == theirs for ours, theirs in zip(texts, reference, strict=True))
        wer, cer = _error_rates(bundle, references, heard[name])
        found[name] = Agreement(
            max_logit_difference=difference[name],
            max_logit=largest,
            identical_texts=same / len(reference),
            wer=wer,
            cer=cer,
        )
    return found


def _batches(
    networks: Mapping[str, Network], features: Sequence[Floats], *, max_padded: int
) -> Iterator[tuple[Sequence[int], dict[str, list[Floats]]]]:
    """Yields the positions of some utterances, and their valid logits by every network."""
    lengths = [len(row) for row in features]
    for batch in batches_by_length(lengths, max_padded=max_padded):
        padded, sizes = pad([features[position] for position in batch])
        given = padded.astype(np.float32)
        logits = {name: network(given, sizes)[0] for name, network in networks.items()}
        yield (
            batch,
            {
                name: [row[:size] for row, size in zip(rows, sizes, strict=True)]
                for name, rows in logits.items()
            },
        )


def _error_rates(
    bundle: Bundle, references: Sequence[str] | None, heard: Mapping[str, str]
) -> tuple[float, float] | tuple[None, None]:
    if references is None:
        return None, None
    said = {str(position): text for position, text in enumerate(references)}
    found = score(said, heard, text=bundle.text)
    return found.wer, found.cer
