"""How a recurrent language model is best asked, chosen on speech with texts.

The search of the beam is settled by then. Its best texts are found and read once; then a setting
costs no more than adding up their scores.
"""

import contextlib
import dataclasses
import itertools
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from asr.cores import available_cores
from asr.decoder import Decoder
from asr.decoding import DecodingOptions, Hypothesis
from asr.rescoring import TextScorer
from asr.vocabulary import Vocabulary
from pipelines.progress import Progress
from pipelines.tuning import Search, Trial

COUNTS = (25, 50, 100, 200)
"""Of texts that are read: each costs the model's time."""
_SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
_STEP_ALPHA, _STEP_BETA, _STEP_SHARE = 0.2, 0.5, 0.25
_NEIGHBOURS = tuple(itertools.product((-1, 0, 1), (-1, 0, 1), (-1, 0, 1)))
"""Steps of these three around the best point."""
_REFINED = 3
"""How often the steps are halved."""
_MAX_MOVES = 20
_TOLERANCE = 0.001
"""WER that fewer texts may cost, as a share."""

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Candidates:
    """The texts that were found for a passage, the search's best first.

    Attributes:
        texts: What they are, as words with single spaces between them.
        heard: Log-probability by the network, [num_texts].
        expected: Log-probability by the language model that the search asked.
        read: Log-probability by the recurrent one.
        num_words: Words of each.
    """

    texts: Sequence[str]
    heard: Array
    expected: Array
    read: Array
    num_words: Array

    @classmethod
    def of(cls, found: Sequence[Hypothesis], vocabulary: Vocabulary, rescorer: TextScorer) -> Self:
        """Has a recurrent language model read what was found."""
        texts = [" ".join(vocabulary.decode(one.tokens).split()) for one in found]
        return cls(
            texts=texts,
            heard=np.array([one.log_probability for one in found]),
            expected=np.array([one.lm_log_probability for one in found]),
            read=rescorer.score(texts),
            num_words=np.array([len(text.split()) for text in texts], np.float64),
        )

    def best(self, options: DecodingOptions) -> str:
        """Returns the text of the best score, as `asr.rescoring` defines it."""
        share, first = options.recurrent_share, slice(options.num_rescored)
        language = (1 - share) * self.expected[first] + share * self.read[first]
        words = options.rescored_beta * self.num_words[first]
        return self.texts[
            int(np.argmax(self.heard[first] + options.rescored_alpha * language + words))
        ]


def tune_rescoring(search: Search, chosen: Trial) -> Trial:
    """Searches how the search's recurrent language model is best asked.

    Args:
        search: What was tried so far; what is tried here is added to it.
        chosen: The setting of the beam search that was chosen.

    Returns:
        The setting of fewest errors, but for fewer texts, and then a narrower beam, that cost no
        more than a tenth of a point; or the one that was chosen, where a recurrent model gains no
        more than that, or is none.
    """
    options = chosen.options
    if search.rescorer is None or options.method != "beam":
        return chosen
    counts = [count for count in COUNTS if count <= options.beam_width] or [options.beam_width]
    first = dataclasses.replace(
        options,
        num_rescored=counts[-1],
        rescored_alpha=options.alpha,
        rescored_beta=options.beta,
    )
    with _tried(search, options, counts[-1], search.rescorer) as tried:
        best = tried.best_of(dataclasses.replace(first, recurrent_share=at) for at in _SHARES)
        best = _refined(tried, best)
        fewer = [dataclasses.replace(best.options, num_rescored=count) for count in counts]
        trials = [tried.attempt(one) for one in fewer]
    enough = best.wer + _TOLERANCE
    found = next(one for one in [chosen, *trials] if one.wer <= enough)
    while found is not chosen and found.options.beam_width // 2 >= found.options.num_rescored:
        half = dataclasses.replace(found.options, beam_width=found.options.beam_width // 2)
        with _tried(search, half, half.num_rescored, search.rescorer) as tried:
            narrower = tried.attempt(half)
        if narrower.wer > enough:
            break
        found = narrower
    return found


@contextlib.contextmanager
def _tried(
    search: Search, options: DecodingOptions, count: int, rescorer: TextScorer
) -> Iterator["_Tried"]:
    """Yields what tries settings on the texts that a beam finds."""
    candidates = _candidates(search, options, count, rescorer)
    with Progress(None, unit="settings", label="rescoring", quiet=search.quiet) as progress:
        yield _Tried(search, candidates, progress)


def _candidates(
    search: Search, options: DecodingOptions, count: int, rescorer: TextScorer
) -> dict[str, tuple[Candidates, ...]]:
    decoder = Decoder(options, search.vocabulary, search.language_model)
    passages, total = search.speech.passages, len(search.speech.passages)
    with Progress(total, unit="utterances", label="reading", quiet=search.quiet) as progress:

        def read(key: str) -> tuple[Candidates, ...]:
            lists = (decoder.candidates(passage, count) for passage in passages[key])
            found = tuple(Candidates.of(one, search.vocabulary, rescorer) for one in lists)
            progress.advance()
            return found

        with ThreadPoolExecutor(available_cores()) as pool:
            return dict(zip(passages, pool.map(read, passages), strict=True))


@dataclass(frozen=True, slots=True)
class _Tried:
    """Settings tried on the same candidates."""

    search: Search
    candidates: Mapping[str, Sequence[Candidates]]
    progress: Progress

    def attempt(self, options: DecodingOptions) -> Trial:
        """Returns what a setting comes to, tried once."""
        if options not in self.search.trials:
            start_s = time.perf_counter()
            texts = {
                key: " ".join(" ".join(one.best(options) for one in passages).split())
                for key, passages in self.candidates.items()
            }
            self.search.judge(options, texts, time.perf_counter() - start_s)
            self.progress.advance()
        return self.search.trials[options]

    def best_of(self, settings: Iterable[DecodingOptions]) -> Trial:
        """Returns the first of those with the fewest errors."""
        return min(map(self.attempt, settings), key=lambda one: one.num_errors)


def _refined(tried: _Tried, best: Trial) -> Trial:
    """Returns the best setting in reach of one, by steps that become smaller."""
    for halved in range(_REFINED):
        size = 0.5**halved
        for _ in range(_MAX_MOVES):
            near = [_moved(best.options, steps, size) for steps in _NEIGHBOURS]
            found = tried.best_of([best.options, *near])
            if found is best:
                break
            best = found
    return best


def _moved(options: DecodingOptions, steps: tuple[int, int, int], size: float) -> DecodingOptions:
    alpha, beta, share = steps
    # Rounded, so that one point reached in two ways is one.
    moved_share = options.recurrent_share + share * size * _STEP_SHARE
    return dataclasses.replace(
        options,
        rescored_alpha=round(max(options.rescored_alpha + alpha * size * _STEP_ALPHA, 0.0), 4),
        rescored_beta=round(options.rescored_beta + beta * size * _STEP_BETA, 4),
        recurrent_share=round(min(max(moved_share, 0.0), 1.0), 4),
    )
