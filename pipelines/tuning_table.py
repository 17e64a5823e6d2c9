"""What a search for settings found, as a table to be read."""

import dataclasses
from collections.abc import Iterator

from asr.decoding import DecodingOptions
from asr.intervals import bootstrap
from pipelines import tuning
from pipelines.evaluation import percent
from pipelines.tuned_confidence import TunedConfidence
from pipelines.tuning import Search, Trial


def lines(search: Search, chosen: Trial, confidence: TunedConfidence | None) -> Iterator[str]:
    """Yields the lines of a report.

    Args:
        search: What was tried.
        chosen: What is to be used.
        confidence: The correction of confidences; None if there are no words.
    """
    speech, num_words = search.speech, search.num_words
    yield f"WER in % of {len(speech.references):,} utterances, {num_words:,} words"
    yield from _surface(search)
    yield from _widths(search, chosen)
    yield from _rescored(search, chosen)
    greedy = next((one for one in search.trials.values() if one.options.method == "greedy"), None)
    if greedy is not None:
        yield f"greedy      {percent(greedy.wer):>9}"
    yield f"chosen      {percent(chosen.wer):>9}  {described(search, chosen)}"
    held_out = search.held_out_wer()
    who = "each speaker" if speech.by_speaker else "each fifth of the utterances"
    if held_out is None:
        yield "            how much of that is luck cannot be told from so little"
    else:
        yield f"held out    {percent(held_out):>9}  {who} with what the others would have chosen"
    if confidence is not None:
        before = percent(confidence.error_before)
        yield f"confidence  {before:>9}  expected calibration error as the network gives it"
        if confidence.error_after is not None:
            after = percent(confidence.error_after)
            yield f"            {after:>9}  {who} corrected by what the others say"


def card_rows(search: Search, chosen: Trial, *, source: str) -> dict[str, str]:
    """Returns what a model's card should say of how it decodes.

    Args:
        search: What was tried.
        chosen: What is to be used.
        source: What the speech is called.
    """
    words, speech = search.words_by_id(), search.speech
    interval = bootstrap(
        [(chosen.errors[key], words[key]) for key in words],
        speakers=[speech.groups[key] for key in words] if speech.by_speaker else None,
    )
    rows = {"decoding": described(search, chosen), "tuned on": source}
    detail = f"{100 * chosen.wer:.2f} %"
    if interval is not None:
        detail += f" (95 % by {interval.unit}: {percent(interval.low)} to {percent(interval.high)})"
    held_out = search.held_out_wer()
    if held_out is not None:
        rows["dev WER, held out"] = f"{100 * held_out:.2f} % (each decoded as the others chose)"
    return {"dev WER": detail} | rows


def described(search: Search, trial: Trial) -> str:
    """Returns a setting in words."""
    options = trial.options
    if options.method == "greedy":
        return "greedy"
    width = f"beam width {options.beam_width}"
    width = f"prior scale {options.prior_scale:g}, {width}" if options.prior_scale else width
    if options.num_rescored:
        width += (
            f", then of {options.num_rescored} texts by alpha {options.rescored_alpha:g}, beta "
            f"{options.rescored_beta:g}, {options.recurrent_share:g} of it the recurrent model's"
        )
    if search.language_model is None:
        return width
    return f"alpha {options.alpha:g}, beta {options.beta:g}, {width}"


def _surface(search: Search) -> Iterator[str]:
    """Yields the WER of every alpha (rows) and beta (columns) at the grid's beam width.

    Of the scales of the network's priors each has one WER, its best, and the best has the table.
    """
    grid = [one for one in _searches(search) if one.options.beam_width == tuning.COARSE_WIDTH]
    if search.language_model is None or not grid:
        return
    best = min(grid, key=lambda one: one.num_errors)
    scales = sorted({one.options.prior_scale for one in grid})
    lowest = [min(one.wer for one in grid if one.options.prior_scale == at) for at in scales]
    yield "  prior scale   " + "".join(f"{scale:>8g}" for scale in scales)
    yield "  lowest WER    " + "".join(f"{100 * wer:>8.2f}" for wer in lowest)
    points = {
        (one.options.alpha, one.options.beta): one
        for one in grid
        if one.options.prior_scale == best.options.prior_scale
    }
    alphas, betas = (sorted({pair[n] for pair in points}) for n in (0, 1))
    yield f"beam width {tuning.COARSE_WIDTH}, the best prior scale; * is the best"
    yield "  alpha \\ beta" + "".join(f"{beta:>8g}" for beta in betas)
    for alpha in alphas:
        row = [points.get((alpha, beta)) for beta in betas]
        cells = "".join("       ·" if one is None else _cell(one, best) for one in row)
        yield f"  {alpha:>12g}{cells}".rstrip()


def _searches(search: Search) -> list[Trial]:
    """Returns what was tried of beam searches alone."""
    tried = search.trials.values()
    return [one for one in tried if one.options.method == "beam" and not one.options.num_rescored]


def _rescored(search: Search, chosen: Trial) -> Iterator[str]:
    """Yields what a recurrent model made of fewer texts, or of more, at the best weights."""
    tried = [one for one in search.trials.values() if one.options.num_rescored]
    if not tried:
        return
    best = chosen if chosen.options.num_rescored else min(tried, key=lambda one: one.num_errors)
    found = {
        (one.options.beam_width, one.options.num_rescored): one
        for one in tried
        if _but_for_effort(one.options) == _but_for_effort(best.options)
    }
    widths, counts = (sorted({pair[n] for pair in found}) for n in (0, 1))
    yield "  texts read    " + "".join(f"{count:>8}" for count in counts)
    for width in widths:
        row = [found.get((width, count)) for count in counts]
        cells = "".join("       ·" if one is None else _cell(one, chosen) for one in row)
        yield f"  beam {width:>8} {cells}".rstrip()


def _but_for_effort(options: DecodingOptions) -> DecodingOptions:
    return dataclasses.replace(options, beam_width=1, num_rescored=1)


def _weights(one: Trial) -> tuple[float, float, float]:
    return one.options.alpha, one.options.beta, one.options.prior_scale


def _cell(one: Trial, best: Trial) -> str:
    mark = "*" if one is best else ""
    return f"{mark}{100 * one.wer:.2f}".rjust(8)


def _widths(search: Search, chosen: Trial) -> Iterator[str]:
    """Yields what beams of other widths come to, at the weights that were chosen."""
    beams = _searches(search)
    best = min(beams, key=lambda one: one.num_errors)
    of = chosen if chosen.options.method == "beam" else best
    same = [one for one in beams if _weights(one) == _weights(of)]
    same.sort(key=lambda one: one.options.beam_width)
    num_utterances = len(search.speech.references)
    times = [1000 * one.decoding_s / num_utterances for one in same]
    yield "  beam width    " + "".join(f"{one.options.beam_width:>8}" for one in same)
    yield "  WER           " + "".join(f"{100 * one.wer:>8.2f}" for one in same)
    yield "  ms/utterance  " + "".join(f"{value:>8.1f}" for value in times)
