"""The model that is taken where none is named."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asr.bundle import Bundle

DEFAULT_MODEL = "en-read"


def open_model(name: str | None) -> "Bundle":
    """Opens a model's settings by its name or folder; the network is left to whatever computes it.

    Args:
        name: None for the default model.

    Raises:
        BundleError: There is no such model, or it is broken.
    """
    from asr.bundle import list_bundles, name_of, open_bundle
    from asr.errors import BundleError

    if name is None and not Path(DEFAULT_MODEL).is_dir():
        installed = [name_of(folder) for folder in list_bundles()]
        if DEFAULT_MODEL not in installed:
            known = f"installed are: {', '.join(installed)}" if installed else "none is installed"
            raise BundleError(
                f"the model {DEFAULT_MODEL}, which is taken if none is named, is not installed "
                f"({known}); --model names one of those, or the folder of another"
            )
    return open_bundle(name or DEFAULT_MODEL)
