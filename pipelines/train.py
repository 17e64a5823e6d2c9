"""`asr train`: a recipe and manifests of speech in, a run folder with the best model out."""

import argparse
from pathlib import Path

from asr.errors import TrainingError
from pipelines.recipe_file import load_recipe, load_stages, stage_of
from pipelines.run_folder import RunFolder
from pipelines.staged_training import resume_stages, train_stages
from pipelines.training import TrainingResult, train
from pipelines.usage import UsageError

RUNS = Path("runs")
"""Where a run is kept unless told, in a folder called as its recipe."""

EXAMPLES = r"""examples:
  asr train my-recipe.toml                      into runs/my-recipe
  asr train my-recipe.toml -o runs/mine
  asr train digits --manifest-root data/fsdd -o runs/digits
  asr train --resume runs/mine                  go on where it was stopped
  asr train my-recipe.toml --from runs/mine -o runs/tuned
  asr train my-recipe.toml --set training.epochs=5 -o runs/short
  asr train en-commands --stage en-commands --from en-commands -o runs/ours \
    --set training.teacher_share=0
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command line of `asr train`."""
    parser.epilog = EXAMPLES
    parser.add_argument("recipe", nargs="?", help="a TOML file, or the name of a shipped recipe")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="RUN",
        help="the run's folder (default: runs/, and the recipe's name)",
    )
    parser.add_argument("--resume", type=Path, metavar="RUN", help="go on with a stopped run")
    parser.add_argument(
        "--from", dest="base", metavar="MODEL", help="fine-tune this model: a name or a folder"
    )
    parser.add_argument(
        "--manifest-root",
        type=Path,
        metavar="FOLDER",
        help="where the recipe's relative paths start (default: the recipe's folder)",
    )
    parser.add_argument(
        "--set",
        dest="settings",
        action="append",
        default=[],
        metavar="TABLE.KEY=VALUE",
        help="change a setting of the recipe, in all its stages; may be given more than once",
    )
    parser.add_argument(
        "--stage", metavar="NAME", help="of a recipe of several stages, train this one alone"
    )
    parser.add_argument("--cache", type=Path, metavar="FOLDER", help="where features are kept")
    parser.add_argument("--overwrite", action="store_true", help="begin anew where a run exists")
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")


def run(arguments: argparse.Namespace) -> int:
    """Runs `asr train`; returns its exit code."""
    if arguments.resume is not None:
        result = _resume(arguments)
    else:
        if arguments.recipe is None:
            raise UsageError("expected a recipe, or --resume RUN")
        stages = load_stages(
            arguments.recipe, root=arguments.manifest_root, settings=arguments.settings
        )
        if arguments.stage is not None:
            stages = stage_of(stages, arguments.stage)
        result = train_stages(
            stages,
            arguments.output or RUNS / stages[-1].name,
            overwrite=arguments.overwrite,
            base=arguments.base,
            cache=arguments.cache,
            quiet=arguments.quiet,
        )
    print(result.model_folder)
    return 0


def _resume(arguments: argparse.Namespace) -> TrainingResult:
    given = {"recipe": arguments.recipe, "-o": arguments.output, "--from": arguments.base}
    given |= {"--set": arguments.settings or None, "--overwrite": arguments.overwrite or None}
    given |= {"--manifest-root": arguments.manifest_root, "--stage": arguments.stage}
    clashing = [name for name, value in given.items() if value is not None]
    if clashing:
        raise UsageError(
            f"--resume goes on with the run's own recipe and cannot take {', '.join(clashing)}"
        )
    folder = RunFolder(arguments.resume)
    if folder.stages.is_file():
        return resume_stages(arguments.resume, cache=arguments.cache, quiet=arguments.quiet)
    for path in (folder.recipe, folder.checkpoint):
        if not path.is_file():
            raise TrainingError(f"{folder.path}: expected a run's folder with {path.name}")
    recipe = load_recipe(folder.recipe)
    return train(
        recipe, arguments.resume, resume=True, cache=arguments.cache, quiet=arguments.quiet
    )
