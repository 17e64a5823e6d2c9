"""What all texts together are given by a network: the denominator of the MMI criterion.

Of CTC a network learns, beside what letters sound like, which of them follow which: a language
model of its own, worse than the one it is decoded with. The MMI criterion divides the probability
of the right text by that of all texts,

    Z(x) = Σ p(π | x) p(B(π))          over all paths π, B(π) the text that π spells,

where p(text) is a trigram of tokens: what the trigram knows need not be learnt, and what it takes
for as likely as the right text is pushed away. Xiang and Ou, "CRF-based single-stage acoustic
modeling with CTC topology", 2019; after Povey and others, "Purely sequence-trained neural networks
for ASR based on lattice-free MMI", 2016.

A state of the sum is the text's last two tokens, and whether a blank came after them. Sums are of
probabilities, divided by their total at every frame, not of logarithms: a frame is then one small
matrix product a token.
"""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

_TINY = 1e-30
"""Keeps a logarithm finite where no path is left: texts of what a trigram forbids."""


def log_text_prob(labels: Any, label_lengths: Any, trigram: Any, *, blank_id: int) -> Any:
    """Computes ln p(text) of every row by a trigram.

    Args:
        labels: Integer tensor [B, L], right-padded.
        label_lengths: Integer tensor [B].
        trigram: Float32 [V, V, V], as `log_denominator` takes it.
        blank_id: The blank's token.

    Returns:
        Float32 tensor [B], in nats.
    """
    labels = ops.cast(labels, "int32")
    places = ops.arange(ops.shape(labels)[1] + 1)[None]
    lengths = ops.cast(label_lengths, "int32")[:, None]
    edge = ops.full_like(labels[:, :1], blank_id)
    text = ops.concatenate([labels, edge], axis=1)
    text = ops.where(places < lengths, text, blank_id)  # the edge is the blank's place
    before = ops.concatenate([edge, text[:, :-1]], axis=1)
    two_before = ops.concatenate([edge, before[:, :-1]], axis=1)
    size = trigram.shape[0]
    probs = ops.take(ops.reshape(trigram, [-1]), (two_before * size + before) * size + text)
    return ops.sum(ops.where(places <= lengths, ops.log(probs + _TINY), 0.0), axis=1)


def log_denominator(logits: Any, logit_lengths: Any, trigram: Any, *, blank_id: int) -> Any:
    """Computes ln Z of every row.

    Its gradient with respect to a log-probability is the share of Z that passes through that token
    at that frame, found by a second sum that runs back (Baum and Welch's).

    Args:
        logits: Float tensor [B, T, V], unnormalised.
        logit_lengths: Integer tensor [B], valid frames of each row.
        trigram: Float32 array [V, V, V]: the probability of a token, the last index, after two
            others. The blank's place stands for the edge of a text: before its first token, and, as
            the last index, for its end.
        blank_id: The blank's token.

    Returns:
        Float32 tensor [B], in nats, at most 0; padding frames count for nothing.
    """
    sums = _Sums(trigram, blank_id)
    log_probs = ops.log_softmax(ops.cast(logits, "float32"))
    num_frames = ops.shape(log_probs)[1]
    is_valid = ops.arange(num_frames)[:, None] < ops.cast(logit_lengths, "int32")[None]
    is_valid = ops.cast(is_valid, "float32")[:, :, None]

    @ops.custom_gradient
    def log_sum(log_probs: Any) -> tuple[Any, Any]:
        probs = ops.transpose(ops.exp(log_probs), [1, 0, 2])
        states, scales, end = sums.ahead(ops.concatenate([probs, is_valid], axis=2))

        def gradient(*arguments: Any, upstream: Any = None) -> Any:
            if upstream is None:
                (upstream,) = arguments
            frames = ops.concatenate([probs, is_valid, scales[:, :, None]], axis=2)
            shares = sums.passing(states, sums.back(frames, end)) * is_valid
            return ops.transpose(shares, [1, 0, 2]) * upstream[:, None, None]

        return ops.sum(ops.log(scales), axis=0) + ops.log(end), gradient

    return log_sum(log_probs)


class _Sums:
    """The sum over paths, ahead and back.

    A state of all rows is a tensor [2, V, B, V] over what the last frame was (a token's own, or a
    blank after it), the last token, the row, and the token before it.
    """

    def __init__(self, trigram: npt.NDArray[np.float32], blank_id: int) -> None:
        self.size, self.blank_id = len(trigram), blank_id
        by_last = np.array(trigram.transpose(1, 0, 2), np.float32)  # [last, before, next]
        self.ends = ops.convert_to_tensor(by_last[:, None, :, blank_id])  # [last, 1, before]
        by_last[:, :, blank_id] = 0.0
        # A token is said twice by way of a blank; after its own frame it only goes on.
        is_other = 1.0 - np.eye(self.size, dtype=np.float32)[:, None]
        entries = np.stack([by_last * is_other, by_last])  # [2, last, before, next]
        self.entries = ops.convert_to_tensor(entries)
        self.exits = ops.convert_to_tensor(entries.transpose(0, 1, 3, 2))

    def ahead(self, frames: Any) -> tuple[Any, Any, Any]:
        """Runs from the first frame to the last.

        Args:
            frames: [T, B, V + 1], probabilities and whether the frame is a row's own.

        Returns:
            States after every frame, [T, 2, V, B, V], each row's summing to 1; by what they were
            divided, [T, B]; and what the last ones are worth at a text's end, [B].
        """
        start = np.zeros((2, self.size, 1, self.size), np.float32)
        start[1, self.blank_id, 0, self.blank_id] = 1.0
        ones = ops.ones_like(frames[0, :, 0])
        state = ops.convert_to_tensor(start) * ones[:, None]
        step = _compiled(self._step_ahead)

        def move(carried: Any, frame: Any) -> Any:
            after = step(carried[0], frame, self.entries)
            return after, after

        _, (states, scales) = ops.scan(move, (state, ones), frames)
        return states, scales, ops.sum(states[-1] * self.ends, axis=(0, 1, 3)) + _TINY

    def back(self, frames: Any, end: Any) -> Any:
        """Runs from the last frame to the first.

        Args:
            frames: [T, B, V + 2], as `ahead` takes them, and what it divided by.
            end: What its last states are worth at a text's end, [B].

        Returns:
            [T, 2, V, B, V]: of every state what a share of it is worth in the end, as a multiple
            of what all states together are.
        """
        worth = self.ends / end[:, None]
        step = _compiled(self._step_back)
        return ops.scan(
            lambda after, frame: (step(after, frame, self.exits), after),
            ops.stack([worth, worth]),
            frames,
            reverse=True,
        )[1]

    def passing(self, states: Any, worth: Any) -> Any:
        """Returns what share of the sum passes through each token at each frame, [T, B, V]."""
        both = ops.sum(states * worth, axis=4)  # [T, 2, V, B]
        is_blank = np.arange(self.size) == self.blank_id
        blanks = ops.sum(both[:, 1], axis=1)[:, :, None] * is_blank.astype(np.float32)
        return ops.transpose(both[:, 0], [0, 2, 1]) + blanks

    def _step_ahead(self, state: Any, frame: Any, entries: Any) -> tuple[Any, Any]:
        probs, is_own = frame[:, : self.size], frame[:, self.size]
        entered = ops.matmul(state[0], entries[0]) + ops.matmul(state[1], entries[1])
        entered = ops.transpose(entered * probs, [2, 1, 0])
        stayed = state[0] * ops.transpose(probs)[:, :, None]
        blanked = (state[0] + state[1]) * probs[:, self.blank_id, None]
        after = ops.stack([stayed + entered, blanked])
        scale = ops.where(is_own > 0, ops.sum(after, axis=(0, 1, 3)) + _TINY, 1.0)
        return ops.where((is_own > 0)[:, None], after / scale[:, None], state), scale

    def _step_back(self, after: Any, frame: Any, exits: Any) -> Any:
        probs, is_own, scale = frame[:, : self.size], frame[:, self.size], frame[:, self.size + 1]
        entering = ops.transpose(after[0], [2, 1, 0]) * probs
        stayed = after[0] * ops.transpose(probs)[:, :, None]
        blanked = after[1] * probs[:, self.blank_id, None]
        left = [ops.matmul(entering, exits[0]) + stayed, ops.matmul(entering, exits[1])]
        before = (ops.stack(left) + blanked) / scale[:, None]
        return ops.where((is_own > 0)[:, None], before, after)


def _compiled(step: Callable[..., Any]) -> Callable[..., Any]:
    """Lets XLA make one program of a frame; on JAX the whole training step is one already."""
    if keras.backend.backend() != "tensorflow":
        return step
    import tensorflow as tf

    from models.xla import has_xla

    program: Callable[..., Any] = tf.function(step, jit_compile=has_xla())
    return program
