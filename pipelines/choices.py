"""How to cut and decode in one run, where that is not as the model says."""

import argparse
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from asr.errors import OptionsError
from pipelines.usage import UsageError

if TYPE_CHECKING:
    from asr.bundle import Bundle
    from asr.cuts import CutOptions
    from asr.decoding import DecodingOptions

Method = Literal["greedy", "beam"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What a command line says about cutting and decoding; None leaves it to the model.

    Attributes:
        method: `greedy` or `beam`. What only a beam search can do chooses it.
        beam_width: Prefixes kept from one step to the next.
        alpha: Weight of the language model.
        beta: What every word adds.
        language_model: Its file, in place of the model's own.
        hotwords: Words to be expected, each with what it adds.
        num_texts: How many texts to show of a recording.
        vad: Cut long recordings where Silero's network hears nobody, not where they are quietest.
    """

    method: Method | None = None
    beam_width: int | None = None
    alpha: float | None = None
    beta: float | None = None
    language_model: Path | None = None
    hotwords: Mapping[str, float] = field(default_factory=dict)
    num_texts: int = 1
    vad: bool = False

    def __post_init__(self) -> None:
        """Refuses what cannot be, whatever the model is."""
        for_beam = self._for_beam()
        if self.method == "greedy" and for_beam:
            raise UsageError(f"expected --decoding beam with {for_beam[0]}, received greedy")
        if self.num_texts < 1:
            raise UsageError(f"--n-best: expected a number from 1 on, received {self.num_texts}")

    def applied(self, bundle: "Bundle") -> "tuple[Bundle, Choices]":
        """Returns a model that says the same, and these choices in the model's words.

        Raises:
            UsageError: They do not fit the model.
            OptionsError: Nothing is left of a hotword when it is normalised.
        """
        from asr.hotwords import normalise_hotwords

        if self == AS_IT_IS:
            return bundle, self
        language_model = self.language_model or bundle.language_model_file
        if language_model is None and not (self.alpha is self.beta is None):
            raise UsageError(
                "expected --lm FILE with --alpha and --beta: the model has no language model"
            )
        # The recurrent model was weighed beside the other one, and goes with it.
        rescorer = bundle.rescorer_file if self.language_model is None else None
        applied = dataclasses.replace(
            bundle,
            decoding=self._options(bundle.decoding),
            language_model_file=language_model,
            rescorer_file=rescorer,
        )
        if self.num_texts > applied.decoding.beam_width:
            raise UsageError(
                f"--n-best: expected at most the beam's {applied.decoding.beam_width}, received "
                f"{self.num_texts}; --beam-width widens it"
            )
        hotwords = normalise_hotwords(self.hotwords, bundle.text)
        return applied, dataclasses.replace(self, hotwords=hotwords)

    def cuts(self) -> "CutOptions":
        """Returns where long recordings are cut.

        Raises:
            MissingExtraError: That is for Silero's network to say, which is not installed.
        """
        from asr.cuts import RECORDING

        if not self.vad:
            return RECORDING
        from asr.voice_activity import VoiceActivity

        return dataclasses.replace(RECORDING, loudness=VoiceActivity())

    def _options(self, options: "DecodingOptions") -> "DecodingOptions":
        changes: dict[str, Any] = {
            name: value
            for name in ("method", "beam_width", "alpha", "beta")
            if (value := getattr(self, name)) is not None
        }
        if self._for_beam():
            changes["method"] = "beam"
        if changes.get("method") == "greedy":  # what only a beam search can keep to
            changes |= {"words": (), "closed_vocabulary": False, "num_rescored": 0}
        elif self.beam_width is not None:
            changes["num_rescored"] = min(options.num_rescored, self.beam_width)
        try:
            return dataclasses.replace(options, **changes)
        except OptionsError as error:
            raise UsageError(str(error)) from None

    def _for_beam(self) -> list[str]:
        """Returns the arguments that were given and mean something to a beam search only."""
        given = {
            "--lm": self.language_model is not None,
            "--hotwords": bool(self.hotwords),
            "--n-best": self.num_texts > 1,
            "--beam-width": self.beam_width is not None,
            "--alpha": self.alpha is not None,
            "--beta": self.beta is not None,
        }
        return [name for name, is_given in given.items() if is_given]


AS_IT_IS = Choices()
"""Decode as the model says."""


def add_choices(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments that `choices_of` reads; `--n-best` is the program's own."""
    group = parser.add_argument_group("decoding", "in this run; if left out, as the model says")
    group.add_argument(
        "--decoding",
        choices=("greedy", "beam"),
        help="best token of every step, or beam search",
    )
    group.add_argument("--beam-width", type=int, metavar="N", help="prefixes kept at every step")
    group.add_argument(
        "--lm", type=Path, metavar="FILE", help="a language model of asr lm, or ARPA"
    )
    group.add_argument("--alpha", type=float, metavar="X", help="weight of the language model")
    group.add_argument("--beta", type=float, metavar="X", help="what every word adds")
    group.add_argument(
        "--hotwords",
        type=Path,
        metavar="FILE",
        help="words and phrases to be expected, one a line; a weight behind a tab (default 1)",
    )
    group.add_argument(
        "--vad",
        action="store_true",
        help="cut long recordings where a network hears nobody speak, not where they are quietest: "
        "for noise (extra vad)",
    )


def choices_of(arguments: argparse.Namespace) -> Choices:
    """Returns what the arguments say about decoding.

    Raises:
        UsageError: They contradict each other.
        OptionsError: The file of hotwords cannot be read.
    """
    from asr.hotwords import read_hotwords

    return Choices(
        method=arguments.decoding,
        beam_width=arguments.beam_width,
        alpha=arguments.alpha,
        beta=arguments.beta,
        language_model=arguments.lm,
        hotwords=read_hotwords(arguments.hotwords) if arguments.hotwords else {},
        num_texts=getattr(arguments, "n_best", 1),
        vad=arguments.vad,
    )
