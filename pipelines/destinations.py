"""Which output a command line means."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from pipelines.formats import FORMATS
from pipelines.inputs import Recording
from pipelines.outputs import OneFile, Output
from pipelines.result_folder import ResultFolder
from pipelines.result_list import LIST_FORMS, ResultList
from pipelines.usage import UsageError

_NAMED_FORMS = ("txt", "json", "ctm", "trn", "jsonl")
"""Formats in which the screen shows which of several recordings is meant."""


def formats_of(given: str | None) -> tuple[str, ...]:
    """Returns the formats of a list with commas; none if there is no list.

    Raises:
        UsageError: One of them is unknown.
    """
    if given is None:
        return ()
    names = tuple(dict.fromkeys(name.strip().lower() for name in given.split(",")))
    if unknown := [name for name in names if name not in FORMATS]:
        raise UsageError(
            f"--output-format: expected some of {', '.join(FORMATS)}, received {unknown[0]!r}"
        )
    return names


def shown_formats(
    output: Path | str | None, output_dir: Path | str | None, given: str | None
) -> Sequence[str]:
    """Returns the formats that results are written in.

    Args:
        output: A file or a folder, by its path or address.
        output_dir: A folder.
        given: Formats, with commas; None if nothing is said about them.

    Raises:
        UsageError: They contradict each other.
    """
    names = formats_of(given)
    if output is not None and output_dir is not None:
        raise UsageError("expected -o or --output-dir, received both")
    named = _form_of(output)
    if named is None:
        return names or ("txt",)
    if names not in ((), (named,)):
        raise UsageError(f"-o {output}: expected {named} as --output-format, received {given}")
    return (named,)


def make_output(
    *,
    output: Path | str | None,
    output_dir: Path | str | None,
    forms: Sequence[str],
    recordings: Sequence[Recording],
    settings: Callable[[], str],
    overwrite: bool,
) -> Output:
    """Returns the output that a command line means.

    Args:
        output: None; `NAME.jsonl`, or `NAME.ctm` or `NAME.trn` with several recordings, for one
            list of all; `NAME.txt` and the like for the transcript of one; else a folder. Here and
            below, text is an address.
        output_dir: A folder, or None; with neither, the screen is meant.
        forms: What `shown_formats` says.
        recordings: All of them.
        settings: Gives the digest of the model and all that was chosen; asked if it is kept.
        overwrite: Replace what is there.

    Raises:
        OSError: What is at an address cannot be read.
        UsageError: Something is there already or cannot be written as it was asked for.
    """
    several = len(recordings) > 1
    form = _form_of(output)
    if output is not None and form is not None:
        if form == "jsonl" or (several and form in LIST_FORMS):
            return ResultList(output, form, recordings, settings=settings(), overwrite=overwrite)
        if several:
            raise UsageError(
                f"-o: expected a folder or a .jsonl file for {len(recordings):,} recordings, "
                f"received {output}"
            )
        return OneFile(output, form, recordings, overwrite=overwrite)
    folder = output or output_dir
    if folder is not None:
        return ResultFolder(folder, forms, recordings, settings=settings(), overwrite=overwrite)
    if len(forms) > 1:
        raise UsageError(f"expected --output-dir for {len(forms)} formats, received none")
    if several and forms[0] not in _NAMED_FORMS:
        raise UsageError(
            f"expected --output-dir for the {forms[0]} of several recordings, received none"
        )
    return Output(forms, recordings)


def _form_of(output: Path | str | None) -> str | None:
    """Returns the format that a file's name says; None if it is a folder's."""
    if output is None or (isinstance(output, Path) and output.is_dir()):
        return None
    name = output if isinstance(output, str) else output.name
    suffix = os.path.splitext(name)[1].removeprefix(".").lower()
    return suffix if suffix in FORMATS else None
