"""Who is heard in training, and who only in the test: splits with no speaker on two sides.

A recognizer tested on voices it was trained on looks better than it is. Where a corpus has an
official split it is kept, so that figures can be compared with published ones; elsewhere speakers
are dealt out so that each side comes near its wanted share of the hours.
"""

import dataclasses
import random
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Literal

from asr.errors import OptionsError
from asr.manifest import Utterance
from pipelines.prepare.corpus import SIDES, Side

Sides = dict[Side, list[Utterance]]
UNNAMED = "(unnamed)"
# A thing is long if it is more than this part of the smallest side: how far that side may miss.
LONG = 0.1


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SplitOptions:
    """How to split.

    Attributes:
        by: `auto` keeps the official split where there is one (taking a dev set from train where
            it has none) and splits by speaker elsewhere; `official` keeps it exactly; `speaker`
            and `utterance` ignore it, the latter for all speakers that are not named.
        shares: Wanted shares of the hours for train, dev and test; need not sum to one.
        dev_speakers: Speakers put on the dev side; then by speaker whatever the corpus has.
        test_speakers: The same for the test side.
        seed: Decides who goes where among speakers that would do equally well.
    """

    by: Literal["auto", "official", "speaker", "utterance"] = "auto"
    shares: tuple[float, float, float] = (0.8, 0.1, 0.1)
    dev_speakers: tuple[str, ...] = ()
    test_speakers: tuple[str, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        """Checks the shares, and that no speaker is asked for on two sides."""
        if len(self.shares) != 3 or not all(0 <= share < float("inf") for share in self.shares):
            raise OptionsError(f"expected three shares of at least 0, received {self.shares}")
        if sum(self.shares) <= 0:
            raise OptionsError(f"expected a share above 0, received {self.shares}")
        both = sorted(set(self.dev_speakers) & set(self.test_speakers))
        if both:
            raise OptionsError(f"speakers asked for in both dev and test: {', '.join(both)}")
        if self.by == "official" and (self.dev_speakers or self.test_speakers):
            raise OptionsError("speakers named for a side contradict the official split")


def split(
    utterances: Sequence[Utterance], official: Mapping[str, Side], options: SplitOptions
) -> tuple[Sides, str]:
    """Puts each utterance on a side.

    Args:
        utterances: With durations; in the order they are to keep on their side.
        official: The side of each value of the extra key `subset`; empty if there are none.
        options: How.

    Returns:
        The utterances of train, dev and test, and a sentence that says how they were chosen.

    Raises:
        OptionsError: The corpus cannot be split as asked; the message says what can be done.
    """
    named = bool(options.dev_speakers or options.test_speakers)
    has_official = bool(utterances) and all(u.extra.get("subset") in official for u in utterances)
    if options.by == "official" and not has_official:
        raise OptionsError("the corpus, as it lies here, has no official split")
    if options.by == "official" or (options.by == "auto" and has_official and not named):
        return _keep_official(utterances, official, options)
    if options.by == "utterance":
        return _split_by_utterance(utterances, options)
    return split_by_speaker(utterances, options), "split by speaker: none is on two sides"


def split_by_speaker(utterances: Sequence[Utterance], options: SplitOptions) -> Sides:
    """Deals speakers out to the sides; utterances without a speaker count as one.

    Raises:
        OptionsError: A named speaker is not in the corpus, or there are too few speakers.
    """
    lengths: dict[str, float] = {}
    for utterance in utterances:
        speaker = utterance.speaker or UNNAMED
        lengths[speaker] = lengths.get(speaker, 0.0) + _hours(utterance)
    side_of = _named(options, lengths)
    rest = {speaker: hours for speaker, hours in lengths.items() if speaker not in side_of}
    wanted = {
        side: share for side, share in _wanted(options).items() if side not in side_of.values()
    }
    _require_speakers(rest, wanted, num_named=len(side_of))
    side_of |= deal(rest, wanted, seed=options.seed)
    return _gather((u, side_of[u.speaker or UNNAMED]) for u in utterances)


def _split_by_utterance(
    utterances: Sequence[Utterance], options: SplitOptions
) -> tuple[Sides, str]:
    """Deals utterances out, but for those of named speakers, who are heard on their side alone."""
    named = _named(options, {u.speaker or UNNAMED for u in utterances})
    lengths = {u.id: _hours(u) for u in utterances if (u.speaker or UNNAMED) not in named}
    wanted = {side: share for side, share in _wanted(options).items() if side not in named.values()}
    _require_sides(len(lengths), wanted, things="utterances")
    side_of = deal(lengths, wanted, seed=options.seed)
    note = "split by utterance: the same speakers are on all sides"
    if named:
        note = f"split by utterance, but for {', '.join(named)}: heard on one side alone"
    sides = _gather((u, named.get(u.speaker or UNNAMED) or side_of[u.id]) for u in utterances)
    return sides, note


def _named(options: SplitOptions, speakers: Collection[str]) -> dict[str, Side]:
    """Returns the side of each speaker the options name."""
    side_of: dict[str, Side] = dict.fromkeys(options.dev_speakers, "dev")
    side_of |= dict.fromkeys(options.test_speakers, "test")
    unknown = sorted(side_of.keys() - set(speakers))
    if unknown:
        raise OptionsError(f"no speaker {', '.join(unknown)} in the corpus; {_listed(speakers)}")
    return side_of


def deal(
    lengths: Mapping[str, float], shares: Mapping[Side, float], *, seed: int
) -> dict[str, Side]:
    """Deals things out so that each side's total comes near its share; no wanted side stays empty.

    Each goes to the side that lacks most: the long ones first, the longest leading (the greedy rule
    of R. Graham, 1969, for uneven bins), then the short ones, which even out the rest, in random
    order, since short things in the order of length would leave the shortest for dev and test.

    Args:
        lengths: What is dealt, by name, each with its length.
        shares: The wanted share of each side; need not sum to one.
        seed: Decides the order of short things and of those of equal length.

    Returns:
        The side of each thing.
    """
    names = sorted(lengths)
    random.Random(seed).shuffle(names)
    total = sum(lengths.values())
    lacks = {side: share / sum(shares.values()) * total for side, share in shares.items()}
    long = LONG * min(lacks.values(), default=0.0)
    names.sort(key=lambda name: -lengths[name] if lengths[name] > long else 0.0)
    side_of: dict[str, Side] = {}
    for left, name in zip(range(len(names), 0, -1), names, strict=True):
        empty = [side for side in lacks if side not in side_of.values()]
        # The last ones are kept for sides that would otherwise have nothing.
        open_sides = empty if len(empty) >= left else list(lacks)
        side = max(open_sides, key=lambda side: lacks[side])
        side_of[name] = side
        lacks[side] -= lengths[name]
    return side_of


def _keep_official(
    utterances: Sequence[Utterance], official: Mapping[str, Side], options: SplitOptions
) -> tuple[Sides, str]:
    sides = _gather((u, official[str(u.extra["subset"])]) for u in utterances)
    note = "official split kept"
    speakers = {u.speaker for u in sides["train"]}
    if options.by == "official" or sides["dev"] or options.shares[1] <= 0 or not sides["train"]:
        return sides, note
    if len(speakers) < 2:
        return sides, f"{note}; it has no dev set, and too few speakers in train to take one from"
    shares = (options.shares[0] or 1.0, options.shares[1], 0.0)
    taken = split_by_speaker(sides["train"], dataclasses.replace(options, shares=shares))
    note += "; it has no dev set here, so one was taken from train by speaker"
    return {**taken, "test": sides["test"]}, note


def _wanted(options: SplitOptions) -> dict[Side, float]:
    return {side: share for side, share in zip(SIDES, options.shares, strict=True) if share > 0}


def _require_sides(count: int, wanted: Mapping[Side, float], *, things: str) -> None:
    if count < len(wanted):
        raise OptionsError(
            f"{count} {things} cannot fill {_enumerated(wanted)}; give fewer sides, "
            "as --split 1,0,0 does"
        )


def _require_speakers(
    rest: Mapping[str, float], wanted: Mapping[Side, float], *, num_named: int
) -> None:
    if rest and not wanted:
        raise OptionsError(
            f"no side is left for {len(rest)} speakers; give train a share above 0 with --split"
        )
    if len(rest) >= len(wanted):
        return
    what = "one speaker" if len(rest) == 1 else f"{len(rest)} speakers"
    left = " left" if num_named else ""
    raise OptionsError(
        f"the corpus has {what}{left} ({', '.join(rest)}), too few to fill {_enumerated(wanted)} "
        "with nobody on two sides. Either --split-utterances (then the test is of voices "
        "heard in training), or fewer sides: --split 1,0,0 puts all in train"
    )


def _enumerated(sides: Iterable[Side]) -> str:
    *first, last = sides
    return f"{', '.join(first)} and {last}" if first else last


def _listed(speakers: Iterable[str]) -> str:
    names = sorted(speakers)
    more = f" and {len(names) - 20} more" if len(names) > 20 else ""
    return f"it has {', '.join(names[:20])}{more}"


def _gather(placed: Iterable[tuple[Utterance, Side]]) -> Sides:
    sides: Sides = {side: [] for side in SIDES}
    for utterance, side in placed:
        sides[side].append(utterance)
    return sides


def _hours(utterance: Utterance) -> float:
    return (utterance.duration_s or 0.0) / 3600
