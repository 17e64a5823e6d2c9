"""Trainings in a row, each going on from the model of the one before, as one run.

<run>/
├── stages.toml        every setting of every stage, paths absolute, and what the first began from
├── stages/<name>/     a run's folder for each stage but the last
└── …                  the last stage's own, as of any run

A stage has begun when its folder holds a recipe, which is written last of all; the stages before it
are over. So a run stopped at any moment goes on with the last stage that has begun.
"""

import shutil
import tomllib
from collections.abc import Sequence
from pathlib import Path

from asr.errors import AsrError, OptionsError, TrainingError
from asr.files import write_text
from pipelines.recipe import read_recipe
from pipelines.recipe_file import Stage
from pipelines.run_folder import RunFolder
from pipelines.training import TrainingResult, train
from pipelines.training_log import TrainingLog


def train_stages(
    stages: Sequence[Stage],
    run_folder: Path,
    *,
    overwrite: bool = False,
    base: str | Path | None = None,
    cache: Path | None = None,
    quiet: bool = False,
) -> TrainingResult:
    """Trains what a recipe file asks for.

    Args:
        stages: As `pipelines.recipe_file.load_stages` returns them.
        run_folder: Where everything is written.
        overwrite: Begin anew where a run exists.
        base: What the first stage begins with, as of `pipelines.training.train`.
        cache: Folder for features.
        quiet: Print nothing.

    Returns:
        What the last stage came to.

    Raises:
        AsrError: Something the user can mend; the message says what.
    """
    run = RunFolder(run_folder)
    if not overwrite:
        run.refuse_existing()
    _forget_stages(run)
    if len(stages) == 1:
        recipe = stages[0].recipe
        return train(recipe, run_folder, overwrite=True, base=base, cache=cache, quiet=quiet)
    run.recipe.unlink(missing_ok=True)  # of the run before, whose last stage would be gone on with
    _write_plan(run, stages, base)
    try:
        return _go_on(run, stages, base=base, cache=cache, quiet=quiet)
    except AsrError:
        if not any(_begun(run, stages)):
            _forget_stages(run)  # what could not start is not to stand in the way
        raise


def resume_stages(
    run_folder: Path, *, cache: Path | None = None, quiet: bool = False
) -> TrainingResult:
    """Goes on with a run where it was stopped, whichever stage that was in.

    Raises:
        AsrError: Something the user can mend; the message says what.
    """
    run = RunFolder(run_folder)
    stages, base = _read_plan(run)
    return _go_on(run, stages, base=base, cache=cache, quiet=quiet)


def _go_on(
    run: RunFolder,
    stages: Sequence[Stage],
    *,
    base: str | Path | None,
    cache: Path | None,
    quiet: bool,
) -> TrainingResult:
    """Resumes the last stage that has begun, if any has, and trains those after it."""
    begun, folders = _begun(run, stages), _folders(run, stages)
    first = max((place for place, there in enumerate(begun) if there), default=0)
    results = []
    for place in range(first, len(stages)):
        TrainingLog(quiet=quiet).line(f"\nstage {place + 1} of {len(stages)}: {stages[place].name}")
        source = base if place == 0 else folders[place - 1]
        found = train(
            stages[place].recipe,
            folders[place],
            resume=begun[place],
            overwrite=not begun[place],
            base=None if begun[place] else source,
            cache=cache,
            quiet=quiet,
            exported=place == len(stages) - 1,
        )
        results.append(found)
    return results[-1]


def _folders(run: RunFolder, stages: Sequence[Stage]) -> list[Path]:
    return [*(run.stage(stage.name) for stage in stages[:-1]), run.path]


def _begun(run: RunFolder, stages: Sequence[Stage]) -> list[bool]:
    return [RunFolder(folder).recipe.is_file() for folder in _folders(run, stages)]


def _forget_stages(run: RunFolder) -> None:
    """Removes the stages of a run that is begun anew."""
    run.stages.unlink(missing_ok=True)
    shutil.rmtree(run.path / "stages", ignore_errors=True)


def _write_plan(run: RunFolder, stages: Sequence[Stage], base: str | Path | None) -> None:
    import tomli_w

    tables = [{"name": stage.name, **stage.recipe.to_table()} for stage in stages]
    begun = {} if base is None else {"from": str(base)}
    write_text(run.stages, tomli_w.dumps({**begun, "stages": tables}))


def _read_plan(run: RunFolder) -> tuple[list[Stage], str | None]:
    where = str(run.stages)
    try:
        plan = tomllib.loads(run.stages.read_text(encoding="utf-8"))
        stages = []
        for table in plan["stages"]:
            name = table.pop("name")
            stages.append(Stage(name=name, recipe=read_recipe(table, where=f"{where} {name}")))
        if len(stages) < 2:
            raise OptionsError(f"{where}: expected at least two stages, received {len(stages)}")
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError) as e:
        raise TrainingError(f"{where}: expected the stages of a training ({e!r})") from None
    return stages, plan.get("from")
