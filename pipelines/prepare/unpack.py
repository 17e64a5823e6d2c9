"""Unpacking a downloaded archive: whole or not at all, and never outside its folder."""

import os
import shutil
import tarfile
import zlib
from pathlib import Path

from pipelines.prepare.download import DownloadError


def unpack(archive: Path, target: Path) -> Path:
    """Unpacks a tar archive of any compression into a new folder.

    Members that would land outside are refused by Python's data filter (PEP 706); links, of which
    the corpora have no need and archives of ill will have, are left out.

    Args:
        archive: The file.
        target: The folder to make; one that exists is taken as unpacked before.

    Returns:
        The folder.

    Raises:
        DownloadError: The archive is damaged or wants to write elsewhere; nothing is left of it.
    """
    if target.is_dir():
        return target
    if not hasattr(tarfile, "data_filter"):
        raise DownloadError(
            f"unpacking safely needs Python 3.11.4 or later; unpack {archive} into {target} by hand"
        )
    aside = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        aside.mkdir(parents=True)
        # Read as a stream: seeking back in a compressed file would decompress it again and again.
        with tarfile.open(archive, "r|*") as tar:
            tar.extractall(aside, filter=_no_links)
        aside.replace(target)
    except tarfile.FilterError as error:
        raise DownloadError(f"{archive}: refused, it would write outside: {error}") from error
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise DownloadError(f"{archive}: cannot be unpacked: {error}") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return target


def stem(name: str) -> str:
    """Returns an archive's name without its endings."""
    return name.partition(".tar")[0]


def _no_links(member: tarfile.TarInfo, path: str) -> tarfile.TarInfo | None:
    if not (member.isfile() or member.isdir()):
        return None
    return tarfile.data_filter(member, path)
