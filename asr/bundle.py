"""A model is a folder: everything needed to use it, found by name or by path.

<name>/
├── model.keras       the network (Keras's format, opened in safe mode; `pipelines` does that)
├── recipe.toml       [features] [text] [decoding], and how it was trained
├── vocabulary.json
└── card.md           data, licence, figures, the command that made it
"""

import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asr
from asr.decoding import DecodingOptions
from asr.errors import BundleError, OptionsError
from asr.features import FeatureOptions
from asr.files import write_text
from asr.options import from_table
from asr.text import TextOptions
from asr.vocabulary import Vocabulary

NETWORK_FILE = "model.keras"
RECIPE_FILE = "recipe.toml"
VOCABULARY_FILE = "vocabulary.json"
CARD_FILE = "card.md"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """An opened model folder, without its network.

    Attributes:
        folder: Where it is.
        recipe: The whole recipe as read, with tables this room does not know.
        features: Its feature settings.
        text: Its text normalisation.
        decoding: Its decoder settings.
        vocabulary: Its tokens.
    """

    folder: Path
    recipe: Mapping[str, Any]
    features: FeatureOptions
    text: TextOptions
    decoding: DecodingOptions
    vocabulary: Vocabulary

    @property
    def name(self) -> str:
        """The folder's name, or its run's where the folder is a run's `model`."""
        return self.folder.parent.name if self.folder.name == "model" else self.folder.name

    @property
    def card(self) -> str:
        """The text of the card; empty if there is none."""
        path = self.folder / CARD_FILE
        return path.read_text(encoding="utf-8") if path.is_file() else ""

    @property
    def size_bytes(self) -> int:
        """Bytes of all its files."""
        return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())


def open_bundle(name_or_folder: str | Path) -> Bundle:
    """Opens a model by the name of an installed one or by its folder (a run's folder will do).

    Raises:
        BundleError: There is no such model (the known ones are named), or a file is missing or
            broken.
    """
    folder = _find(name_or_folder)
    recipe = _read_recipe(folder)
    try:
        return Bundle(
            folder=folder,
            recipe=recipe,
            features=from_table(FeatureOptions, recipe.get("features", {}), where="[features]"),
            text=from_table(TextOptions, recipe.get("text", {}), where="[text]"),
            decoding=from_table(DecodingOptions, recipe.get("decoding", {}), where="[decoding]"),
            vocabulary=Vocabulary.load(folder / VOCABULARY_FILE),
        )
    except OptionsError as error:
        raise BundleError(f"{folder / RECIPE_FILE}: {error}") from None


def write_settings(
    folder: Path, *, recipe: Mapping[str, Any], vocabulary: Vocabulary, card: str
) -> None:
    """Writes all of a bundle but its network, each file atomically."""
    import tomli_w

    write_text(folder / RECIPE_FILE, tomli_w.dumps(recipe))
    write_text(folder / CARD_FILE, card)
    vocabulary.save(folder / VOCABULARY_FILE)


def model_folders() -> list[Path]:
    """Returns the folders searched for models by name, first match first.

    They are the one named by the environment variable ASR_MODELS, the user's own
    (`~/.local/share/asr/models`), and the models that came with the installation.
    """
    chosen = os.environ.get("ASR_MODELS")
    user = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share") / "asr/models"
    installed = Path(asr.__file__).parent.parent / "models" / "pretrained"
    return [*([Path(chosen)] if chosen else []), user, installed]


def list_bundles() -> Iterator[Path]:
    """Yields the folder of every model that can be opened by name."""
    seen: set[str] = set()
    for folder in model_folders():
        for path in sorted(folder.glob(f"*/{RECIPE_FILE}")):
            if path.parent.name not in seen:
                seen.add(path.parent.name)
                yield path.parent


def _find(name_or_folder: str | Path) -> Path:
    given = Path(name_or_folder)
    for folder in (given, given / "model"):
        if (folder / RECIPE_FILE).is_file() and (folder / VOCABULARY_FILE).is_file():
            return folder
    if given.is_dir():
        raise BundleError(
            f"{given}: expected a model folder with {RECIPE_FILE} and {VOCABULARY_FILE}, "
            f"received one without (a run has them once its first epoch is over)"
        )
    for path in list_bundles():
        if path.name == str(name_or_folder):
            return path
    known = ", ".join(path.name for path in list_bundles()) or "none installed"
    raise BundleError(
        f"no model {str(name_or_folder)!r}: expected a model's folder or one of: {known}"
    )


def _read_recipe(folder: Path) -> dict[str, Any]:
    path = folder / RECIPE_FILE
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BundleError(f"{path}: expected TOML, received {error}") from None
