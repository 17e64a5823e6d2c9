"""A check that the three packages in use are ours.

`models` and `pipelines` are common names: another distribution, or a folder in the current
directory, may stand in front of one of them, and what follows would be an import error deep inside
a program, or worse, none.
"""

from importlib.util import find_spec
from pathlib import Path

from asr.errors import AsrError

ROOMS = ("asr", "models", "pipelines")


def check_installation() -> None:
    """Checks that `asr`, `models` and `pipelines` lie side by side; imports none of them.

    Raises:
        AsrError: One of them is missing, or comes from another place than this file.
    """
    here = Path(__file__).resolve().parent.parent
    strangers = [
        f"{room} from {place or 'nowhere'}" for room in ROOMS if (place := _place_of(room)) != here
    ]
    if strangers:
        raise AsrError(
            f"expected the packages {', '.join(ROOMS)} side by side in {here}, found "
            f"{', '.join(strangers)}: something else of that name stands in front. Install "
            "bilstm-asr into an environment of its own, or leave the folder that holds the other."
        )


def _place_of(package: str) -> Path | None:
    """The folder that holds the package an import would find; None where there is none."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).resolve().parent.parent
