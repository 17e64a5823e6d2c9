"""Connectionist temporal classification with the true length of every row.

`keras.losses.CTC` takes the padded width as the length of every row; here lengths are arguments.
Pairs with no valid alignment (fewer frames than labels plus repeats) must not reach this module:
on some backends their loss is a large finite number rather than infinity.
"""

from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

from models.denominator import log_denominator, log_text_prob


def ctc_loss(
    labels: Any, logits: Any, label_lengths: Any, logit_lengths: Any, *, blank_id: int
) -> Any:
    """Computes −ln p(labels | logits) of every row.

    Graves et al., "Connectionist temporal classification", 2006, equations 6 to 8.

    Args:
        labels: Integer tensor [B, L], right-padded; a label is never the blank.
        logits: Float tensor [B, T, V], unnormalised.
        label_lengths: Integer tensor [B], valid labels of each row.
        logit_lengths: Integer tensor [B], valid frames of each row.
        blank_id: The token that stands for "no label".

    Returns:
        Float32 tensor [B], in nats; padding frames and padding labels count for nothing.
    """
    logits = ops.cast(logits, "float32")
    if keras.backend.backend() == "tensorflow":
        return _sparse_ctc_loss(labels, logits, label_lengths, logit_lengths, blank_id)
    return ops.ctc_loss(labels, logits, label_lengths, logit_lengths, mask_index=blank_id)


def _sparse_ctc_loss(
    labels: Any, logits: Any, label_lengths: Any, logit_lengths: Any, blank_id: int
) -> Any:
    """The compiled op behind TensorFlow's sparse labels: many times faster than the dense path."""
    import tensorflow as tf

    # The op refuses an empty text, whose only path is blank throughout: such rows are given some
    # label, and the loss of that path in the place of the op's.
    is_empty = tf.equal(label_lengths, 0)
    stand_in = 1 if blank_id == 0 else 0
    labels = tf.pad(tf.cast(labels, tf.int32), [[0, 0], [0, 1]], constant_values=stand_in)
    labels = tf.where(is_empty[:, None], stand_in, labels)
    valid = tf.sequence_mask(tf.maximum(label_lengths, 1), tf.shape(labels)[1])
    positions = tf.where(valid)  # [N, 2], row by row
    sparse = tf.SparseTensor(
        positions, tf.gather_nd(labels, positions), tf.shape(labels, out_type=tf.int64)
    )
    losses = tf.nn.ctc_loss(
        sparse,
        tf.transpose(logits, [1, 0, 2]),  # the op wants time first: [T, B, V]
        label_length=None,
        logit_length=tf.cast(logit_lengths, tf.int32),
        logits_time_major=True,
        blank_index=blank_id,
    )
    blanks = -tf.nn.log_softmax(logits)[:, :, blank_id]  # [B, T]
    frames = tf.sequence_mask(logit_lengths, tf.shape(logits)[1], tf.float32)
    return tf.where(is_empty, tf.reduce_sum(blanks * frames, axis=1), losses)


def divergence(guides: Any, logits: Any, logit_lengths: Any) -> Any:
    """Computes how far a network is from a teacher, row by row.

    Σ p (ln p − ln q) over tokens and valid frames, p the teacher's probabilities, q the network's.

    Args:
        guides: The teacher's natural log-probabilities, float [B, T, V].
        logits: Float tensor [B, T, V], unnormalised.
        logit_lengths: Integer tensor [B], valid frames of each row.

    Returns:
        Float32 tensor [B], in nats, at least 0.
    """
    log_probs = ops.log_softmax(ops.cast(logits, "float32"))
    by_frame = ops.sum(ops.exp(guides) * (guides - log_probs), axis=-1)
    frames = ops.arange(ops.shape(log_probs)[1])[None]
    is_valid = frames < ops.cast(logit_lengths, "int32")[:, None]
    return ops.sum(ops.where(is_valid, by_frame, 0.0), axis=1)


class CTCTrainer(keras.Model):
    """A network together with its CTC loss, in the form `fit` and `compile` expect.

    Inputs x are `{"features": [B, T, F], "feature_lengths": [B]}`, targets y are
    `{"labels": [B, L], "label_lengths": [B]}`. The loss that is minimised is the batch's total
    divided by its number of labels: nats a label, comparable between batches of any size.

    Args:
        network: From features and lengths to logits [B, T', V].
        blank_id: The blank's token.
        mmi_share: Share of the loss that is the MMI criterion's (`models.denominator`),
            −ln (p(labels | logits) p(labels) / Z); the rest is CTC's.
        trigram: p of that criterion, float32 [V, V, V]; needed where its share is above 0.
        teacher_share: Share of the loss that is the distance from a teacher's certainty, the
            Kullback-Leibler divergence summed over frames; targets y then hold `"guides"`, its
            natural log-probabilities [B, T', V].
    """

    def __init__(
        self,
        network: keras.Model,
        *,
        blank_id: int,
        mmi_share: float = 0.0,
        trigram: npt.NDArray[np.float32] | None = None,
        teacher_share: float = 0.0,
    ) -> None:
        super().__init__(name="ctc_trainer")
        if mmi_share and trigram is None:
            raise ValueError("trigram: expected one, since mmi_share is above 0, received None")
        self.network = network
        self.blank_id = blank_id
        self.mmi_share, self.trigram = mmi_share, trigram
        self.teacher_share = teacher_share

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Returns logits [B, T', V]."""
        return self.network(inputs, training=training)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """Returns the batch's loss in nats a label, a scalar."""
        del sample_weight, training
        labels, label_lengths, lengths = y["labels"], y["label_lengths"], x["feature_lengths"]
        blank: Any = {"blank_id": self.blank_id}
        losses = ctc_loss(labels, y_pred, label_lengths, lengths, **blank)
        if self.mmi_share:
            others = log_denominator(y_pred, lengths, self.trigram, **blank)
            text = log_text_prob(labels, label_lengths, self.trigram, **blank)
            losses += self.mmi_share * (others - text)
        if self.teacher_share:
            distances = divergence(y["guides"], y_pred, lengths)
            losses = (1 - self.teacher_share) * losses + self.teacher_share * distances
        num_labels = ops.cast(ops.sum(y["label_lengths"]), "float32")
        return ops.sum(losses) / ops.maximum(num_labels, 1.0)
