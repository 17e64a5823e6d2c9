"""The card of a model: what it is, what it was made from, how good it is."""

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from asr.text import describe_normalisation
from pipelines.card_table import stated
from pipelines.recipe import Recipe


def write_card(
    recipe: Recipe,
    history: Sequence[Mapping[str, Any]],
    *,
    num_parameters: int,
    hours: float,
    machine: str,
    date: date,
    begun_from: str | None = None,
    taught_by: str | None = None,
) -> str:
    """Returns a model's card as Markdown.

    Args:
        recipe: What it was trained with.
        history: The epochs so far; the last is the one whose weights these are.
        num_parameters: Of the network.
        hours: Of training speech.
        machine: What it was trained on.
        date: When.
        begun_from: What it was before, as `described_base` has it.
        taught_by: What it learnt from beside texts, likewise.
    """
    row = history[-1]
    compute_s = sum(entry["elapsed_s"] for entry in history)
    sources = ", ".join(Path(path).name for path in recipe.data.train)
    model, features = recipe.model, recipe.features
    origins = {"begun from": begun_from, "taught by": taught_by}
    before = "".join(f"\n| {name} | {one} |" for name, one in origins.items() if one is not None)
    ways = "bidirectional" if model.bidirectional else "unidirectional"
    return f"""# {model.cell.upper()} speech recognizer, {recipe.text.language}

| | |
|---|---|
| network | {model.num_layers} × {model.units} {ways} {model.cell}, CTC, \
{num_parameters:,} parameters |
| features | {features.n_mfcc} MFCC, {features.deltas} orders of deltas, \
{features.stack} frames a step |
| text | {describe_normalisation(recipe.text)} |
| trained on | {hours:.2f} h of speech ({sources}) |{before}
| data licence | {recipe.data.licence or "not stated"} |
| chosen on | {", ".join(Path(path).name for path in recipe.data.dev)} |
| dev WER | {100 * row["dev_wer"]:.2f} % ({recipe.decoding.method} decoding) |
| dev CER | {100 * row["dev_cer"]:.2f} % |
| epochs | {row["epoch"]} of {recipe.training.epochs}, seed {recipe.training.seed} |
| compute | {compute_s / 3600:.2f} h of training, {machine} |
| date | {date.isoformat()} |

The figures are for the dev speech, by which these weights were chosen, so they flatter the model a
little. Speech unlike the training speech (other accents, microphones, noise, spontaneous talk) will
be recognised worse; measure it with `asr evaluate` on recordings of your own.
"""


def described_base(name: str, card: str) -> str:
    """Returns what a model that another comes from learnt from, and what that had cost.

    Args:
        name: The model's.
        card: Its card.
    """
    rows = ("trained on", "data licence", "compute", "begun from")
    said = ((row, stated(card, row)) for row in rows)
    return "; ".join([name, *(f"{row} {value}" for row, value in said if value)])
