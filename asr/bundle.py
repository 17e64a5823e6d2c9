"""A model is a folder: everything needed to use it, found by name or by path.

<name>/
├── model.keras       the network (Keras's format, opened in safe mode; `pipelines` does that)
├── recipe.toml       [features] [text] [decoding] [confidence], and how it was trained
├── vocabulary.json
├── lm.ngram          a language model for the beam search, in some
├── lm.lstm           a recurrent one that chooses among the texts found, in some
├── model.onnx, model.int8.onnx, onnx.json
│                     the same network without Keras, once exported (`asr.onnx_network`)
└── card.md           data, licence, figures, the command that made it
"""

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from asr.confidence import Calibration
from asr.decoding import DecodingOptions
from asr.errors import BundleError, LanguageModelError, OptionsError, VocabularyError
from asr.features import FeatureOptions
from asr.files import write_text
from asr.options import from_table
from asr.text import TextOptions
from asr.vocabulary import Vocabulary

if TYPE_CHECKING:
    from asr.decoding import LanguageModel
    from asr.lm.lstm import LstmModel

NETWORK_FILE = "model.keras"
RECIPE_FILE = "recipe.toml"
VOCABULARY_FILE = "vocabulary.json"
CARD_FILE = "card.md"
LANGUAGE_MODEL_FILE = "lm.ngram"
RESCORER_FILE = "lm.lstm"

_MAX_KEY_PARTS = 64

Options = TypeVar("Options", FeatureOptions, TextOptions, DecodingOptions, Calibration)


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
        confidence: What its certainty is worth.
        language_model_file: Its language model; None if it has none.
        rescorer_file: Its recurrent language model; None if it has none.
    """

    folder: Path
    recipe: Mapping[str, Any]
    features: FeatureOptions
    text: TextOptions
    decoding: DecodingOptions
    vocabulary: Vocabulary
    confidence: Calibration = field(default_factory=Calibration)
    language_model_file: Path | None = None
    rescorer_file: Path | None = None

    @property
    def name(self) -> str:
        """The folder's name, or its run's where the folder is a run's `model`."""
        return name_of(self.folder)

    @property
    def card(self) -> str:
        """The text of the card; empty if there is none."""
        path = self.folder / CARD_FILE
        return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""

    @property
    def size_bytes(self) -> int:
        """Bytes of all its files."""
        return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())

    def open_language_model(self) -> "LanguageModel | None":
        """Opens the language model; None if there is none, or the decoder is not one to ask it.

        Raises:
            LanguageModelError: The file is broken, or in a format whose words cannot be listed.
        """
        if self.language_model_file is None or self.decoding.method != "beam":
            return None
        return open_language_model(self.language_model_file)

    def open_rescorer(self) -> "LstmModel | None":
        """Opens the recurrent language model; None if there is none, or none is to be asked.

        Raises:
            LanguageModelError: The file is broken.
        """
        if self.rescorer_file is None or not self.decoding.num_rescored:
            return None
        return open_rescorer(self.rescorer_file)


def open_bundle(name_or_folder: str | Path) -> Bundle:
    """Opens a model by its folder (a run's folder will do) or by the name of an installed one.

    Args:
        name_or_folder: A folder with a model is taken before an installed model of that name.

    Raises:
        BundleError: There is no such model (the known ones are named), or a file is missing or
            broken.
    """
    folder = _find(name_or_folder)
    recipe = _read_recipe(folder / RECIPE_FILE)
    language_model, rescorer = folder / LANGUAGE_MODEL_FILE, folder / RESCORER_FILE
    return Bundle(
        folder=folder,
        recipe=recipe,
        features=_options(FeatureOptions, recipe, "features", folder),
        text=_options(TextOptions, recipe, "text", folder),
        # Without this table a model means what any decoder gives; without the others, nothing.
        decoding=_options(DecodingOptions, {"decoding": {}} | recipe, "decoding", folder),
        vocabulary=_read_vocabulary(folder / VOCABULARY_FILE),
        confidence=_options(Calibration, {"confidence": {}} | recipe, "confidence", folder),
        language_model_file=language_model if language_model.is_file() else None,
        rescorer_file=rescorer if rescorer.is_file() else None,
    )


def open_language_model(path: Path) -> "LanguageModel":
    """Opens a language model that the beam search can ask: a file of `asr lm`, or ARPA.

    Raises:
        LanguageModelError: The file is missing or broken, or its words cannot be listed.
    """
    from asr.lm.arpa import read_arpa
    from asr.lm.binary import is_binary, open_binary
    from asr.lm.kenlm_model import is_kenlm

    try:
        if is_kenlm(path):  # seen before KenLM's own code reads what may be a stranger's
            raise LanguageModelError(
                f"{path}: expected a language model whose words can be listed, received KenLM's "
                "format; give the ARPA file it was made from"
            )
        return open_binary(path) if is_binary(path) else read_arpa(path)
    except OSError as error:
        raise LanguageModelError(f"{path}: expected a language model: {error.strerror}") from None


def open_rescorer(path: Path) -> "LstmModel":
    """Opens a recurrent language model, a file of `asr lm --lstm`.

    Raises:
        LanguageModelError: The file is missing or broken.
    """
    from asr.lm.lstm_file import read_lstm

    try:
        return read_lstm(path)
    except OSError as error:
        raise LanguageModelError(
            f"{path}: expected a recurrent language model: {error.strerror}"
        ) from None


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
    installed = Path(__file__).parent.parent / "models" / "pretrained"
    return [*([Path(chosen)] if chosen else []), user, installed]


def list_bundles() -> Iterator[Path]:
    """Yields the folder of every model that can be opened by name, in the order of the search.

    A folder of training runs serves too: of each run it is the folder with its model.
    """
    seen: set[str] = set()
    for folder in model_folders():
        for path in sorted(folder.glob(f"*/{RECIPE_FILE}")):
            if path.parent.name not in seen:
                seen.add(path.parent.name)
                yield _model_in(path.parent) or path.parent


def name_of(folder: Path) -> str:
    """Returns what a model's folder is called: by itself, or by its run where it is `model`."""
    folder = Path(os.path.abspath(folder))  # the current folder has a name too
    return folder.parent.name if folder.name == "model" else folder.name


def _find(name_or_folder: str | Path) -> Path:
    given = Path(name_or_folder)
    if found := _model_in(given):
        return found
    installed = {name_of(path): path for path in list_bundles()}
    if str(name_or_folder) in installed:
        return installed[str(name_or_folder)]
    if not given.is_dir():
        place = f"the file {given}" if given.exists() else "no folder of that name"
        known = ", ".join(installed) or "none is installed"
        raise BundleError(
            f"no model {str(name_or_folder)!r}: expected a model's folder, a run's, or the name of "
            f"an installed model ({known}), received {place}"
        )
    missing = [name for name in (RECIPE_FILE, VOCABULARY_FILE) if not (given / name).is_file()]
    raise BundleError(
        f"{given}: expected a model's folder, received one without {' and '.join(missing)} "
        "(a run's folder has a model once its first epoch is over)"
    )


def _model_in(folder: Path) -> Path | None:
    """Returns the folder, or its `model`, whichever holds a model; None if neither does."""
    for place in (folder, folder / "model"):
        if (place / RECIPE_FILE).is_file() and (place / VOCABULARY_FILE).is_file():
            return place
    return None


def _read_recipe(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
        # Python's parser takes minutes over a key of a hundred thousand parts.
        if "." * _MAX_KEY_PARTS in re.sub(r"[\w\s\"'-]", "", text):
            raise ValueError(f"a key of more than {_MAX_KEY_PARTS} parts")
        return tomllib.loads(text)
    # ValueError: also what Python says of a number of thousands of digits.
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{path}: expected TOML, received {error}") from None
    except OSError as error:
        raise BundleError(f"{path}: expected a readable file: {error.strerror}") from None


def _read_vocabulary(path: Path) -> Vocabulary:
    try:
        return Vocabulary.load(path)
    except VocabularyError as error:
        raise BundleError(str(error)) from None


def _options(cls: type[Options], recipe: Mapping[str, Any], name: str, folder: Path) -> Options:
    table, where = recipe.get(name), f"{folder / RECIPE_FILE} [{name}]"
    if not isinstance(table, dict):
        received = "none" if table is None else repr(table)
        raise BundleError(f"{where}: expected a table, received {received}")
    try:
        return from_table(cls, table, where=where)
    except OptionsError as error:
        raise BundleError(str(error)) from None
