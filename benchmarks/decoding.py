r"""Beam search beside its peers, on made-up posteriors or on those of a real network.

Everything is single-threaded, beam 100, an utterance at a time; the word error rate stands beside
each time, since pruning buys speed with errors. TensorFlow's search has no language model and no
pruning. pyctcdecode and flashlight-text prune by their own defaults, KenLM is theirs; flashlight
spells words of the model alone. Where a peer is not installed, a line says how it can be.

    python -m benchmarks.decoding
    python -m benchmarks.decoding --posteriors dev.npz --vocabulary MODEL/vocabulary.json \
        --texts dev.json --arpa lm.arpa

`dev.npz` holds log-probabilities [num_steps, vocab_size], one array an utterance, blank first;
`dev.json` their texts by the same names.
"""

import argparse
import importlib
import importlib.util
import json
import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from asr.decoder import Decoder
from asr.decoding import DecodingOptions
from asr.lm import NgramModel, read_arpa
from asr.scoring import score
from asr.text import TextOptions
from asr.vocabulary import Vocabulary
from benchmarks.timing import compare

BEAM_WIDTH = 100
ALPHA, BETA = 0.5, 0.5
NUM_HOTWORDS = 1_000
INSTALL = {
    "tensorflow": "pip install tensorflow-cpu",
    "pyctcdecode": "pip install 'numpy<2' pyctcdecode kenlm (in an environment of its own)",
    "kenlm": "pip install kenlm (builds C++: a compiler and cmake)",
    "flashlight": "pip install flashlight-text kenlm",
}
AS_IS = TextOptions(case="keep", punctuation="keep")

Posteriors = Sequence[npt.NDArray[np.float32]]
Transcribe = Callable[[npt.NDArray[np.float32]], str]


class Speech(NamedTuple):
    """What is decoded, and what was said."""

    posteriors: Posteriors
    texts: Sequence[str]
    vocabulary: Vocabulary
    arpa: Path

    def decode_with(self, transcribe: Transcribe) -> list[str]:
        """Returns what a decoder hears in each utterance."""
        return [transcribe(log_probs) for log_probs in self.posteriors]

    def word_error_rate(self, heard: Sequence[str]) -> float:
        """Returns the errors of all texts over all their words."""
        names = [str(number) for number in range(len(heard))]
        references = dict(zip(names, self.texts, strict=True))
        return score(references, dict(zip(names, heard, strict=True)), text=AS_IS).wer


def made_up(folder: Path, *, num_utterances: int, num_steps: int = 500, seed: int = 0) -> Speech:
    """Makes sentences of Zipf's words, blurred posteriors of them, and a bigram model."""
    rng = np.random.default_rng(seed)
    letters = list("abcdefghijklmnopqrstuvwxyz'")
    vocabulary = Vocabulary.from_characters([" ", *letters])
    words = sorted({"".join(rng.choice(letters, rng.integers(2, 9))) for _ in range(5_000)})
    chances = 1 / np.arange(1, len(words) + 1)
    order = rng.choice(len(words), (3_000, 40), p=chances / chances.sum())
    sentences = [[words[number] for number in row] for row in order]
    posteriors, texts = [], []
    for sentence in sentences[:num_utterances]:
        log_probs, text = blurred(" ".join(sentence), vocabulary, num_steps, rng)
        posteriors.append(log_probs)
        texts.append(text)
    arpa = folder / "made-up.arpa"
    arpa.write_text(bigram_arpa(words, sentences))
    return Speech(posteriors, texts, vocabulary, arpa)


def blurred(
    text: str, vocabulary: Vocabulary, num_steps: int, rng: np.random.Generator
) -> tuple[npt.NDArray[np.float32], str]:
    """Returns the posteriors of as much of a text as fits, and that text."""
    logits = rng.normal(0, 1.5, (num_steps, len(vocabulary)))
    step, num_characters = 2, 0
    for token in vocabulary.encode(text):
        length = int(rng.integers(1, 3))
        if step + length + 2 >= num_steps:
            break
        logits[step : step + length, token] += rng.normal(7, 2)
        logits[step + length : step + length + 2, 0] += rng.normal(7, 2)
        step += length + int(rng.integers(1, 3))
        num_characters += 1
    logits[step:, 0] += 9
    log_probs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return log_probs.astype(np.float32), text[:num_characters]


def bigram_arpa(words: Sequence[str], sentences: Sequence[Sequence[str]]) -> str:
    """Writes a bigram model whose numbers are of the usual size; nothing depends on its quality."""
    pairs: dict[tuple[str, str], int] = {}
    counts = dict.fromkeys(words, 1)
    for sentence in sentences:
        for word in sentence:
            counts[word] += 1
        for pair in zip(("<s>", *sentence), (*sentence, "</s>"), strict=True):
            pairs[pair] = pairs.get(pair, 0) + 1
    total = sum(counts.values())
    unigrams = [f"{np.log10(count / total):.4f}\t{word}\t-0.6" for word, count in counts.items()]
    special = ["-7\t<unk>", "-99\t<s>\t-0.6", "-2\t</s>"]
    befores = counts | {"<s>": len(sentences)}
    bigrams = [
        f"{np.log10(0.75 * count / befores[first]):.4f}\t{first} {second}"
        for (first, second), count in pairs.items()
    ]
    return "\n".join(
        [
            "\\data\\",
            f"ngram 1={len(unigrams) + 3}",
            f"ngram 2={len(bigrams)}",
            "\n\\1-grams:",
            *special,
            *unigrams,
            "\n\\2-grams:",
            *bigrams,
            "\n\\end\\\n",
        ]
    )


def ours(
    speech: Speech,
    *,
    language_model: NgramModel | None = None,
    hotwords: Mapping[str, float] | None = None,
    floor: float = -7.0,
    closed: bool = False,
) -> Transcribe:
    """Returns our search with these settings."""
    options = DecodingOptions(
        method="beam",
        beam_width=BEAM_WIDTH,
        min_token_log_prob=floor,
        alpha=ALPHA,
        beta=BETA,
        closed_vocabulary=closed,
    )
    decoder = Decoder(options, speech.vocabulary, language_model, hotwords)
    return lambda log_probs: speech.vocabulary.decode(decoder(log_probs).tokens)


def tensorflow_peer(speech: Speech) -> Transcribe:
    """Returns `tf.nn.ctc_beam_search_decoder`, compiled once for every length."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)

    @tf.function(input_signature=[tf.TensorSpec([None, 1, len(speech.vocabulary)])])  # type: ignore[untyped-decorator, unused-ignore]
    def search(logits: Any) -> Any:
        lengths = tf.shape(logits)[:1]
        return tf.nn.ctc_beam_search_decoder(logits, lengths, beam_width=BEAM_WIDTH)[0][0].values

    def transcribe(log_probs: npt.NDArray[np.float32]) -> str:
        # It takes the last token as the blank.
        tokens = search(tf.constant(np.roll(log_probs, -1, axis=1)[:, None])).numpy() + 1
        return speech.vocabulary.decode(tokens.tolist())

    return transcribe


def pyctcdecode_peer(speech: Speech, *, has_model: bool) -> Transcribe:
    """Returns pyctcdecode with its own pruning."""
    build_ctcdecoder = importlib.import_module("pyctcdecode").build_ctcdecoder

    labels = ["", *speech.vocabulary.tokens[1:]]
    model: dict[str, Any] = {"alpha": ALPHA, "beta": BETA}
    if has_model:
        known = list(read_arpa(speech.arpa).words)
        model |= {"kenlm_model_path": str(speech.arpa), "unigrams": known}
    decoder = build_ctcdecoder(labels, **model)
    return lambda log_probs: str(decoder.decode(log_probs, beam_width=BEAM_WIDTH))


def flashlight_peer(speech: Speech) -> Transcribe:
    """Returns flashlight-text's lexicon decoder with KenLM, words of the model alone."""
    fl = importlib.import_module("flashlight.lib.text.decoder")
    new_dictionary = importlib.import_module("flashlight.lib.text.dictionary").Dictionary

    words = [word for word in read_arpa(speech.arpa).words if speech.vocabulary.encodable(word)]
    dictionary = new_dictionary([*words, "<unk>"])
    model = fl.KenLM(str(speech.arpa), dictionary)
    space = speech.vocabulary.encode(" ")[0]
    trie = fl.Trie(len(speech.vocabulary), space)
    start = model.start(False)
    for word in words:
        number = dictionary.get_index(word)
        _, likelihood = model.score(start, number)
        trie.insert([*speech.vocabulary.encode(word), space], number, likelihood)
    trie.smear(fl.SmearingMode.MAX)
    options = fl.LexiconDecoderOptions(
        beam_size=BEAM_WIDTH,
        beam_size_token=len(speech.vocabulary),
        beam_threshold=25.0,
        lm_weight=ALPHA * np.log(10),  # its model's logarithms are of base 10
        word_score=BETA,
        unk_score=-np.inf,
        sil_score=0.0,
        log_add=True,
        criterion_type=fl.CriterionType.CTC,
    )
    unknown = dictionary.get_index("<unk>")
    decoder = fl.LexiconDecoder(options, trie, model, space, 0, unknown, [], False)

    def transcribe(log_probs: npt.NDArray[np.float32]) -> str:
        log_probs = np.ascontiguousarray(log_probs, np.float32)
        best = decoder.decode(log_probs.ctypes.data, *log_probs.shape)[0]
        return " ".join(dictionary.get_entry(word) for word in best.words if word >= 0)

    return transcribe


def side_by_side(
    name: str, speech: Speech, mine: Transcribe, other: Transcribe, *, rounds: int
) -> None:
    """Prints how long both take an utterance, how often ours fits into theirs, and both WERs."""
    times = compare(
        lambda: speech.decode_with(mine), lambda: speech.decode_with(other), rounds=rounds
    )
    rates = [speech.word_error_rate(speech.decode_with(one)) for one in (mine, other)]
    scale = 1000 / len(speech.posteriors)
    print(
        f"  {name:48} {times.ours_s * scale:8.2f} {times.theirs_s * scale:8.2f} ms  "
        f"{1 / times.ratio:6.1f}x ({1 / times.high:.1f}-{1 / times.low:.1f})   "
        f"WER {rates[0]:6.1%} {rates[1]:6.1%}",
        flush=True,
    )


def installed(*packages: str) -> bool:
    """Whether a peer is installed; says how it can be if not."""
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    for name in missing:
        print(f"  {name} is not installed: {INSTALL[name]}")
    return not missing


def measure(speech: Speech, *, rounds: int) -> None:
    """Times our search beside every peer that is installed."""
    model = read_arpa(speech.arpa)
    plain, unpruned = ours(speech), ours(speech, floor=-np.inf)
    fused = ours(speech, language_model=model)
    print(f"  {'ours beside …':48} {'ours':>8} {'peer':>8}     ratio (quartiles)")
    if installed("tensorflow"):
        tf = tensorflow_peer(speech)
        side_by_side("tf.nn.ctc_beam_search_decoder", speech, plain, tf, rounds=rounds)
        side_by_side("the same, ours without pruning", speech, unpruned, tf, rounds=rounds)
    if installed("pyctcdecode"):
        peer = pyctcdecode_peer(speech, has_model=False)
        side_by_side("pyctcdecode", speech, plain, peer, rounds=rounds)
    if installed("pyctcdecode", "kenlm"):
        peer = pyctcdecode_peer(speech, has_model=True)
        side_by_side("pyctcdecode with KenLM", speech, fused, peer, rounds=rounds)
    if installed("flashlight", "kenlm"):
        peer = flashlight_peer(speech)
        closed = ours(speech, language_model=model, closed=True)
        name = "flashlight-text with KenLM, closed vocabulary"
        side_by_side(name, speech, closed, peer, rounds=rounds)
        side_by_side("the same, ours open to any word", speech, fused, peer, rounds=rounds)
    hotwords = some_hotwords(model, speech.vocabulary)
    name = f"ours without {len(hotwords)} hotwords beside with"
    side_by_side(name, speech, plain, ours(speech, hotwords=hotwords), rounds=rounds)
    name = "the same with the language model"
    both = ours(speech, language_model=model, hotwords=hotwords)
    side_by_side(name, speech, fused, both, rounds=rounds)


def some_hotwords(model: NgramModel, vocabulary: Vocabulary) -> dict[str, float]:
    """Returns words of the model, spread over the alphabet, as hotwords."""
    words = [word for word in model.words if vocabulary.encodable(word) and len(word) > 3]
    step = max(1, len(words) // NUM_HOTWORDS)
    return dict.fromkeys(words[::step][:NUM_HOTWORDS], 4.0)


def read(arguments: argparse.Namespace) -> Speech:
    """Returns the posteriors of a file with their texts."""
    with np.load(arguments.posteriors) as file:
        names = list(file)[: arguments.utterances]
        posteriors = [file[name] for name in names]
    texts = json.loads(Path(arguments.texts).read_text(encoding="utf-8"))
    vocabulary = Vocabulary.load(arguments.vocabulary)
    return Speech(posteriors, [texts[name] for name in names], vocabulary, Path(arguments.arpa))


def main(argv: Sequence[str] | None = None) -> None:
    """Measures on posteriors of a file, or on some that are made up."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--posteriors", metavar="FILE.npz", help="log-probabilities, by name")
    parser.add_argument("--texts", metavar="FILE.json", help="what was said, by name")
    parser.add_argument("--vocabulary", metavar="FILE.json", help="a model's vocabulary.json")
    parser.add_argument("--arpa", metavar="FILE", help="a language model")
    parser.add_argument("--utterances", type=int, default=10, help="how many (default: 10)")
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds (default: 5)")
    arguments = parser.parse_args([] if argv is None else argv)
    together = (arguments.posteriors, arguments.texts, arguments.vocabulary, arguments.arpa)
    if any(together) != all(together):
        parser.error("--posteriors, --texts, --vocabulary and --arpa come together")
    with tempfile.TemporaryDirectory() as folder:
        speech = (
            read(arguments)
            if arguments.posteriors
            else made_up(Path(folder), num_utterances=arguments.utterances)
        )
        steps = sum(map(len, speech.posteriors)) / len(speech.posteriors)
        print(f"  {len(speech.posteriors)} utterances of {steps:.0f} steps, beam {BEAM_WIDTH}")
        start = time.perf_counter()
        ours(speech)(speech.posteriors[0])
        taken_s = time.perf_counter() - start
        print(f"  first utterance, compiled or read from the cache: {taken_s:.1f} s")
        measure(speech, rounds=arguments.rounds)


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
