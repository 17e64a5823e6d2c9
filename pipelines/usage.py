"""A command that makes no sense, beyond what argparse can see."""

import argparse
from collections.abc import Iterable
from pathlib import Path

from asr.errors import OptionsError


class UsageError(OptionsError):
    """The arguments contradict each other or what is there; nothing was begun. Exit code 2."""


def refuse_existing(*paths: Path | None, overwrite: bool) -> None:
    """Refuses to write where something is, unless that was asked for.

    Args:
        paths: What is to be written; None where nothing is.
        overwrite: It was asked for.

    Raises:
        UsageError: One of them is there.
    """
    there = [path for path in paths if path is not None and path.exists()]
    if there and not overwrite:
        raise UsageError(f"{there[0]} is there already; --overwrite replaces it")


def given_flags(arguments: argparse.Namespace, names: Iterable[str]) -> list[str]:
    """Returns those of some options that were given a value, as they are typed."""
    given = [name for name in names if getattr(arguments, name) is not None]
    return [f"--{name.replace('_', '-')}" for name in given]
