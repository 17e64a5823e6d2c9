"""Recipe files: found by path or by name, changed by settings, of one training or of several.

A recipe may say in `[[stages]]` what is to be trained before it, each stage going on from the model
of the one before: a name, and whatever settings differ from the recipe's own.
"""

import copy
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asr.errors import OptionsError
from pipelines.recipe import Recipe, read_recipe

SHIPPED = Path(__file__).parent / "recipes"
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One training of a recipe.

    Attributes:
        name: Given in `[[stages]]`; of the last one, the file's.
        recipe: All its settings.
    """

    name: str
    recipe: Recipe


def load_recipe(
    name_or_path: str | Path, *, root: Path | None = None, settings: Sequence[str] = ()
) -> Recipe:
    """Reads a recipe file, or a shipped recipe by name; of several stages, the last one's.

    Raises:
        OptionsError: As `load_stages`.
    """
    return load_stages(name_or_path, root=root, settings=settings)[-1].recipe


def load_stages(
    name_or_path: str | Path, *, root: Path | None = None, settings: Sequence[str] = ()
) -> tuple[Stage, ...]:
    """Reads all trainings of a recipe file, or of a shipped recipe by name, in their order.

    Args:
        name_or_path: A TOML file, or the name of one in `pipelines/recipes`.
        root: Folder that relative paths start from; the recipe's own folder if left out.
        settings: Changes to the file, each `table.key=value` with a TOML value; they hold for every
            stage, whatever it sets itself.

    Returns:
        The stages; the last one is the recipe's own.

    Raises:
        OptionsError: The file does not exist, is not TOML, or holds a mistake.
    """
    path = _find(name_or_path)
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise OptionsError(f"{path}: expected TOML, received {error}") from None
    before = _checked(tables.pop("stages", []), str(path))
    found = []
    for changes in (*before, {}):
        name = changes.get("name")
        merged = _merged(tables, {key: one for key, one in changes.items() if key != "name"})
        for setting in settings:
            _apply(merged, setting)
        _anchor(merged, root or path.parent)
        where = str(path) if name is None else f"{path} [[stages]] {name}"
        found.append(Stage(name=name or path.stem, recipe=read_recipe(merged, where=where)))
    return tuple(found)


def stage_of(stages: Sequence[Stage], name: str) -> tuple[Stage, ...]:
    """Returns one of a recipe's stages.

    Raises:
        OptionsError: None is called so; those there are are named.
    """
    for stage in reversed(stages):  # one in `[[stages]]` may be called as the file
        if stage.name == name:
            return (stage,)
    known = ", ".join(stage.name for stage in stages)
    raise OptionsError(f"no stage {name!r}: expected one of: {known}")


def _checked(stages: object, where: str) -> list[dict[str, Any]]:
    """Returns `[[stages]]` if it is a list of tables, each with a name of its own."""
    if not isinstance(stages, list) or not all(isinstance(one, dict) for one in stages):
        raise OptionsError(f"{where}: expected [[stages]], a table each, received {stages!r}")
    names = [one.get("name") for one in stages]
    for name in names:
        if not isinstance(name, str) or not _NAME.fullmatch(name) or names.count(name) > 1:
            raise OptionsError(
                f"{where} [[stages]]: expected in each a name of its own, of a-z, 0-9, - and _, "
                f"received {name!r}"
            )
    return stages


def _merged(tables: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    found = copy.deepcopy(dict(tables))
    for name, table in changes.items():
        known = found.get(name)
        both = isinstance(known, dict) and isinstance(table, dict)
        found[name] = known | table if both else copy.deepcopy(table)
    return found


def _find(name_or_path: str | Path) -> Path:
    for path in (Path(name_or_path), SHIPPED / f"{name_or_path}.toml"):
        if path.is_file():
            return path
    known = ", ".join(sorted(path.stem for path in SHIPPED.glob("*.toml")))
    raise OptionsError(f"no recipe {str(name_or_path)!r}: expected a TOML file or one of: {known}")


def _apply(tables: dict[str, Any], setting: str) -> None:
    name, separator, value = setting.partition("=")
    table, dot, key = name.strip().partition(".")
    if not (separator and dot):
        raise OptionsError(f"--set: expected table.key=value, received {setting!r}")
    try:
        parsed = tomllib.loads(f"value = {value.strip()}")["value"]
    except tomllib.TOMLDecodeError:
        parsed = value.strip()  # a bare word is a string: `--set model.cell=gru`
    if not isinstance(tables.setdefault(table, {}), dict):
        raise OptionsError(f"--set: {table} is not a table")
    tables[table][key] = parsed


def _anchor(tables: dict[str, Any], root: Path) -> None:
    """Makes relative paths absolute, so that the recipe kept with a run means the same anywhere."""
    for name, key in (("data", "train"), ("data", "dev"), ("language_model", "texts")):
        table = tables.get(name)
        if isinstance(table, dict) and isinstance(table.get(key), list):
            table[key] = [_absolute(item, root) for item in table[key]]
    for name, key in (("augment", "noise"), ("vocabulary", "pronunciations")):
        table = tables.get(name)
        if isinstance(table, dict) and isinstance(table.get(key), str):
            table[key] = _absolute(table[key], root)
    training = tables.get("training")
    if isinstance(training, dict) and "/" in str(training.get("teacher", "")):  # else a name
        training["teacher"] = _absolute(training["teacher"], root)


def _absolute(item: object, root: Path) -> object:
    return str(root.absolute() / item) if isinstance(item, str) else item  # refused when checked
