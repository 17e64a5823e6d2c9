"""The card of a model: what it is, what it was made from, how good it is."""

import re
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from asr.text import describe_normalisation
from pipelines.recipe import Recipe


def write_card(
    recipe: Recipe,
    history: Sequence[Mapping[str, Any]],
    *,
    num_parameters: int,
    hours: float,
    machine: str,
    date: date,
) -> str:
    """Returns a model's card as Markdown.

    Args:
        recipe: What it was trained with.
        history: The epochs so far; the last is the one whose weights these are.
        num_parameters: Of the network.
        hours: Of training speech.
        machine: What it was trained on.
        date: When.
    """
    row = history[-1]
    compute_s = sum(entry["elapsed_s"] for entry in history)
    sources = ", ".join(Path(path).name for path in recipe.data.train)
    model, features = recipe.model, recipe.features
    ways = "bidirectional" if model.bidirectional else "unidirectional"
    return f"""# {model.cell.upper()} speech recognizer, {recipe.text.language}

| | |
|---|---|
| network | {model.num_layers} × {model.units} {ways} {model.cell}, CTC, \
{num_parameters:,} parameters |
| features | {features.n_mfcc} MFCC, {features.deltas} orders of deltas, \
{features.stack} frames a step |
| text | {describe_normalisation(recipe.text)} |
| trained on | {hours:.2f} h of speech ({sources}) |
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


def restated(card: str, rows: Mapping[str, str]) -> str:
    """Returns a card whose table says something else under some names.

    Args:
        card: Markdown with a table of two columns; without one, a table is added at its end.
        rows: What is to stand beside each name; a name that is not there becomes a row.
    """
    for name, value in rows.items():
        line = f"| {name} | {value} |"
        pattern = re.compile(rf"^\| *{re.escape(name)} *\|.*$", re.MULTILINE)
        if pattern.search(card):
            card = pattern.sub(line.replace("\\", r"\\"), card)
            continue
        lines = card.rstrip("\n").split("\n")
        last = max((n for n, text in enumerate(lines) if text.startswith("|")), default=None)
        if last is None:
            lines += ["", "| | |", "|---|---|", line]
        else:
            lines.insert(last + 1, line)
        card = "\n".join(lines) + "\n"
    return card
