"""Folders that results are written to, on this machine or at an address, each with its journal."""

from pathlib import Path

from asr.addresses import joined, name_of, parent_of
from pipelines.journal import Journal
from pipelines.ledger import Ledger
from pipelines.remote_journal import RemoteJournal
from pipelines.remote_staging import STATE_FOLDER, RemoteStaging, placed
from pipelines.staging import Staging
from pipelines.usage import UsageError


def open_folder(folder: Path | str, settings: str) -> tuple[Ledger, Staging | RemoteStaging]:
    """Opens a folder for many files of results, and finishes what a killed run began there.

    Args:
        folder: A path or an address.
        settings: Digest of the model and all that is chosen now.

    Returns:
        What has been made there, and the way there.

    Raises:
        OSError: What is at the address cannot be read.
        UsageError: Another program writes there, or a file is there.
    """
    if isinstance(folder, str):
        state = joined(folder, STATE_FOLDER)
        journal = RemoteJournal(joined(state, "journal"), placed)
        return _recovered(journal, RemoteStaging(folder), settings)
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"expected a folder to write to, received the file {folder}")
    state_folder = folder / STATE_FOLDER
    staging = Staging(state_folder / "pending", folder)
    return _recovered(Journal(state_folder / "journal.jsonl"), staging, settings)


def open_file(path: Path | str, settings: str) -> tuple[Ledger, Staging | RemoteStaging]:
    """Opens the place of one file of results in the same way; it is known there by its name."""
    if isinstance(path, str):
        folder, name = parent_of(path), name_of(path)
        journal = RemoteJournal(joined(folder, f"{STATE_FOLDER}/{name}.journal"), placed)
        return _recovered(journal, RemoteStaging(folder, only=name), settings)
    state = path.parent / STATE_FOLDER
    staging = Staging(state / f"{path.name}.pending", path.parent)
    return _recovered(Journal(state / f"{path.name}.journal"), staging, settings)


def _recovered(
    journal: Journal | RemoteJournal, staging: Staging | RemoteStaging, settings: str
) -> tuple[Ledger, Staging | RemoteStaging]:
    try:
        ledger = Ledger(journal, settings)
        staging.recover(ledger.told(), ledger.waiting)
    except BaseException:
        journal.close()
        raise
    ledger.waiting.clear()
    return ledger, staging
