"""A recurrent language model: an LSTM that reads a text piece by piece and foresees the next.

Mikolov et al., "Recurrent neural network based language model", 2010; with an LSTM, Sundermeyer et
al. 2012; the pieces' vectors are used again as the weights of the output (Press and Wolf 2017).
It remembers whole sentences, where n-grams know three words; but it takes as long for one piece as
they do for thousands of words. So it does not take part in the search: it reads the texts that the
search found best (`asr.rescoring`).

    x = E[piece];   z = x W + h U + b;   i, f, g, o = σ(z_i), σ(z_f), tanh(z_g), σ(z_o)
    c = f c + i g;  h = o tanh(c);       next piece ~ softmax(E (h P + p) + q)
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from asr.errors import LanguageModelError
from asr.lm.word_pieces import END_ID, WordPieces

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LstmWeights:
    """The numbers of a network of V pieces, E values a piece and U units; all float32.

    Attributes:
        embedding: E, [V, E].
        kernel: W, [E, 4 * U], in Keras's order of gates: i, f, g, o.
        recurrent_kernel: U, [U, 4 * U].
        bias: b, [4 * U].
        projection: P, [U, E].
        projection_bias: p, [E].
        output_bias: q, [V].
    """

    embedding: Floats
    kernel: Floats
    recurrent_kernel: Floats
    bias: Floats
    projection: Floats
    projection_bias: Floats
    output_bias: Floats

    def __post_init__(self) -> None:
        """Refuses weights that do not fit together, or are not numbers."""
        vocab_size, width = self.embedding.shape
        units = len(self.recurrent_kernel)
        expected = {
            "kernel": (width, 4 * units),
            "recurrent_kernel": (units, 4 * units),
            "bias": (4 * units,),
            "projection": (units, width),
            "projection_bias": (width,),
            "output_bias": (vocab_size,),
        }
        for name, shape in expected.items():
            if getattr(self, name).shape != shape:
                raise LanguageModelError(
                    f"expected {name} of shape {shape}, received {getattr(self, name).shape}"
                )
        for name in ("embedding", *expected):
            if not np.isfinite(getattr(self, name)).all():
                raise LanguageModelError(f"expected finite numbers as {name}")


class LstmModel:
    """A recurrent language model.

    Attributes:
        pieces: What it reads and writes.
        weights: Its numbers.
    """

    def __init__(self, pieces: WordPieces, weights: LstmWeights) -> None:
        """Joins the two.

        Raises:
            LanguageModelError: There are weights for another number of pieces.
        """
        if len(pieces) != len(weights.embedding):
            raise LanguageModelError(
                f"expected weights of {len(pieces)} pieces, received {len(weights.embedding)}"
            )
        self.pieces = pieces
        self.weights = weights
        self._read = weights.embedding @ weights.kernel + weights.bias  # a fifth of all products

    def score(self, texts: Sequence[str]) -> npt.NDArray[np.float64]:
        """Returns the natural log-probability of each text and its end, float64 [num_texts].

        What texts have in common at their beginning is read once.

        Args:
            texts: Normalised as the model's text was, with spaces between the words.
        """
        rows = [[*self.pieces.encode(text), END_ID] for text in texts]
        lengths = np.array([len(row) for row in rows])
        totals = np.zeros(len(rows))
        # All rows of this column of a table have read the same: a state each, not a row each.
        state, inputs = self._first_state(), np.array([END_ID])
        row_states = np.zeros(len(rows), np.int64)
        for place in range(max(lengths, default=0)):
            log_probs, *state = self._step(inputs, *state)
            here = np.flatnonzero(lengths > place)
            pieces = np.array([rows[row][place] for row in here])
            totals[here] += log_probs[row_states[here], pieces]
            goes_on = lengths[here] > place + 1
            here, pieces = here[goes_on], pieces[goes_on]
            keys = row_states[here] * len(self.pieces) + pieces
            different, row_states[here] = np.unique(keys, return_inverse=True)
            before, inputs = np.divmod(different, len(self.pieces))
            state = [values[before] for values in state]
        return totals

    def _first_state(self) -> list[Floats]:
        units = len(self.weights.recurrent_kernel)
        return [np.zeros((1, units), np.float32), np.zeros((1, units), np.float32)]

    def _step(self, inputs: Ints, h: Floats, c: Floats) -> tuple[Floats, Floats, Floats]:
        """Reads a piece in each of n states.

        Args:
            inputs: Piece ids, [n].
            h: Hidden states, [n, U].
            c: Cell states, [n, U].

        Returns:
            The next piece's log-probabilities [n, V], and the states afterwards.
        """
        weights = self.weights
        z = self._read[inputs] + h @ weights.recurrent_kernel
        z_i, z_f, z_g, z_o = np.split(z, 4, axis=1)
        c = _sigmoid(z_f) * c + _sigmoid(z_i) * np.tanh(z_g)
        h = _sigmoid(z_o) * np.tanh(c)
        logits = (h @ weights.projection + weights.projection_bias) @ weights.embedding.T
        logits = logits + weights.output_bias
        logits -= logits.max(axis=1, keepdims=True)
        normaliser = np.log(np.exp(logits).sum(axis=1, keepdims=True))
        return np.asarray(logits - normaliser, np.float32), h, c


def lstm_perplexity(model: LstmModel, sentences: Iterable[str], *, batch_size: int = 64) -> float:
    """Returns the perplexity over words and sentence ends, with sentences read one by one.

    Args:
        model: The model.
        sentences: Normalised; those of no words are left out.
        batch_size: Sentences scored at once.

    Raises:
        LanguageModelError: The text has no words.
    """
    rows = [sentence for sentence in sentences if sentence.split()]
    if not rows:
        raise LanguageModelError("expected a text of at least one word to score, received none")
    rows.sort(key=len)
    total = 0.0
    for first in range(0, len(rows), batch_size):
        total += float(model.score(rows[first : first + batch_size]).sum())
    return float(np.exp(-total / sum(len(row.split()) + 1 for row in rows)))


def _sigmoid(values: Floats) -> Floats:
    # By the hyperbolic tangent, which nothing overflows.
    return np.asarray(0.5 + 0.5 * np.tanh(0.5 * values), np.float32)
