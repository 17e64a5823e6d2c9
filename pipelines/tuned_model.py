"""A model with settings that were found for it, and the figures they were chosen by."""

import csv
import io
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from asr.bundle import CARD_FILE, LANGUAGE_MODEL_FILE, RECIPE_FILE, RESCORER_FILE, Bundle
from asr.confidence import Calibration
from asr.decoding import DecodingOptions
from asr.files import replacing, write_text
from asr.options import to_table
from pipelines.tuning import Search
from pipelines.usage import UsageError


def write_tuned(
    bundle: Bundle,
    options: DecodingOptions,
    *,
    calibration: Calibration | None,
    language_model_file: Path | None,
    rescorer_file: Path | None = None,
    card: str,
    copy: Path | None = None,
) -> Path:
    """Gives a model settings, or makes a copy of it that has them.

    Args:
        bundle: The model.
        options: How it is to decode.
        calibration: What its certainty is worth; None leaves that as it is.
        language_model_file: Becomes the model's own, if a beam search is to ask it.
        rescorer_file: Becomes the model's own recurrent one, if that is to be asked.
        card: What the model's card is to say from now on.
        copy: A folder that is not there: the model is left as it is, and the copy appears there
            whole or not at all. None changes the model.

    Returns:
        The folder that was written to.

    Raises:
        UsageError: The folder is there.
    """
    changes: dict[str, Any] = {"decoding": to_table(options)}
    if calibration is not None:
        changes["confidence"] = to_table(calibration)
    recipe = dict(bundle.recipe) | changes
    sources = [
        (language_model_file if options.method == "beam" else None, LANGUAGE_MODEL_FILE),
        (rescorer_file if options.num_rescored else None, RESCORER_FILE),
    ]
    installed = {name: source for source, name in sources if source is not None}
    if copy is None:
        _change(bundle.folder, recipe, installed, card)
        return bundle.folder
    if copy.exists():
        raise UsageError(f"{copy} is there already; -o makes a new folder")
    copy.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=copy.parent, prefix=f".{copy.name}.") as name:
        aside = Path(name) / "model"
        shutil.copytree(bundle.folder, aside)
        _change(aside, recipe, installed, card)
        os.rename(aside, copy)
    return copy


def _change(
    folder: Path, recipe: Mapping[str, Any], language_models: Mapping[str, Path], card: str
) -> None:
    """The recipe comes last: what it says is there by then."""
    import tomli_w

    for name, source in language_models.items():
        _install(source, folder / name)
    write_text(folder / CARD_FILE, card)
    write_text(folder / RECIPE_FILE, tomli_w.dumps(recipe))


def _install(source: Path, target: Path) -> None:
    """Copies a language model, or writes what is in another format as ours."""
    from asr.lm import read_arpa, write_binary
    from asr.lm.binary import is_binary

    if target.exists() and source.samefile(target):
        return
    if not is_binary(source) and target.name == LANGUAGE_MODEL_FILE:
        write_binary(target, read_arpa(source))
        return
    with replacing(target) as aside:
        shutil.copyfile(source, aside)


def write_surface(path: Path, search: Search) -> None:
    """Writes what was tried: as JSON, or else as CSV, a row a setting."""
    rows = [
        {
            "method": one.options.method,
            "beam_width": one.options.beam_width,
            "alpha": one.options.alpha,
            "beta": one.options.beta,
            "prior_scale": one.options.prior_scale,
            "num_rescored": one.options.num_rescored,
            "rescored_alpha": one.options.rescored_alpha,
            "rescored_beta": one.options.rescored_beta,
            "recurrent_share": one.options.recurrent_share,
            "wer": one.wer,
            "errors": one.num_errors,
            "decoding_s": round(one.decoding_s, 3),
        }
        for one in search.trials.values()
    ]
    if path.suffix == ".json":
        write_text(path, json.dumps(rows, indent=2) + "\n")
        return
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())
